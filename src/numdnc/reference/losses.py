"""Losses of whole sequences: the mean over the scored predictions, in nats, and its gradient with respect to outputs.

`outputs` are the model's raw outputs y, (T, B, Y). `mask` is 1 where a prediction is scored, else 0; None scores all.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.reference.activations import sigmoid, softmax


def softmax_cross_entropy(
    outputs: Array, targets: NDArray[np.integer], mask: NDArray[Any] | None = None
) -> tuple[float, Array]:
    """-mean log softmax(y)[target]; targets (T, B) are symbols in [0, Y), mask (T, B).

    Nearly equal numbers are never subtracted: p[target] - 1 is computed as minus the sum of the other p, and the loss
    of a target that is the largest output as log1p of the sum of the other exponentials.
    """
    _check_symbols(targets, outputs.shape[-1])
    mask, total = _mask_and_total(mask, targets.shape, outputs)
    at = targets[..., None]
    largest = outputs.argmax(axis=-1)[..., None]
    shifted = outputs - np.take_along_axis(outputs, largest, -1)
    others = np.exp(shifted)
    np.put_along_axis(others, largest, 0, -1)
    losses = np.log1p(others.sum(axis=-1)) - np.take_along_axis(shifted, at, -1)[..., 0]
    loss = float((losses * mask).sum(dtype=np.float64)) / total
    d_outputs = _minus_one_hot(softmax(outputs), at)
    return loss, d_outputs * (mask / total)[..., None]


def softmax_binary_cross_entropy(
    outputs: Array, targets: NDArray[np.integer], mask: NDArray[Any] | None = None
) -> tuple[float, Array]:
    """-log p[target] - sum over the other symbols k of log(1 - p[k]), p = softmax(y) (Franke et al. 2018, their code).

    targets (T, B) are symbols in [0, Y), mask (T, B); Y is at least 2. With t the target and r[k] = p[k] / (1 - p[k])

        dL/dy[j] = p[j] - [j = t] + [j != t] r[j] - p[j] sum_{k != t} r[k]

    1 - p[m] of the largest output m is formed as the sum of the other p, and if m is not the target, its share of the
    gradient, p[m] ([j = m] - [j != m] p[j] / (1 - p[m])), by a softmax of the others: nothing is clipped.
    """
    _check_symbols(targets, outputs.shape[-1])
    mask, total = _mask_and_total(mask, targets.shape, outputs)
    at, largest = targets[..., None], outputs.argmax(axis=-1)[..., None]
    wrong = (largest != at).astype(outputs.dtype)
    p, without = softmax(outputs), outputs.copy()
    np.put_along_axis(without, largest, -np.inf, -1)
    second = without.max(axis=-1, keepdims=True)
    shifted = second - np.take_along_axis(outputs, largest, -1)
    log_rest = shifted + np.log(np.exp(without - second).sum(axis=-1, keepdims=True))
    log_all = np.log1p(np.exp(log_rest))  # both relative to the largest output
    rest = p.copy()  # of neither t nor m, so none is above 1/2
    np.put_along_axis(rest, largest, 0, -1)
    np.put_along_axis(rest, at, 0, -1)
    losses = log_all + (np.take_along_axis(outputs, largest, -1) - np.take_along_axis(outputs, at, -1))
    losses += wrong * (log_all - log_rest) - np.log1p(-rest).sum(axis=-1, keepdims=True)
    loss = float((losses[..., 0] * mask).sum(dtype=np.float64)) / total

    odds = rest / (1 - rest)
    d_outputs = _minus_one_hot(p.copy(), at) + odds - p * odds.sum(axis=-1, keepdims=True)
    of_largest = -softmax(without)
    np.put_along_axis(of_largest, largest, 1, -1)
    d_outputs += wrong * np.take_along_axis(p, largest, -1) * of_largest
    return loss, d_outputs * (mask / total)[..., None]


def sigmoid_cross_entropy(
    outputs: Array, targets: Array, mask: NDArray[Any] | None = None
) -> tuple[float, Array]:
    """Mean of z log(1 + e^-y) + (1 - z) log(1 + e^y), per bit.

    targets z (T, B, Y) in [0, 1], mask (T, B) or (T, B, Y). The gradient sigmoid(y) - z is formed as
    (1 - z) sigmoid(y) - z sigmoid(-y), in which nothing cancels where y is large and right.
    """
    mask = np.ones(outputs.shape, outputs.dtype) if mask is None else mask.astype(outputs.dtype)
    mask = np.broadcast_to(mask if mask.ndim == outputs.ndim else mask[..., None], outputs.shape)
    total = max(float(mask.sum(dtype=np.float64)), 1)
    on = targets.astype(outputs.dtype)
    off = 1 - on
    zero = outputs.dtype.type(0)
    losses = on * np.logaddexp(zero, -outputs) + off * np.logaddexp(zero, outputs)
    loss = float((losses * mask).sum(dtype=np.float64)) / total
    return loss, (off * sigmoid(outputs) - on * sigmoid(-outputs)) * mask / outputs.dtype.type(total)


def _check_symbols(targets: NDArray[np.integer], count: int) -> None:
    if targets.size and (targets.min() < 0 or targets.max() >= count):
        raise ValueError(f"targets must lie in 0..{count - 1}, got {targets.min()}..{targets.max()}.")


def _mask_and_total(mask: NDArray[Any] | None, shape: tuple[int, ...], outputs: Array) -> tuple[Array, float]:
    """The mask as numbers like the outputs, and how many predictions it scores, at least 1."""
    mask = np.ones(shape, outputs.dtype) if mask is None else mask.astype(outputs.dtype)
    return mask, max(float(mask.sum(dtype=np.float64)), 1)


def _minus_one_hot(p: Array, at: NDArray[np.integer]) -> Array:
    """p - 1 at index `at` (.., 1), p elsewhere; changes p. p sums to 1, so p[at] - 1 is minus the sum of the others."""
    np.put_along_axis(p, at, 0, -1)
    np.put_along_axis(p, at, -p.sum(axis=-1, keepdims=True), -1)
    return p
