"""A whole sequence: forward and backward through its steps.

Axes: T steps, B batch, X input, Y output.
"""

from typing import Any, NamedTuple

import numpy as np

from numdnc.params import Array, Inputs, zero_params
from numdnc.reference.activations import is_symbols
from numdnc.reference.dnc import dnc_step, dnc_step_backward
from numdnc.reference.recurrent import recurrent_step, recurrent_step_backward
from numdnc.spec import Spec
from numdnc.tree import map_leaves


class Tape(NamedTuple):
    """Values saved for the backward pass of a sequence."""

    spec: Spec
    inputs: Inputs
    steps: list[Any]  # a tape per step


def forward(
    spec: Spec, params: Any, inputs: Inputs, state: Any, *, keep_tape: bool, bypass_mask: Array | None = None
) -> tuple[Array, Any, Tape | None]:
    """Outputs (T, B, Y), the state after the last step, and the tape (None unless kept).

    inputs (T, B, X), or symbols (T, B); bypass_mask (T, B, hidden_total) for a DNC, if any.
    """
    step: Any = dnc_step if spec.has_memory else recurrent_step
    T, B = inputs.shape[:2]
    outputs = np.empty((T, B, spec.output_size), params.output.bias.dtype)
    steps = []
    for t in range(T):
        masks = () if bypass_mask is None else (bypass_mask[t],)
        outputs[t], state, tape = step(spec, params, inputs[t], state, *masks)
        if keep_tape:
            steps.append(tape)
    return outputs, map_leaves(np.array, state), Tape(spec, inputs, steps) if keep_tape else None


def backward(
    spec: Spec, params: Any, tape: Tape, d_outputs: Array, d_state: Any
) -> tuple[Any, Array | None, Any]:
    """Gradients with respect to parameters, inputs (T, B, X; None for symbols) and the state before the first step.

    d_outputs (T, B, Y) and d_state are the gradients with respect to outputs and final state.
    """
    step_backward: Any = dnc_step_backward if spec.has_memory else recurrent_step_backward
    d_params = zero_params(spec, params.output.bias.dtype)
    d_inputs = None if is_symbols(tape.inputs) else np.empty_like(tape.inputs)
    for t in reversed(range(len(tape.steps))):
        d_params_t, d_x, d_state = step_backward(spec, params, tape.steps[t], d_outputs[t], d_state)
        d_params = map_leaves(np.add, d_params, d_params_t)
        if d_inputs is not None:
            d_inputs[t] = d_x
    return d_params, d_inputs, map_leaves(np.array, d_state)
