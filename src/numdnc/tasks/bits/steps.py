"""What the tasks of bits share: random vectors, one sequence to write on, a batch of several, and refusals.

Axes: T steps, B batch, X input, Y output.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.tasks import Batch

MAX_SETTING = 1 << 16
"""A setting may be no larger, ..."""
MAX_NUMBERS = 1 << 20
"""... and a sequence may have no more numbers: settings may come from elsewhere."""


class Steps(NamedTuple):
    """One sequence, step by step."""

    inputs: Array  # (T, X)
    targets: Array  # (T, Y)
    mask: NDArray[np.bool_]  # (T,), where an answer is asked for


class BitsTask:
    """What follows, for every task of bits, from the names of its channels and from how one sequence is made."""

    @property
    def input_channels(self) -> tuple[str, ...]:
        """One name a channel."""
        raise NotImplementedError

    @property
    def output_channels(self) -> tuple[str, ...]:
        """One name a channel."""
        raise NotImplementedError

    def sequence(self, rng: np.random.Generator) -> Steps:
        """One sequence."""
        raise NotImplementedError

    @property
    def input_size(self) -> int:
        """X."""
        return len(self.input_channels)

    @property
    def output_size(self) -> int:
        """Y."""
        return len(self.output_channels)

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """`batch` fresh sequences."""
        return pad_and_batch([self.sequence(rng) for _ in range(batch)])


def empty_sequence(steps: int, inputs: int, outputs: int) -> Steps:
    """A sequence of zeros that asks for nothing, to write on."""
    return Steps(
        np.zeros((steps, inputs), np.float32), np.zeros((steps, outputs), np.float32), np.zeros(steps, bool)
    )


def pad_and_batch(sequences: Sequence[Steps]) -> Batch:
    """Sequences side by side; a shorter one goes on as zeros that ask for nothing."""
    longest = max(len(one.mask) for one in sequences)
    inputs, targets, mask = (
        np.zeros((longest, len(sequences), *part.shape[1:]), part.dtype) for part in sequences[0]
    )
    for b, one in enumerate(sequences):
        steps = len(one.mask)
        inputs[:steps, b], targets[:steps, b], mask[:steps, b] = one
    return Batch(inputs, targets, mask=mask)


def random_integer(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included, each as likely."""
    return int(rng.integers(low, high, endpoint=True))


def random_bits(rng: np.random.Generator, rows: int, width: int) -> Array:
    """Bits (rows, width), each 0 or 1 as likely."""
    return rng.integers(2, size=(rows, width), dtype=np.int8).astype(np.float32)


def distinct_bits(rng: np.random.Generator, rows: int, width: int) -> Array:
    """Bits (rows, width), no two rows the same, else any as likely; rows must be at most 2^width."""
    found: dict[bytes, Array] = {}
    while len(found) < rows:
        found.update((row.tobytes(), row) for row in random_bits(rng, rows, width))
    return np.array(list(found.values())[:rows])


def channel_names(name: str, width: int) -> tuple[str, ...]:
    """Names of channels of the same kind, as "bit 0", "bit 1"."""
    return tuple(f"{name} {i}" for i in range(width))


def check_at_least(least: int, task: object, *names: str) -> None:
    """Refuse a setting that is too small, or beyond all reason."""
    for name in names:
        value = getattr(task, name)
        if value < least:
            raise UserError(f"{name} must be at least {least}, got {value}.")
        if value > MAX_SETTING:
            raise UserError(f"{name} must be at most {MAX_SETTING:,}, got {value:,}.")


def check_ordered(task: object, low: str, high: str) -> None:
    """Refuse a pair of settings in which `low` is above `high`."""
    if getattr(task, low) > getattr(task, high):
        raise UserError(
            f"{low} must be at most {high}, got {getattr(task, low)} and {getattr(task, high)}. "
            f"Lower {low} or raise {high}."
        )


def check_length(task: BitsTask, steps: int) -> None:
    """Refuse settings whose longest sequence, of so many steps, has too many numbers."""
    numbers = steps * (task.input_size + task.output_size)
    if numbers > MAX_NUMBERS:
        raise UserError(
            f"a sequence must have at most {MAX_NUMBERS:,} numbers, got up to {steps:,} steps of "
            f"{task.input_size + task.output_size:,}. Lower the settings that make it long or wide."
        )
