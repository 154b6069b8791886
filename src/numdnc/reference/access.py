"""One step of the external memory: the paper's mechanisms in the paper's order.

Axes: B batch, R read heads, N slots, W word. A name without `_before` is of this step.
"""

from typing import NamedTuple

import numpy as np

from numdnc.params import Array, DNCState
from numdnc.reference.allocation import (
    AllocationTape,
    UsageTape,
    allocate,
    allocate_backward,
    update_usage,
    update_usage_backward,
)
from numdnc.reference.content import ContentTape, content_weights, content_weights_backward
from numdnc.reference.interface import Interface
from numdnc.reference.linkage import (
    LinkTape,
    directional_weights,
    directional_weights_backward,
    update_link,
    update_link_backward,
    update_precedence,
    update_precedence_backward,
)
from numdnc.reference.memory import (
    WriteTape,
    WriteWeightsTape,
    read,
    read_backward,
    read_weights,
    read_weights_backward,
    write,
    write_backward,
    write_weights,
    write_weights_backward,
)


class AccessTape(NamedTuple):
    """What the backward pass needs: the interface, each mechanism's tape, and the state after the step."""

    interface: Interface
    usage: UsageTape
    allocation: AllocationTape
    write_content: ContentTape
    write_weights: WriteWeightsTape
    write: WriteTape
    link: LinkTape
    forward: Array
    backward: Array
    read_content: ContentTape
    after: DNCState


def access(interface: Interface, before: DNCState) -> tuple[DNCState, AccessTape]:
    """Free, allocate, write, link, read. The controller's part of the state passes through unchanged."""
    usage, usage_tape = update_usage(
        before.usage, before.write_weights, before.read_weights, interface.free_gates
    )
    allocation, allocation_tape = allocate(usage)
    write_content, write_content_tape = content_weights(
        before.memory, interface.write_key[:, None], interface.write_strength[:, None]
    )
    weights, weights_tape = write_weights(
        allocation, write_content[:, 0], interface.allocation_gate, interface.write_gate
    )
    memory, write_tape = write(before.memory, weights, interface.erase, interface.write_vector)
    link, link_tape = update_link(before.link, before.precedence, weights)
    precedence = update_precedence(before.precedence, weights)
    forward, backward = directional_weights(link, before.read_weights)
    read_content, read_content_tape = content_weights(memory, interface.read_keys, interface.read_strengths)
    reading = read_weights(interface.read_modes, backward, read_content, forward)
    reads = read(memory, reading)
    after = DNCState(before.controller, memory, usage, precedence, link, weights, reading, reads)
    return after, AccessTape(
        interface,
        usage_tape,
        allocation_tape,
        write_content_tape,
        weights_tape,
        write_tape,
        link_tape,
        forward,
        backward,
        read_content_tape,
        after,
    )


def access_backward(tape: AccessTape, d_after: DNCState) -> tuple[Interface, DNCState]:
    """Gradients by the interface and by the state before, in the reverse of the order above."""
    interface, after = tape.interface, tape.after
    weights, read_before = after.write_weights, tape.usage.read_weights

    d_memory, d_reading = read_backward(after.memory, after.read_weights, d_after.reads)
    d_memory = d_memory + d_after.memory
    d_modes, d_backward, d_read_content, d_forward = read_weights_backward(
        interface.read_modes,
        tape.backward,
        tape.read_content.weights,
        tape.forward,
        d_reading + d_after.read_weights,
    )
    d_memory_read, d_read_keys, d_read_strengths = content_weights_backward(tape.read_content, d_read_content)
    d_link, d_read_before = directional_weights_backward(after.link, read_before, d_forward, d_backward)
    d_precedence, d_weights = update_precedence_backward(
        tape.link.precedence_before, weights, d_after.precedence
    )
    d_link, d_precedence_link, d_weights_link = update_link_backward(tape.link, d_link + d_after.link)
    d_memory, d_weights_write, d_erase, d_vector = write_backward(tape.write, d_memory + d_memory_read)
    d_allocation, d_write_content, d_allocation_gate, d_write_gate = write_weights_backward(
        tape.write_weights, d_weights + d_weights_link + d_weights_write + d_after.write_weights
    )
    d_memory_key, d_write_key, d_write_strength = content_weights_backward(
        tape.write_content, d_write_content[:, None]
    )
    d_usage, d_weights_before, d_read_usage, d_free_gates = update_usage_backward(
        tape.usage, allocate_backward(tape.allocation, d_allocation) + d_after.usage
    )
    d_interface = Interface(
        d_read_keys,
        d_read_strengths,
        d_write_key[:, 0],
        d_write_strength[:, 0],
        d_erase,
        d_vector,
        d_free_gates,
        d_allocation_gate,
        d_write_gate,
        d_modes,
    )
    d_before = DNCState(
        d_after.controller,
        d_memory + d_memory_key,
        d_usage,
        d_precedence + d_precedence_link,
        d_link,
        d_weights_before,
        d_read_before + d_read_usage,
        np.zeros_like(d_after.reads),  # the reads before enter only through the controller
    )
    return d_interface, d_before
