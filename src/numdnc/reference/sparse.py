"""Sparse weightings and links: cut to their K largest entries, the others exactly 0 (after Rae et al. 2016).

Axes: B batch, R read heads, N slots, K entries kept. Ties go to the slot of the lower index.
No gradient passes through an entry that is 0. With K = N nothing is cut.
"""

import numpy as np
from numpy.typing import NDArray

from numdnc.parts import Array


def largest(values: Array, count: int) -> NDArray[np.bool_]:
    """Where the `count` largest values are, along the last axis."""
    order = np.argsort(-values, axis=-1, kind="stable")[..., :count]
    kept = np.zeros(values.shape, bool)
    np.put_along_axis(kept, order, True, axis=-1)
    return kept


def cut(weights: Array, count: int | None) -> Array:
    """Keep the `count` largest weights (.., N), unscaled; None keeps all.

    Rae et al. keep the largest too; Graves et al. (2016, "Sparse link matrix") also rescale them to the sum of all.
    """
    return weights if count is None else np.where(largest(weights, count), weights, 0)


def cut_backward(weights: Array, count: int | None, d_weights: Array) -> Array:
    """Gradient with respect to the weights before the cut; `weights` is the result of `cut`."""
    return d_weights if count is None else np.where(weights != 0, d_weights, 0)


def cap_links(link: Array, count: int) -> Array:
    """Keep the `count` largest links of each row, and of these the `count` largest of each column; link (B, N, N)."""
    return cut(cut(link, count).swapaxes(1, 2), count).swapaxes(1, 2)


def list_links(link: Array, count: int) -> tuple[Array, Array]:
    """The links of each row as slots and weights, each (B, N, K): slots rise, zeros fill up the rest."""
    order = np.argsort(link == 0, axis=2, kind="stable")[:, :, :count]
    weights = np.take_along_axis(link, order, 2)
    return np.where(weights != 0, order, 0).astype(link.dtype), weights


def link_matrix(slots: Array, weights: Array) -> Array:
    """The link matrix (B, N, N) of such lists."""
    B, N, K = slots.shape
    link = np.zeros((B, N, N), weights.dtype)
    batch, row, _ = np.indices((B, N, K), sparse=True)
    np.add.at(link, (batch, row, slots.astype(np.intp)), weights)
    return link


def link_matrix_backward(slots: Array, weights: Array, d_link: Array) -> Array:
    """Gradient (B, N, K) with respect to the weights of the lists."""
    return np.where(weights != 0, np.take_along_axis(d_link, slots.astype(np.intp), 2), 0)
