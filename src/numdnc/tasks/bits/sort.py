"""Priority sort: output vectors by falling priority."""

from dataclasses import dataclass

import numpy as np

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
)


@dataclass(frozen=True, kw_only=True)
class PrioritySort(BitsTask):
    """Read vectors of random bits, each with a priority, then output those of the highest priorities, highest first.

        steps    input                        target
        items    a vector and its priority
        1        stop
        answers                               the vectors by falling priority

    Priorities are uniform in [-1, 1]; of equal ones, the one shown first comes first.

    Input channels: `width` bits, priority, stop. Output channels: `width` bits.

    Source: Graves et al. 2014, "Neural Turing Machines", section 4.5.
    """

    width: int = 8
    """Bits of a vector."""
    items: int = 20
    """Number of vectors shown."""
    answers: int = 16
    """Number of vectors to output."""

    def __post_init__(self) -> None:
        check_at_least(1, self, "width", "items", "answers")
        check_ordered(self, "answers", "items")
        check_length(self, self.items + 1 + self.answers)

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return (*channel_names("bit", self.width), "priority", "stop")

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return channel_names("bit", self.width)

    @property
    def slots_needed(self) -> int:
        """Most vectors that a sequence must hold at once."""
        return self.answers

    def sequence(self, rng: np.random.Generator) -> Steps:
        """Draw one sequence."""
        width, items = self.width, self.items
        vectors = random_bits(rng, items, width)
        priorities: Array = rng.uniform(-1, 1, items).astype(np.float32)
        by_falling_priority = np.argsort(-priorities, kind="stable")
        answer = items + 1
        steps = empty_sequence(answer + self.answers, self.input_size, self.output_size)
        steps.inputs[:items, :width] = vectors
        steps.inputs[:items, width] = priorities
        steps.inputs[items, width + 1] = 1
        steps.targets[answer:] = vectors[by_falling_priority[: self.answers]]
        steps.mask[answer:] = True
        return steps
