"""Repeat copy under an instruction: copy, invert, or combine the vectors that were read."""

from dataclasses import dataclass

import numpy as np

from numdnc.errors import UserError
from numdnc.params import Array
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

INSTRUCTIONS = ("copy", "invert", "and", "or")
_COUNT_SCALE = 0.1


@dataclass(frozen=True, kw_only=True)
class InstructedCopy(BitsTask):
    """Read vectors of random bits, a count and an instruction, then output what it makes of the vectors.

    A sequence of L vectors whose answer is repeated R times:

        steps  input                       target
        1      start
        L      a vector a step
        1      count: R / 10
        1      the instruction, one-hot
        R L                                R times, the vectors in the order shown: as they are (copy) or with every bit
                                           inverted (invert), or L times the same, their bitwise "and" or "or"
        1                                  end

    Input channels: `width` bits, start, count, an instruction each. Output channels: `width` bits, end.

    Source: ksluck/sl-dnhc, which shows the instruction as a number in a single channel.
    """

    width: int = 6
    """Bits of a vector."""
    min_length: int = 1
    """Least number of vectors."""
    max_length: int = 4
    """Largest number of vectors."""
    min_repeats: int = 1
    """Least number of repeats."""
    max_repeats: int = 2
    """Largest number of repeats."""
    instructions: str = ",".join(INSTRUCTIONS)
    """Those that may be asked for, of copy, invert, and, or, with commas between."""

    def __post_init__(self) -> None:
        check_at_least(1, self, "width", "min_length", "max_length", "min_repeats", "max_repeats")
        check_ordered(self, "min_length", "max_length")
        check_ordered(self, "min_repeats", "max_repeats")
        check_length(self, 4 + self.max_length + self.max_repeats * self.max_length)
        names = self.instructions.split(",")
        if not set(names) <= set(INSTRUCTIONS) or len(set(names)) < len(names):
            raise UserError(
                f"instructions must be some of {','.join(INSTRUCTIONS)}, each once, got {self.instructions!r}."
            )

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return (*channel_names("bit", self.width), "start", "count", *INSTRUCTIONS)

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
        names = self.instructions.split(",")
        instruction = names[random_integer(rng, 0, len(names) - 1)]
        vectors = random_bits(rng, length, width)
        answer = 1 + length + 2
        steps = empty_sequence(answer + repeats * length + 1, self.input_size, self.output_size)
        steps.inputs[0, width] = 1
        steps.inputs[1 : 1 + length, :width] = vectors
        steps.inputs[1 + length, width + 1] = repeats * _COUNT_SCALE
        steps.inputs[2 + length, width + 2 + INSTRUCTIONS.index(instruction)] = 1
        steps.targets[answer:-1, :width] = np.tile(_followed(instruction, vectors), (repeats, 1))
        steps.targets[-1, width] = 1
        steps.mask[answer:] = True
        return steps


def _followed(instruction: str, vectors: Array) -> Array:
    """What an instruction makes of vectors (L, W), (L, W)."""
    if instruction == "and":
        return np.broadcast_to(vectors.min(axis=0), vectors.shape)
    if instruction == "or":
        return np.broadcast_to(vectors.max(axis=0), vectors.shape)
    return 1 - vectors if instruction == "invert" else vectors
