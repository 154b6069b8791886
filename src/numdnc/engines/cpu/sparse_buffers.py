"""The arrays of a sparse memory: copying states into them and out of them.

Axes: B batch, R read heads, N slots, W word, K entries of a weighting or of a row of links.
"""

from typing import Any

import numpy as np

from numdnc.engines.cpu.kernels.sparse import copies
from numdnc.engines.cpu.kernels.sparse.types import (
    NONE,
    Recency,
    RowScratch,
    SparseGradient,
    SparseMemory,
    SparseScratch,
    SparseTape,
)
from numdnc.params import Array, LayerState, memory_state
from numdnc.spec import DNCSpec

_WEIGHTINGS = ("write_weights", "read_weights", "precedence")


def store_initial_state(spec: DNCSpec, tape: SparseTape, state: Any) -> None:
    """Copy the state that a sequence starts from into its tape."""
    now = tape.now
    copies.to_blocks(now.memory, _contiguous(state.memory))
    if not spec.masking:
        copies.find_inverse_norms(now.inverse_norms, now.memory)
    if spec.usage_writing:
        now.usage[:] = state.usage
    if spec.links:
        now.link_values[:] = state.link_values
        copies.index_links(now.link_slots, now.link_columns, _contiguous(state.link_slots), now.link_values)
    for name in _weightings(spec):
        parts = getattr(tape.state, _slots_name(name))[0], getattr(tape.state, name)[0], getattr(state, name)
        copies.find_entries(*(_rows(part) for part in parts))
    tape.reads[0] = state.reads


def store_scratch(spec: DNCSpec, scratch: SparseScratch, state: Any) -> None:
    """Set what the forward pass expects of its workspace, with the order of the slots' last accesses in it."""
    _clear_row_scratch(scratch.row)
    if spec.recency:
        _store_ages(scratch.recency, state.age)


def store_gradients(
    spec: DNCSpec, gradient: SparseGradient, tape: SparseTape, last: int, d_state: Any
) -> None:
    """Copy the gradient of the final state, and the memory as it is after the last step; `last` is its state's row."""
    for part in SparseMemory._fields:
        getattr(gradient.now, part)[:] = getattr(tape.now, part)
    _clear_row_scratch(gradient.scratch)
    row = gradient.row
    copies.to_blocks(row.memory, _contiguous(d_state.memory))
    if spec.usage_writing:
        row.usage[:] = d_state.usage
    if spec.links:
        slots, _ = _list_links(tape.now.link_slots, tape.now.link_values)
        copies.unlist_links(row.link, _contiguous(d_state.link_values), slots, tape.now.link_slots)
    for name in _weightings(spec):
        slots = getattr(tape.state, _slots_name(name))[last]
        getattr(row, name)[:] = _take(getattr(d_state, name), slots)


def final_state(
    spec: DNCSpec, tape: SparseTape, recency: Recency, steps: int, last: int, layers: tuple[LayerState, ...]
) -> Any:
    """Copy the state after the last step."""
    now, N = tape.now, spec.memory_size
    parts = {"memory": _from_blocks(now.memory, N), "reads": tape.reads[-1].copy()}
    if spec.usage_writing:
        parts["usage"] = now.usage.copy()
    if spec.recency:
        parts["age"] = (steps - recency.accessed).astype(now.memory.dtype)
    if spec.links:
        parts["link_slots"], parts["link_values"] = _list_links(now.link_slots, now.link_values)
    for name in _weightings(spec):
        parts[name] = _from_entries(
            getattr(tape.state, _slots_name(name))[last], getattr(tape.state, name)[last], N
        )
    return memory_state(spec, layers, parts)


def initial_state_gradient(
    spec: DNCSpec, tape: SparseTape, gradient: SparseGradient, reads: Array, layers: tuple[LayerState, ...]
) -> Any:
    """Copy the gradient with respect to the initial state."""
    row, N = gradient.row, spec.memory_size
    parts = {"memory": _from_blocks(row.memory, N), "reads": reads.copy()}
    if spec.usage_writing:
        parts["usage"] = row.usage.copy()
    if spec.recency:
        parts["age"] = np.zeros((len(row.memory), N), row.memory.dtype)
    if spec.links:
        _, parts["link_values"] = _list_links(gradient.now.link_slots, row.link)
        parts["link_slots"] = np.zeros_like(parts["link_values"])
    for name in _weightings(spec):
        slots, weights = getattr(tape.state, _slots_name(name))[0], getattr(tape.state, name)[0]
        parts[name] = _from_entries(slots, np.where(weights != 0, getattr(row, name), 0), N)
    return memory_state(spec, layers, parts)


def _weightings(spec: DNCSpec) -> tuple[str, ...]:
    return _WEIGHTINGS if spec.links else _WEIGHTINGS[:2]


def _slots_name(weighting: str) -> str:
    return f"{weighting.removesuffix('_weights')}_slots"


def _clear_row_scratch(row: RowScratch) -> None:
    row.place[:] = NONE
    row.weight_at[:] = 0
    row.precedence_at[:] = 0


def _from_blocks(blocks: Array, slots: int) -> Array:
    """Copy a memory (B, N, W) out of blocks."""
    memory = np.empty((len(blocks), slots, blocks.shape[2]), blocks.dtype)
    copies.from_blocks(memory, blocks)
    return memory


def _list_links(link_slots: Array, values: Array) -> tuple[Array, Array]:
    """Slots and values of each row of links by rising slot, as the state has them."""
    slots, listed = np.empty_like(values), np.empty_like(values)
    copies.list_links(slots, listed, link_slots, values)
    return slots, listed


def _store_ages(recency: Recency, age: Array) -> None:
    """Link the slots from the oldest to the newest, ties by slot."""
    N = age.shape[1]
    order = np.argsort(-age, axis=1, kind="stable")
    ends = np.full((len(age), 1), N)
    chain = np.concatenate([ends, order, ends], axis=1)
    np.put_along_axis(recency.newer, chain[:, :-1], chain[:, 1:].astype(np.int32), 1)
    np.put_along_axis(recency.older, chain[:, 1:], chain[:, :-1].astype(np.int32), 1)
    recency.accessed[:] = -age


def _from_entries(slots: Array, weights: Array, count: int) -> Array:
    """A weighting (.., N) of slots and weights (.., K)."""
    weighting = np.zeros((*slots.shape[:-1], count), weights.dtype)
    flat, at = weighting.reshape(-1, count), slots.reshape(-1, slots.shape[-1]).astype(np.intp)
    np.add.at(flat, (np.arange(len(flat))[:, None], at), weights.reshape(at.shape))
    return weighting


def _take(array: Array, slots: Array) -> Array:
    found: Array = np.take_along_axis(array, slots.astype(np.intp), -1)
    return found


def _rows(array: Array) -> Array:
    """View (.., K) as (rows, K)."""
    return _contiguous(array.reshape(-1, array.shape[-1]))


def _contiguous(array: Array) -> Array:
    return np.require(array, None, ["C", "W"])
