"""Writing to the memory and reading from it at given weightings.

Axes: B batch, N slots, W word, R read heads.
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
    """Values saved for the backward pass."""

    memory_before: Array
    weights: Array
    erase: Array
    vector: Array


def write(memory: Array, weights: Array, erase: Array, vector: Array) -> tuple[Array, WriteTape]:
    """Erase, then add (Graves et al. 2016, "Reading and writing to memory").

        M = M (1 - w^w e^T) + w^w v^T

    memory (B, N, W), weights (B, N), erase (B, W) in [0, 1], vector (B, W).
    """
    at = weights[:, :, None]
    written = memory * (1 - at * erase[:, None, :]) + at * vector[:, None, :]
    return written, WriteTape(memory, weights, erase, vector)


def write_backward(tape: WriteTape, d_memory: Array) -> tuple[Array, Array, Array, Array]:
    """Gradients with respect to memory before, weights, erase and vector."""
    at = tape.weights[:, :, None]
    erased = d_memory * tape.memory_before
    d_weights = (d_memory @ tape.vector[:, :, None] - erased @ tape.erase[:, :, None])[:, :, 0]
    d_erase = -(tape.weights[:, None, :] @ erased)[:, 0]
    d_vector = (tape.weights[:, None, :] @ d_memory)[:, 0]
    return d_memory * (1 - at * tape.erase[:, None, :]), d_weights, d_erase, d_vector


def read_weights(modes: Array, backward: Array, content: Array, forward: Array) -> Array:
    """Where each head reads (Graves et al. 2016, "Read weighting").

        w^r = pi[backward] bwd + pi[content] c^r + pi[forward] fwd

    modes (B, R, 3) sum to 1 per head; the weightings and the result (B, R, N) are >= 0 and sum to at most 1.
    """
    parts = np.stack([backward, content, forward], axis=2)
    return (modes[:, :, None, :] @ parts)[:, :, 0]


def read_weights_backward(
    modes: Array, backward: Array, content: Array, forward: Array, d_weights: Array
) -> tuple[Array, Array, Array, Array]:
    """Gradients with respect to modes, backward, content and forward."""
    parts = np.stack([backward, content, forward], axis=2)
    d_modes = (parts @ d_weights[:, :, :, None])[:, :, :, 0]
    d_backward, d_content, d_forward = np.moveaxis(modes[:, :, :, None] * d_weights[:, :, None, :], 2, 0)
    return d_modes, d_backward, d_content, d_forward


def read(memory: Array, weights: Array) -> Array:
    """r_i = M^T w^r_i; memory (B, N, W), weights (B, R, N), the result (B, R, W)."""
    return weights @ memory


def read_backward(memory: Array, weights: Array, d_reads: Array) -> tuple[Array, Array]:
    """Gradients with respect to memory and weights."""
    return weights.swapaxes(1, 2) @ d_reads, d_reads @ memory.swapaxes(1, 2)
