"""A custom task: say whether the number of ones in a sequence of bits is odd.

    cd examples
    numdnc train parity:Parity --model lstm --hidden 32 --max-length 12 --grow max_length
    numdnc eval runs/parity-lstm-1 --set min_length=50 --set max_length=50 --show

A task is a frozen dataclass. Its fields are its settings; each becomes an option of `train`, with the text below it as
its help. The task gives the widths of inputs and outputs, and it draws sequences. numdnc does the rest: loss, scores,
curriculum, checkpoints, plots.
"""

from dataclasses import dataclass

import numpy as np

from numdnc import UserError
from numdnc.tasks import Batch


@dataclass(frozen=True)
class Parity:
    """Read one bit a step; at the last step of a sequence, say whether the number of ones is odd."""

    min_length: int = 1
    """Least number of bits of a sequence."""
    max_length: int = 8
    """Largest number of bits of a sequence."""

    # The widths are constant here; if they depend on a setting, make them properties.
    input_size = 1
    output_size = 1
    # Names of the channels for plots; optional.
    input_channels = ("bit",)
    output_channels = ("odd",)

    def __post_init__(self) -> None:
        # Refuse bad settings with a UserError: users see one line, without a traceback.
        if not 1 <= self.min_length <= self.max_length:
            raise UserError(
                f"min_length must be from 1 to max_length, got {self.min_length} and {self.max_length}."
            )

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """Draw `batch` sequences. Use no random numbers but those of `rng`, so that a run resumes bit for bit.

        Axes: T steps, B batch, X inputs, Y outputs.
        """
        lengths = rng.integers(self.min_length, self.max_length, batch, endpoint=True)
        step = np.arange(lengths.max())[:, None]
        bits = rng.integers(2, size=(lengths.max(), batch))
        bits[step >= lengths] = 0  # shorter sequences are padded with zeros at their end
        inputs = bits[:, :, None].astype("float32")  # (T, B, X)
        # Targets are floats in [0, 1], (T, B, Y), which are bits; or integers (T, B), each one of Y classes;
        # or integers (T, B, G): G classes a step, each one of Y/G.
        targets = bits.cumsum(axis=0)[:, :, None].astype("float32") % 2
        # The loss counts where the mask (T, B) is True; the other outputs are ignored.
        return Batch(inputs, targets, mask=step == lengths - 1)
