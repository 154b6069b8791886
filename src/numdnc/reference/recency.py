"""Writing by recency, the variation `recency`: to the least recently used slot, or to where was read last.

Axes: B batch, R read heads, N slots (Rae et al. 2016, sparse access memory, "SAM").
"""

from typing import NamedTuple

import numpy as np

from numdnc.params import Array
from numdnc.spec import ACCESSED


class RecencyTape(NamedTuple):
    """Values saved for the backward pass."""

    oldest: Array
    read_before: Array  # (B, N), mean over heads
    allocation_gate: Array
    write_gate: Array
    heads: int


def least_recent(age: Array) -> Array:
    """I^U: 1 at the slot of the largest age, 0 elsewhere, ties by index; age (B, N), constant for the gradient."""
    oldest: Array = (np.arange(age.shape[1]) == age.argmax(axis=1)[:, None]).astype(age.dtype)
    return oldest


def recency_weights(
    oldest: Array, read_weights: Array, allocation_gate: Array, write_gate: Array
) -> tuple[Array, RecencyTape]:
    """Where to write, before the cut (Rae et al. 2016, eq. 5, where the gates are gamma = 1 - g^a and alpha = g^w).

        w^w = g^w (g^a I^U + (1 - g^a) mean_i w^r_i)                 w^r of the step before

    oldest I^U (B, N), read_weights (B, R, N), gates (B,) in [0, 1]; the result (B, N) is >= 0, sums to at most 1.
    """
    read_before = read_weights.mean(axis=1)
    g = allocation_gate[:, None]
    tape = RecencyTape(oldest, read_before, allocation_gate, write_gate, read_weights.shape[1])
    return write_gate[:, None] * (g * oldest + (1 - g) * read_before), tape


def recency_weights_backward(tape: RecencyTape, d_weights: Array) -> tuple[Array, Array, Array]:
    """Gradients with respect to read weights, allocation gate and write gate."""
    g, write_gate = tape.allocation_gate[:, None], tape.write_gate[:, None]
    mixed = g * tape.oldest + (1 - g) * tape.read_before
    d_mixed = d_weights * write_gate
    d_allocation_gate = (d_mixed * (tape.oldest - tape.read_before)).sum(axis=1)
    d_read = (1 - g) * d_mixed / tape.heads
    return np.repeat(d_read[:, None], tape.heads, axis=1), d_allocation_gate, (d_weights * mixed).sum(axis=1)


def write_over(memory: Array, oldest: Array, weights: Array, vector: Array) -> Array:
    """Wipe the least recently used slot, then add: M = (1 - I^U) M + w^w v^T, M (B, N, W), v (B, W)."""
    return memory * (1 - oldest[:, :, None]) + weights[:, :, None] * vector[:, None, :]


def write_over_backward(
    oldest: Array, weights: Array, vector: Array, d_memory: Array
) -> tuple[Array, Array, Array]:
    """Gradients with respect to memory before, weights and vector."""
    d_weights = (d_memory @ vector[:, :, None])[:, :, 0]
    d_vector = (weights[:, None, :] @ d_memory)[:, 0]
    return d_memory * (1 - oldest[:, :, None]), d_weights, d_vector


def update_age(age: Array, write_weights: Array, read_weights: Array) -> Array:
    """Steps since each slot was last accessed: 0 where w^w + sum_i w^r_i > 0.005, else one more; (B, N)."""
    accessed = write_weights + read_weights.sum(axis=1) > ACCESSED
    return np.where(accessed, 0, age + 1)
