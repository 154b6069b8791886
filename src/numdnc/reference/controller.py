"""The controller: layers of one kind with the paper's skip connections.

Every layer sees the input and the reads; above the lowest, also the hidden values of the layer below at the same
step (Graves et al. 2016, "Controller network"). Axes: B batch, X input, H hidden, R heads, W word.
"""

from typing import Any

import numpy as np

from numdnc.params import Array, Inputs, LayerParams, LayerState
from numdnc.reference.feedforward import feedforward_layer, feedforward_layer_backward
from numdnc.reference.lstm import lstm_layer, lstm_layer_backward
from numdnc.reference.rnn import rnn_layer, rnn_layer_backward
from numdnc.spec import Spec

_LAYERS: dict[str, tuple[Any, Any]] = {
    "lstm": (lstm_layer, lstm_layer_backward),
    "rnn": (rnn_layer, rnn_layer_backward),
    "feedforward": (feedforward_layer, feedforward_layer_backward),
}


def controller_step(
    spec: Spec, params: tuple[LayerParams, ...], x: Inputs, reads: Array, state: tuple[LayerState, ...]
) -> tuple[Array, tuple[LayerState, ...], list[Any]]:
    """h_all = [h^1 ; .. ; h^L] of one step; x (B, X) or symbols (B,), reads (B, R W) of the step before."""
    layer, _ = _LAYERS[spec.controller]
    below = reads[:, :0]
    hiddens, states, tapes = [], [], []
    for layer_params, layer_state in zip(params, state, strict=True):
        below, layer_state, tape = layer(layer_params, x, reads, below, layer_state)
        hiddens.append(below)
        states.append(layer_state)
        tapes.append(tape)
    return np.concatenate(hiddens, axis=1), tuple(states), tapes


def controller_step_backward(
    spec: Spec,
    params: tuple[LayerParams, ...],
    tapes: list[Any],
    d_hidden_all: Array,
    d_state: tuple[LayerState, ...],
) -> tuple[tuple[LayerParams, ...], Array | None, Array, tuple[LayerState, ...]]:
    """Gradients with respect to parameters, x, reads and the state before, from the highest layer down."""
    _, layer_backward = _LAYERS[spec.controller]
    d_hiddens = np.split(d_hidden_all, np.cumsum(spec.hidden_sizes)[:-1], axis=1)
    d_params, d_states = [], []
    d_x: Array | None = None
    d_reads: Any = 0
    d_below: Any = 0
    for i in reversed(range(len(params))):
        layer_d_params, layer_d_x, layer_d_reads, d_below, layer_d_state = layer_backward(
            params[i], tapes[i], d_hiddens[i] + d_below, d_state[i]
        )
        d_params.append(layer_d_params)
        d_states.append(layer_d_state)
        d_reads = d_reads + layer_d_reads
        if layer_d_x is not None:
            d_x = layer_d_x if d_x is None else d_x + layer_d_x
    return tuple(reversed(d_params)), d_x, d_reads, tuple(reversed(d_states))
