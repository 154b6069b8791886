"""The data of a model: trees of parameters and of state, and their sizes.

Axes: B batch, X input, Y output, H hidden units of a layer, N slots, W word, R read heads.
The gradient of a tree is a tree of the same kind.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numdnc.spec import GATES, DNCSpec, Spec

Array = NDArray[np.floating[Any]]
Inputs = NDArray[Any]
"""Floats (T, B, X), or integer symbols (T, B) that mean one-hot rows."""


class Affine(NamedTuple):
    """z = v W + b. Where v is several vectors side by side, the rows of W stand in the same order."""

    weights: Array  # (in, out)
    bias: Array  # (out,)


class RecurrentParams(NamedTuple):
    """Parameters of an RNN or LSTM. Layer rows: [input ; own hidden ; hidden below]; LSTM columns: i, f, g, o."""

    controller: tuple[Affine, ...]
    output: Affine  # rows: h_all


class DNCParams(NamedTuple):
    """Parameters of a DNC. Layer rows: [input ; reads ; own hidden ; hidden below]; LSTM columns: i, f, g, o."""

    controller: tuple[Affine, ...]
    interface: Affine  # rows: h_all; columns: spec.interface_sizes
    output: Affine  # rows: [h_all ; reads]


class LSTMState(NamedTuple):
    """What one LSTM layer carries."""

    hidden: Array  # (B, H), in [-1, 1]
    cell: Array  # (B, H)


class RNNState(NamedTuple):
    """What one tanh layer with recurrence carries."""

    hidden: Array  # (B, H), in [-1, 1]


LayerState = LSTMState | RNNState | tuple[()]
"""A feed-forward layer carries nothing."""


class RecurrentState(NamedTuple):
    """What an RNN or LSTM carries from step to step."""

    controller: tuple[LayerState, ...]


class DNCState(NamedTuple):
    """What a DNC carries from step to step."""

    controller: tuple[LayerState, ...]
    memory: Array  # (B, N, W)
    usage: Array  # (B, N), in [0, 1]
    precedence: Array  # (B, N), >= 0, sums to at most 1
    link: Array  # (B, N, N), link[i, j]: "i was written after j"; rows and columns sum to at most 1
    write_weights: Array  # (B, N), >= 0, sums to at most 1
    read_weights: Array  # (B, R, N), >= 0, each head sums to at most 1
    reads: Array  # (B, R, W)


Params = RecurrentParams | DNCParams
State = RecurrentState | DNCState


def zero_params(spec: Spec, dtype: DTypeLike = np.float32) -> Any:
    """The tree of parameters of a model, every number 0."""

    def affine(rows: int, columns: int) -> Affine:
        return Affine(np.zeros((rows, columns), dtype), np.zeros(columns, dtype))

    outside, below, layers = spec.input_size + spec.reads_size, 0, []
    for size in spec.hidden_sizes:
        own = 0 if spec.controller == "feedforward" else size
        layers.append(affine(outside + own + below, GATES[spec.controller] * size))
        below = size
    output = affine(spec.hidden_total + spec.reads_size, spec.output_size)
    if isinstance(spec, DNCSpec):
        return DNCParams(tuple(layers), affine(spec.hidden_total, spec.interface_size), output)
    return RecurrentParams(tuple(layers), output)


def zero_state(spec: Spec, batch: int, dtype: DTypeLike = np.float32) -> Any:
    """The blank state every sequence starts from: nothing remembered, every slot free."""

    def zeros(*shape: int) -> Array:
        return np.zeros((batch, *shape), dtype)

    layer_states: dict[str, Any] = {
        "lstm": lambda size: LSTMState(zeros(size), zeros(size)),
        "rnn": lambda size: RNNState(zeros(size)),
        "feedforward": lambda _: (),
    }
    controller = tuple(layer_states[spec.controller](size) for size in spec.hidden_sizes)
    if not isinstance(spec, DNCSpec):
        return RecurrentState(controller)
    N, W, R = spec.memory_size, spec.word_size, spec.read_heads
    return DNCState(
        controller, zeros(N, W), zeros(N), zeros(N), zeros(N, N), zeros(N), zeros(R, N), zeros(R, W)
    )
