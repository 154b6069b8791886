"""Key-value retrieval: which value belongs to this key?"""

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
    random_bits,
    random_integer,
)


@dataclass(frozen=True, kw_only=True)
class KeyValue(BitsTask):
    """Read pairs of key and value; then the keys are shown again in another order, and each asks for its value.

    Key and value are `width` / 2 random bits each. A sequence of n pairs:

        steps  input                               target
        n      key and value side by side
        1      query by key
        n      a key a step, in random order       its value, at the same step

    and then, with `two_way`, the other way round:

        1      query by value
        n      a value a step, in random order,    its key, at the same step
               on the channels of the keys

    The keys of a sequence are distinct, and so are the values with `two_way`: an ambiguous question has no answer. The
    input is not zero where an answer is due: it is the question.

    Input channels: `width` / 2 of the key, `width` / 2 of the value, query by key, and query by value with `two_way`.
    Output channels: `width` / 2 bits.

    Source: Csordas and Schmidhuber 2019, ICLR, where values may be equal in both forms.
    """

    width: int = 12
    """Bits of a pair, an even number: half of them are the key, half the value."""
    min_pairs: int = 2
    """Least number of pairs."""
    max_pairs: int = 16
    """Largest number of pairs."""
    two_way: bool = False
    """Also ask for the keys by their values."""

    def __post_init__(self) -> None:
        check_at_least(1, self, "width", "min_pairs", "max_pairs")
        check_ordered(self, "min_pairs", "max_pairs")
        if self.width % 2:
            raise UserError(f"width must be even, half for the key and half for the value, got {self.width}.")
        check_length(self, self.max_pairs + (1 + self.two_way) * (1 + self.max_pairs))
        half = self.width // 2
        if self.max_pairs > 2**half:
            raise UserError(
                f"max_pairs must be at most {2**half}, the number of different keys of {half} bits, "
                f"got {self.max_pairs}. Lower max_pairs or raise width."
            )

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        keys, values = channel_names("key", self.width // 2), channel_names("value", self.width // 2)
        queries = ("query by key", "query by value") if self.two_way else ("query by key",)
        return (*keys, *values, *queries)

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return channel_names("bit", self.width // 2)

    @property
    def slots_needed(self) -> int:
        """Most vectors that a sequence must hold at once."""
        return self.max_pairs

    def sequence(self, rng: np.random.Generator) -> Steps:
        """Draw one sequence."""
        half, pairs = self.width // 2, random_integer(rng, self.min_pairs, self.max_pairs)
        keys = distinct_bits(rng, pairs, half)
        values = distinct_bits(rng, pairs, half) if self.two_way else random_bits(rng, pairs, half)
        ways = [(keys, values), (values, keys)] if self.two_way else [(keys, values)]
        steps = empty_sequence(pairs + len(ways) * (1 + pairs), self.input_size, self.output_size)
        steps.inputs[:pairs, :half] = keys
        steps.inputs[:pairs, half : 2 * half] = values
        for way, (questions, answers) in enumerate(ways):
            order = rng.permutation(pairs)
            marker = pairs + way * (1 + pairs)
            asked = slice(marker + 1, marker + 1 + pairs)
            steps.inputs[marker, self.width + way] = 1
            steps.inputs[asked, :half] = questions[order]
            steps.targets[asked] = answers[order]
            steps.mask[asked] = True
        return steps
