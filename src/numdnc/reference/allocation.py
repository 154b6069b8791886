"""Dynamic allocation: which slots are in use, and which free one to write next.

Axes: B batch, R read heads, N slots.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array


class RetentionTape(NamedTuple):
    """Values saved for the backward pass."""

    read_weights: Array
    free_gates: Array
    kept: Array  # (B, R, N), 1 - f w^r


def retain(read_weights: Array, free_gates: Array) -> tuple[Array, RetentionTape]:
    """Share of each slot that the free gates keep in use (Graves et al. 2016, "Dynamic memory allocation").

        psi = prod_i (1 - f^i w^r_i)                 w^r of the step before, f^i of this step

    read_weights (B, R, N), free_gates (B, R) in [0, 1]; the result (B, N) lies in [0, 1].
    """
    kept = 1 - free_gates[:, :, None] * read_weights
    return kept.prod(axis=1), RetentionTape(read_weights, free_gates, kept)


def retain_backward(tape: RetentionTape, d_retention: Array) -> tuple[Array, Array]:
    """Gradients with respect to read weights and free gates."""
    d_kept = d_retention[:, None, :] * product_of_others(tape.kept)
    d_read_weights = -d_kept * tape.free_gates[:, :, None]
    d_free_gates = -(d_kept * tape.read_weights).sum(axis=2)
    return d_read_weights, d_free_gates


class UsageTape(NamedTuple):
    """Values saved for the backward pass."""

    usage_before: Array
    write_weights: Array
    retention: Array
    filled: Array  # (B, N)


def update_usage(usage: Array, write_weights: Array, retention: Array) -> tuple[Array, UsageTape]:
    """How much each slot is in use (Graves et al. 2016, "Dynamic memory allocation").

        u_t = (u + w^w - u w^w) psi                  u and w^w of the step before

    usage (B, N) in [0, 1], write_weights (B, N), retention (B, N); the result (B, N) lies in [0, 1].
    """
    filled = usage + write_weights - usage * write_weights
    return filled * retention, UsageTape(usage, write_weights, retention, filled)


def update_usage_backward(tape: UsageTape, d_usage: Array) -> tuple[Array, Array, Array]:
    """Gradients with respect to usage before, write weights and retention."""
    d_filled = d_usage * tape.retention
    d_retention = d_usage * tape.filled
    return d_filled * (1 - tape.write_weights), d_filled * (1 - tape.usage_before), d_retention


class AllocationTape(NamedTuple):
    """Values saved for the backward pass; `order` is phi, the slots by rising usage."""

    order: NDArray[np.integer]  # (B, N)
    ranked: Array  # (B, N), usage in that order
    before: Array  # (B, N), product of the ranked usages before


def allocate(usage: Array) -> tuple[Array, AllocationTape]:
    """Weights over free slots, largest on the least used (Graves et al. 2016, "Dynamic memory allocation").

        a[phi[j]] = (1 - u[phi[j]]) prod_{i<j} u[phi[i]],   phi = slots by rising usage, ties by index

    usage (B, N) in [0, 1]; the result (B, N) is >= 0 and sums to at most 1. phi is constant for the gradient.
    """
    order = np.argsort(usage, axis=1, kind="stable")
    ranked = np.take_along_axis(usage, order, 1)
    before = _exclusive_product(ranked)
    allocation = np.empty_like(usage)
    np.put_along_axis(allocation, order, (1 - ranked) * before, 1)
    return allocation, AllocationTape(order, ranked, before)


def allocate_backward(tape: AllocationTape, d_allocation: Array) -> Array:
    """Gradient with respect to usage. With v = ranked usage and da in ranked order,

        dv[k] = prod_{i<k} v[i] ( sum_{j>k} da[j] (1 - v[j]) prod_{k<i<j} v[i]  -  da[k] )

    The products between k and j are formed slot by slot, never by division: a usage may be exactly 0.
    """
    d_ranked_allocation = np.take_along_axis(d_allocation, tape.order, 1)
    slots = np.arange(tape.ranked.shape[1])
    later = slots > slots[:, None]
    between = _exclusive_product(np.where(later, tape.ranked[:, None, :], 1))
    pull = (later * between) @ (d_ranked_allocation * (1 - tape.ranked))[:, :, None]
    d_usage = np.empty_like(d_allocation)
    np.put_along_axis(d_usage, tape.order, tape.before * (pull[:, :, 0] - d_ranked_allocation), 1)
    return d_usage


def _exclusive_product(factors: Array) -> Array:
    """out[.., j] = product of factors[.., i] over i < j, along the last axis."""
    products = np.ones_like(factors)
    np.cumprod(factors[..., :-1], axis=-1, out=products[..., 1:])
    return products


def product_of_others(factors: Array) -> Array:
    """out[b, i] = product over all heads except i of factors (B, R, N): those before times those after."""
    before = _exclusive_product(factors.swapaxes(1, 2))
    after = _exclusive_product(factors[:, ::-1].swapaxes(1, 2))[..., ::-1]
    return (before * after).swapaxes(1, 2)
