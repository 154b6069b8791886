"""One step of a sparse memory: the same as access in memory.py with K slots of each weighting and K links of each slot.

Which slots these are is found without a gradient, over all N; what has a gradient is computed for them alone. Arrays of
(B, N) and (B, R, N) are made at each step, and a copy of the memory (B, N, W) and of the links (B, N, K), which torch
frees when the next step has its own. Axes: B batch, R read heads, N slots, W word, K slots kept.
"""

import torch
from torch import Tensor

from numdnc.engines.torch.memory import allocate, parse_interface, product
from numdnc.engines.torch.slots import cut, entries_at, largest, rows_of, through_nonzero, with_rows
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
        used, retention, parts["usage"] = _update_usage(
            interface["free_gates"], before.usage, read_before, write_before, K
        )
        slots, write_weights, parts["memory"] = _write_by_usage(
            spec, interface, before, used, retention, parts["usage"]
        )
    memory = parts["memory"]
    content = look_up(
        spec, memory, interface["read_keys"], interface["read_strengths"], interface.get("read_masks")
    )
    if spec.links:
        precedence = through_nonzero(before.precedence)
        links = update_links(before.link_slots, before.link_values, precedence, slots, write_weights)
        parts["link_slots"], parts["link_values"] = links
        keep = 1 - write_weights.sum(1, keepdim=True)
        _, parts["precedence"] = cut(lambda p, w: keep * p + w, [precedence, write_weights], K)
        forward, backward = follow_links(*links, read_before)
        to_backward, to_content, to_forward = interface["read_modes"].split(1, dim=2)
        read_slots, read_weights = cut(
            lambda b, c, f: to_backward * b + to_content * c + to_forward * f, [backward, content, forward], K
        )
    else:
        read_slots, read_weights = cut(lambda c: c, [content], K)
    kept = entries_at(read_weights, read_slots)
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


def _update_usage(
    free_gates: Tensor, usage: Tensor, read_before: Tensor, write_before: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The slots read and written before (B, U), their retention (B, U), the usage (B, N), which changes there alone."""
    B, R, N = read_before.shape
    accessed = (read_before != 0).any(1) | (write_before != 0)
    slots = largest(accessed.to(usage.dtype), min(N, (R + 1) * count))
    read = entries_at(read_before, slots[:, None].expand(B, R, -1))
    retention = product(list((1 - free_gates[:, :, None] * read).unbind(1)))
    u, w = rows_of(usage, slots), rows_of(write_before, slots)
    return slots, retention, usage.scatter(1, slots, (u + w - u * w) * retention)


def _write_by_usage(
    spec: DNCSpec,
    interface: dict[str, Tensor],
    before: DNCState,
    used: Tensor,
    retention: Tensor,
    usage: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Slots written (B, K), write weights (B, N), memory after the write; retention (B, U) of the slots used before."""
    content = look_up(
        spec,
        before.memory,
        interface["write_key"][:, None],
        interface["write_strength"][:, None],
        interface["write_mask"][:, None] if spec.masking else None,
    )[:, 0]
    gate, write_gate = interface["allocation_gate"][:, None], interface["write_gate"][:, None]
    slots, write_weights = cut(
        lambda a, c: write_gate * (gate * a + (1 - gate) * c), [allocate(usage), content], spec.sparsity or 0
    )
    memory: Tensor = before.memory
    if spec.deallocation:
        memory = with_rows(memory, used, rows_of(memory, used) * retention[..., None])
    at = rows_of(write_weights, slots)[..., None]
    rows = rows_of(memory, slots) * (1 - at * interface["erase"][:, None])
    return slots, write_weights, with_rows(memory, slots, rows + at * interface["write_vector"][:, None])


def _write_by_recency(
    interface: dict[str, Tensor], before: DNCState, read_before: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The same, to the least recently used slot or to where was read last."""
    oldest = largest(before.age, 1)
    gate, write_gate = interface["allocation_gate"][:, None], interface["write_gate"][:, None]
    at_oldest = torch.zeros_like(before.age).scatter(1, oldest, 1)
    slots, write_weights = cut(
        lambda o, r: write_gate * (gate * o + (1 - gate) * r), [at_oldest, read_before.mean(1)], count
    )
    wiped = with_rows(before.memory, oldest, torch.zeros_like(before.memory[:, :1]))
    added = rows_of(write_weights, slots)[..., None] * interface["write_vector"][:, None]
    return slots, write_weights, with_rows(wiped, slots, rows_of(wiped, slots) + added)
