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
    if targets.size and (targets.min() < 0 or targets.max() >= outputs.shape[-1]):
        raise ValueError(
            f"targets must lie in 0..{outputs.shape[-1] - 1}, got {targets.min()}..{targets.max()}."
        )
    mask = np.ones(targets.shape, outputs.dtype) if mask is None else mask.astype(outputs.dtype)
    total = max(float(mask.sum(dtype=np.float64)), 1)
    at = targets[..., None]
    largest = outputs.argmax(axis=-1)[..., None]
    shifted = outputs - np.take_along_axis(outputs, largest, -1)
    others = np.exp(shifted)
    np.put_along_axis(others, largest, 0, -1)
    losses = np.log1p(others.sum(axis=-1)) - np.take_along_axis(shifted, at, -1)[..., 0]
    loss = float((losses * mask).sum(dtype=np.float64)) / total
    d_outputs = softmax(outputs)
    np.put_along_axis(d_outputs, at, 0, -1)
    np.put_along_axis(d_outputs, at, -d_outputs.sum(axis=-1, keepdims=True), -1)
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
