"""What a call needs besides its numbers: sizes, and the position of every array. Computed once for equal calls.

Axes: T steps, B batch, H hidden, C pre-activations of a layer, K what it sees but for the input, N slots, W word.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines.cpu.kernels.arrays import padded
from numdnc.engines.cpu.kernels.interface import ACTIVATIONS
from numdnc.engines.cpu.kernels.sparse.types import LANES, SparseGradient, SparseScratch, SparseTape
from numdnc.engines.cpu.kernels.types import (
    FEEDFORWARD,
    LSTM,
    RNN,
    Controller,
    ControllerGradient,
    ControllerTape,
    InterfaceOffsets,
    InterfaceParams,
    MemoryGradient,
    MemoryTape,
    NTMGradient,
    NTMTape,
    Scratch,
    Sizes,
)
from numdnc.engines.cpu.layouts import Layout, lay_out
from numdnc.model_options import VARIATIONS
from numdnc.params import Array
from numdnc.spec import GATES, NTMSpec, Spec

_CONTROLLERS = {"lstm": LSTM, "rnn": RNN, "feedforward": FEEDFORWARD}

_STRIDE = 4
"""Of the links of a segment that is computed again, one in so many is kept."""

_MAX_ALL_LINKS_BYTES = 1 << 22
"""The links of every step are kept, and none computed again, up to so many bytes."""

_MAX_TILE_WIDTH = 256
"""Columns of a tile of the link, at most."""

_TILE_CHUNK = 8192
"""Numbers of a tile that are worked on at once."""


class Plan(NamedTuple):
    """What calls for the same spec, length, batch and dtype have in common."""

    sizes: Sizes
    numbers: NDArray[np.int64]  # the same, as kernels/unpacking.py reads them
    like: Array  # an empty array of the dtype
    dtype: np.dtype[Any]
    layers: NDArray[np.int64]  # (L, 8): see `Controller`
    input_rows: Any  # (T, B): the number of each step of each sequence
    spans: NDArray[np.int64]  # see `InterfaceParams`
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
    """The plan for a batch of sequences; `symbols`: inputs are integers."""
    sizes = _sizes(spec, steps, batch, dtype.itemsize, keep_tape)
    like = np.empty(0, dtype)
    layers = _layers(spec, sizes, batch, symbols, like)
    spans = _spans(spec)
    axes = {
        **axis_sizes(spec, sizes, layers, batch, threads, like),
        "all_input_products": (spec.input_size if symbols else steps * batch) * int(layers[:, 2].sum()),
        "spans": len(spans),
    }
    lstm = spec.controller == "lstm"
    flags = {
        **{name: bool(getattr(spec, name, False)) for name in VARIATIONS},
        "lstm": lstm,
        "layer_norm": lstm and spec.normalisation,
        "usage_writing": not spec.recency,
        "deallocating_heads": sizes.deallocation > 0 and sizes.write_heads > 1,
        "unmasked": not sizes.masking,
        "product": sizes.product > 0,
    }
    scratch: Any = Scratch
    memory: tuple[Any, Any] = (MemoryTape, MemoryGradient)
    if isinstance(spec, NTMSpec):
        memory = (NTMTape, NTMGradient)
    elif spec.sparsity is not None:
        memory, scratch = (SparseTape, SparseGradient), SparseScratch
    # In the order of the kernels' arguments.
    tape: tuple[Any, ...] = (Controller, ControllerTape)
    gradient: tuple[Any, ...] = (ControllerGradient,)
    if spec.has_memory:
        tape = (Controller, InterfaceParams, ControllerTape, memory[0])
        gradient = (ControllerGradient, memory[1])
    return Plan(
        sizes,
        _as_integers(sizes),
        like,
        dtype,
        layers,
        np.arange(steps * batch).reshape(steps, batch),
        spans,
        lay_out(tape, axes, flags, dtype),
        lay_out((scratch,), axes, flags, dtype),
        lay_out(gradient, axes, flags, dtype),
    )


def axis_sizes(
    spec: Spec, sizes: Sizes, layers: NDArray[np.int64], batch: int, threads: int, like: Array
) -> dict[str, int]:
    """The size of every axis that a declaration in kernels/types.py names."""
    T, B, N, R = sizes.steps, batch, sizes.slots, sizes.heads
    interface = spec.interface_size
    outputs, inputs = (list(map(int, layers[:, column])) for column in (2, 4))
    checkpoints = -(-T // sizes.segment) if sizes.links and sizes.kept_states == T + 1 else 0
    # `padded` may make less of a larger number, so the widest product need not be that of the widest layer.
    widest = max(padded(C, like) for C in (*outputs, interface))
    return {
        "T": T,
        "T1": T + 1,
        "S": sizes.kept_states,
        "D": sizes.kept_steps,
        "B": B,
        "BE": B * sizes.memories,
        "L": len(layers),
        "H": spec.hidden_total,
        "G": sum(outputs),
        "P": sum(inputs),
        "I": interface,
        "I_padded": padded(interface, like),
        "N": N,
        "W": sizes.word,
        "R": R,
        "V": sizes.write_heads,
        "V_1": max(sizes.write_heads - 1, 0),
        "RW": sizes.reads,
        "RN": R * N,
        "2R": 2 * R,
        "2RN": 2 * R * N,
        "threads": threads,
        "all_weights": sum(K * padded(C, like) for C, K in zip(outputs, inputs, strict=True)),
        "batch_outputs": B * widest,
        "batch_gates": B * max(outputs),
        "batch_inputs": B * max(inputs),
        "checkpoints": checkpoints,
        "strides": sizes.segment // sizes.stride,
        "tiles": -(-N // sizes.tile),
        "columns": padded(sizes.tile, like),
        "chunk_rows": sizes.rows,
        **_sparse_axis_sizes(spec, sizes),
    }


def _sparse_axis_sizes(spec: Spec, sizes: Sizes) -> dict[str, int]:
    """The size of every axis that kernels/sparse/types.py adds."""
    N, R, K = sizes.slots, sizes.heads, sizes.sparsity
    usage_changes = K + R * K
    word_changes = K + sizes.deallocation * usage_changes + sizes.recency
    blocks = -(-N // LANES)
    return {
        "K": K,
        "Q": R + 1 - sizes.recency,
        "candidates": K + word_changes,
        "U": usage_changes,
        "C": word_changes,
        "J": 8 * K * K,
        "blocks": blocks,
        "lanes": LANES,
        "slots": blocks * LANES,
        "N1": N + 1,
        "lowest": min(2 * K, N),
        "touched": 2 * K * K + (R + 5) * K,
    }


def tile_width(slots: int) -> int:
    """Columns of a tile: as few tiles as possible, all but the last equally wide."""
    tiles = -(-slots // _MAX_TILE_WIDTH)
    return -(-slots // tiles)


def _rows_at_once(slots: int) -> int:
    """Rows of a tile that hold about _TILE_CHUNK numbers, a multiple of 4."""
    return max(4, _TILE_CHUNK // tile_width(slots) // 4 * 4)


def _sizes(spec: Spec, steps: int, batch: int, item_size: int, keep_tape: bool) -> Sizes:
    """The numbers that kernels need.

    Segments of links are as long as makes those kept fewest in all; but where all are few bytes, all are kept.
    """
    common = {
        "steps": steps,
        "kept_states": steps + 1 if keep_tape else 2,
        "kept_steps": max(steps, 1) if keep_tape else 1,
        "offsets": _offsets(spec),
        "kind": _CONTROLLERS[spec.controller],
        "normalised_layers": int(spec.normalisation and spec.controller == "lstm"),
        "normalised": int(spec.normalisation),
        "reads": spec.reads_size,
        "memories": spec.memories,
    }
    if not spec.has_memory:
        return Sizes(**common)
    links = steps * batch * spec.memories * spec.write_heads * spec.memory_size**2
    few = links * item_size <= _MAX_ALL_LINKS_BYTES
    return Sizes(
        **common,
        slots=spec.memory_size,
        word=spec.word_size,
        heads=spec.read_heads,
        # As the type that is declared, for which kernels are compiled; what is absent is 0.
        **{
            name: number(getattr(spec, name, None) or 0)
            for name, number in Sizes.__annotations__.items()
            if name in VARIATIONS
        },
        segment=1 if few else _STRIDE * max(1, round((steps / _STRIDE) ** 0.5)),
        stride=1 if few else _STRIDE,
        tile=tile_width(spec.memory_size),
        rows=_rows_at_once(spec.memory_size),
        write_heads=spec.write_heads,
        shifts=spec.axis_sizes.get("S", 0),
        product=int(getattr(spec, "second_memory", "none") == "reads"),
    )


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


def _as_integers(sizes: Sizes) -> NDArray[np.int64]:
    """The fields in order; a float as the integer of the same bits."""
    flat: list[Any] = []
    for each in sizes:
        flat.extend(each if isinstance(each, tuple) else [each])
    return np.array(
        [each if isinstance(each, int) else np.float64(each).view(np.int64) for each in flat], np.int64
    )


def _offsets(spec: Spec) -> Any:
    offsets = spec.interface_offsets if spec.has_memory else {}
    return InterfaceOffsets(**dict.fromkeys(InterfaceOffsets._fields, 0) | offsets)


def _spans(spec: Spec) -> NDArray[np.int64]:
    """Activations of the interface vector, see `InterfaceParams`; neighbours that share one are one span."""
    found: list[list[int]] = []
    if spec.has_memory:
        for name, part in spec.interface_parts.items():
            first = spec.interface_offsets[name]
            last, activation = first + spec.interface_sizes[name], ACTIVATIONS.index(part.activation)
            width = spec.interface_shapes[name][-1] if part.activation == "softmax" else 1
            if found and found[-1][1:] == [first, activation, width]:
                found[-1][1] = last
            elif part.activation != "identity":
                found.append([first, last, activation, width])
    return np.array(found, np.int64).reshape(len(found), 4)
