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
            most = np.count_nonzero(weights, axis=-1).max(initial=0)
            if most > K:
                raise UserError(
                    f"state.{name} must hold at most {K} weights above 0 in a weighting, for a model of "
                    f"sparsity {K}, got {most}. {_DO}"
                )
    if spec.links:
        _check_lists(K, state.link_slots, state.link_values)


def _check_lists(K: int, slots: Array, values: Array) -> None:
    N = slots.shape[1]
    if not slots.any() and not values.any():
        return
    columns = _whole_numbers(slots)
    if columns is None:
        raise UserError(f"state.link_slots must be whole numbers in 0..{N - 1}, got others. {_DO}")
    linked = values != 0
    if (linked[:, :, 1:] > linked[:, :, :-1]).any() or (slots[~linked] != 0).any():
        raise UserError(
            f"state.link_values must hold the weights of a row first and then zeros, with slot 0, got others. {_DO}"
        )
    if ((slots[:, :, 1:] <= slots[:, :, :-1]) & linked[:, :, 1:]).any():
        raise UserError(f"state.link_slots must rise along each row, got others. {_DO}")
    batch = np.nonzero(linked)[0]
    most = np.bincount(batch * N + columns[linked], minlength=1).max()
    if most > K:
        raise UserError(
            f"state.link_slots must name a slot at most {K} times, for a model of sparsity {K}, got {most} times. "
            f"{_DO}"
        )


def _whole_numbers(slots: Array) -> Any:
    """The slots as integers; None unless all are whole numbers in 0..N-1."""
    N = slots.shape[1]
    if not (slots.min() >= 0 and slots.max() < N):  # false for NaN
        return None
    columns = slots.astype(np.intp)
    return columns if (columns == slots).all() else None
