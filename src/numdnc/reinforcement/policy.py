"""A policy: a softmax for each action of a step, over those of its values that are allowed.

    log pi(a) = sum_h (z_h[a_h] - log sum_{j allowed} exp z_h[j])

h counts the actions of a step, whose logits z_h lie side by side: `sizes` gives the number of values of each. An action
of which one value is allowed has probability 1, entropy 0 and no gradient. Axes: .. any, A actions, L = sum(sizes).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array


def log_probability(
    logits: Array, actions: NDArray[Any], allowed: NDArray[Any], sizes: Sequence[int]
) -> tuple[Array, Array]:
    """log pi of actions (.., A), (..,), and its gradient by the logits, (.., L).

    d log pi / d z_h[j] = [j = a_h] - pi_h[j]
    """
    total, gradient = np.zeros_like(logits[..., 0]), np.zeros_like(logits)
    for number, (part, log_pi, pi) in enumerate(_heads(logits, allowed, sizes)):
        chosen = actions[..., number, None]
        total = total + np.take_along_axis(log_pi, chosen, -1)[..., 0]
        gradient[..., part] = -pi
        np.put_along_axis(
            gradient[..., part], chosen, 1 - np.take_along_axis(pi, chosen, -1), -1
        )  # a view: slices of the last axis
    return total, gradient


def entropy(logits: Array, allowed: NDArray[Any], sizes: Sequence[int]) -> tuple[Array, Array]:
    """Entropy of a step in nats, the sum over its actions, (..,), and its gradient by the logits, (.., L).

    H = -sum_h sum_j pi_h[j] log pi_h[j],    d H / d z_h[j] = -pi_h[j] (log pi_h[j] + H_h)
    """
    total, gradient = np.zeros_like(logits[..., 0]), np.zeros_like(logits)
    for part, log_pi, pi in _heads(logits, allowed, sizes):
        own = -(pi * log_pi).sum(axis=-1)
        total = total + own
        gradient[..., part] = -pi * (log_pi + own[..., None])
    return total, gradient


def sample_actions(
    logits: Array, allowed: NDArray[Any], sizes: Sequence[int], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw actions (.., A) from the policy."""
    drawn = []
    for _, _, pi in _heads(logits, allowed, sizes):
        threshold = rng.random(pi.shape[:-1])[..., None] * pi.sum(axis=-1, keepdims=True)
        drawn.append((pi.cumsum(axis=-1) <= threshold).sum(axis=-1).clip(max=_last(pi)))
    return np.stack(drawn, axis=-1)


def likeliest_actions(logits: Array, allowed: NDArray[Any], sizes: Sequence[int]) -> NDArray[np.int64]:
    """The likeliest allowed value of each action, (.., A); the first of equally likely ones."""
    return np.stack([pi.argmax(axis=-1) for _, _, pi in _heads(logits, allowed, sizes)], axis=-1)


def _last(pi: Array) -> NDArray[np.int64]:
    """The last value with a probability above 0, which rounding must not let a draw go beyond."""
    found: NDArray[np.int64] = pi.shape[-1] - 1 - (pi[..., ::-1] > 0).argmax(axis=-1)
    return found


def _heads(
    logits: Array, allowed: NDArray[Any], sizes: Sequence[int]
) -> Iterator[tuple[slice, Array, Array]]:
    """For each action its part of the logits, log pi (0 where pi is 0) and pi."""
    first = 0
    for size in sizes:
        part = slice(first, first + size)
        first += size
        z, may = logits[..., part], allowed[..., part].astype(bool)
        shifted = z - np.where(may, z, -np.inf).max(axis=-1, keepdims=True)
        weights = np.where(may, np.exp(np.where(may, shifted, 0)), 0)
        total = weights.sum(axis=-1, keepdims=True)
        yield part, np.where(may, shifted - np.log(total), 0), weights / total
