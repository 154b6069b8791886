"""Membership: is this string a word of the language?"""

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from numdnc.errors import UserError
from numdnc.names import quoted
from numdnc.params import Array
from numdnc.reference.activations import sigmoid
from numdnc.tasks import Batch
from numdnc.tasks.bits.steps import (
    Steps,
    check_at_least,
    check_length,
    check_ordered,
    empty_sequence,
    pad_and_batch,
    random_integer,
)
from numdnc.tasks.languages.grammars import Grammar, grammar_of
from numdnc.tasks.typed import TypedAnswer, TypedTask

_NEAR = 0.75
"""Share of the strings that are no words which are words with one or two edits."""
_TRIES = 1000


@dataclass(frozen=True, kw_only=True)
class Language(TypedTask):
    """Read a string symbol by symbol, then say whether it is a word of the language.

    A string of L symbols:

        steps  input     target
        L      a symbol  with `prefixes`: whether what has been read is a word
        1      end       whether the string is a word

    Half of the strings are words: their length is drawn among those that words have, then the word among all of that
    length. The others are no words: three in four are words with one or two symbols replaced, inserted, removed or
    swapped, the others random symbols.

    Input channels: the symbols of the alphabet, end. Output channels: member.

    Sources: Tomita 1982, in the form of Weiss et al. 2018 (ICML), for tomita-1 to tomita-7, who classify whole strings
    too; Gers and Schmidhuber 2001 for a^n b^n and a^n b^n c^n, and Suzgun et al. 2019 (arXiv 1911.03329) for dyck-2,
    who have the symbols predicted that may come next.
    """

    language: str = "dyck-1"
    """tomita-1 to tomita-7, anbn, anbncn, dyck-1 or dyck-2."""
    regex: str = ""
    """A regular expression in place of a name: letters, digits, . ( ) | * + ? and [..]; a word matches as a whole."""
    alphabet: str = ""
    """Symbols of the language of `regex`; empty = those in it."""
    min_length: int = 1
    """Least number of symbols."""
    max_length: int = 20
    """Largest number of symbols."""
    prefixes: bool = False
    """Ask after every symbol whether what has been read so far is a word."""

    example_question: ClassVar[str] = "(()())"

    def __post_init__(self) -> None:
        check_at_least(0, self, "min_length")
        check_at_least(1, self, "max_length")
        check_ordered(self, "min_length", "max_length")
        check_length(self, self.max_length + 1)
        if not self._lengths:
            raise UserError(
                f"the language must have words of {self.min_length} to {self.max_length} symbols, got none. "
                "Change the lengths."
            )
        self._non_word(np.random.default_rng(0))

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return (*self._grammar.alphabet, "end")

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return ("member",)

    @property
    def resolved_settings(self) -> dict[str, Any]:
        """The settings without those that mean nothing beside others."""
        unused = {"language"} if self.regex else {"regex", "alphabet"}
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in unused}

    def sequence(self, rng: np.random.Generator) -> Steps:
        """Draw one sequence."""
        return self._steps(self._word(rng) if rng.random() < 0.5 else self._non_word(rng))

    def pose(self, question: str) -> Batch:
        """A string as a batch."""
        for number, symbol in enumerate(question, 1):
            if symbol not in self._grammar.alphabet:
                raise UserError(
                    f"a question must be a string of {' '.join(self._grammar.alphabet)}, the symbols of the language, "
                    f"got {quoted(symbol)} as number {number}."
                )
        check_length(self, len(question) + 1)
        return pad_and_batch([self._steps(question)])

    def answer(self, batch: Batch, outputs: Array) -> TypedAnswer:
        """Whether the string is a word, by the output at its end."""
        logit, target = float(outputs[-1, 0, 0]), batch.targets[-1, 0, 0]
        return TypedAnswer(
            _in_words(logit > 0), _in_words(target > 0.5), {"probability": float(sigmoid(outputs[-1, 0])[0])}
        )

    @property
    def _grammar(self) -> Grammar:
        return grammar_of(self.language, self.regex, self.alphabet)

    @property
    def _lengths(self) -> tuple[int, ...]:
        return _lengths_of_words(self.language, self.regex, self.alphabet, self.min_length, self.max_length)

    def _word(self, rng: np.random.Generator) -> str:
        return self._grammar.random_word(rng, self._lengths[int(rng.integers(len(self._lengths)))])

    def _non_word(self, rng: np.random.Generator) -> str:
        alphabet = self._grammar.alphabet
        for _ in range(_TRIES):
            if rng.random() < _NEAR:
                string = self._word(rng)
                for _ in range(random_integer(rng, 1, 2)):
                    string = _edited(rng, string, alphabet)
            else:
                length = random_integer(rng, self.min_length, self.max_length)
                string = "".join(alphabet[i] for i in rng.integers(len(alphabet), size=length))
            if self.min_length <= len(string) <= self.max_length and not self._grammar.prefixes(string)[-1]:
                return string
        raise UserError(
            f"some strings of {self.min_length} to {self.max_length} symbols must not be words, "
            f"got none among {_TRIES:,}. Use another language, or name its --alphabet."
        )

    def _steps(self, string: str) -> Steps:
        alphabet, end = self._grammar.alphabet, len(string)
        steps = empty_sequence(end + 1, self.input_size, 1)
        steps.inputs[range(end), [alphabet.index(symbol) for symbol in string]] = 1
        steps.inputs[end, -1] = 1
        words = self._grammar.prefixes(string)
        if self.prefixes:
            steps.targets[:end, 0] = words[1:]
            steps.mask[:end] = True
        steps.targets[end] = words[-1]
        steps.mask[end] = True
        return steps


@lru_cache(maxsize=1024)
def _lengths_of_words(language: str, regex: str, alphabet: str, least: int, most: int) -> tuple[int, ...]:
    grammar = grammar_of(language, regex, alphabet)
    return tuple(length for length in range(least, most + 1) if grammar.has_words(length))


def _edited(rng: np.random.Generator, string: str, alphabet: str) -> str:
    """The string with a random symbol inserted, removed or replaced, or with two symbols swapped."""
    symbol = alphabet[int(rng.integers(len(alphabet)))]
    kind = random_integer(rng, 0, 3)
    if kind == 0 or not string:
        at = random_integer(rng, 0, len(string))
        return string[:at] + symbol + string[at:]
    at, other = (int(place) for place in rng.integers(len(string), size=2))
    if kind == 1:
        return string[:at] + string[at + 1 :]
    symbols = list(string)
    if kind == 2:
        symbols[at] = symbol
    else:
        symbols[at], symbols[other] = symbols[other], symbols[at]
    return "".join(symbols)


def _in_words(member: bool) -> str:
    return "a word" if member else "not a word"
