"""Deterministic finite automata, and random words of the languages that they accept."""

from collections.abc import Sequence, Set

import numpy as np


class Automaton:
    """A deterministic finite automaton; it begins in state 0."""

    def __init__(self, alphabet: str, transitions: Sequence[Sequence[int]], accepting: Set[int]) -> None:
        """`transitions[state][i]` is the state after the i-th symbol of the alphabet."""
        self.alphabet = alphabet
        self._transitions, self._accepting = transitions, accepting
        self._counts = [[int(state in accepting) for state in range(len(transitions))]]

    def prefixes(self, word: str) -> list[bool]:
        """For each prefix of `word`, from the empty one to itself, whether it is a word."""
        states = [0]
        for symbol in word:
            states.append(self._transitions[states[-1]][self.alphabet.index(symbol)])
        return [state in self._accepting for state in states]

    def has_words(self, length: int) -> bool:
        """Whether there are words of this length."""
        return self._count(length)[0] > 0

    def random_word(self, rng: np.random.Generator, length: int) -> str:
        """A word of this length, all of them equally likely; there must be one."""
        state, word = 0, ""
        for left in range(length - 1, -1, -1):
            ahead = [self._count(left)[after] for after in self._transitions[state]]
            shares = np.cumsum([number / sum(ahead) for number in ahead])  # integers too large for a float
            chosen = int(np.searchsorted(shares, rng.random() * shares[-1], "right"))
            word += self.alphabet[chosen]
            state = self._transitions[state][chosen]
        return word

    def _count(self, length: int) -> list[int]:
        """For each state, how many strings of this length lead from it to an accepting one."""
        while len(self._counts) <= length:
            last = self._counts[-1]
            self._counts.append([sum(last[after] for after in row) for row in self._transitions])
        return self._counts[length]
