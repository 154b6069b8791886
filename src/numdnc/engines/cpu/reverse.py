"""The second direction of a bidirectional DNC: an LSTM over inputs that are turned around row by row.

Each row then begins with its own last step and ends with its padding, so the kernels of an LSTM need no lengths. Its
hidden values are known before the first step of the DNC, whose kernels find them beside those of the controller.

Axes: T steps, B batch, X input, H hidden units of all layers of this direction.
"""

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines.cpu.kernels.types import Controller, ControllerTape
from numdnc.engines.cpu.plans import Plan
from numdnc.params import Array, Inputs
from numdnc.spec import DNCSpec, LSTMSpec


class NormalisedLSTMSpec(LSTMSpec):
    """An LSTM with layer norm, which is no model of its own."""

    normalisation: ClassVar[bool] = True


class Mirror(NamedTuple):
    """Which step of a row stands where, once it is turned around; turning twice gives the row again."""

    steps: NDArray[np.intp]  # (T, B)
    inside: NDArray[np.bool_]  # (T, B), False in padding

    def turn(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn the rows of an array (T, B, ..) around; padding holds any of its numbers."""
        turned: NDArray[Any] = array[self.steps, np.arange(array.shape[1])]
        return turned

    def turn_values(self, array: Array) -> Array:
        """The same for hidden values and gradients (T, B, H), which are 0 in padding."""
        return np.where(self.inside[..., None], self.turn(array), array.dtype.type(0))


class ReverseTape(NamedTuple):
    """What the backward pass needs of the second direction."""

    spec: LSTMSpec
    mirror: Mirror
    inputs: Inputs
    """Turned around."""
    plan: Plan
    numbers: NDArray[np.int64]
    controller: Controller
    tape: ControllerTape


def mirror(inputs: Inputs, lengths: NDArray[np.integer] | None) -> Mirror:
    """For inputs (T, B, ..) and the length of each row, None for T."""
    T, B = inputs.shape[:2]
    ends = np.full(B, T) if lengths is None else lengths.astype(np.intp)
    steps = ends - 1 - np.arange(T)[:, None]
    return Mirror(np.maximum(steps, 0), steps >= 0)


def reverse_spec(spec: DNCSpec) -> LSTMSpec:
    """The spec of the LSTM; it has no output of its own."""
    kind = NormalisedLSTMSpec if spec.normalisation else LSTMSpec
    return kind(input_size=spec.input_size, output_size=1, hidden_sizes=spec.hidden_sizes)
