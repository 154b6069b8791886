"""Parts shared by the tasks on bits: random vectors, empty sequences, batches, and checks of settings.

Axes: T steps, B batch, X input, Y output.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.tasks import Batch

MAX_SETTING = 1 << 16
"""Largest value of a setting, ..."""
MAX_NUMBERS = 1 << 20
"""... and most numbers of a sequence: settings may come from somebody else's file."""


class Steps(NamedTuple):
    """One sequence, step by step."""

    inputs: Array  # (T, X)
    targets: NDArray[Any]  # (T, Y) bits, or (T,) classes
    mask: NDArray[np.bool_]  # (T,), where an answer is due


class BitsTask:
    """Base class of the tasks on bits: a subclass names its channels and makes one sequence."""

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        raise NotImplementedError

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        raise NotImplementedError

    def sequence(self, rng: np.random.Generator) -> Steps:
        """Draw one sequence."""
        raise NotImplementedError

    @property
    def input_size(self) -> int:
        """Width of an input, X."""
        return len(self.input_channels)

    @property
    def output_size(self) -> int:
        """Width of an output, Y."""
        return len(self.output_channels)

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """`batch` new sequences."""
        return pad_and_batch([self.sequence(rng) for _ in range(batch)])


def empty_sequence(steps: int, inputs: int, outputs: int) -> Steps:
    """A sequence of zeros with an empty mask, to be filled in."""
    return Steps(
        np.zeros((steps, inputs), np.float32), np.zeros((steps, outputs), np.float32), np.zeros(steps, bool)
    )


def pad_and_batch(sequences: Sequence[Steps]) -> Batch:
    """Sequences as a batch; shorter ones are padded with zeros, where the mask is False."""
    longest = max(len(one.mask) for one in sequences)
    inputs, targets, mask = (
        np.zeros((longest, len(sequences), *part.shape[1:]), part.dtype) for part in sequences[0]
    )
    for b, one in enumerate(sequences):
        steps = len(one.mask)
        inputs[:steps, b], targets[:steps, b], mask[:steps, b] = one
    return Batch(inputs, targets, mask=mask)


def random_integer(rng: np.random.Generator, low: int, high: int) -> int:
    """A uniform random integer from low to high, both included."""
    return int(rng.integers(low, high, endpoint=True))


def random_bits(rng: np.random.Generator, rows: int, width: int) -> Array:
    """Uniform random bits (rows, width)."""
    return rng.integers(2, size=(rows, width), dtype=np.int8).astype(np.float32)


def distinct_bits(rng: np.random.Generator, rows: int, width: int) -> Array:
    """Uniform random bits (rows, width) without equal rows; rows must be at most 2^width."""
    found: dict[bytes, Array] = {}
    while len(found) < rows:
        found.update((row.tobytes(), row) for row in random_bits(rng, rows, width))
    return np.array(list(found.values())[:rows])


def channel_names(name: str, width: int) -> tuple[str, ...]:
    """Names of channels of the same kind, such as "bit 0", "bit 1"."""
    return tuple(f"{name} {i}" for i in range(width))


def check_at_least(least: int, task: object, *names: str) -> None:
    """Refuse a setting that is below `least` or above MAX_SETTING."""
    for name in names:
        value = getattr(task, name)
        if value < least:
            raise UserError(f"{name} must be at least {least}, got {value}.")
        if value > MAX_SETTING:
            raise UserError(f"{name} must be at most {MAX_SETTING:,}, got {value:,}.")


def check_ordered(task: object, low: str, high: str) -> None:
    """Refuse a setting `low` that is above the setting `high`."""
    if getattr(task, low) > getattr(task, high):
        raise UserError(
            f"{low} must be at most {high}, got {getattr(task, low)} and {getattr(task, high)}. "
            f"Lower {low} or raise {high}."
        )


def check_length(task: BitsTask, steps: int) -> None:
    """Refuse settings whose longest sequence, of `steps` steps, has too many numbers."""
    numbers = steps * (task.input_size + task.output_size)
    if numbers > MAX_NUMBERS:
        raise UserError(
            f"a sequence must have at most {MAX_NUMBERS:,} numbers, got up to {steps:,} steps of "
            f"{task.input_size + task.output_size:,}. Lower the settings that make it long or wide."
        )
