"""The arrays of a sequence: tape, gradients and scratch; copying states into them and out of them.

Axes: T steps, B batch, BE memories of a batch, H hidden, N slots, W word, R read heads, V write heads, as in
kernels/types.py.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.engines.cpu import sparse_buffers
from numdnc.engines.cpu.kernels.types import ControllerGradient, ControllerTape, Sizes
from numdnc.engines.cpu.layouts import allocate
from numdnc.engines.cpu.plans import Plan
from numdnc.params import (
    Array,
    LayerState,
    LSTMState,
    RecurrentState,
    RNNState,
    memory_state,
    state_part_shapes,
)
from numdnc.spec import Spec

_ELSEWHERE = ("link", "reads")
"""Parts of the state that are not kept with the others: the link is in tiles, reads are beside both."""

_part_shapes = lru_cache(64)(state_part_shapes)
"""Remembered: at small sizes working them out would take longer than the kernels."""


def store_initial_state(spec: Spec, tape: ControllerTape, memory: Any, state: Any) -> None:
    """Copy the state that a sequence starts from into its tape; memory: None, or the memory's tape."""
    _store_layer_states(spec, tape.hidden[0], tape.cell[0], state)
    if spec.sparsity is not None:
        sparse_buffers.store_initial_state(spec, memory, state)
    elif spec.has_memory:
        memory.reads[0] = state.reads.reshape(memory.reads.shape[1:])
        _store_memory_state(spec, memory.state, 0, state)


def allocate_scratch(spec: Spec, plan: Plan, state: Any) -> tuple[NDArray[np.int64], Any]:
    """Allocate what the forward pass needs besides the tape, with the state's link in it: see `allocate`."""
    numbers, (scratch,) = allocate(plan.scratch, plan.dtype)
    if spec.sparsity is not None:
        sparse_buffers.store_scratch(spec, scratch, state)
    elif plan.sizes.links:
        _to_tiles(scratch.link, state.link, plan.sizes.tile)
    return numbers, scratch


def allocate_gradients(
    spec: Spec, plan: Plan, tape: Any, d_state: Any
) -> tuple[NDArray[np.int64], ControllerGradient, Any]:
    """Allocate the gradients of the controller's and the memory's values, with those of the final state in them.

    tape: None, or that of the memory; without a memory its gradient is None too.
    """
    numbers, arrays = allocate(plan.gradient, plan.dtype)
    if not spec.has_memory:
        (controller,) = arrays
        _store_layer_states(spec, controller.hidden, controller.cell, d_state)
        return numbers, controller, None
    controller, memory = arrays
    _store_layer_states(spec, controller.hidden, controller.cell, d_state)
    controller.reads[:] = d_state.reads.reshape(controller.reads.shape)
    if spec.sparsity is not None:
        sparse_buffers.store_gradients(spec, memory, tape, _last_state(plan.sizes), d_state)
        return numbers, controller, memory
    _store_memory_state(spec, memory.row, ..., d_state)
    if plan.sizes.links:
        _to_tiles(memory.link, d_state.link, plan.sizes.tile)
    return numbers, controller, memory


def final_state(spec: Spec, sizes: Sizes, tape: ControllerTape, memory: Any, scratch: Any) -> Any:
    """Copy the state after the last step; memory: None, or its tape."""
    last = _last_state(sizes)
    layers = _load_layer_states(spec, tape.hidden[-1], tape.cell[last])
    if not spec.has_memory:
        return RecurrentState(layers)
    if spec.sparsity is not None:
        return sparse_buffers.final_state(spec, memory, scratch.recency, sizes.steps, last, layers)
    link = scratch.link if sizes.links else None
    return _load_state(spec, sizes, layers, memory.state, last, link, memory.reads[-1])


def initial_state_gradient(
    spec: Spec, sizes: Sizes, controller: ControllerGradient, tape: Any, memory: Any
) -> Any:
    """Copy the gradient with respect to the initial state; tape and memory: None, or the memory's tape and gradient."""
    layers = _load_layer_states(spec, controller.hidden, controller.cell)
    if not spec.has_memory:
        return RecurrentState(layers)
    reads = controller.reads.reshape(-1, spec.read_heads, spec.word_size)
    if spec.sparsity is not None:
        return sparse_buffers.initial_state_gradient(spec, tape, memory, reads, layers)
    link = memory.link if sizes.links else None
    return _load_state(spec, sizes, layers, memory.row, ..., link, reads)


def _last_state(sizes: Sizes) -> int:
    """Where the state after the last step is, of the states kept."""
    return sizes.steps % sizes.kept_states


def _store_memory_state(spec: Spec, kept: Any, at: Any, state: Any) -> None:
    """Copy a memory's state into row `at` of the arrays that are kept of it."""
    for name in _part_shapes(spec):
        if name not in _ELSEWHERE:
            array, part = getattr(kept, name)[at], getattr(state, name)
            if name == "memory":
                part = part.swapaxes(-1, -2)
            array[...] = part.reshape(array.shape)


def _load_state(
    spec: Spec,
    sizes: Sizes,
    layers: tuple[LayerState, ...],
    kept: Any,
    at: Any,
    link: Array | None,
    reads: Array,
) -> Any:
    """Copy a model's state out of row `at` of the arrays that are kept of it, the links and the reads."""
    batch = len(reads) // sizes.memories
    parts = {}
    for name, shape in _part_shapes(spec).items():
        if name == "reads":
            part = reads.copy()
        elif name == "link":
            part = _from_tiles(link, sizes.tile)
        elif name == "memory":
            part = kept.memory[at].swapaxes(1, 2).copy()
        else:
            part = getattr(kept, name)[at].copy()
        parts[name] = part.reshape(batch, *shape)
    return memory_state(spec, layers, parts)


def _to_tiles(tiles: Array, link: Array, width: int) -> None:
    """Copy links, (B, N, N) or with axes E and V, into tiles (BE, V, tiles, N, columns); the padding is 0."""
    BE, V, count, N, _ = tiles.shape
    link = link.reshape(BE, V, N, N)
    for tile in range(count):
        columns = link[..., tile * width : (tile + 1) * width]
        tiles[:, :, tile, :, : columns.shape[3]] = columns
        if columns.shape[3] < tiles.shape[4]:
            tiles[:, :, tile, :, columns.shape[3] :] = 0


def _from_tiles(tiles: Any, width: int) -> Array:
    """Copy the links (BE, V, N, N) out of tiles."""
    BE, V, count, N, _ = tiles.shape
    link = np.empty((BE, V, N, N), tiles.dtype)
    for tile in range(count):
        columns = link[..., tile * width : (tile + 1) * width]
        columns[:] = tiles[:, :, tile, :, : columns.shape[3]]
    return link


def _store_layer_states(spec: Spec, hidden: Array, cell: Array, state: Any) -> None:
    """Copy the states of all layers into arrays (B, H) that hold the layers side by side."""
    first = 0
    for size, layer in zip(spec.hidden_sizes, state.controller, strict=True):
        if layer:
            hidden[:, first : first + size] = layer.hidden
        if isinstance(layer, LSTMState):
            cell[:, first : first + size] = layer.cell
        first += size


def _load_layer_states(spec: Spec, hidden: Array, cell: Array) -> tuple[LayerState, ...]:
    """Copy the states of all layers out of arrays (B, H) that hold the layers side by side."""
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
