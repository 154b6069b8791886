"""Arrays for a sequence: the tape, the gradients, scratch; states put in and taken out.

Axes: T steps, B batch, H hidden, N slots, W word, R read heads, as in kernels/layout.py.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from numdnc.engines.cpu.blocks import take_block
from numdnc.engines.cpu.kernels.arrays import padded
from numdnc.engines.cpu.kernels.layout import (
    Controller,
    ControllerGradient,
    ControllerTape,
    MemoryGradient,
    MemoryTape,
    Scratch,
    Sizes,
)
from numdnc.engines.cpu.parameters import tile_width
from numdnc.params import Array, DNCState, LayerState, LSTMState, RecurrentState, RNNState
from numdnc.spec import GATES, DNCSpec, Spec

_LINE = 64
"""Bytes that a processor moves at once; every array begins at a multiple of them."""

_MEMORY_STATE = ("usage", "write_weights", "read_weights", "reads")
_LINK_STATE = ("precedence",)


def allocate(kind: Any, dtype: DTypeLike, shapes: Mapping[str, tuple[int, ...]]) -> Any:
    """A `kind` with an array of each shape, all in one block, numbers unset; fields without a shape are None."""
    line = _LINE // np.dtype(dtype).itemsize
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    block = take_block(sum(-(-size // line) * line for size in sizes.values()) + line, dtype)
    first = -block.ctypes.data % _LINE // block.itemsize
    found = dict.fromkeys(kind._fields)
    for name, shape in shapes.items():
        found[name] = block[first : first + sizes[name]].reshape(shape)
        first += -(-sizes[name] // line) * line
    return kind(**found)


def controller_tape(spec: Spec, sizes: Sizes, batch: int, dtype: DTypeLike, state: Any) -> ControllerTape:
    """The controller's tape, with the state that it starts from."""
    T, S, D, B = sizes.steps, sizes.kept_states, sizes.kept_steps, batch
    H, L = spec.hidden_total, len(spec.hidden_sizes)
    lstm = spec.controller == "lstm"
    G, norm = GATES[spec.controller] * H, lstm and spec.normalisation
    own = 0 if spec.controller == "feedforward" else H
    shapes = {
        "parts": (D, B, L * spec.reads_size + own + H - spec.hidden_sizes[-1]),
        "gates": (D, B, G),
        "hidden": (T + 1, B, H),
        "cell": (S, B, H * lstm),
        "tanh_cell": (D, B, H * lstm),
        "standard": (D, B, G * norm),
        "deviation": (D, B, L * norm),
        "cell_standard": (D, B, H * norm),
        "cell_deviation": (D, B, L * norm),
    }
    tape: ControllerTape = allocate(ControllerTape, dtype, shapes)
    _put_layers(spec, tape.hidden[0], tape.cell[0], state)
    return tape


def memory_tape(spec: DNCSpec, sizes: Sizes, batch: int, dtype: DTypeLike, state: DNCState) -> MemoryTape:
    """The memory's tape, with the state that it starts from."""
    T, S, D, B = sizes.steps, sizes.kept_states, sizes.kept_steps, batch
    N, W, R, width = spec.memory_size, spec.word_size, spec.read_heads, spec.interface_size
    norm, links, masks, sharp = spec.normalisation, spec.links, spec.masking, spec.sharpness
    kept = -(-T // sizes.segment) if links and S == T + 1 else 0
    shapes = {
        "interface": (D, B, width),
        "interface_standard": (D, B, width * norm),
        "interface_deviation": (D, B * norm),
        "memory": (S, B, W, N),
        "inverse_norms": (S, B, N),
        "usage": (S, B, N),
        "precedence": (S, B, N * links),
        "write_weights": (S, B, N),
        "read_weights": (S, B, R, N),
        "reads": (T + 1, B, R, W),
        "retention": (D, B, N),
        "allocation": (D, B, N),
        "write_content": (D, B, 1, N),
        "write_similarity": (D, B, 1, N),
        "write_norms": (D, B, 1, N * masks),
        "read_content": (D, B, R, N),
        "read_similarity": (D, B, R, N),
        "read_norms": (D, B, R, N * masks),
        "forward": (D, B, R, N * links),
        "backward": (D, B, R, N * links),
        "blurred_forward": (D, B, R, N * sharp),
        "blurred_backward": (D, B, R, N * sharp),
        "links": (kept, *_link_shape(B, N, state.memory)),
    }
    tape: MemoryTape = allocate(MemoryTape, dtype, shapes)._replace(order=np.empty((D, B, N), np.int32))
    tape.memory[0] = state.memory.swapaxes(1, 2)
    for name in _MEMORY_STATE + _LINK_STATE * links:
        getattr(tape, name)[0] = getattr(state, name)
    return tape


def scratch_for(spec: DNCSpec, products: Array, batch: int, state: DNCState) -> Scratch:
    """What kernels of a DNC work with, beside the tape; the link is that of the state."""
    N, R = spec.memory_size, spec.read_heads
    return Scratch(
        products,
        np.empty((batch, N), np.int32),
        _in_tiles(state.link) if spec.links else np.empty((0, 0, 0, 0), products.dtype),
        np.empty((batch, R * N * spec.links), products.dtype),
        np.empty((len(products), batch, R * N * spec.links), products.dtype),
    )


def controller_gradient(
    spec: Spec, controller: Controller, hidden_out: Array, d_state: Any, threads: int
) -> ControllerGradient:
    """Gradients by the controller's values, with those by the final state; hidden_out (T, B, H)."""
    (T, B, H), dtype = hidden_out.shape, hidden_out.dtype
    lstm = spec.controller == "lstm"
    G, norm = GATES[spec.controller] * H, lstm and spec.normalisation
    shapes = {
        "gates": (T, B, G),
        "gates_out": (T, B, G * norm),
        "cell_out": (T, B, H * norm),
        "hidden": (B, H),
        "cell": (B, H * lstm),
        "hidden_now": (B, H),
        "reads": (B, spec.reads_size),
        "products": (threads, B * int(controller.layers[:, 2].max())),
        "parts": (threads, B * int(controller.layers[:, 4].max())),
    }
    found: ControllerGradient = allocate(ControllerGradient, dtype, shapes)._replace(hidden_out=hidden_out)
    _put_layers(spec, found.hidden, found.cell, d_state)
    if isinstance(d_state, DNCState):
        found.reads[:] = d_state.reads.reshape(B, spec.reads_size)
    return found


def memory_gradient(
    spec: DNCSpec, sizes: Sizes, reads_out: Array, d_state: DNCState, threads: int
) -> MemoryGradient:
    """Gradients by the memory's values, with those by the final state; reads_out (T, B, R, W)."""
    (T, B, R, W), dtype = reads_out.shape, reads_out.dtype
    N, width, links = spec.memory_size, spec.interface_size, spec.links
    tiled = _link_shape(B, N, reads_out)
    shapes = {
        "interface": (T, B, width),
        "interface_out": (T, B, width * spec.normalisation),
        "memory": (B, W, N),
        "usage": (B, N),
        "precedence": (B, N * links),
        "write_weights": (B, N),
        "read_weights": (B, R, N),
        "weights_now": (B, R, N),
        "content": (B, R, N),
        "forward": (B, R, N * links),
        "backward": (B, R, N * links),
        "allocation": (B, N),
        "write_content": (B, 1, N),
        "retention": (B, N),
        "wiped": (B, N),
        "shrink": (B, N),
        "pair": (B, 2 * R * N * links),
        "factors": (B, N * links, 2 * R),
        "links": (sizes.segment // sizes.stride * links, *tiled),
        "rows": (threads, 2, 4, tiled[-1] * links),
        "members_reads": (threads, B, R, N * links),
        "members_columns": (threads, B, R * N * links),
        "members_writes": (threads, 2, B, N * links),
        "members_precedence": (threads, B, N * links),
    }
    link = _in_tiles(d_state.link) if links else np.empty((0, 0, 0, 0), dtype)
    found: MemoryGradient = allocate(MemoryGradient, dtype, shapes)._replace(reads_out=reads_out, link=link)
    found.memory[:] = d_state.memory.swapaxes(1, 2)
    for name in ("usage", "write_weights", "read_weights") + _LINK_STATE * links:
        getattr(found, name)[:] = getattr(d_state, name)
    return found


def final_state(
    spec: Spec, sizes: Sizes, tape: ControllerTape, memory: MemoryTape | None, link: Array | None
) -> Any:
    """The state after the last step, in arrays of its own."""
    last = sizes.steps % sizes.kept_states
    layers = _take_layers(spec, tape.hidden[-1], tape.cell[last])
    if memory is None or not isinstance(spec, DNCSpec):
        return RecurrentState(layers)
    return DNCState(
        layers,
        memory=memory.memory[last].swapaxes(1, 2).copy(),
        usage=memory.usage[last].copy(),
        precedence=memory.precedence[last].copy() if spec.links else (),
        link=_out_of_tiles(link) if link is not None and spec.links else (),
        write_weights=memory.write_weights[last].copy(),
        read_weights=memory.read_weights[last].copy(),
        reads=memory.reads[-1].copy(),
    )


def initial_gradient(spec: Spec, controller: ControllerGradient, memory: MemoryGradient | None) -> Any:
    """The gradient by the state before the first step, in arrays of its own."""
    layers = _take_layers(spec, controller.hidden, controller.cell)
    if memory is None or not isinstance(spec, DNCSpec):
        return RecurrentState(layers)
    return DNCState(
        layers,
        memory=memory.memory.swapaxes(1, 2).copy(),
        usage=memory.usage.copy(),
        precedence=memory.precedence.copy() if spec.links else (),
        link=_out_of_tiles(memory.link) if spec.links else (),
        write_weights=memory.write_weights.copy(),
        read_weights=memory.read_weights.copy(),
        reads=controller.reads.reshape(-1, spec.read_heads, spec.word_size).copy(),
    )


def _link_shape(batch: int, slots: int, like: Array) -> tuple[int, int, int, int]:
    """(B, tiles, N, columns) of links in tiles, as kernels/links.py says."""
    width = tile_width(slots)
    return batch, -(-slots // width), slots, padded(width, like)


def _in_tiles(link: Array) -> Array:
    """A link (B, N, N) in tiles."""
    B, N = link.shape[:2]
    tiles, width = np.zeros(_link_shape(B, N, link), link.dtype), tile_width(N)
    for tile in range(tiles.shape[1]):
        columns = link[:, :, tile * width : (tile + 1) * width]
        tiles[:, tile, :, : columns.shape[2]] = columns
    return tiles


def _out_of_tiles(tiles: Array) -> Array:
    """The link (B, N, N)."""
    B, count, N = tiles.shape[:3]
    link, width = np.empty((B, N, N), tiles.dtype), tile_width(N)
    for tile in range(count):
        columns = link[:, :, tile * width : (tile + 1) * width]
        columns[:] = tiles[:, tile, :, : columns.shape[2]]
    return link


def _put_layers(spec: Spec, hidden: Array, cell: Array, state: Any) -> None:
    """The state of every layer into arrays (B, H) of all layers side by side."""
    first = 0
    for size, layer in zip(spec.hidden_sizes, state.controller, strict=True):
        if layer:
            hidden[:, first : first + size] = layer.hidden
        if isinstance(layer, LSTMState):
            cell[:, first : first + size] = layer.cell
        first += size


def _take_layers(spec: Spec, hidden: Array, cell: Array) -> tuple[LayerState, ...]:
    """The state of every layer out of arrays (B, H) of all layers side by side."""
    layers: list[LayerState] = []
    first = 0
    for size in spec.hidden_sizes:
        units = slice(first, first + size)
        if spec.controller == "lstm":
            layers.append(LSTMState(hidden[:, units].copy(), cell[:, units].copy()))
        else:
            layers.append(RNNState(hidden[:, units].copy()) if spec.controller == "rnn" else ())
        first += size
    return tuple(layers)
