"""A whole sequence: forward and backward through its steps.

Axes: T steps, B batch, X input, Y output.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array, Inputs, zero_params
from numdnc.reference.activations import is_symbols
from numdnc.reference.bidirectional import ReverseTape, reverse_hidden, reverse_hidden_backward
from numdnc.reference.dnc import dnc_step, dnc_step_backward
from numdnc.reference.recurrent import recurrent_step, recurrent_step_backward
from numdnc.spec import DNCSpec, Spec
from numdnc.tree import map_leaves


class Tape(NamedTuple):
    """Values saved for the backward pass of a sequence."""

    spec: Spec
    inputs: Inputs
    steps: list[Any]  # a tape per step
    reverse: ReverseTape | None = None


def forward(
    spec: Spec,
    params: Any,
    inputs: Inputs,
    state: Any,
    *,
    keep_tape: bool,
    bypass_mask: Array | None = None,
    lengths: NDArray[np.integer] | None = None,
) -> tuple[Array, Any, Tape | None]:
    """Outputs (T, B, Y), the state after the last step, and the tape (None unless kept).

    inputs (T, B, X), or symbols (T, B); bypass_mask (T, B, hidden_total) for a DNC, if any; lengths (B,), the steps of
    each row, where the second direction of a bidirectional DNC begins (None: T).
    """
    step: Any = dnc_step if spec.has_memory else recurrent_step
    T, B = inputs.shape[:2]
    outputs = np.empty((T, B, spec.output_size), params.output.bias.dtype)
    reverse, reverse_tape, steps = None, None, []
    if isinstance(spec, DNCSpec) and spec.bidirectional:
        reverse, reverse_tape = reverse_hidden(spec, params.reverse_controller, inputs, lengths)
    for t in range(T):
        given = {"bypass_mask": bypass_mask, "reverse": reverse}
        given = {name: array[t] for name, array in given.items() if array is not None}
        outputs[t], state, tape = step(spec, params, inputs[t], state, **given)
        if keep_tape:
            steps.append(tape)
    return (
        outputs,
        map_leaves(np.array, state),
        Tape(spec, inputs, steps, reverse_tape) if keep_tape else None,
    )


def backward(
    spec: Spec, params: Any, tape: Tape, d_outputs: Array, d_state: Any
) -> tuple[Any, Array | None, Any]:
    """Gradients with respect to parameters, inputs (T, B, X; None for symbols) and the state before the first step.

    d_outputs (T, B, Y) and d_state are the gradients with respect to outputs and final state.
    """
    step_backward: Any = dnc_step_backward if spec.has_memory else recurrent_step_backward
    d_params = zero_params(spec, params.output.bias.dtype)
    d_inputs = None if is_symbols(tape.inputs) else np.empty_like(tape.inputs)
    d_reverse: list[Any] = []
    for t in reversed(range(len(tape.steps))):
        d_params_t, d_x, d_state, *rest = step_backward(spec, params, tape.steps[t], d_outputs[t], d_state)
        d_params = map_leaves(np.add, d_params, d_params_t)
        d_reverse[:0] = rest
        if d_inputs is not None:
            d_inputs[t] = d_x
    if isinstance(spec, DNCSpec) and tape.reverse is not None and d_reverse:
        d_layers, d_xs = reverse_hidden_backward(
            spec, params.reverse_controller, tape.reverse, np.array(d_reverse)
        )
        d_params = d_params._replace(reverse_controller=d_layers)
        if d_inputs is not None:
            d_inputs += np.array(d_xs)
    return d_params, d_inputs, map_leaves(np.array, d_state)
