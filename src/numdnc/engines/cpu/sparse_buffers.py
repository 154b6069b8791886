"""The arrays of a sparse memory: copying states into them and out of them.

Axes: B batch, R read heads, N slots, W word, K entries of a weighting or of a row of links, as in kernels/sparse/types.py.
"""

from typing import Any

import numpy as np

from numdnc.engines.cpu.kernels.sparse.types import (
    LANES,
    NONE,
    Recency,
    RowScratch,
    SparseGradient,
    SparseMemory,
    SparseScratch,
    SparseTape,
)
from numdnc.params import Array, LayerState, memory_state
from numdnc.spec import EPSILON, DNCSpec

_WEIGHTINGS = ("write_weights", "read_weights", "precedence")


def store_initial_state(spec: DNCSpec, tape: SparseTape, state: Any) -> None:
    """Copy the state that a sequence starts from into its tape."""
    now = tape.now
    _to_blocks(now.memory, state.memory)
    if not spec.masking:
        _store_inverse_norms(now)
    if spec.usage_writing:
        now.usage[:] = state.usage
    if spec.links:
        _store_links(now, state.link_slots, state.link_values)
    for name in _weightings(spec):
        slots = getattr(tape.state, _slots_name(name))[0]
        _to_entries(slots, getattr(tape.state, name)[0], getattr(state, name))
    tape.reads[0] = state.reads


def store_scratch(spec: DNCSpec, scratch: SparseScratch, state: Any) -> None:
    """Set what the forward pass expects of its workspace, with the order of the slots' last accesses in it."""
    _clear_row_scratch(scratch.row)
    if spec.recency:
        _store_ages(scratch.recency, state.age)


def store_gradients(spec: DNCSpec, gradient: SparseGradient, tape: SparseTape, last: int, d_state: Any) -> None:
    """Copy the gradient of the final state, and the memory as it is after the last step; `last` is its state's row."""
    for copy, kept in zip(gradient.now, tape.now, strict=True):
        copy[:] = kept
    _clear_row_scratch(gradient.scratch)
    row = gradient.row
    _to_blocks(row.memory, d_state.memory)
    if spec.usage_writing:
        row.usage[:] = d_state.usage
    if spec.links:
        slots, order = _listed(tape.now.link_slots)
        d_values = np.where(_take(tape.now.link_values, order) != 0, d_state.link_values, 0)
        np.put_along_axis(row.link, order, d_values, 2)
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
        slots, order = _listed(now.link_slots)
        parts["link_slots"], parts["link_values"] = slots.astype(now.memory.dtype), _take(now.link_values, order)
    for name in _weightings(spec):
        parts[name] = _from_entries(
            getattr(tape.state, _slots_name(name))[last], getattr(tape.state, name)[last], N
        )
    return memory_state(layers, parts)


def initial_state_gradient(
    spec: DNCSpec, tape: SparseTape, gradient: SparseGradient, reads: Array, layers: tuple[LayerState, ...]
) -> Any:
    """Copy the gradient with respect to the initial state."""
    row, N = gradient.row, spec.memory_size
    parts = {"memory": _from_blocks(row.memory, N), "reads": reads.copy()}
    if spec.usage_writing:
        parts["usage"] = row.usage.copy()
    if spec.recency:
        parts["age"] = np.zeros(row.memory.shape[:1] + (N,), row.memory.dtype)
    if spec.links:
        _, order = _listed(gradient.now.link_slots)
        parts["link_values"] = _take(row.link, order)
        parts["link_slots"] = np.zeros_like(parts["link_values"])
    for name in _weightings(spec):
        slots, weights = getattr(tape.state, _slots_name(name))[0], getattr(tape.state, name)[0]
        parts[name] = _from_entries(slots, np.where(weights != 0, getattr(row, name), 0), N)
    return memory_state(layers, parts)


def _weightings(spec: DNCSpec) -> tuple[str, ...]:
    return _WEIGHTINGS if spec.links else _WEIGHTINGS[:2]


def _slots_name(weighting: str) -> str:
    return f"{weighting.removesuffix('_weights')}_slots"


def _clear_row_scratch(row: RowScratch) -> None:
    row.place[:] = NONE
    row.weight_at[:] = 0
    row.precedence_at[:] = 0


def _to_blocks(blocks: Array, memory: Array) -> None:
    """Copy a memory (B, N, W) into blocks (B, blocks, W, LANES); the padding is 0."""
    (B, N, W), whole = memory.shape, memory.shape[1] // LANES
    blocks[:, :whole] = memory[:, : whole * LANES].reshape(B, whole, LANES, W).swapaxes(2, 3)
    if whole < blocks.shape[1]:
        blocks[:, whole] = 0
        blocks[:, whole, :, : N - whole * LANES] = memory[:, whole * LANES :].swapaxes(1, 2)


def _from_blocks(blocks: Array, slots: int) -> Array:
    """Copy a memory (B, N, W) out of blocks."""
    B, count, W, _ = blocks.shape
    whole: Array = np.ascontiguousarray(blocks.swapaxes(2, 3)).reshape(B, count * LANES, W)
    return whole if count * LANES == slots else whole[:, :slots].copy()


def _store_inverse_norms(now: SparseMemory) -> None:
    B, slots = now.inverse_norms.shape
    squares = np.einsum("bcwl,bcwl->bcl", now.memory, now.memory)
    now.inverse_norms[:] = (1 / np.sqrt(squares + squares.dtype.type(EPSILON))).reshape(B, slots)


def _store_links(now: SparseMemory, slots: Array, values: Array) -> None:
    """Copy lists of links, and list the links of each column by their positions."""
    B, N, K = slots.shape
    now.link_slots[:] = np.where(values != 0, slots, NONE)
    now.link_values[:] = values
    now.link_columns[:] = NONE
    for b in range(B):
        rows, k = np.nonzero(values[b])
        columns = slots[b, rows, k].astype(np.intp)
        order = np.argsort(columns, kind="stable")
        columns, positions = columns[order], (rows * K + k)[order]
        entry = np.arange(len(columns)) - np.searchsorted(columns, columns)
        now.link_columns[b, columns, entry] = positions


def _listed(link_slots: Array) -> tuple[Array, Array]:
    """Slots of each row of links in rising order, 0 for none at the end; and the positions that they were in."""
    N = link_slots.shape[1]
    order = np.argsort(np.where(link_slots == NONE, N, link_slots), axis=2, kind="stable")
    slots = _take(link_slots, order)
    return np.where(slots == NONE, 0, slots), order


def _store_ages(recency: Recency, age: Array) -> None:
    """Link the slots from the oldest to the newest, ties by slot."""
    N = age.shape[1]
    order = np.argsort(-age, axis=1, kind="stable")
    ends = np.full((len(age), 1), N)
    chain = np.concatenate([ends, order, ends], axis=1)
    np.put_along_axis(recency.newer, chain[:, :-1], chain[:, 1:].astype(np.int32), 1)
    np.put_along_axis(recency.older, chain[:, 1:], chain[:, :-1].astype(np.int32), 1)
    recency.accessed[:] = -age


def _to_entries(slots: Array, weights: Array, weighting: Array) -> None:
    """Copy the entries of a weighting (.., N) that are not 0 into slots and weights (.., K)."""
    K = slots.shape[-1]
    order = np.argsort(weighting == 0, axis=-1, kind="stable")[..., :K]
    weights[:] = _take(weighting, order)
    slots[:] = order


def _from_entries(slots: Array, weights: Array, count: int) -> Array:
    """A weighting (.., N) of slots and weights (.., K)."""
    weighting = np.zeros((*slots.shape[:-1], count), weights.dtype)
    flat, at = weighting.reshape(-1, count), slots.reshape(-1, slots.shape[-1])
    np.add.at(flat, (np.arange(len(flat))[:, None], at), weights.reshape(at.shape))
    return weighting


def _take(array: Array, order: Array) -> Array:
    found: Array = np.take_along_axis(array, order.astype(np.intp), -1)
    return found
