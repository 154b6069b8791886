"""Arrays for a sequence: parameters, tape, gradients, scratch; states put in and taken out.

Axes: T steps, B batch, H hidden, N slots, W word, R read heads, as in kernels/types.py.
"""

from typing import Any

import numpy as np

from numdnc.engines.cpu.kernels.types import (
    ControllerGradient,
    ControllerTape,
    MemoryGradient,
    MemoryTape,
    Scratch,
    Sizes,
)
from numdnc.engines.cpu.memory_pool import empty_block
from numdnc.engines.cpu.plans import Layout, Plan
from numdnc.params import Array, DNCState, LayerState, LSTMState, RecurrentState, RNNState
from numdnc.spec import DNCSpec, Spec

_MEMORY_STATE = ("usage", "write_weights", "read_weights", "reads")
_LINK_STATE = ("precedence",)


def allocate(layout: Layout, dtype: np.dtype[Any]) -> list[Any]:
    """The kinds of a layout, all in one block, numbers unset; fields that are given by others are None."""
    block = empty_block(layout.numbers, dtype)
    return [
        kind(*[field and np.ndarray(field[0], field[1], block, field[2]) for field in fields])
        for kind, fields in layout.kinds
    ]


def store_initial_state(spec: Spec, tape: ControllerTape, memory: MemoryTape | None, state: Any) -> None:
    """The state that a sequence starts from, into its tape."""
    _store_layer_states(spec, tape.hidden[0], tape.cell[0], state)
    if memory is not None:
        memory.memory[0] = state.memory.swapaxes(1, 2)
        for name in _MEMORY_STATE:
            getattr(memory, name)[0] = getattr(state, name)
        if memory.precedence.size:
            memory.precedence[0] = state.precedence


def allocate_scratch(plan: Plan, state: Any) -> Scratch:
    """What the forward pass works with, beside the tape; the link is that of the state."""
    scratch: Scratch
    (scratch,) = allocate(plan.scratch, plan.dtype)
    if plan.sizes.links:
        _to_tiles(scratch.link, state.link, plan.sizes.tile)
    return scratch


def allocate_gradients(
    spec: Spec, plan: Plan, d_state: Any
) -> tuple[ControllerGradient, MemoryGradient | None]:
    """Gradients by the controller's and the memory's values, with those by the final state."""
    controller, *rest = allocate(plan.gradient, plan.dtype)
    _store_layer_states(spec, controller.hidden, controller.cell, d_state)
    if not rest:
        return controller, None
    (memory,) = rest
    controller.reads[:] = d_state.reads.reshape(controller.reads.shape)
    memory.memory[:] = d_state.memory.swapaxes(1, 2)
    for name in ("usage", "write_weights", "read_weights"):
        getattr(memory, name)[:] = getattr(d_state, name)
    if plan.sizes.links:
        memory.precedence[:] = d_state.precedence
        _to_tiles(memory.link, d_state.link, plan.sizes.tile)
    return controller, memory


def final_state(
    spec: Spec, sizes: Sizes, tape: ControllerTape, memory: MemoryTape | None, link: Array | None
) -> Any:
    """The state after the last step, in arrays of its own."""
    last = sizes.steps % sizes.kept_states
    layers = _load_layer_states(spec, tape.hidden[-1], tape.cell[last])
    if memory is None or not isinstance(spec, DNCSpec):
        return RecurrentState(layers)
    return DNCState(
        layers,
        memory=memory.memory[last].swapaxes(1, 2).copy(),
        usage=memory.usage[last].copy(),
        precedence=memory.precedence[last].copy() if spec.links else (),
        link=_from_tiles(link, sizes.tile) if link is not None and spec.links else (),
        write_weights=memory.write_weights[last].copy(),
        read_weights=memory.read_weights[last].copy(),
        reads=memory.reads[-1].copy(),
    )


def initial_state_gradient(
    spec: Spec, sizes: Sizes, controller: ControllerGradient, memory: MemoryGradient | None
) -> Any:
    """The gradient by the state before the first step, in arrays of its own."""
    layers = _load_layer_states(spec, controller.hidden, controller.cell)
    if memory is None or not isinstance(spec, DNCSpec):
        return RecurrentState(layers)
    return DNCState(
        layers,
        memory=memory.memory.swapaxes(1, 2).copy(),
        usage=memory.usage.copy(),
        precedence=memory.precedence.copy() if spec.links else (),
        link=_from_tiles(memory.link, sizes.tile) if spec.links else (),
        write_weights=memory.write_weights.copy(),
        read_weights=memory.read_weights.copy(),
        reads=controller.reads.reshape(-1, spec.read_heads, spec.word_size).copy(),
    )


def _to_tiles(tiles: Array, link: Array, width: int) -> None:
    """A link (B, N, N) into tiles (B, tiles, N, columns) of this width; what is not of the link is 0."""
    for tile in range(tiles.shape[1]):
        columns = link[:, :, tile * width : (tile + 1) * width]
        tiles[:, tile, :, : columns.shape[2]] = columns
        tiles[:, tile, :, columns.shape[2] :] = 0


def _from_tiles(tiles: Array, width: int) -> Array:
    """The link (B, N, N)."""
    B, count, N = tiles.shape[:3]
    link = np.empty((B, N, N), tiles.dtype)
    for tile in range(count):
        columns = link[:, :, tile * width : (tile + 1) * width]
        columns[:] = tiles[:, tile, :, : columns.shape[2]]
    return link


def _store_layer_states(spec: Spec, hidden: Array, cell: Array, state: Any) -> None:
    """The state of every layer into arrays (B, H) of all layers side by side."""
    first = 0
    for size, layer in zip(spec.hidden_sizes, state.controller, strict=True):
        if layer:
            hidden[:, first : first + size] = layer.hidden
        if isinstance(layer, LSTMState):
            cell[:, first : first + size] = layer.cell
        first += size


def _load_layer_states(spec: Spec, hidden: Array, cell: Array) -> tuple[LayerState, ...]:
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
