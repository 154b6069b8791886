"""The formal languages that have names, and those of regular expressions."""

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import numpy as np

from numdnc.errors import UserError
from numdnc.names import quoted
from numdnc.tasks.languages.automaton import Automaton
from numdnc.tasks.languages.regex import automaton_of


class Grammar(Protocol):
    """A language: which strings of its alphabet are words, and random words."""

    alphabet: str

    def prefixes(self, word: str) -> list[bool]:
        """For each prefix of `word`, from the empty one to itself, whether it is a word."""
        ...

    def has_words(self, length: int) -> bool:
        """Whether there are words of this length."""
        ...

    def random_word(self, rng: np.random.Generator, length: int) -> str:
        """A word of this length, all of them equally likely; there must be one."""
        ...


class Blocks:
    """a^n b^n or a^n b^n c^n, n from 1: as many of each symbol, in the order of the alphabet."""

    def __init__(self, alphabet: str) -> None:
        self.alphabet = alphabet

    def prefixes(self, word: str) -> list[bool]:
        """See `Grammar`."""
        return [self.has_words(end) and word[:end] == self._word_of(end) for end in range(len(word) + 1)]

    def has_words(self, length: int) -> bool:
        """See `Grammar`."""
        return length > 0 and length % len(self.alphabet) == 0

    def random_word(self, rng: np.random.Generator, length: int) -> str:
        """The only word of this length."""
        return self._word_of(length)

    def _word_of(self, length: int) -> str:
        return "".join(symbol * (length // len(self.alphabet)) for symbol in self.alphabet)


class Dyck:
    """Balanced brackets; the alphabet is pairs of them, such as "()[]"."""

    def __init__(self, alphabet: str) -> None:
        self.alphabet = alphabet
        self._pairs = dict(zip(alphabet[::2], alphabet[1::2], strict=True))

    def prefixes(self, word: str) -> list[bool]:
        """See `Grammar`."""
        found, expected = [True], list[str]()
        for symbol in word:
            if symbol in self._pairs:
                expected.append(self._pairs[symbol])
            elif not expected or expected.pop() != symbol:
                break
            found.append(not expected)
        return found + [False] * (len(word) + 1 - len(found))

    def has_words(self, length: int) -> bool:
        """See `Grammar`."""
        return length % 2 == 0

    def random_word(self, rng: np.random.Generator, length: int) -> str:
        """See `Grammar`: with r symbols left and d brackets open, the share of words that open another is

            (r - d) (d + 2) / (2 r (d + 1))

        by the ballot numbers (Arnold and Sleep 1980).
        """
        word, expected, openings = "", list[str](), list(self._pairs)
        for left in range(length, 0, -1):
            depth = len(expected)
            if rng.random() * 2 * left * (depth + 1) < (left - depth) * (depth + 2):
                opening = openings[int(rng.integers(len(openings)))]
                word += opening
                expected.append(self._pairs[opening])
            else:
                word += expected.pop()
        return word


def _tomita_3() -> Automaton:
    """No odd number of 1s and then, anywhere later, an odd number of 0s."""
    return Automaton("01", [[0, 1], [2, 0], [3, 4], [2, 3], [4, 4]], {0, 1, 3})


def _tomita_6() -> Automaton:
    """As many 0s as 1s, modulo 3."""
    return Automaton("01", [[1, 2], [2, 0], [0, 1]], {0})


_REGULAR = {
    "tomita-1": "1*",
    "tomita-2": "(10)*",
    "tomita-4": "(1|01|001)*(0|00)?",
    "tomita-5": "(00|11|(01|10)(00|11)*(01|10))*",
    "tomita-7": "0*1*0*1*",
}
_OTHERS: dict[str, Callable[[], Grammar]] = {
    "tomita-3": _tomita_3,
    "tomita-6": _tomita_6,
    "anbn": lambda: Blocks("ab"),
    "anbncn": lambda: Blocks("abc"),
    "dyck-1": lambda: Dyck("()"),
    "dyck-2": lambda: Dyck("()[]"),
}
NAMES = sorted([*_REGULAR, *_OTHERS])
"""Names of the languages."""


@lru_cache(maxsize=64)
def grammar_of(language: str, regex: str = "", alphabet: str = "") -> Grammar:
    """The language of a regular expression or, where that is empty, of a name."""
    if regex:
        return automaton_of(regex, alphabet)
    if alphabet:
        raise UserError(f"alphabet must be given with regex, got {quoted(alphabet)} alone. Leave it out.")
    if language in _REGULAR:
        return automaton_of(_REGULAR[language], "01")
    if language not in _OTHERS:
        raise UserError(
            f"language must be one of {', '.join(NAMES)}, got {quoted(language)}. "
            "Name one, or give a regular expression with --regex."
        )
    return _OTHERS[language]()
