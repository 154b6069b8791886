"""A task of one's own: say whether an even or an odd number of bits has been shown.

    cd examples
    numdnc train parity:Parity --model lstm --hidden 32 --max-length 12 --grow max_length
    numdnc eval runs/parity-lstm-1 --set min_length=50 --set max_length=50 --show

A task is a frozen dataclass. Its fields are its settings; each becomes an option of `train`, with the text below it as
its help. It says how wide inputs and outputs are, and it draws sequences. All else (the loss, scores, a curriculum,
checkpoints, pictures) is numdnc's.
"""

from dataclasses import dataclass

import numpy as np

from numdnc import UserError
from numdnc.tasks import Batch


@dataclass(frozen=True)
class Parity:
    """Bits come one a step; at the last step of a sequence: was the number of ones odd?"""

    min_length: int = 1
    """Bits of a sequence, at least."""
    max_length: int = 8
    """Bits of a sequence, at most."""

    # Widths are fixed here; where they depend on a setting, make them properties.
    input_size = 1
    output_size = 1
    # Names for pictures, one a channel. They may be left out.
    input_channels = ("bit",)
    output_channels = ("odd",)

    def __post_init__(self) -> None:
        # What users cannot use is refused by a UserError: one line, without a traceback.
        if not 1 <= self.min_length <= self.max_length:
            raise UserError(
                f"min_length must be from 1 to max_length, got {self.min_length} and {self.max_length}."
            )

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """So many sequences. All that is random must come from `rng`; then a resumed run goes on bit for bit.

        Axes: T steps, B batch, X inputs, Y outputs.
        """
        lengths = rng.integers(self.min_length, self.max_length, batch, endpoint=True)
        step = np.arange(lengths.max())[:, None]
        bits = rng.integers(2, size=(lengths.max(), batch))
        bits[step >= lengths] = 0  # shorter sequences are padded with zeros at their end
        inputs = bits[:, :, None].astype("float32")  # (T, B, X)
        # Targets are numbers in [0, 1], (T, B, Y), or whole numbers (T, B), which mean one of Y classes
        # (or (T, B, G): G classes a step, each one of Y/G).
        targets = bits.cumsum(axis=0)[:, :, None].astype("float32") % 2
        # Where the mask (T, B) is True, an answer is asked for; what the model says elsewhere is not looked at.
        return Batch(inputs, targets, mask=step == lengths - 1)
