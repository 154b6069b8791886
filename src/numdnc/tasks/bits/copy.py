"""Copy: repeat the vectors that were read."""

from dataclasses import dataclass

import numpy as np

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
class Copy(BitsTask):
    """Read vectors of random bits, then output them in the same order.

    One copy of L vectors:

        steps  input             target
        1      start
        L      a vector a step
        1      stop
        L                        the vectors, in the order shown
        1                        end, with `end_marker`

    A sequence is one or several copies in a row, each with its own length and vectors: a memory with fewer slots than
    the sequence has vectors must free those that have been output.

    Input channels: `width` bits, start, stop. Output channels: `width` bits, and end with `end_marker`.

    Source: Graves et al. 2014, "Neural Turing Machines", section 4.1; in a row: Graves et al. 2016, Nature 538,
    extended data figure 1, and Csordas and Schmidhuber 2019, ICLR, who have no start marker.
    """

    width: int = 8
    """Bits of a vector."""
    min_length: int = 1
    """Least number of vectors of a copy."""
    max_length: int = 20
    """Largest number of vectors of a copy."""
    min_copies: int = 1
    """Least number of copies in a row."""
    max_copies: int = 1
    """Largest number of copies in a row."""
    end_marker: bool = False
    """Ask for one more step, which marks the end of a copy."""

    def __post_init__(self) -> None:
        check_at_least(1, self, "width", "min_length", "max_length", "min_copies", "max_copies")
        check_ordered(self, "min_length", "max_length")
        check_ordered(self, "min_copies", "max_copies")
        check_length(self, self.max_copies * (2 * self.max_length + 2 + self.end_marker))

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return (*channel_names("bit", self.width), "start", "stop")

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        bits = channel_names("bit", self.width)
        return (*bits, "end") if self.end_marker else bits

    @property
    def slots_needed(self) -> int:
        """Most vectors that a sequence must hold at once."""
        return self.max_length

    def sequence(self, rng: np.random.Generator) -> Steps:
        """Draw one sequence."""
        copies = [self._copy(rng) for _ in range(random_integer(rng, self.min_copies, self.max_copies))]
        return Steps(*(np.concatenate(parts) for parts in zip(*copies, strict=True)))

    def _copy(self, rng: np.random.Generator) -> Steps:
        width, length = self.width, random_integer(rng, self.min_length, self.max_length)
        vectors = random_bits(rng, length, width)
        answer = 1 + length + 1
        steps = empty_sequence(answer + length + self.end_marker, self.input_size, self.output_size)
        steps.inputs[0, width] = 1
        steps.inputs[1 : 1 + length, :width] = vectors
        steps.inputs[1 + length, width + 1] = 1
        steps.targets[answer : answer + length, :width] = vectors
        if self.end_marker:
            steps.targets[-1, width] = 1
        steps.mask[answer:] = True
        return steps
