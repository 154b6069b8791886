"""One step of an NTM's memory: write, then read (Graves, Wayne and Danihelka 2014).

Axes: B batch, R read heads, V write heads, N slots, W word. A name without `_before` is of this step.
"""

from typing import Any, NamedTuple

import numpy as np

from numdnc.params import Array, NTMState
from numdnc.parts import NTMInterface
from numdnc.reference.addressing import AddressTape, Heads, address, address_backward
from numdnc.reference.allocation import product_of_others
from numdnc.reference.memory import read, read_backward
from numdnc.spec import NTMSpec


class NTMAccessTape(NamedTuple):
    """Values saved for the backward pass: the interface, the heads' tapes, the state before and after the step."""

    interface: NTMInterface
    before: NTMState
    writing: AddressTape
    reading: AddressTape
    after: NTMState


def access_ntm(spec: NTMSpec, interface: NTMInterface, before: NTMState) -> tuple[NTMState, NTMAccessTape]:
    """Write where the write heads attend in the memory before, read where the read heads attend in the memory written.

    The controller's state is passed through unchanged.
    """
    write_weights, writing = address(before.memory, before.write_weights, _heads(interface, "write"))
    memory = write_heads(before.memory, write_weights, interface.erase, interface.write_vectors)
    read_weights, reading = address(memory, before.read_weights, _heads(interface, "read"))
    after = NTMState(before.controller, memory, write_weights, read_weights, read(memory, read_weights))
    return after, NTMAccessTape(interface, before, writing, reading, after)


def access_ntm_backward(
    spec: NTMSpec, tape: NTMAccessTape, d_after: NTMState
) -> tuple[NTMInterface, NTMState]:
    """Gradients with respect to the interface and the state before, in reverse order."""
    interface, before, after = tape.interface, tape.before, tape.after
    d_memory, d_read_weights = read_backward(after.memory, after.read_weights, d_after.reads)
    d_memory_read, d_read_before, d_reading = address_backward(
        tape.reading, d_read_weights + d_after.read_weights
    )
    d_memory, d_write_weights, d_erase, d_vectors = write_heads_backward(
        before.memory,
        *(after.write_weights, interface.erase, interface.write_vectors),
        d_memory + d_memory_read + d_after.memory,
    )
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


def write_heads(memory: Array, weights: Array, erase: Array, vectors: Array) -> Array:
    """All heads erase, then all add, so that their order does not matter (Graves et al. 2014, "Writing").

        M = M prod_v (1 - w_v e_v^T) + sum_v w_v a_v^T

    memory (B, N, W), weights (B, V, N), erase (B, V, W) in [0, 1], vectors (B, V, W).
    """
    kept = 1 - weights[:, :, :, None] * erase[:, :, None]
    return memory * kept.prod(axis=1) + weights.swapaxes(1, 2) @ vectors  # type: ignore[no-any-return]


def write_heads_backward(
    memory: Array, weights: Array, erase: Array, vectors: Array, d_memory: Array
) -> tuple[Array, Array, Array, Array]:
    """Gradients with respect to memory before, weights, erase and vectors. With K_v = 1 - w_v e_v^T,

    dK_v = dM M_{t-1} prod_{u != v} K_u,   dw_v = dM a_v - dK_v e_v,   de_v = -dK_v^T w_v,   da_v = dM^T w_v
    """
    (B, V, N), W = weights.shape, memory.shape[2]
    kept = 1 - weights[:, :, :, None] * erase[:, :, None]
    others = product_of_others(kept.reshape(B, V, N * W)).reshape(B, V, N, W)
    d_kept = (d_memory * memory)[:, None] * others
    d_weights = vectors @ d_memory.swapaxes(1, 2) - (d_kept @ erase[:, :, :, None])[:, :, :, 0]
    d_erase = -(weights[:, :, None] @ d_kept)[:, :, 0]
    return d_memory * kept.prod(axis=1), d_weights, d_erase, weights @ d_memory


def _heads(interface: NTMInterface, kind: str) -> Heads:
    """The parts by which the read or the write heads attend."""
    return Heads(*(getattr(interface, f"{kind}_{part}") for part in Heads._fields))


def _parts(kind: str, heads: Heads) -> dict[str, Any]:
    """The same by their names in the interface."""
    return {f"{kind}_{part}": values for part, values in heads._asdict().items()}
