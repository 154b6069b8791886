"""The second direction of a bidirectional controller: an LSTM that reads the inputs from the last step to the first.

It sees the inputs alone, neither the memory nor the controller, so it is run before the first step of the memory; each
step then sees its hidden values beside those of the controller (Franke, Niehues and Waibel 2018, "Bidirectional DNC").

Axes: T steps, B batch, X input, H hidden units of all layers of this direction.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array, Inputs, LayerParams, LSTMState
from numdnc.reference.controller import controller_step, controller_step_backward
from numdnc.spec import DNCSpec
from numdnc.tree import map_leaves, zeros_like


class ReverseTape(NamedTuple):
    """Values saved for the backward pass."""

    inside: NDArray[np.bool_]  # (T, B, 1), where t < length
    steps: list[Any]  # a tape per step, from the first to the last


def reverse_hidden(
    spec: DNCSpec, params: tuple[LayerParams, ...], inputs: Inputs, lengths: NDArray[np.integer] | None
) -> tuple[Array, ReverseTape]:
    """Hidden values (T, B, H) of every step, and the tape; inputs (T, B, X) or symbols (T, B), lengths (B,) or None.

        h[t], s[t] = controller(x[t]; s[t + 1])   for t < length,   h[t] = s[t] = 0 else

    Each row begins at its own last step with a state of zeros; None means that all rows have T steps.
    """
    T, B = inputs.shape[:2]
    dtype = params[0].bias.dtype
    steps = np.arange(T)[:, None, None]
    inside = steps < np.asarray(T if lengths is None else lengths)[..., None] + np.zeros((B, 1))
    state: Any = tuple(LSTMState(*np.zeros((2, B, size), dtype)) for size in spec.hidden_sizes)
    hidden, tapes = np.empty((T, B, sum(spec.hidden_sizes)), dtype), []
    for t in reversed(range(T)):
        found, after, tape = controller_step(spec, params, inputs[t], hidden[t][:, :0], state)
        hidden[t] = np.where(inside[t], found, 0)
        state = map_leaves(lambda leaf, on=inside[t]: np.where(on, leaf, 0), after)
        tapes.append(tape)
    return hidden, ReverseTape(inside, tapes[::-1])


def reverse_hidden_backward(
    spec: DNCSpec, params: tuple[LayerParams, ...], tape: ReverseTape, d_hidden: Array
) -> tuple[tuple[LayerParams, ...], list[Array | None]]:
    """Gradients with respect to parameters and to the inputs of each step (None for symbols), from the first step on.

    The gradient by s[t] comes from step t - 1, which was computed after step t.
    """
    B, dtype = d_hidden.shape[1], d_hidden.dtype
    d_state: Any = tuple(LSTMState(*np.zeros((2, B, size), dtype)) for size in spec.hidden_sizes)
    d_params, d_inputs = zeros_like(params), []
    for inside, step, d_found in zip(tape.inside, tape.steps, d_hidden, strict=True):
        d_found = np.where(inside, d_found, 0)
        d_after = map_leaves(lambda leaf, on=inside: np.where(on, leaf, 0), d_state)
        d_params_t, d_x, _, d_state = controller_step_backward(spec, params, step, d_found, d_after)
        d_params = map_leaves(np.add, d_params, d_params_t)
        d_inputs.append(d_x)
    return d_params, d_inputs
