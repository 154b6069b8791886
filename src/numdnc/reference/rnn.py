"""A tanh layer with recurrence (Elman 1990)."""

from typing import NamedTuple

import numpy as np

from numdnc.params import Affine, Array, Inputs, RNNState
from numdnc.reference.activations import affine, affine_backward, tanh_backward


class RNNTape(NamedTuple):
    """Values saved for the backward pass."""

    parts: tuple[Array, ...]  # x, reads, own hidden of t-1, below
    hidden: Array


def rnn_layer(
    params: Affine, x: Inputs, reads: Array, below: Array, state: RNNState
) -> tuple[Array, RNNState, RNNTape]:
    """h_t = tanh([x ; reads ; h_{t-1} ; below] W + b); `below` is the layer below at t, (B, 0) if lowest."""
    parts = (x, reads, state.hidden, below)
    hidden = np.tanh(affine(params, *parts))
    return hidden, RNNState(hidden), RNNTape(parts, hidden)


def rnn_layer_backward(
    params: Affine, tape: RNNTape, d_hidden: Array, d_state: RNNState
) -> tuple[Affine, Array | None, Array, Array, RNNState]:
    """Gradients with respect to parameters, x, reads, below and the state before; `d_state` is of the step after."""
    d_z = tanh_backward(tape.hidden, d_hidden + d_state.hidden)
    d_params, (d_x, d_reads, d_own, d_below) = affine_backward(params, tape.parts, d_z)
    return d_params, d_x, d_reads, d_below, RNNState(d_own)
