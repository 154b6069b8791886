"""Writing to the memory and reading from it at given weightings.

Axes: B batch, N slots, W word, R read heads, V write heads.
"""

from typing import NamedTuple

import numpy as np

from numdnc.params import Array


class WriteWeightsTape(NamedTuple):
    """Values saved for the backward pass."""

    allocation: Array
    content: Array
    allocation_gate: Array
    write_gate: Array
    mixed: Array  # (B, N), before the write gate


def write_weights(
    allocation: Array, content: Array, allocation_gate: Array, write_gate: Array
) -> tuple[Array, WriteWeightsTape]:
    """Where to write (Graves et al. 2016, "Write weighting").

        w^w = g^w (g^a a + (1 - g^a) c^w)

    allocation a and content c^w (B, N), gates (B,) in [0, 1]; the result (B, N) is >= 0 and sums to at most 1.
    """
    g = allocation_gate[:, None]
    mixed = g * allocation + (1 - g) * content
    tape = WriteWeightsTape(allocation, content, allocation_gate, write_gate, mixed)
    return write_gate[:, None] * mixed, tape


def write_weights_backward(tape: WriteWeightsTape, d_weights: Array) -> tuple[Array, Array, Array, Array]:
    """Gradients with respect to allocation, content, allocation gate and write gate."""
    d_mixed = d_weights * tape.write_gate[:, None]
    g = tape.allocation_gate[:, None]
    d_allocation_gate = (d_mixed * (tape.allocation - tape.content)).sum(axis=1)
    d_write_gate = (d_weights * tape.mixed).sum(axis=1)
    return d_mixed * g, d_mixed * (1 - g), d_allocation_gate, d_write_gate


def deallocate(memory: Array, retention: Array) -> Array:
    """Erase freed slots (Csordas and Schmidhuber 2019, the variation `deallocation`).

        M = M * psi, slot by slot

    memory (B, N, W), retention psi (B, N) in [0, 1].
    """
    return memory * retention[:, :, None]


def deallocate_backward(memory: Array, retention: Array, d_kept: Array) -> tuple[Array, Array]:
    """Gradients with respect to memory and retention; d_kept is that by the result."""
    return d_kept * retention[:, :, None], (d_kept * memory).sum(axis=2)


class WriteTape(NamedTuple):
    """Values saved for the backward pass, one array for each write head."""

    memory_before: tuple[Array, ...]
    """What the heads before have left of the memory."""
    weights: tuple[Array, ...]
    erase: tuple[Array, ...]
    vectors: tuple[Array, ...]


def write(
    memory: Array, weights: tuple[Array, ...], erase: tuple[Array, ...], vectors: tuple[Array, ...]
) -> tuple[Array, WriteTape]:
    """All heads erase, then all add, so that their order does not matter (Graves et al. 2014, "Writing"; 2016).

        M = M prod_v (1 - w_v e_v^T) + sum_v w_v v_v^T

    memory (B, N, W); of each write head weights w_v (B, N), erase e_v (B, W) in [0, 1], vector v_v (B, W).
    """
    before = []
    for at, e in zip(weights, erase, strict=True):
        before.append(memory)
        memory = memory * (1 - at[:, :, None] * e[:, None, :])
    for at, v in zip(weights, vectors, strict=True):
        memory = memory + at[:, :, None] * v[:, None, :]
    return memory, WriteTape(tuple(before), weights, erase, vectors)


def write_backward(
    tape: WriteTape, d_memory: Array
) -> tuple[Array, tuple[Array, ...], tuple[Array, ...], tuple[Array, ...]]:
    """Gradients with respect to memory before, and weights, erase and vector of each head.

    With M_v, what the heads before v have left, and its gradient D_v; after the last head that is D = dM:

        dw_v = dM v_v - (D_{v+1} M_v) e_v,   de_v = -(D_{v+1} M_v)^T w_v,   dv_v = dM^T w_v
        D_v = D_{v+1} (1 - w_v e_v^T)
    """
    d_kept, heads = d_memory, []
    for before, at, e, v in reversed(list(zip(*tape, strict=True))):
        d_erased = d_kept * before
        heads.append(
            (
                (d_memory @ v[:, :, None] - d_erased @ e[:, :, None])[:, :, 0],
                -(at[:, None, :] @ d_erased)[:, 0],
                (at[:, None, :] @ d_memory)[:, 0],
            )
        )
        d_kept = d_kept * (1 - at[:, :, None] * e[:, None, :])
    d_weights, d_erase, d_vectors = zip(*reversed(heads), strict=True)
    return d_kept, d_weights, d_erase, d_vectors


def read_weights(
    modes: Array, backward: tuple[Array, ...], content: Array, forward: tuple[Array, ...]
) -> Array:
    """Where each head reads (Graves et al. 2016, "Read weighting").

        w^r = sum_v pi[backward v] bwd_v + pi[content] c^r + sum_v pi[forward v] fwd_v

    modes (B, R, 2 V + 1) sum to 1 per head, in this order; the weightings, one of each direction for each write head,
    and the result (B, R, N) are >= 0 and sum to at most 1.
    """
    parts = np.stack([*backward, content, *forward], axis=2)
    return (modes[:, :, None, :] @ parts)[:, :, 0]


def read_weights_backward(
    modes: Array,
    backward: tuple[Array, ...],
    content: Array,
    forward: tuple[Array, ...],
    d_weights: Array,
) -> tuple[Array, tuple[Array, ...], Array, tuple[Array, ...]]:
    """Gradients with respect to modes, backward, content and forward."""
    V, parts = len(backward), np.stack([*backward, content, *forward], axis=2)
    d_modes = (parts @ d_weights[:, :, :, None])[:, :, :, 0]
    d_parts = tuple(np.moveaxis(modes[:, :, :, None] * d_weights[:, :, None, :], 2, 0))
    return d_modes, d_parts[:V], d_parts[V], d_parts[V + 1 :]


def read(memory: Array, weights: Array) -> Array:
    """r_i = M^T w^r_i; memory (B, N, W), weights (B, R, N), the result (B, R, W)."""
    return weights @ memory


def read_backward(memory: Array, weights: Array, d_reads: Array) -> tuple[Array, Array]:
    """Gradients with respect to memory and weights."""
    return weights.swapaxes(1, 2) @ d_reads, d_reads @ memory.swapaxes(1, 2)
