"""The arrays of a sequence: tape, gradients and scratch; copying states into them and out of them.

Axes: T steps, B batch, BE memories of a batch, H hidden, N slots, W word, R read heads, V write heads, as in
kernels/types.py.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from numdnc.engines.cpu import sparse_buffers
from numdnc.engines.cpu.kernels.sparse.types import SparseGradient, SparseScratch, SparseTape
from numdnc.engines.cpu.kernels.types import (
    ControllerGradient,
    ControllerTape,
    MemoryGradient,
    MemoryTape,
    NTMGradient,
    NTMTape,
    Scratch,
    Sizes,
)
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
from numdnc.spec import DNCSpec, MemorySpec, Spec

_REARRANGED = ("memory", "link", "reads")
"""Parts of the state that kernels keep in another way: the memory by columns, the link in tiles, reads beside both."""

_part_shapes = lru_cache(64)(state_part_shapes)
"""Remembered: at small sizes working them out would take longer than the kernels."""


def store_initial_state(
    spec: Spec, tape: ControllerTape, memory: MemoryTape | SparseTape | NTMTape | None, state: Any
) -> None:
    """Copy the state that a sequence starts from into its tape."""
    _store_layer_states(spec, tape.hidden[0], tape.cell[0], state)
    if isinstance(memory, SparseTape) and isinstance(spec, DNCSpec):
        sparse_buffers.store_initial_state(spec, memory, state)
    elif memory is not None:
        memory.reads[0] = state.reads.reshape(memory.reads[0].shape)
        _store_memory_state(_state_arrays(spec, memory.state, 0), state)


def allocate_scratch(spec: Spec, plan: Plan, state: Any) -> Scratch | SparseScratch:
    """Allocate what the forward pass needs besides the tape, with the state's link in it."""
    scratch: Scratch | SparseScratch
    (scratch,) = allocate(plan.scratch, plan.dtype)
    if isinstance(scratch, SparseScratch) and isinstance(spec, DNCSpec):
        sparse_buffers.store_scratch(spec, scratch, state)
    elif isinstance(scratch, Scratch) and plan.sizes.links:
        _to_tiles(scratch.link, state.link, plan.sizes.tile)
    return scratch


def allocate_gradients(
    spec: Spec, plan: Plan, tape: MemoryTape | SparseTape | NTMTape | None, d_state: Any
) -> tuple[ControllerGradient, MemoryGradient | SparseGradient | NTMGradient | None]:
    """Allocate the gradients of the controller's and the memory's values, with those of the final state in them."""
    controller, *rest = allocate(plan.gradient, plan.dtype)
    _store_layer_states(spec, controller.hidden, controller.cell, d_state)
    if not rest:
        return controller, None
    (memory,) = rest
    controller.reads[:] = d_state.reads.reshape(controller.reads.shape)
    if isinstance(tape, SparseTape) and isinstance(spec, DNCSpec):
        sparse_buffers.store_gradients(spec, memory, tape, _last_state(plan.sizes), d_state)
        return controller, memory
    _store_memory_state(_state_arrays(spec, memory.row, ...), d_state)
    if plan.sizes.links:
        _to_tiles(memory.link, d_state.link, plan.sizes.tile)
    return controller, memory


def final_state(
    spec: Spec,
    sizes: Sizes,
    tape: ControllerTape,
    memory: MemoryTape | SparseTape | NTMTape | None,
    scratch: Scratch | SparseScratch,
) -> Any:
    """Copy the state after the last step."""
    last = _last_state(sizes)
    layers = _load_layer_states(spec, tape.hidden[-1], tape.cell[last])
    if memory is None or not spec.has_memory:
        return RecurrentState(layers)
    if isinstance(memory, SparseTape) and isinstance(scratch, SparseScratch) and isinstance(spec, DNCSpec):
        return sparse_buffers.final_state(spec, memory, scratch.recency, sizes.steps, last, layers)
    link = scratch.link if isinstance(scratch, Scratch) else None
    return _load_state(spec, sizes, layers, _state_arrays(spec, memory.state, last), link, memory.reads[-1])


def initial_state_gradient(
    spec: Spec,
    sizes: Sizes,
    controller: ControllerGradient,
    tape: MemoryTape | SparseTape | NTMTape | None,
    memory: MemoryGradient | SparseGradient | NTMGradient | None,
) -> Any:
    """Copy the gradient with respect to the initial state."""
    layers = _load_layer_states(spec, controller.hidden, controller.cell)
    if memory is None or not spec.has_memory:
        return RecurrentState(layers)
    reads = controller.reads.reshape(-1, spec.read_heads, spec.word_size)
    if isinstance(memory, SparseGradient) and isinstance(tape, SparseTape) and isinstance(spec, DNCSpec):
        return sparse_buffers.initial_state_gradient(spec, tape, memory, reads, layers)
    link = memory.link if isinstance(memory, MemoryGradient) else None
    return _load_state(spec, sizes, layers, _state_arrays(spec, memory.row, ...), link, reads)


def _last_state(sizes: Sizes) -> int:
    """Where the state after the last step is, of the states kept."""
    return sizes.steps % sizes.kept_states


def _state_arrays(spec: Spec, kept: Any, at: Any) -> dict[str, Array]:
    """Arrays of one step, from `kept`, for the parts of the state that are not in tiles or on a tape of their own."""
    names = ("memory", *(name for name in _part_shapes(spec) if name not in _REARRANGED))
    return {name: getattr(kept, name)[at] for name in names}


def _store_memory_state(arrays: dict[str, Array], state: Any) -> None:
    """Copy a memory's state into arrays of one step."""
    for name, array in arrays.items():
        part = state.memory.swapaxes(-1, -2) if name == "memory" else getattr(state, name)
        array[:] = part.reshape(array.shape)


def _load_state(
    spec: MemorySpec,
    sizes: Sizes,
    layers: tuple[LayerState, ...],
    arrays: dict[str, Array],
    link: Array | None,
    reads: Array,
) -> Any:
    """Copy a model's state out of arrays of one step."""
    found = {name: array.copy() for name, array in arrays.items()}
    found |= {"memory": arrays["memory"].swapaxes(1, 2).copy(), "reads": reads.copy()}
    if link is not None and spec.links:
        found["link"] = _from_tiles(link, sizes.tile)
    shapes = _part_shapes(spec)
    batch = len(reads) // spec.memories
    parts = {name: part.reshape(batch, *shapes[name]) for name, part in found.items()}
    return memory_state(spec, layers, parts)


def _to_tiles(tiles: Array, link: Array, width: int) -> None:
    """Copy links, (B, N, N) or with axes E and V, into tiles (BE, V, tiles, N, columns); the padding is 0."""
    BE, V, count, N, _ = tiles.shape
    link = link.reshape(BE, V, N, N)
    for tile in range(count):
        columns = link[..., tile * width : (tile + 1) * width]
        tiles[:, :, tile, :, : columns.shape[3]] = columns
        tiles[:, :, tile, :, columns.shape[3] :] = 0


def _from_tiles(tiles: Array, width: int) -> Array:
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
