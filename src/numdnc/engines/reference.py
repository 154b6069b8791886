"""The engine `reference`: the NumPy definition itself."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from numdnc import reference
from numdnc.engines.check import check_backward, check_forward
from numdnc.errors import UserError
from numdnc.params import Array, Inputs
from numdnc.spec import Spec


class ReferenceEngine:
    """Slow and right: what every other engine is compared with."""

    name = "reference"

    def supports(self, spec: Spec, dtype: DTypeLike) -> str | None:
        """Every model, in float32 and float64."""
        return (
            None
            if np.dtype(dtype) in (np.float32, np.float64)
            else f"dtype {np.dtype(dtype)} is not a float32 or 64"
        )

    def forward(
        self,
        spec: Spec,
        params: Any,
        inputs: Inputs,
        state: Any,
        *,
        keep_tape: bool,
        bypass_mask: Array | None = None,
    ) -> tuple[Array, Any, Any]:
        """See `Engine.forward`."""
        check_forward(spec, params, inputs, state, bypass_mask)
        return reference.forward(spec, params, inputs, state, keep_tape=keep_tape, bypass_mask=bypass_mask)

    def backward(
        self, spec: Spec, params: Any, tape: Any, d_outputs: Array, d_state: Any
    ) -> tuple[Any, Array | None, Any]:
        """See `Engine.backward`."""
        if tape is None:
            raise UserError("backward must be given a tape, got None. Call forward with keep_tape=True.")
        steps, batch = tape.inputs.shape[:2]
        check_backward(spec, params, steps, batch, d_outputs, d_state)
        return reference.backward(spec, params, tape, d_outputs, d_state)


ENGINE = ReferenceEngine()
