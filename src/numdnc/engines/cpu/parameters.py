"""Sizes and parameters as kernels want them. X input, H hidden, C pre-activations of a layer, T steps, B batch."""

from typing import Any

import numpy as np

from numdnc.engines.cpu.kernels.arrays import padded
from numdnc.engines.cpu.kernels.layout import (
    FEEDFORWARD,
    LSTM,
    RNN,
    Controller,
    Interface,
    InterfaceAt,
    Sizes,
)
from numdnc.engines.cpu.threads import multiply
from numdnc.params import Array, Inputs
from numdnc.spec import GATES, DNCSpec, Spec

_KINDS = {"lstm": LSTM, "rnn": RNN, "feedforward": FEEDFORWARD}

_STRIDE = 4
"""Of the links of a segment that is run again, every so many are kept at once; those between are made again."""

_FEW_BYTES = 1 << 22
"""Links of a whole sequence that are kept rather than made again."""

_TILE = 256
"""Columns of the links that are worked on at once, at most."""


def tile_width(slots: int) -> int:
    """Columns of a tile: as few tiles as may be, all but the last equally wide."""
    tiles = -(-slots // _TILE)
    return -(-slots // tiles)


def make_sizes(spec: Spec, steps: int, batch: int, item_size: int, keep_tape: bool) -> Sizes:
    """Numbers that say what is computed.

    Segments of links are as long as makes those kept fewest in all; but where all are few bytes, all are kept.
    """
    common = {
        "steps": steps,
        "kept_states": steps + 1 if keep_tape else 2,
        "kept_steps": max(steps, 1) if keep_tape else 1,
        "kind": _KINDS[spec.controller],
        "normalised_layers": int(spec.normalisation and spec.controller == "lstm"),
        "normalised": int(spec.normalisation),
        "reads": spec.reads_size,
    }
    if not isinstance(spec, DNCSpec):
        return Sizes(**common)
    few = steps * batch * spec.memory_size**2 * item_size <= _FEW_BYTES
    return Sizes(
        **common,
        slots=spec.memory_size,
        word=spec.word_size,
        heads=spec.read_heads,
        links=int(spec.links),
        masking=int(spec.masking),
        deallocation=int(spec.deallocation),
        sharpness=int(spec.sharpness),
        mask_floor=spec.mask_floor,
        segment=1 if few else _STRIDE * max(1, round((steps / _STRIDE) ** 0.5)),
        stride=1 if few else _STRIDE,
        tile=tile_width(spec.memory_size),
    )


def make_controller(spec: Spec, params: Any, inputs: Inputs, threads: int) -> Controller:
    """Weights side by side, and a table with what each input adds to the pre-activations of every layer.

    For symbols the table is the weights' own rows; for vectors it is their product, of all steps at once.
    """
    X, (T, B) = spec.input_size, inputs.shape[:2]
    symbols = np.issubdtype(inputs.dtype, np.integer)
    rows = np.ascontiguousarray(inputs, np.int64) if symbols else np.arange(T * B).reshape(T, B)
    layers, weights, tables = [], [], []
    unit, gate, part, weight, table = 0, 0, 0, 0, 0
    for size, layer in zip(spec.hidden_sizes, params.controller, strict=True):
        C, K = GATES[spec.controller] * size, len(layer.weights) - X
        layers.append((size, unit, C, gate, K, part, weight, table))
        weights.append(with_padding(layer.weights[X:]).reshape(-1))
        if symbols:
            found = layer.weights[:X]
        else:
            found = np.empty((T * B, C), layer.weights.dtype)
            multiply(threads, (found, inputs.reshape(T * B, X), layer.weights[:X]))
        tables.append(found.reshape(-1))
        unit, gate, part = unit + size, gate + C, part + K
        weight, table = weight + weights[-1].size, table + found.size
    return Controller(
        np.array(layers, np.int64),
        _joined(weights),
        _joined([layer.bias for layer in params.controller]),
        _joined_if_any(params.controller, "gain"),
        _joined_if_any(params.controller, "cell_gain"),
        _joined_if_any(params.controller, "cell_bias"),
        _joined(tables),
        rows,
    )


def make_interface(spec: DNCSpec, params: Any) -> Interface:
    """The interface's parameters, and where its parts begin."""
    at, first = {}, 0
    for name, size in spec.interface_sizes.items():
        at[name] = first
        first += size
    weights, bias = params.interface.weights, np.ascontiguousarray(params.interface.bias)
    gain = (
        bias[:0] if isinstance(params.interface.gain, tuple) else np.ascontiguousarray(params.interface.gain)
    )
    return Interface(InterfaceAt(**at), with_padding(weights), bias, gain)


def with_padding(rows: Array) -> Array:
    """A copy (.., C or more) of rows (.., C), each with room after it as `padded` says."""
    found = np.zeros((*rows.shape[:-1], padded(rows.shape[-1], rows)), rows.dtype)
    found[..., : rows.shape[-1]] = rows
    return found


def _joined(parts: list[Array]) -> Array:
    return np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts)


def _joined_if_any(layers: Any, name: str) -> Array:
    parts: list[Any] = [getattr(layer, name, ()) for layer in layers]
    return np.empty(0, layers[0].bias.dtype) if isinstance(parts[0], tuple) else _joined(parts)
