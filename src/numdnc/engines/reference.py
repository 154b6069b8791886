"""The engine `reference`: the NumPy definition itself."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numdnc import reference
from numdnc.engines.check import check_backward, check_forward, check_tape, refuse_dtype
from numdnc.params import Array, Inputs
from numdnc.reference.sequence import Tape
from numdnc.spec import Spec


class ReferenceEngine:
    """Slow and right: what every other engine is compared with."""

    name = "reference"
    stores_all_links = True
    expands_links = True

    def supports(self, spec: Spec, dtype: DTypeLike) -> str | None:
        """Every model, in float32 and float64."""
        return refuse_dtype(dtype)

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
        return reference.forward(
            *(spec, params, inputs, state), keep_tape=keep_tape, bypass_mask=bypass_mask, lengths=lengths
        )

    def backward(
        self, spec: Spec, params: Any, tape: Any, d_outputs: Array, d_state: Any
    ) -> tuple[Any, Array | None, Any]:
        """See `Engine.backward`."""
        check_tape(self.name, Tape, spec, tape)
        steps, batch = tape.inputs.shape[:2]
        check_backward(spec, params, steps, batch, d_outputs, d_state)
        return reference.backward(spec, params, tape, d_outputs, d_state)


ENGINE = ReferenceEngine()
