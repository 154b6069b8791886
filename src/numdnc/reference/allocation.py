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
    d_kept = d_retention[:, None, :] * _product_of_others(tape.kept)
    d_read_weights = -d_kept * tape.free_gates[:, :, None]
    d_free_gates = -(d_kept * tape.read_weights).sum(axis=2)
    return d_read_weights, d_free_gates


class UsageTape(NamedTuple):
    """Values saved for the backward pass."""

    filled_before: tuple[Array, ...]  # what the writes of the heads before have filled
    write_weights: tuple[Array, ...]
    retention: Array
    filled: Array  # (B, N)


def update_usage(usage: Array, write_weights: tuple[Array, ...], retention: Array) -> tuple[Array, UsageTape]:
    """How much each slot is in use (Graves et al. 2016, "Dynamic memory allocation").

        u <- u + w^w - u w^w, head by head;   u_t = u psi                  u and w^w of the step before

    usage (B, N) in [0, 1], write_weights (B, N) of each write head, retention (B, N); the result (B, N) lies in [0, 1].
    """
    before = []
    for w in write_weights:
        before.append(usage)
        usage = usage + w - usage * w
    return usage * retention, UsageTape(tuple(before), write_weights, retention, usage)


def update_usage_backward(tape: UsageTape, d_usage: Array) -> tuple[Array, tuple[Array, ...], Array]:
    """Gradients with respect to usage before, write weights and retention."""
    d_filled, d_write_weights = d_usage * tape.retention, []
    for before, w in reversed(list(zip(tape.filled_before, tape.write_weights, strict=True))):
        d_write_weights.append(d_filled * (1 - before))
        d_filled = d_filled * (1 - w)
    return d_filled, tuple(reversed(d_write_weights)), d_usage * tape.filled


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


class Turn(NamedTuple):
    """Values saved for the backward pass of one write head's turn."""

    usage: Array
    gate: Array
    allocation: Array
    tape: AllocationTape


def allocate_in_turn(usage: Array, gates: tuple[Array, ...]) -> tuple[tuple[Array, ...], tuple[Turn, ...]]:
    """Allocation of each write head, as if the heads before it had written (google-deepmind/dnc, `addressing.py`).

        a_v = allocate(u_v),   u_{v+1} = u_v + (1 - u_v) g_v a_v,   u_1 = u

    usage u (B, N); gates g_v (B,) in [0, 1], a head's allocation gate times its write gate. The usages after the first
    serve for this alone. Each result (B, N) is >= 0 and sums to at most 1.
    """
    turns = []
    for gate in gates:
        allocation, tape = allocate(usage)
        turns.append(Turn(usage, gate, allocation, tape))
        usage = usage + (1 - usage) * gate[:, None] * allocation
    return tuple(turn.allocation for turn in turns), tuple(turns)


def allocate_in_turn_backward(
    turns: tuple[Turn, ...], d_allocations: tuple[Array, ...]
) -> tuple[Array, tuple[Array, ...]]:
    """Gradients with respect to usage and gates.

    da_v gains du_{v+1} (1 - u_v) g_v,   dg_v = sum_n du_{v+1} (1 - u_v) a_v,   du_v gains du_{v+1} (1 - g_v a_v)
    """
    d_after, d_gates = np.zeros_like(turns[0].usage), []
    for turn, d_allocation in zip(reversed(turns), reversed(d_allocations), strict=True):
        gate, d_pretended = turn.gate[:, None], d_after * (1 - turn.usage)
        d_gates.append((d_pretended * turn.allocation).sum(axis=1))
        d_usage = allocate_backward(turn.tape, d_allocation + d_pretended * gate)
        d_after = d_after * (1 - gate * turn.allocation) + d_usage
    return d_after, tuple(reversed(d_gates))


def _exclusive_product(factors: Array) -> Array:
    """out[.., j] = product of factors[.., i] over i < j, along the last axis."""
    products = np.ones_like(factors)
    np.cumprod(factors[..., :-1], axis=-1, out=products[..., 1:])
    return products


def _product_of_others(factors: Array) -> Array:
    """out[b, i] = product over all heads except i of factors (B, R, N): those before times those after."""
    before = _exclusive_product(factors.swapaxes(1, 2))
    after = _exclusive_product(factors[:, ::-1].swapaxes(1, 2))[..., ::-1]
    return (before * after).swapaxes(1, 2)
