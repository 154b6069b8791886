"""Losses over a whole sequence: the mean over what counts, in nats, and its gradient by the outputs.

`outputs` are the model's raw outputs y, (T, B, Y). `counts` says what is scored, 0 or 1; everything where None.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.reference.activations import sigmoid, softmax


def softmax_cross_entropy(
    outputs: Array, targets: NDArray[np.integer], counts: NDArray[Any] | None = None
) -> tuple[float, Array]:
    """-mean log softmax(y)[target]; targets (T, B) are symbols in [0, Y), counts (T, B).

    No difference of nearly equal numbers is taken: p[target] - 1 is minus the sum of the other p, and where the target
    is the largest output its loss is log1p of the sum of the other exponentials.
    """
    if targets.size and (targets.min() < 0 or targets.max() >= outputs.shape[-1]):
        raise ValueError(
            f"targets must lie in 0..{outputs.shape[-1] - 1}, got {targets.min()}..{targets.max()}."
        )
    counts = np.ones(targets.shape, outputs.dtype) if counts is None else counts.astype(outputs.dtype)
    total = max(float(counts.sum(dtype=np.float64)), 1)
    at = targets[..., None]
    largest = outputs.argmax(axis=-1)[..., None]
    shifted = outputs - np.take_along_axis(outputs, largest, -1)
    others = np.exp(shifted)
    np.put_along_axis(others, largest, 0, -1)
    losses = np.log1p(others.sum(axis=-1)) - np.take_along_axis(shifted, at, -1)[..., 0]
    loss = float((losses * counts).sum(dtype=np.float64)) / total
    d_outputs = softmax(outputs)
    np.put_along_axis(d_outputs, at, 0, -1)
    np.put_along_axis(d_outputs, at, -d_outputs.sum(axis=-1, keepdims=True), -1)
    return loss, d_outputs * (counts / total)[..., None]


def sigmoid_cross_entropy(
    outputs: Array, targets: Array, counts: NDArray[Any] | None = None
) -> tuple[float, Array]:
    """Mean of z log(1 + e^-y) + (1 - z) log(1 + e^y), per bit.

    targets z (T, B, Y) in [0, 1], counts (T, B) or (T, B, Y). The gradient sigmoid(y) - z is formed as
    (1 - z) sigmoid(y) - z sigmoid(-y), in which nothing cancels where y is far on the right side.
    """
    counts = np.ones(outputs.shape, outputs.dtype) if counts is None else counts.astype(outputs.dtype)
    counts = np.broadcast_to(counts if counts.ndim == outputs.ndim else counts[..., None], outputs.shape)
    total = max(float(counts.sum(dtype=np.float64)), 1)
    on = targets.astype(outputs.dtype)
    off = 1 - on
    zero = outputs.dtype.type(0)
    losses = on * np.logaddexp(zero, -outputs) + off * np.logaddexp(zero, outputs)
    loss = float((losses * counts).sum(dtype=np.float64)) / total
    return loss, (off * sigmoid(outputs) - on * sigmoid(-outputs)) * counts / outputs.dtype.type(total)
