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
    """-mean log softmax(y)[target]; targets (T, B) are symbols in [0, Y), counts (T, B)."""
    if targets.size and (targets.min() < 0 or targets.max() >= outputs.shape[-1]):
        raise ValueError(
            f"targets must lie in 0..{outputs.shape[-1] - 1}, got {targets.min()}..{targets.max()}."
        )
    counts = np.ones(targets.shape, outputs.dtype) if counts is None else counts.astype(outputs.dtype)
    total = max(float(counts.sum()), 1)
    shifted = outputs - outputs.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=-1))
    log_likelihood = np.take_along_axis(shifted, targets[..., None], -1)[..., 0] - log_sum
    d_outputs = softmax(outputs)
    picked = np.take_along_axis(d_outputs, targets[..., None], -1)
    np.put_along_axis(d_outputs, targets[..., None], picked - 1, -1)
    loss = -float((log_likelihood * counts).sum(dtype=np.float64)) / total
    return loss, d_outputs * (counts / total)[..., None]


def sigmoid_cross_entropy(
    outputs: Array, targets: Array, counts: NDArray[Any] | None = None
) -> tuple[float, Array]:
    """Mean of log(1 + e^y) - target y, per bit; targets (T, B, Y) in [0, 1], counts (T, B) or (T, B, Y)."""
    counts = np.ones(outputs.shape, outputs.dtype) if counts is None else counts.astype(outputs.dtype)
    counts = np.broadcast_to(counts if counts.ndim == outputs.ndim else counts[..., None], outputs.shape)
    total = max(float(counts.sum()), 1)
    targets = targets.astype(outputs.dtype)
    losses = np.logaddexp(0, outputs, dtype=outputs.dtype) - targets * outputs
    loss = float((losses * counts).sum(dtype=np.float64)) / total
    return loss, (sigmoid(outputs) - targets) * counts / outputs.dtype.type(total)
