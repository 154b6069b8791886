"""Associative recall: which item came after this one?"""

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
    distinct_bits,
    empty_sequence,
    random_integer,
)


@dataclass(frozen=True, kw_only=True)
class Recall(BitsTask):
    """Read a list of items; then one of them is shown again, and the answer is the item after it.

    An item is `block` vectors of random bits; the items of a sequence are distinct. A sequence of n items:

        steps  input                            target
        block  the first item, a vector a step
        1      delimiter
        ..     the other items in the same way, the last one without a delimiter
        1      query
        block  one of the items, not the last
        1      query
        block                                   the item that came after it

    Input channels: `width` bits, delimiter, query. Output channels: `width` bits.

    Source: Graves et al. 2014, "Neural Turing Machines", section 4.3; the markers as in the code of Csordas and
    Schmidhuber 2019, ICLR.
    """

    width: int = 8
    """Bits of a vector."""
    block: int = 3
    """Vectors of an item."""
    min_items: int = 2
    """Least number of items."""
    max_items: int = 16
    """Largest number of items."""

    def __post_init__(self) -> None:
        check_at_least(1, self, "width", "block")
        check_at_least(2, self, "min_items", "max_items")
        check_ordered(self, "min_items", "max_items")
        check_length(self, (self.max_items + 2) * (self.block + 1))
        bits = self.width * self.block
        if self.max_items > 2**bits:
            raise UserError(
                f"max_items must be at most {2**bits}, the number of different items of {bits} bits, "
                f"got {self.max_items}. Lower max_items or raise width or block."
            )

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return (*channel_names("bit", self.width), "delimiter", "query")

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return channel_names("bit", self.width)

    @property
    def slots_needed(self) -> int:
        """Most vectors that a sequence must hold at once."""
        return self.max_items * self.block

    def sequence(self, rng: np.random.Generator) -> Steps:
        """Draw one sequence."""
        width, block, count = self.width, self.block, random_integer(rng, self.min_items, self.max_items)
        items = distinct_bits(rng, count, block * width).reshape(count, block, width)
        asked = random_integer(rng, 0, count - 2)
        query = count * (block + 1)
        answer = query + block + 1
        steps = empty_sequence(answer + block, self.input_size, self.output_size)
        shown = steps.inputs[:query].reshape(
            count, block + 1, -1
        )  # a view: each item, and the marker after it
        shown[:, :block, :width] = items
        shown[:-1, block, width] = 1
        shown[-1, block, width + 1] = 1
        steps.inputs[query : query + block, :width] = items[asked]
        steps.inputs[query + block, width + 1] = 1
        steps.targets[answer:] = items[asked + 1]
        steps.mask[answer:] = True
        return steps
