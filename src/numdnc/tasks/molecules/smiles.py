"""SMILES: split into tokens, numbered, and read from a file with one molecule a line.

Tokens are an atom in brackets such as [nH], %nn, Br, Cl, or a single character, as in Olivecrona et al. 2017
(arXiv 1704.07555).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from numdnc.data import Corpus
from numdnc.errors import UserError
from numdnc.names import quoted

END = 0
"""Number of the token that ends every molecule, and that the model reads before the first token."""
MOST_TOKENS = 1 << 16
"""Limit of the different tokens, which may come from a file of somebody else."""
_TOKEN = re.compile(r"\[[^\[\]\s]+\]|%\d\d|Br|Cl|[BCNOPSFIbcnops*]|[0-9]|[-=#$:/\\.()]", re.ASCII)


def tokenise(smiles: str) -> list[str]:
    """The tokens of a molecule; UserError for a character at which none begins."""
    tokens, at = [], 0
    while at < len(smiles):
        found = _TOKEN.match(smiles, at)
        if found is None:
            raise UserError(
                f"SMILES must be atoms (C, c, Cl, [nH], ..), bonds, brackets and ring numbers, got "
                f"{quoted(smiles[:80])} with {quoted(smiles[at])} as character {at + 1}."
            )
        tokens.append(found[0])
        at = found.end()
    return tokens


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a collection, sorted; token n has the number n + 1, END is 0."""

    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.tokens or len(self.tokens) > MOST_TOKENS or sorted(set(self.tokens)) != list(self.tokens):
            raise UserError("the tokens must be different ones, sorted")

    @classmethod
    def of(cls, molecules: Iterable[Sequence[str]]) -> "Vocabulary":
        """The vocabulary of tokenised molecules."""
        return cls(tuple(sorted({token for molecule in molecules for token in molecule})))

    @property
    def size(self) -> int:
        """Number of different tokens with END, X and Y of a model."""
        return len(self.tokens) + 1

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each number."""
        return ("end", *self.tokens)

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """The smallest dtype that holds every number."""
        return np.min_scalar_type(self.size - 1)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens, 1)}

    def has(self, tokens: Iterable[str]) -> bool:
        """Whether it holds all of these tokens."""
        return all(token in self._numbers for token in tokens)

    def encode(self, tokens: Sequence[str]) -> NDArray[np.integer]:
        """The numbers of tokens, without END; UserError for one that the vocabulary lacks."""
        strangers = [token for token in dict.fromkeys(tokens) if token not in self._numbers]
        if strangers:
            raise UserError(
                f"a molecule must have tokens that the model was trained on, {' '.join(self.tokens[:40])}, "
                f"got others: {', '.join(map(quoted, strangers[:5]))}. Leave them out."
            )
        return np.array([self._numbers[token] for token in tokens], self.dtype)

    def decode(self, numbers: Iterable[int]) -> str:
        """SMILES of the numbers of tokens."""
        return "".join(self.tokens_of(numbers))

    def tokens_of(self, numbers: Iterable[int]) -> list[str]:
        """The tokens of these numbers."""
        return [self.tokens[number - 1] for number in numbers]


def read_molecules(corpus: Corpus, most: int) -> list[list[str]]:
    """The tokens of every different molecule of a file, in its order: the first word of each line that is not blank.

    UserError, with the line, for what is no text, cannot be tokenised or has more than `most` tokens.
    """
    found: dict[str, list[str]] = {}
    for number, smiles in _lines(corpus):
        if smiles in found:
            continue
        try:
            tokens = tokenise(smiles)
        except UserError as error:
            raise UserError(
                f"line {number} of {corpus.name} must be a molecule: {error} Correct or remove the line."
            ) from None
        if len(tokens) > most:
            raise UserError(
                f"line {number} of {corpus.name} must be a molecule of at most {most} tokens, got {len(tokens)}. "
                "Raise --max-tokens, or remove it."
            )
        found[smiles] = tokens
    if not found:
        raise UserError(
            f"{corpus.name} must hold a molecule a line as SMILES, got blank lines. Give another file."
        )
    return list(found.values())


def _lines(corpus: Corpus) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(corpus.data.splitlines(), 1):
        try:
            words = line.decode("utf-8-sig").split()
        except UnicodeDecodeError as error:
            raise UserError(
                f"line {number} of {corpus.name} must be text, got byte 0x{error.object[error.start]:02x}. "
                "Give a file with a molecule a line as SMILES."
            ) from None
        if words:
            yield number, words[0]
