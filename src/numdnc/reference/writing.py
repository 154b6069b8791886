"""Where to write and writing it: by usage and content, or by recency.

Axes: B batch, R read heads, V write heads, N slots, W word. A name without `_before` is of this step.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from numdnc.params import Array, DNCState, OptionalArray
from numdnc.parts import Interface
from numdnc.reference.allocation import (
    RetentionTape,
    Turn,
    UsageTape,
    allocate_in_turn,
    allocate_in_turn_backward,
    retain,
    retain_backward,
    update_usage,
    update_usage_backward,
)
from numdnc.reference.content import ContentTape, MaskedContentTape, look_up, look_up_backward
from numdnc.reference.heads import join_heads, split_heads, stack_heads
from numdnc.reference.memory import (
    WriteTape,
    WriteWeightsTape,
    deallocate,
    deallocate_backward,
    write,
    write_backward,
    write_weights,
    write_weights_backward,
)
from numdnc.reference.recency import (
    RecencyTape,
    least_recent,
    recency_weights,
    recency_weights_backward,
    write_over,
    write_over_backward,
)
from numdnc.reference.sparse import cut, cut_backward
from numdnc.spec import DNCSpec


class Writing(NamedTuple):
    """The memory after the write, and what led to it."""

    memory: Array  # (B, N, W)
    weights: Array  # (B, N), or (B, V, N) with several heads
    usage: OptionalArray = ()  # (B, N)


class UsageWritingTape(NamedTuple):
    """Values saved for the backward pass of writing by usage."""

    retention: RetentionTape
    usage: UsageTape
    turns: tuple[Turn, ...]
    content: ContentTape | MaskedContentTape
    weights: tuple[WriteWeightsTape, ...]
    write: WriteTape
    memory_before: Array


class RecencyWritingTape(NamedTuple):
    """Values saved for the backward pass of writing by recency."""

    weights: RecencyTape
    cut: Array
    vector: Array


WritingTape = UsageWritingTape | RecencyWritingTape


class WritingGradient(NamedTuple):
    """Gradients with respect to the interface and the state before, by name."""

    interface: dict[str, Array]
    before: dict[str, Array]


def write_step(spec: DNCSpec, interface: Interface, before: DNCState) -> tuple[Writing, WritingTape]:
    """Write by recency if the model has it, else by usage."""
    return (write_by_recency if spec.recency else write_by_usage)(spec, interface, before)


def write_step_backward(spec: DNCSpec, tape: WritingTape, d_after: Writing) -> WritingGradient:
    """Gradients with respect to the interface and the state before."""
    if isinstance(tape, RecencyWritingTape):
        return write_by_recency_backward(spec, tape, d_after)
    return write_by_usage_backward(spec, tape, d_after)


def write_by_usage(spec: DNCSpec, interface: Interface, before: DNCState) -> tuple[Writing, UsageWritingTape]:
    """Free, allocate, mix with the content weightings, write (Graves et al. 2016), with one write head or several."""
    retention, retention_tape = retain(before.read_weights, interface.free_gates)
    usage, usage_tape = update_usage(before.usage, split_heads(spec, before.write_weights), retention)
    allocations, turns = allocate_in_turn(
        usage, split_heads(spec, interface.allocation_gate * interface.write_gate)
    )
    content, content_tape = look_up(
        spec,
        before.memory,
        stack_heads(spec, interface.write_key),
        stack_heads(spec, interface.write_strength),
        stack_heads(spec, interface.write_mask) if spec.masking else (),
    )
    gates = split_heads(spec, interface.allocation_gate), split_heads(spec, interface.write_gate)
    mixed, weights_tapes = zip(
        *map(write_weights, allocations, np.moveaxis(content, 1, 0), *gates), strict=True
    )
    weights = tuple(cut(each, spec.sparsity) for each in mixed)
    kept = deallocate(before.memory, retention) if spec.deallocation else before.memory
    memory, write_tape = write(
        kept, weights, split_heads(spec, interface.erase), split_heads(spec, interface.write_vector)
    )
    tape = UsageWritingTape(
        retention_tape, usage_tape, turns, content_tape, weights_tapes, write_tape, before.memory
    )
    return Writing(memory, join_heads(spec, weights), usage), tape


def write_by_usage_backward(spec: DNCSpec, tape: UsageWritingTape, d_after: Writing) -> WritingGradient:
    """Gradients with respect to the interface and the state before, in reverse order."""
    d_memory, d_written, d_erase, d_vectors = write_backward(tape.write, d_after.memory)
    d_mixed = (
        cut_backward(weights, spec.sparsity, d_weights + d)
        for weights, d_weights, d in zip(
            tape.write.weights, split_heads(spec, d_after.weights), d_written, strict=True
        )
    )
    d_allocations, d_contents, d_allocation_gates, d_write_gates = zip(
        *map(write_weights_backward, tape.weights, d_mixed), strict=True
    )
    d_memory_key, d_keys, d_strengths, d_masks = look_up_backward(
        spec, tape.content, np.stack(d_contents, axis=1)
    )
    d_usage, d_gates = allocate_in_turn_backward(tape.turns, d_allocations)
    d_usage, d_weights_before, d_retention = update_usage_backward(tape.usage, d_usage + d_after.usage)
    if spec.deallocation:
        d_memory, d_retention_kept = deallocate_backward(tape.memory_before, tape.usage.retention, d_memory)
        d_retention = d_retention + d_retention_kept
    d_read_weights, d_free_gates = retain_backward(tape.retention, d_retention)

    def joined(heads: Iterable[Array]) -> Array:
        return join_heads(spec, tuple(heads))

    d_mask: OptionalArray = joined(np.moveaxis(d_masks, 1, 0)) if spec.masking else ()
    each = list(zip(tape.weights, d_gates, d_allocation_gates, d_write_gates, strict=True))
    return WritingGradient(
        {
            "write_key": joined(np.moveaxis(d_keys, 1, 0)),
            "write_strength": joined(d_strengths.T),
            "write_mask": d_mask,
            "erase": joined(d_erase),
            "write_vector": joined(d_vectors),
            "free_gates": d_free_gates,
            "allocation_gate": joined(d + d_gate * head.write_gate for head, d_gate, d, _ in each),
            "write_gate": joined(d + d_gate * head.allocation_gate for head, d_gate, _, d in each),
        },
        {
            "memory": d_memory + d_memory_key,
            "usage": d_usage,
            "write_weights": joined(d_weights_before),
            "read_weights": d_read_weights,
        },
    )


def write_by_recency(
    spec: DNCSpec, interface: Interface, before: DNCState
) -> tuple[Writing, RecencyWritingTape]:
    """Write to the least recently used slot, which is wiped first, or to the slots read last (Rae et al. 2016)."""
    mixed, weights_tape = recency_weights(
        least_recent(before.age), before.read_weights, interface.allocation_gate, interface.write_gate
    )
    weights = cut(mixed, spec.sparsity)
    memory = write_over(before.memory, weights_tape.oldest, weights, interface.write_vector)
    return Writing(memory, weights), RecencyWritingTape(weights_tape, weights, interface.write_vector)


def write_by_recency_backward(spec: DNCSpec, tape: RecencyWritingTape, d_after: Writing) -> WritingGradient:
    """Gradients with respect to the interface and the state before, in reverse order."""
    d_memory, d_weights, d_vector = write_over_backward(
        tape.weights.oldest, tape.cut, tape.vector, d_after.memory
    )
    d_read_weights, d_allocation_gate, d_write_gate = recency_weights_backward(
        tape.weights, cut_backward(tape.cut, spec.sparsity, d_after.weights + d_weights)
    )
    return WritingGradient(
        {"write_vector": d_vector, "allocation_gate": d_allocation_gate, "write_gate": d_write_gate},
        {"memory": d_memory, "read_weights": d_read_weights},
    )
