"""Where to write and writing it: by usage and content, or by recency.

Axes: B batch, R read heads, N slots, W word. A name without `_before` is of this step.
"""

from typing import NamedTuple

from numdnc.params import Array, DNCState, OptionalArray
from numdnc.parts import Interface
from numdnc.reference.allocation import (
    AllocationTape,
    RetentionTape,
    UsageTape,
    allocate,
    allocate_backward,
    retain,
    retain_backward,
    update_usage,
    update_usage_backward,
)
from numdnc.reference.content import ContentTape, MaskedContentTape, look_up, look_up_backward
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
    weights: Array  # (B, N)
    usage: OptionalArray = ()  # (B, N)


class UsageWritingTape(NamedTuple):
    """Values saved for the backward pass of writing by usage."""

    retention: RetentionTape
    usage: UsageTape
    allocation: AllocationTape
    content: ContentTape | MaskedContentTape
    weights: WriteWeightsTape
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
    """Free, allocate, mix with the content weighting, write (Graves et al. 2016)."""
    retention, retention_tape = retain(before.read_weights, interface.free_gates)
    usage, usage_tape = update_usage(before.usage, before.write_weights, retention)
    allocation, allocation_tape = allocate(usage)
    content, content_tape = look_up(
        spec,
        before.memory,
        interface.write_key[:, None],
        interface.write_strength[:, None],
        interface.write_mask,
    )
    mixed, weights_tape = write_weights(
        allocation, content[:, 0], interface.allocation_gate, interface.write_gate
    )
    weights = cut(mixed, spec.sparsity)
    kept = deallocate(before.memory, retention) if spec.deallocation else before.memory
    memory, write_tape = write(kept, weights, interface.erase, interface.write_vector)
    tape = UsageWritingTape(
        retention_tape, usage_tape, allocation_tape, content_tape, weights_tape, write_tape, before.memory
    )
    return Writing(memory, weights, usage), tape


def write_by_usage_backward(spec: DNCSpec, tape: UsageWritingTape, d_after: Writing) -> WritingGradient:
    """Gradients with respect to the interface and the state before, in reverse order."""
    d_memory, d_weights, d_erase, d_vector = write_backward(tape.write, d_after.memory)
    d_mixed = cut_backward(tape.write.weights, spec.sparsity, d_after.weights + d_weights)
    d_allocation, d_content, d_allocation_gate, d_write_gate = write_weights_backward(tape.weights, d_mixed)
    d_memory_key, d_key, d_strength, d_mask = look_up_backward(spec, tape.content, d_content[:, None])
    d_usage, d_weights_before, d_retention = update_usage_backward(
        tape.usage, allocate_backward(tape.allocation, d_allocation) + d_after.usage
    )
    if spec.deallocation:
        d_memory, d_retention_kept = deallocate_backward(tape.memory_before, tape.usage.retention, d_memory)
        d_retention = d_retention + d_retention_kept
    d_read_weights, d_free_gates = retain_backward(tape.retention, d_retention)
    return WritingGradient(
        {
            "write_key": d_key[:, 0],
            "write_strength": d_strength[:, 0],
            "write_mask": d_mask,
            "erase": d_erase,
            "write_vector": d_vector,
            "free_gates": d_free_gates,
            "allocation_gate": d_allocation_gate,
            "write_gate": d_write_gate,
        },
        {
            "memory": d_memory + d_memory_key,
            "usage": d_usage,
            "write_weights": d_weights_before,
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
