"""What a call needs to know before it sees a number: sizes, and where every array lies. Made once for such calls.

Axes: T steps, B batch, X input, H hidden, C pre-activations of a layer, N slots, W word, R read heads, as in
kernels/types.py.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines.cpu.kernels.arrays import padded
from numdnc.engines.cpu.kernels.types import (
    FEEDFORWARD,
    LSTM,
    ONEPLUS,
    RNN,
    SIGMOID,
    SOFTMAX,
    Controller,
    ControllerGradient,
    ControllerTape,
    InterfaceAt,
    InterfaceParams,
    MemoryGradient,
    MemoryTape,
    Scratch,
    Sizes,
)
from numdnc.engines.cpu.memory_pool import CACHE_LINE
from numdnc.engines.cpu.shapes import (
    Shapes,
    controller_gradient_shapes,
    controller_shapes,
    controller_tape_shapes,
    memory_gradient_shapes,
    memory_tape_shapes,
    scratch_shapes,
    tile_width,
)
from numdnc.params import Array
from numdnc.spec import GATES, VARIATIONS, DNCSpec, Spec

_ACTIVATIONS = {"sigmoid": SIGMOID, "oneplus": ONEPLUS, "softmax": SOFTMAX}
_CONTROLLERS = {"lstm": LSTM, "rnn": RNN, "feedforward": FEEDFORWARD}

_STRIDE = 4
"""Of the links of a segment that is run again, every so many are kept at once; those between are made again."""

_MAX_ALL_LINKS_BYTES = 1 << 22
"""Links of a whole sequence that are kept rather than made again."""

_TILE_CHUNK = 8192
"""Numbers of a tile that are worked on at once."""


class Layout(NamedTuple):
    """Where arrays lie in one block of memory."""

    numbers: int  # of the block
    kinds: tuple[tuple[Any, tuple[Any, ...]], ...]
    """A kind, and for each of its fields (shape, dtype, first byte), or None where it is given by who makes it."""


class Plan(NamedTuple):
    """What calls for the same spec, length, batch and dtype have in common."""

    sizes: Sizes
    dtype: np.dtype[Any]
    layers: Any  # (L, 8): see `Controller`
    rows: Any  # (T, B): the number of each step of each sequence
    at: Any  # InterfaceAt of a DNC
    tape: Layout  # of parameters and tape, ..
    scratch: Layout  # .. of what the forward pass needs besides, ..
    gradient: Layout  # .. and of the gradients


@lru_cache(maxsize=128)
def make_plan(
    spec: Spec,
    steps: int,
    batch: int,
    dtype: np.dtype[Any],
    symbols: bool,
    keep_tape: bool,
    threads: int,
) -> Plan:
    """The plan for sequences of so many steps; `symbols`: inputs are integers."""
    sizes = _sizes(spec, steps, batch, dtype.itemsize, keep_tape)
    like = np.empty(0, dtype)
    layers = _layers(spec, sizes, batch, symbols, like)
    at = _interface_at(spec) if isinstance(spec, DNCSpec) else None
    tape: dict[Any, Shapes] = {
        Controller: controller_shapes(layers, steps * batch, symbols, like),
        ControllerTape: controller_tape_shapes(spec, sizes, batch),
    }
    gradient: dict[Any, Shapes] = {
        ControllerGradient: controller_gradient_shapes(spec, layers, steps, batch, threads)
    }
    # Of more numbers `padded` may make fewer than of a few less, so the widest product is not that of the widest layer.
    widest = max(padded(int(C), like) for C in layers[:, 2])
    scratch: Shapes = {"products": (threads, batch * widest)}
    if isinstance(spec, DNCSpec):
        widest = max(widest, padded(spec.interface_size, like))
        scratch = scratch_shapes(spec, batch, threads, widest, like)
        tape[InterfaceParams] = {"weights": (spec.hidden_total, padded(spec.interface_size, like))}
        tape[MemoryTape] = memory_tape_shapes(spec, sizes, batch, like)
        gradient[MemoryGradient] = memory_gradient_shapes(spec, sizes, steps, batch, threads, like)
    return Plan(
        sizes,
        dtype,
        layers,
        np.arange(steps * batch).reshape(steps, batch),
        at,
        _layout(tape, dtype),
        _layout({Scratch: scratch}, dtype),
        _layout(gradient, dtype),
    )


def _rows_at_once(slots: int) -> int:
    """Of a tile: as many as hold about _TILE_CHUNK numbers, a multiple of 4."""
    return max(4, _TILE_CHUNK // tile_width(slots) // 4 * 4)


def _sizes(spec: Spec, steps: int, batch: int, item_size: int, keep_tape: bool) -> Sizes:
    """Numbers that say what is computed.

    Segments of links are as long as makes those kept fewest in all; but where all are few bytes, all are kept.
    """
    common = {
        "steps": steps,
        "kept_states": steps + 1 if keep_tape else 2,
        "kept_steps": max(steps, 1) if keep_tape else 1,
        "kind": _CONTROLLERS[spec.controller],
        "normalised_layers": int(spec.normalisation and spec.controller == "lstm"),
        "normalised": int(spec.normalisation),
        "reads": spec.reads_size,
    }
    if not isinstance(spec, DNCSpec):
        return Sizes(**common)
    few = steps * batch * spec.memory_size**2 * item_size <= _MAX_ALL_LINKS_BYTES
    return Sizes(
        **common,
        slots=spec.memory_size,
        word=spec.word_size,
        heads=spec.read_heads,
        **{name: +getattr(spec, name) for name in VARIATIONS if name in Sizes._fields},  # a bool as an int
        segment=1 if few else _STRIDE * max(1, round((steps / _STRIDE) ** 0.5)),
        stride=1 if few else _STRIDE,
        tile=tile_width(spec.memory_size),
        rows=_rows_at_once(spec.memory_size),
    )


def _interface_at(spec: DNCSpec) -> Any:
    """Neighbouring parts of the same activation are activated at once."""
    rows: list[list[int]] = []
    for name, part in spec.interface_parts.items():
        if part.activation != "identity":
            first = spec.interface_offsets[name]
            last = first + spec.interface_sizes[name]
            kind, shape = _ACTIVATIONS[part.activation], spec.interface_shapes[name]
            if kind != SOFTMAX and rows and rows[-1][:3:2] == [kind, first]:
                rows[-1][2] = last
            else:
                rows.append([kind, first, last, shape[-1] if shape else 1])
    return InterfaceAt(np.array(rows, np.int64), **spec.interface_offsets)  # type: ignore[call-arg]  # made of a list


def _layers(spec: Spec, sizes: Sizes, batch: int, symbols: bool, like: Array) -> NDArray[np.int64]:
    """A row of numbers for each layer of the controller, in the order of `layer_layout` in kernels/controller.py."""
    found = []
    unit, gate, part, weight, table, below = 0, 0, 0, 0, 0, 0
    for size in spec.hidden_sizes:
        own = 0 if spec.controller == "feedforward" else size
        C, K = GATES[spec.controller] * size, spec.reads_size + own + below
        found.append((size, unit, C, gate, K, part, weight, table))
        unit, gate, part, below = unit + size, gate + C, part + K, size
        weight += K * padded(C, like)
        table += (spec.input_size if symbols else sizes.steps * batch) * C
    return np.array(found, np.int64)


def _layout(kinds: Mapping[Any, Shapes], dtype: np.dtype[Any]) -> Layout:
    """Arrays one after the other, each at the beginning of a line."""
    first, found = 0, []
    for kind, shapes in kinds.items():
        fields: list[Any] = []
        for name in kind._fields:
            shape = shapes.get(name)
            fields.append(shape and (shape, np.dtype(np.int32) if name == "order" else dtype, first))
            lines = -(-math.prod(shape) * dtype.itemsize // CACHE_LINE) if shape else 0
            first += lines * CACHE_LINE
        found.append((kind, tuple(fields)))
    return Layout(first // dtype.itemsize, tuple(found))
