"""Repeat copy: repeat the vectors that were read, a given number of times."""

import math
from dataclasses import dataclass

import numpy as np

from numdnc.errors import UserError
from numdnc.tasks.bits.steps import (
    BitsTask,
    Steps,
    channel_names,
    check_at_least,
    check_length,
    check_ordered,
    empty_sequence,
    random_bits,
    random_integer,
)


@dataclass(frozen=True, kw_only=True)
class RepeatCopy(BitsTask):
    """Read vectors of random bits and a count, then output the vectors that many times, and an end marker.

    A sequence of L vectors to be repeated R times:

        steps  input                    target
        1      start
        L      a vector a step
        1      count: R * `repeat_scale`
        R L                             the vectors, in the order shown, R times
        1                               end

    Input channels: `width` bits, start, count. Output channels: `width` bits, end.

    Source: Graves et al. 2014, "Neural Turing Machines", section 4.2, in the form of DeepMind's open-source DNC, which
    divides the count by 10.
    """

    width: int = 4
    """Bits of a vector."""
    min_length: int = 1
    """Least number of vectors."""
    max_length: int = 2
    """Largest number of vectors."""
    min_repeats: int = 1
    """Least number of repeats."""
    max_repeats: int = 2
    """Largest number of repeats."""
    repeat_scale: float = 0.1
    """Factor of the count in the input; 1 shows the count itself."""

    def __post_init__(self) -> None:
        check_at_least(1, self, "width", "min_length", "max_length", "min_repeats", "max_repeats")
        check_ordered(self, "min_length", "max_length")
        check_ordered(self, "min_repeats", "max_repeats")
        check_length(self, 3 + self.max_length + self.max_repeats * self.max_length)
        if not (self.repeat_scale > 0 and math.isfinite(self.repeat_scale)):
            raise UserError(f"repeat_scale must be a number above 0, got {self.repeat_scale}.")

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return (*channel_names("bit", self.width), "start", "count")

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return (*channel_names("bit", self.width), "end")

    @property
    def slots_needed(self) -> int:
        """Most vectors that a sequence must hold at once."""
        return self.max_length

    def sequence(self, rng: np.random.Generator) -> Steps:
        """Draw one sequence."""
        width, length = self.width, random_integer(rng, self.min_length, self.max_length)
        repeats = random_integer(rng, self.min_repeats, self.max_repeats)
        vectors = random_bits(rng, length, width)
        answer = 1 + length + 1
        steps = empty_sequence(answer + repeats * length + 1, self.input_size, self.output_size)
        steps.inputs[0, width] = 1
        steps.inputs[1 : 1 + length, :width] = vectors
        steps.inputs[1 + length, width + 1] = repeats * self.repeat_scale
        steps.targets[answer:-1, :width] = np.tile(vectors, (repeats, 1))
        steps.targets[-1, width] = 1
        steps.mask[answer:] = True
        return steps
