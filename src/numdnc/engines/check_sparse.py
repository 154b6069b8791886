"""Checks of the state of a sparse model, whose weightings and links hold at most K entries.

Axes: B batch, R read heads, N slots, K entries kept.
"""

from typing import Any

import numpy as np

from numdnc.errors import UserError
from numdnc.parts import Array
from numdnc.spec import DNCSpec

_DO = "Pass the state that an earlier call returned, or the initial one."


def check_sparse_state(spec: DNCSpec, state: Any) -> None:
    """Raise UserError unless weightings, rows and columns of links have at most K entries, and lists are in order.

    The shapes are right already.
    """
    K = spec.sparsity or 0
    for name in ("write_weights", "read_weights", "precedence"):
        weights = getattr(state, name)
        if isinstance(weights, np.ndarray) and spec.memory_size > K:
            most = max(map(_count_nonzero, weights.reshape(-1, spec.memory_size)), default=0)
            if most > K:
                raise UserError(
                    f"state.{name} must hold at most {K} weights above 0 in a weighting, for a model of "
                    f"sparsity {K}, got {most}. {_DO}"
                )
    if spec.links:
        _check_lists(K, state.link_slots, state.link_values)


def _check_lists(K: int, slots: Array, values: Array) -> None:
    N = slots.shape[1]
    linked, numbers = (values != 0).reshape(-1), slots.reshape(-1)
    at = np.flatnonzero(linked)
    columns, later = numbers[at], at[at % K != 0]
    if not _whole_numbers(columns, N):
        raise UserError(f"state.link_slots must be whole numbers in 0..{N - 1}, got others. {_DO}")
    if not linked[later - 1].all() or _count_nonzero(numbers) != _count_nonzero(columns):
        raise UserError(
            f"state.link_values must hold the weights of a row first and then zeros, with slot 0, got others. {_DO}"
        )
    if (numbers[later] <= numbers[later - 1]).any():
        raise UserError(f"state.link_slots must rise along each row, got others. {_DO}")
    most = np.bincount(at // (N * K) * N + columns.astype(np.intp), minlength=1).max()
    if most > K:
        raise UserError(
            f"state.link_slots must name a slot at most {K} times, for a model of sparsity {K}, got {most} times. "
            f"{_DO}"
        )


def _whole_numbers(columns: Array, count: int) -> bool:
    """Whether all are in 0..count-1."""
    inside = columns.min(initial=0) >= 0 and columns.max(initial=0) < count  # false for NaN
    return bool(inside) and bool((columns == np.floor(columns)).all())


def _count_nonzero(array: Array) -> int:
    """np.count_nonzero(array), which is many times faster of a comparison."""
    return int(np.count_nonzero(array != 0))
