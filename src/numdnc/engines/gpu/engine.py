"""The engine `gpu` behind the two calls of `Engine`: arrays in, tensors on the device inside, arrays out."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from numdnc.engines.check import check_backward, check_forward, check_tape, refuse_dtype
from numdnc.engines.gpu.batch import backward_of_rows, forward_of_rows
from numdnc.engines.gpu.plan import refuse_spec
from numdnc.engines.gpu.sequence import Launcher
from numdnc.engines.tensors import to_array, to_tensors
from numdnc.params import Array, Inputs
from numdnc.spec import Spec
from numdnc.tree import map_leaves


class Tape(NamedTuple):
    """Values saved for the backward pass; params are on the device."""

    spec: Spec
    steps: int
    batch: int
    params: Any
    parts: Any


class GPUEngine:
    """A DNC in one launch for a whole sequence; float32 and float64."""

    name = "gpu"
    stores_all_links = False
    expands_links = False

    def __init__(self, launcher: Launcher, device: str) -> None:
        self._launcher = launcher
        self._device = torch.device(device)

    def supports(self, spec: Spec, dtype: DTypeLike) -> str | None:
        """DNCs with one dense memory, one write head and no layer norm, masks, sharpness or instructions."""
        return refuse_dtype(dtype) or refuse_spec(spec)

    def forward(
        self,
        spec: Spec,
        params: Any,
        inputs: Inputs,
        state: Any,
        *,
        keep_tape: bool,
        bypass_mask: Array | None = None,
        lengths: NDArray[np.integer] | None = None,
    ) -> tuple[Array, Any, Any]:
        """See `Engine.forward`."""
        check_forward(spec, params, inputs, state, bypass_mask, lengths)
        given = to_tensors((params, inputs, state), self._device)
        mask = None if bypass_mask is None else to_tensors(bypass_mask, self._device)
        outputs, after, parts = forward_of_rows(self._launcher, spec, *given, mask, keep_tape=keep_tape)
        tape = Tape(spec, len(inputs), inputs.shape[1], given[0], parts) if keep_tape else None
        return to_array(outputs), map_leaves(to_array, after), tape

    def backward(
        self, spec: Spec, params: Any, tape: Any, d_outputs: Array, d_state: Any
    ) -> tuple[Any, Array | None, Any]:
        """See `Engine.backward`."""
        check_tape(self.name, Tape, spec, tape)
        check_backward(spec, params, tape.steps, tape.batch, d_outputs, d_state)
        given = to_tensors((d_outputs, d_state), self._device)
        found = backward_of_rows(self._launcher, tape.params, tape.parts, *given)
        d_params, d_inputs, d_before = found
        return (
            map_leaves(to_array, d_params),
            None if d_inputs is None else to_array(d_inputs),
            map_leaves(to_array, d_before),
        )
