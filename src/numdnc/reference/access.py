"""One step of the external memory: the paper's mechanisms in the paper's order.

Axes: B batch, R read heads, N slots, W word. A name without `_before` is of this step.
"""

from typing import Any, NamedTuple

import numpy as np

from numdnc.params import DNCState, memory_state
from numdnc.parts import Interface
from numdnc.reference.content import ContentTape, MaskedContentTape, look_up, look_up_backward
from numdnc.reference.memory import read, read_backward
from numdnc.reference.reading import Reading, ReadingTape, links_of, locate_reads, locate_reads_backward
from numdnc.reference.recency import update_age
from numdnc.reference.sparse import cut_backward
from numdnc.reference.writing import Writing, WritingTape, write_step, write_step_backward
from numdnc.spec import DNCSpec


class AccessTape(NamedTuple):
    """Values saved for the backward pass: the interface, each mechanism's tape, the state before and after the step."""

    interface: Interface
    before: DNCState
    writing: WritingTape
    read_content: ContentTape | MaskedContentTape
    reading: ReadingTape | None
    after: DNCState


def access(spec: DNCSpec, interface: Interface, before: DNCState) -> tuple[DNCState, AccessTape]:
    """Free, allocate, write, link, read. The controller's state is passed through unchanged."""
    writing, writing_tape = write_step(spec, interface, before)
    read_content, read_content_tape = look_up(
        spec, writing.memory, interface.read_keys, interface.read_strengths, interface.read_masks
    )
    reading, reading_tape = locate_reads(spec, interface, before, writing.weights, read_content)
    after = memory_state(
        spec,
        before.controller,
        {
            "memory": writing.memory,
            "usage": writing.usage,
            "precedence": reading.precedence,
            **reading.links,
            "write_weights": writing.weights,
            "read_weights": reading.weights,
            "reads": read(writing.memory, reading.weights),
        },
    )
    if spec.recency:
        after = after._replace(age=update_age(before.age, writing.weights, reading.weights))
    return after, AccessTape(interface, before, writing_tape, read_content_tape, reading_tape, after)


def access_backward(spec: DNCSpec, tape: AccessTape, d_after: DNCState) -> tuple[Interface, DNCState]:
    """Gradients with respect to the interface and the state before, in reverse order."""
    before, after = tape.before, tape.after

    d_memory, d_read_weights = read_backward(after.memory, after.read_weights, d_after.reads)
    d_memory = d_memory + d_after.memory
    d_reading = locate_reads_backward(
        spec,
        tape.reading,
        Reading(d_read_weights + d_after.read_weights, links_of(d_after), d_after.precedence),
    )
    d_memory_read, d_read_keys, d_read_strengths, d_read_masks = look_up_backward(
        spec, tape.read_content, d_reading.content
    )
    d_writing = write_step_backward(
        spec,
        tape.writing,
        Writing(d_memory + d_memory_read, d_reading.write_weights + d_after.write_weights, d_after.usage),
    )
    d_interface = Interface(
        read_keys=d_read_keys,
        read_strengths=d_read_strengths,
        read_masks=d_read_masks,
        **d_writing.interface,
        **d_reading.interface,
    )
    d_before = memory_state(
        spec,
        d_after.controller,
        {
            **d_reading.links_before,
            "precedence": d_reading.precedence_before,
            "write_weights": np.zeros_like(before.write_weights),
            **d_writing.before,
            "read_weights": d_reading.read_weights_before + d_writing.before["read_weights"],
            "reads": np.zeros_like(d_after.reads),  # the reads before enter only through the controller
        },
    )
    if spec.recency:
        d_before = d_before._replace(age=np.zeros_like(before.age))
    return d_interface, _through_nonzero(spec, before, d_before)


def _through_nonzero(spec: DNCSpec, before: DNCState, d_before: DNCState) -> DNCState:
    """No gradient passes through zeros of a sparse weighting, those of the initial state included."""
    if spec.sparsity is None:
        return d_before
    names = ("write_weights", "read_weights", *(("precedence",) if spec.links else ()))
    through: dict[str, Any] = {
        name: cut_backward(getattr(before, name), spec.sparsity, getattr(d_before, name)) for name in names
    }
    return d_before._replace(**through)
