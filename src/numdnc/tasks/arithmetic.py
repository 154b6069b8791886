"""Arithmetic on decimal numbers, digit by digit: addition, subtraction, multiplication and successor."""

import re
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import numpy as np

from numdnc.errors import UserError
from numdnc.names import quoted
from numdnc.params import Array
from numdnc.tasks import Batch
from numdnc.tasks.bits.steps import (
    Steps,
    channel_names,
    check_at_least,
    pad_and_batch,
    random_integer,
)
from numdnc.tasks.typed import TypedAnswer, TypedTask

_SEPARATOR = 10
_MOST_DIGITS = 2000
"""Of a number: int() refuses 4,301, and a product has twice as many."""


@dataclass(frozen=True, kw_only=True)
class Arithmetic(TypedTask):
    """Read numbers digit by digit, least significant digit first, then output the result in the same way.

    A sequence of numbers of L digits, with zeros in front of shorter ones:

        steps  input                        target
        L      a digit of the first number
        1      separator
        L      a digit of the second        (successor has one number)
        1      separator
        A                                   a digit of the result; A is L, or 2 L in multiplication

    Digits are one-hot. Numbers are such that the result fits: in addition their first digits are below 5.

    Input channels: digits 0 to 9, separator. Outputs: a softmax over the digits 0 to 9.

    Source: SiliconSloth/ADNC.
    """

    length: int = 36
    """Largest number of digits of a number, L."""
    spread: int = 1
    """L is drawn from `length` - `spread` to `length`, but is at least 1."""

    pattern: ClassVar[str]
    """What a question looks like, with a group for each number that is shown."""

    def __post_init__(self) -> None:
        check_at_least(1, self, "length")
        check_at_least(0, self, "spread")
        if self.length > _MOST_DIGITS:
            raise UserError(f"length must be at most {_MOST_DIGITS:,}, got {self.length:,}.")

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return (*channel_names("digit", 10), "separator")

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return channel_names("digit", 10)

    @property
    def slots_needed(self) -> int:
        """Most vectors that a sequence must hold at once: the digits of a number."""
        return self.length

    def numbers(self, rng: np.random.Generator, length: int) -> tuple[int, ...]:
        """Draw the numbers that are shown."""
        raise NotImplementedError

    def result(self, numbers: tuple[int, ...]) -> int:
        """What is asked for."""
        raise NotImplementedError

    def fits(self, numbers: tuple[int, ...], length: int) -> bool:
        """Whether numbers of so many digits may be these."""
        raise NotImplementedError

    def answer_length(self, length: int) -> int:
        """Digits of the result, A."""
        return length

    def sequence(self, rng: np.random.Generator) -> Steps:
        """Draw one sequence."""
        length = random_integer(rng, self._least_length, self.length)
        return self._steps(self.numbers(rng, length), length)

    def pose(self, question: str) -> Batch:
        """A formula, as in "123+989", as a batch; numbers are no shorter than those of the task."""
        found = re.fullmatch(self.pattern, question.strip())
        if found is None:
            raise UserError(
                f"a question must be a formula such as {self.example_question}, got {quoted(question[:80])}. "
                f"Give whole numbers without a sign; the model has learned {type(self).__name__.lower()} alone."
            )
        if max(map(len, found.groups())) > _MOST_DIGITS:
            raise UserError(
                f"a number must have at most {_MOST_DIGITS:,} digits, got {max(map(len, found.groups())):,}."
            )
        numbers = tuple(map(int, found.groups()))
        if self.result(numbers) < 0:
            raise UserError(f"the result must be at least 0, got {quoted(question[:80])}. Swap the numbers.")
        lengths = count(max(self._least_length, *(len(str(number)) for number in numbers), 1))
        length = next(length for length in lengths if self.fits(numbers, length))
        return pad_and_batch([self._steps(numbers, length)])

    def answer(self, batch: Batch, outputs: Array) -> TypedAnswer:
        """The number that the outputs spell, without zeros in front."""
        assert batch.mask is not None
        due = batch.mask[:, 0]
        given, wanted = outputs[due, 0].argmax(axis=-1), batch.targets[due, 0]
        return TypedAnswer(_from_digits(given.tolist()), _from_digits(wanted.tolist()), {})

    @property
    def _least_length(self) -> int:
        return max(self.length - self.spread, 1)

    def _steps(self, numbers: tuple[int, ...], length: int) -> Steps:
        shown = [symbol for number in numbers for symbol in (*_to_digits(number, length), _SEPARATOR)]
        begin, asked = len(shown), self.answer_length(length)
        steps = Steps(
            np.zeros((begin + asked, self.input_size), np.float32),
            np.zeros(begin + asked, np.int64),
            np.zeros(begin + asked, bool),
        )
        steps.inputs[range(begin), shown] = 1
        steps.targets[begin:] = _to_digits(self.result(numbers), asked)
        steps.mask[begin:] = True
        return steps


class Addition(Arithmetic):
    """Add two numbers; see `Arithmetic` for the steps of a sequence."""

    pattern = r"([0-9]+)\s*\+\s*([0-9]+)"
    example_question = "123+989"

    def numbers(self, rng: np.random.Generator, length: int) -> tuple[int, ...]:
        """Two numbers whose first digits are below 5."""
        return _random_number(rng, length, first=5), _random_number(rng, length, first=5)

    def result(self, numbers: tuple[int, ...]) -> int:
        """The sum."""
        return sum(numbers)

    def fits(self, numbers: tuple[int, ...], length: int) -> bool:
        """Whether the first digits are below 5."""
        limit: int = 5 * 10 ** (length - 1)
        return max(numbers) < limit


class Subtraction(Addition):
    """Subtract a number from the sum of two; see `Arithmetic` for the steps of a sequence."""

    pattern = r"([0-9]+)\s*-\s*([0-9]+)"
    example_question = "1112-989"

    def numbers(self, rng: np.random.Generator, length: int) -> tuple[int, ...]:
        """The sum of two numbers, and one of them."""
        one, other = super().numbers(rng, length)
        return one + other, one

    def result(self, numbers: tuple[int, ...]) -> int:
        """The difference."""
        return numbers[0] - numbers[1]

    def fits(self, numbers: tuple[int, ...], length: int) -> bool:
        """Whether the first digits of what is subtracted and of the result are below 5."""
        return super().fits((numbers[1], self.result(numbers)), length)


class Multiplication(Arithmetic):
    """Multiply two numbers; see `Arithmetic` for the steps of a sequence."""

    pattern = r"([0-9]+)\s*[*x]\s*([0-9]+)"
    example_question = "12*34"

    def numbers(self, rng: np.random.Generator, length: int) -> tuple[int, ...]:
        """Any two numbers."""
        return _random_number(rng, length), _random_number(rng, length)

    def result(self, numbers: tuple[int, ...]) -> int:
        """The product."""
        return numbers[0] * numbers[1]

    def fits(self, numbers: tuple[int, ...], length: int) -> bool:
        """Whether they have no more digits."""
        limit: int = 10**length
        return max(numbers) < limit

    def answer_length(self, length: int) -> int:
        """A product has up to twice the digits."""
        return 2 * length


class Successor(Arithmetic):
    """Add 1 to a number; see `Arithmetic` for the steps of a sequence."""

    pattern = r"([0-9]+)\s*\+\s*1"
    example_question = "999+1"

    def numbers(self, rng: np.random.Generator, length: int) -> tuple[int, ...]:
        """Any number but 99 .. 9."""
        while not self.fits((number := _random_number(rng, length),), length):
            pass
        return (number,)

    def result(self, numbers: tuple[int, ...]) -> int:
        """The next number."""
        return numbers[0] + 1

    def fits(self, numbers: tuple[int, ...], length: int) -> bool:
        """Whether the next number has no more digits."""
        limit: int = 10**length
        return self.result(numbers) < limit


def _random_number(rng: np.random.Generator, length: int, first: int = 10) -> int:
    """A number of random digits, zeros in front included, whose first is below `first`."""
    digits = [*rng.integers(10, size=length - 1).tolist(), int(rng.integers(first))]
    return int(_from_digits(digits))


def _to_digits(number: int, length: int) -> list[int]:
    """Least significant digit first."""
    return [int(digit) for digit in reversed(str(number).zfill(length))]


def _from_digits(digits: list[int]) -> str:
    """The number in words, of digits from the least significant on."""
    return "".join(map(str, reversed(digits))).lstrip("0") or "0"
