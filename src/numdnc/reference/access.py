"""One step of the external memory: the paper's mechanisms in the paper's order.

Axes: B batch, R read heads, N slots, W word. A name without `_before` is of this step.
"""

from typing import NamedTuple

import numpy as np

from numdnc.params import DNCState
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
    read,
    read_backward,
    write,
    write_backward,
    write_weights,
    write_weights_backward,
)
from numdnc.reference.reading import Reading, ReadingTape, locate_reads, locate_reads_backward
from numdnc.spec import DNCSpec


class AccessTape(NamedTuple):
    """Values saved for the backward pass: the interface, each mechanism's tape, the state before and after the step."""

    interface: Interface
    before: DNCState
    retention: RetentionTape
    usage: UsageTape
    allocation: AllocationTape
    write_content: ContentTape | MaskedContentTape
    write_weights: WriteWeightsTape
    write: WriteTape
    read_content: ContentTape | MaskedContentTape
    reading: ReadingTape | None
    after: DNCState


def access(spec: DNCSpec, interface: Interface, before: DNCState) -> tuple[DNCState, AccessTape]:
    """Free, allocate, write, link, read. The controller's state is passed through unchanged."""
    retention, retention_tape = retain(before.read_weights, interface.free_gates)
    usage, usage_tape = update_usage(before.usage, before.write_weights, retention)
    allocation, allocation_tape = allocate(usage)
    write_content, write_content_tape = look_up(
        spec,
        before.memory,
        interface.write_key[:, None],
        interface.write_strength[:, None],
        interface.write_mask,
    )
    weights, weights_tape = write_weights(
        allocation, write_content[:, 0], interface.allocation_gate, interface.write_gate
    )
    kept = deallocate(before.memory, retention) if spec.deallocation else before.memory
    memory, write_tape = write(kept, weights, interface.erase, interface.write_vector)
    read_content, read_content_tape = look_up(
        spec, memory, interface.read_keys, interface.read_strengths, interface.read_masks
    )
    reading, reading_tape = locate_reads(spec, interface, before, weights, read_content)
    reads = read(memory, reading.weights)
    after = DNCState(
        controller=before.controller,
        memory=memory,
        usage=usage,
        precedence=reading.precedence,
        link=reading.link,
        write_weights=weights,
        read_weights=reading.weights,
        reads=reads,
    )
    return after, AccessTape(
        interface,
        before,
        retention_tape,
        usage_tape,
        allocation_tape,
        write_content_tape,
        weights_tape,
        write_tape,
        read_content_tape,
        reading_tape,
        after,
    )


def access_backward(spec: DNCSpec, tape: AccessTape, d_after: DNCState) -> tuple[Interface, DNCState]:
    """Gradients with respect to the interface and the state before, in reverse order."""
    after = tape.after

    d_memory, d_read_weights = read_backward(after.memory, after.read_weights, d_after.reads)
    d_memory = d_memory + d_after.memory
    d_reading = locate_reads_backward(
        tape.reading, Reading(d_read_weights + d_after.read_weights, d_after.link, d_after.precedence)
    )
    d_memory_read, d_read_keys, d_read_strengths, d_read_masks = look_up_backward(
        spec, tape.read_content, d_reading.content
    )
    d_memory, d_weights_write, d_erase, d_vector = write_backward(tape.write, d_memory + d_memory_read)
    d_allocation, d_write_content, d_allocation_gate, d_write_gate = write_weights_backward(
        tape.write_weights, d_reading.write_weights + d_weights_write + d_after.write_weights
    )
    d_memory_key, d_write_key, d_write_strength, d_write_mask = look_up_backward(
        spec, tape.write_content, d_write_content[:, None]
    )
    d_usage, d_weights_before, d_retention = update_usage_backward(
        tape.usage, allocate_backward(tape.allocation, d_allocation) + d_after.usage
    )
    if spec.deallocation:
        d_memory, d_retention_kept = deallocate_backward(tape.before.memory, tape.usage.retention, d_memory)
        d_retention = d_retention + d_retention_kept
    d_read_retention, d_free_gates = retain_backward(tape.retention, d_retention)
    d_interface = Interface(
        read_keys=d_read_keys,
        read_strengths=d_read_strengths,
        write_key=d_write_key[:, 0],
        write_strength=d_write_strength[:, 0],
        erase=d_erase,
        write_vector=d_vector,
        free_gates=d_free_gates,
        allocation_gate=d_allocation_gate,
        write_gate=d_write_gate,
        write_mask=d_write_mask,
        read_masks=d_read_masks,
        **d_reading.interface,
    )
    d_before = DNCState(
        controller=d_after.controller,
        memory=d_memory + d_memory_key,
        usage=d_usage,
        precedence=d_reading.precedence_before,
        link=d_reading.link_before,
        write_weights=d_weights_before,
        read_weights=d_reading.read_weights_before + d_read_retention,
        reads=np.zeros_like(d_after.reads),  # the reads before enter only through the controller
    )
    return d_interface, d_before
