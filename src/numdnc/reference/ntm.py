"""One step of an NTM's memory: write, then read (Graves, Wayne and Danihelka 2014).

Axes: B batch, R read heads, V write heads, N slots, W word. A name without `_before` is of this step.
"""

from typing import Any, NamedTuple

import numpy as np

from numdnc.params import Array, NTMState
from numdnc.parts import NTMInterface
from numdnc.reference.addressing import AddressTape, Heads, address, address_backward
from numdnc.reference.memory import WriteTape, read, read_backward, write, write_backward
from numdnc.spec import NTMSpec


class NTMAccessTape(NamedTuple):
    """Values saved for the backward pass: the interface, the heads' tapes, the state before and after the step."""

    interface: NTMInterface
    before: NTMState
    writing: AddressTape
    write: WriteTape
    reading: AddressTape
    after: NTMState


def access_ntm(spec: NTMSpec, interface: NTMInterface, before: NTMState) -> tuple[NTMState, NTMAccessTape]:
    """Write where the write heads attend in the memory before, read where the read heads attend in the memory written.

    The controller's state is passed through unchanged.
    """
    write_weights, writing = address(before.memory, before.write_weights, _heads(interface, "write"))
    memory, write_tape = write(
        before.memory, *map(_by_head, (write_weights, interface.erase, interface.write_vectors))
    )
    read_weights, reading = address(memory, before.read_weights, _heads(interface, "read"))
    after = NTMState(before.controller, memory, write_weights, read_weights, read(memory, read_weights))
    return after, NTMAccessTape(interface, before, writing, write_tape, reading, after)


def access_ntm_backward(
    spec: NTMSpec, tape: NTMAccessTape, d_after: NTMState
) -> tuple[NTMInterface, NTMState]:
    """Gradients with respect to the interface and the state before, in reverse order."""
    after = tape.after
    d_memory, d_read_weights = read_backward(after.memory, after.read_weights, d_after.reads)
    d_memory_read, d_read_before, d_reading = address_backward(
        tape.reading, d_read_weights + d_after.read_weights
    )
    d_memory, *d_write = write_backward(tape.write, d_memory + d_memory_read + d_after.memory)
    d_write_weights, d_erase, d_vectors = (np.stack(heads, axis=1) for heads in d_write)
    d_memory_write, d_write_before, d_writing = address_backward(
        tape.writing, d_write_weights + d_after.write_weights
    )
    d_heads = _parts("read", d_reading) | _parts("write", d_writing)
    d_before = NTMState(
        controller=d_after.controller,
        memory=d_memory + d_memory_write,
        write_weights=d_write_before,
        read_weights=d_read_before,
        reads=np.zeros_like(d_after.reads),  # the reads before enter only through the controller
    )
    return NTMInterface(erase=d_erase, write_vectors=d_vectors, **d_heads), d_before


def _by_head(part: Array) -> tuple[Array, ...]:
    """The arrays (B, ..) of the heads of (B, V, ..)."""
    return tuple(np.moveaxis(part, 1, 0))


def _heads(interface: NTMInterface, kind: str) -> Heads:
    """The parts by which the read or the write heads attend."""
    return Heads(*(getattr(interface, f"{kind}_{part}") for part in Heads._fields))


def _parts(kind: str, heads: Heads) -> dict[str, Any]:
    """The same by their names in the interface."""
    return {f"{kind}_{part}": values for part, values in heads._asdict().items()}
