"""One step of a sparse memory: the same as access in memory.py with K slots of each weighting and K links of each slot.

Which slots these are is found without a gradient, over all N; what has a gradient is computed for them alone. Arrays of
(B, N) and (B, R, N) are made at each step, and a copy of the memory (B, N, W) and of the links (B, N, K), which torch
frees when the next step has its own. Axes: B batch, R read heads, N slots, W word, K slots kept.
"""

import torch
from torch import Tensor

from numdnc.engines.torch.memory import allocate, parse_interface, product
from numdnc.engines.torch.slots import cut, largest, rows_of, through_nonzero, with_rows
from numdnc.engines.torch.sparse_links import follow_links, update_links
from numdnc.params import DNCState, memory_state
from numdnc.spec import ACCESSED, EPSILON, DNCSpec


def access_sparse(spec: DNCSpec, xi: Tensor, before: DNCState) -> DNCState:
    """Free, allocate, write, link, read; xi (B, interface_size). The controller's state passes through unchanged."""
    interface = parse_interface(spec, xi)
    K = spec.sparsity or 0
    read_before, write_before = through_nonzero(before.read_weights), through_nonzero(before.write_weights)
    parts: dict[str, Tensor] = {}
    if spec.recency:
        slots, write_weights, parts["memory"] = _write_by_recency(interface, before, read_before, K)
    else:
        retention = product([1 - f[:, None] * w for f, w in _heads(interface["free_gates"], read_before)])
        parts["usage"] = (before.usage + write_before - before.usage * write_before) * retention
        slots, write_weights, parts["memory"] = _write_by_usage(
            spec, interface, before, read_before, retention, parts["usage"]
        )
    memory = parts["memory"]
    read_weights = look_up(
        spec, memory, interface["read_keys"], interface["read_strengths"], interface.get("read_masks")
    )
    if spec.links:
        precedence = through_nonzero(before.precedence)
        links = update_links(before.link_slots, before.link_values, precedence, slots, write_weights)
        parts["link_slots"], parts["link_values"] = links
        _, parts["precedence"] = cut((1 - write_weights.sum(1, keepdim=True)) * precedence + write_weights, K)
        forward, backward = follow_links(*links, read_before)
        to_backward, to_content, to_forward = interface["read_modes"].split(1, dim=2)
        read_weights = to_backward * backward + to_content * read_weights + to_forward * forward
    read_slots, read_weights = cut(read_weights, K)
    kept = read_weights.gather(2, read_slots)
    parts |= {"write_weights": write_weights, "read_weights": read_weights}
    parts["reads"] = (kept[..., None] * rows_of(memory, read_slots)).sum(2)
    if spec.recency:
        accessed = write_weights + read_weights.sum(1) > ACCESSED
        parts["age"] = torch.where(accessed, 0, before.age.detach() + 1)
    after: DNCState = memory_state(spec, before.controller, parts)
    return after


def look_up(spec: DNCSpec, memory: Tensor, keys: Tensor, strengths: Tensor, masks: Tensor | None) -> Tensor:
    """Weightings (B, R, N) over the K most similar slots of each key; keys (B, R, W), strengths (B, R)."""
    squares = None if masks is None else (spec.mask_floor + (1 - spec.mask_floor) * masks).square()
    with torch.no_grad():
        slots = largest(_similarity(memory, keys, squares), spec.sparsity or 0)
    weights = torch.softmax(strengths[:, :, None] * _similarity(rows_of(memory, slots), keys, squares), dim=2)
    return memory.new_zeros(*keys.shape[:2], memory.shape[1]).scatter(2, slots, weights)


def _similarity(words: Tensor, keys: Tensor, squares: Tensor | None) -> Tensor:
    """Cosine (B, R, A) of keys (B, R, W) and words, (B, A, W) or of each key (B, R, A, W), by columns or all alike."""

    def product(vectors: Tensor, matrix: Tensor) -> Tensor:
        return vectors @ matrix.mT if matrix.dim() == 3 else (matrix @ vectors[..., None])[..., 0]

    weighted = keys if squares is None else keys * squares
    lengths = product(torch.ones_like(keys) if squares is None else squares, words.square())
    key_lengths = (keys * weighted).sum(2, keepdim=True)
    return product(weighted, words) / ((lengths + EPSILON).sqrt() * (key_lengths + EPSILON).sqrt())


def _write_by_usage(
    spec: DNCSpec,
    interface: dict[str, Tensor],
    before: DNCState,
    read_before: Tensor,
    retention: Tensor,
    usage: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Slots written (B, K), write weights (B, N), memory after the write."""
    content = look_up(
        spec,
        before.memory,
        interface["write_key"][:, None],
        interface["write_strength"][:, None],
        interface.get("write_mask"),
    )[:, 0]
    gate = interface["allocation_gate"][:, None]
    slots, write_weights = cut(
        interface["write_gate"][:, None] * (gate * allocate(usage) + (1 - gate) * content), spec.sparsity or 0
    )
    memory: Tensor = before.memory
    if spec.deallocation:
        count = min(spec.memory_size, spec.read_heads * (spec.sparsity or 0))
        read = largest(read_before.sum(1), count)
        memory = with_rows(memory, read, rows_of(memory, read) * retention.gather(1, read)[..., None])
    at = write_weights.gather(1, slots)[..., None]
    rows = rows_of(memory, slots) * (1 - at * interface["erase"][:, None])
    return slots, write_weights, with_rows(memory, slots, rows + at * interface["write_vector"][:, None])


def _write_by_recency(
    interface: dict[str, Tensor], before: DNCState, read_before: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The same, to the least recently used slot or to where was read last."""
    oldest = largest(before.age, 1)
    gate = interface["allocation_gate"][:, None]
    mixed = (1 - gate) * read_before.mean(1)
    mixed = mixed.scatter_add(1, oldest, gate)
    slots, write_weights = cut(interface["write_gate"][:, None] * mixed, count)
    wiped = with_rows(before.memory, oldest, torch.zeros_like(before.memory[:, :1]))
    added = write_weights.gather(1, slots)[..., None] * interface["write_vector"][:, None]
    return slots, write_weights, with_rows(wiped, slots, rows_of(wiped, slots) + added)


def _heads(gates: Tensor, weights: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(gates.unbind(1), weights.unbind(1), strict=True))
