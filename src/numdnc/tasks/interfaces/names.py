"""The five tasks on tapes."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from numdnc.tasks.interfaces.interface import Interface, Question

_DUPLICATES = 3
_FEWEST, _MOST = 2, 3
"""Copies in repeat copy."""


class InterfaceCopy(Interface):
    """Emit the symbols of the input tape; see `Interface` for what the model sees and does."""

    def question(self, content: Sequence[int], rng: np.random.Generator) -> Question:
        """The tape is the content."""
        return Question(content, content)

    def answer(self, tape: Sequence[int]) -> Sequence[int] | None:
        """The same."""
        return tape

    def least_steps(self, question: Question) -> int:
        """Emit and move on."""
        return len(question.tape)


class InterfaceReverse(InterfaceCopy):
    """Emit the input tape from the last symbol to the first; see `Interface` for what the model sees and does."""

    def question(self, content: Sequence[int], rng: np.random.Generator) -> Question:
        """The answer is the tape, back to front."""
        return Question(content, content[::-1])

    def answer(self, tape: Sequence[int]) -> Sequence[int] | None:
        """The tape back to front."""
        return tape[::-1]

    def least_steps(self, question: Question) -> int:
        """Go to the end; emit and move back."""
        return 2 * len(question.tape) - 1


class InterfaceForwardReverse(InterfaceReverse):
    """The same as reverse, but the head of the input tape never moves back: the memory has to help.

    See `Interface` for what the model sees and does.
    """

    moves_back: ClassVar[bool] = False


class InterfaceDuplicatedInput(Interface):
    """Emit each symbol, which stands three times on the input tape, once; see `Interface` for what the model sees."""

    example_question: ClassVar[str] = "aaabbb"

    def question(self, content: Sequence[int], rng: np.random.Generator) -> Question:
        """The tape has each symbol three times."""
        return Question([symbol for symbol in content for _ in range(_DUPLICATES)], content)

    def answer(self, tape: Sequence[int]) -> Sequence[int] | None:
        """Each third symbol."""
        once = tape[::_DUPLICATES]
        return once if self.question(once, np.random.default_rng(0)).tape == list(tape) else None

    def least_steps(self, question: Question) -> int:
        """Go along the tape, and emit the first of each three."""
        return len(question.tape) - _DUPLICATES + 1


class InterfaceRepeatCopy(Interface):
    """The input tape begins with a number, 2 or 3: emit the symbols after it so many times.

    See `Interface` for what the model sees and does.
    """

    marks: ClassVar[str] = "23"
    example_question: ClassVar[str] = "2abc"

    def question(self, content: Sequence[int], rng: np.random.Generator) -> Question:
        """The tape is a number and the content."""
        copies = int(rng.integers(_FEWEST, _MOST, endpoint=True))
        return Question([self.symbols + copies - _FEWEST, *content], [*content] * copies)

    def answer(self, tape: Sequence[int]) -> Sequence[int] | None:
        """The symbols after the number, that many times."""
        copies, content = tape[0] - self.symbols + _FEWEST, tape[1:]
        if copies < _FEWEST or not content or max(content) >= self.symbols:
            return None
        return [*content] * copies

    def least_steps(self, question: Question) -> int:
        """Pass the number; emit and move on; between two copies go back to the first symbol."""
        length = len(question.tape) - 1
        copies = len(question.answer) // length
        return 1 + len(question.answer) + (copies - 1) * max(length - 2, 0)
