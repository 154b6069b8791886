"""An LSTM layer (Hochreiter and Schmidhuber 1997; with forget gate, Gers et al. 2000)."""

from typing import Any, NamedTuple

import numpy as np

from numdnc.params import Array, Inputs, LSTMParams, LSTMState
from numdnc.reference.activations import affine, affine_backward, sigmoid, sigmoid_backward, tanh_backward
from numdnc.reference.normalisation import layer_norm, layer_norm_backward


class LSTMTape(NamedTuple):
    """Values saved for the backward pass; input, forget and output gates in [0, 1], candidate in [-1, 1]."""

    parts: tuple[Array, ...]  # x, reads, own hidden of t-1, below
    input_gate: Array
    forget_gate: Array
    candidate: Array
    output_gate: Array
    cell_before: Array
    cell: Array
    tanh_cell: Array  # of the cell, or of its layer norm


def lstm_layer(
    params: LSTMParams, x: Inputs, reads: Array, below: Array, state: LSTMState
) -> tuple[Array, LSTMState, LSTMTape]:
    """One step of a layer (Graves et al. 2016, "Controller network").

        i, f, g, o = [x ; reads ; h_{t-1} ; below] W + b      i, f, o by sigmoid, g by tanh
        c_t = f c_{t-1} + i g,   h_t = o tanh(c_t)

    `below` is the hidden of the layer below at t, (B, 0) in the lowest layer. With `normalisation`, the products and
    the c_t seen by the output gate pass layer norm (Ba, Kiros and Hinton 2016).
    """
    parts = (x, reads, state.hidden, below)
    i, f, g, o = np.split(affine(params, *parts), 4, axis=1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    cell = f * state.cell + i * g
    tanh_cell = np.tanh(_output_cell(params, cell))
    hidden = o * tanh_cell
    return hidden, LSTMState(hidden, cell), LSTMTape(parts, i, f, g, o, state.cell, cell, tanh_cell)


def lstm_layer_backward(
    params: LSTMParams, tape: LSTMTape, d_hidden: Array, d_state: LSTMState
) -> tuple[LSTMParams, Array | None, Array, Array, LSTMState]:
    """Gradients with respect to parameters, x, reads, below and the state before; `d_state` is of the step after."""
    i, f, g, o = tape.input_gate, tape.forget_gate, tape.candidate, tape.output_gate
    d_hidden = d_hidden + d_state.hidden
    d_output_cell = tanh_backward(tape.tanh_cell, d_hidden * o)
    d_cell_output, *d_scale = _output_cell_backward(params, tape.cell, d_output_cell)
    d_cell = d_state.cell + d_cell_output
    d_z = np.concatenate(
        [
            sigmoid_backward(i, d_cell * g),
            sigmoid_backward(f, d_cell * tape.cell_before),
            tanh_backward(g, d_cell * i),
            sigmoid_backward(o, d_hidden * tape.tanh_cell),
        ],
        axis=1,
    )
    d_params, (d_x, d_reads, d_own, d_below) = affine_backward(params, tape.parts, d_z)
    return LSTMParams(*d_params, *d_scale), d_x, d_reads, d_below, LSTMState(d_own, d_cell * f)


def _output_cell(params: LSTMParams, cell: Array) -> Array:
    """The cell as the output gate sees it: unchanged, or after layer norm."""
    if isinstance(params.cell_gain, np.ndarray):
        return layer_norm(cell, params.cell_gain, params.cell_bias)
    return cell


def _output_cell_backward(params: LSTMParams, cell: Array, d_output_cell: Array) -> tuple[Array, Any, Any]:
    """Gradients with respect to cell, its gain and its bias."""
    if isinstance(params.cell_gain, np.ndarray):
        return layer_norm_backward(cell, params.cell_gain, d_output_cell)
    return d_output_cell, (), ()
