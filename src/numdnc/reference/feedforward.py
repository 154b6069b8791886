"""A feed-forward layer. It has no state, so only the external memory carries information from step to step."""

from typing import NamedTuple

import numpy as np

from numdnc.params import Affine, Array, Inputs
from numdnc.reference.activations import affine, affine_backward, tanh_backward


class FeedforwardTape(NamedTuple):
    """Values saved for the backward pass."""

    parts: tuple[Array, ...]  # x, reads, below
    hidden: Array


def feedforward_layer(
    params: Affine, x: Inputs, reads: Array, below: Array, state: tuple[()]
) -> tuple[Array, tuple[()], FeedforwardTape]:
    """h = tanh([x ; reads ; below] W + b); `below` (B, H of the layer below) is (B, 0) in the lowest layer."""
    parts = (x, reads, below)
    hidden = np.tanh(affine(params, *parts))
    return hidden, (), FeedforwardTape(parts, hidden)


def feedforward_layer_backward(
    params: Affine, tape: FeedforwardTape, d_hidden: Array, d_state: tuple[()]
) -> tuple[Affine, Array | None, Array, Array, tuple[()]]:
    """Gradients with respect to parameters, x, reads, below and state (none)."""
    d_z = tanh_backward(tape.hidden, d_hidden)
    d_params, (d_x, d_reads, d_below) = affine_backward(params, tape.parts, d_z)
    return d_params, d_x, d_reads, d_below, ()
