"""The policy gradient, and losses of values and of imitation. Axes: T steps, B episodes, L logits of the actions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.reinforcement.episode import Episode
from numdnc.reinforcement.policy import entropy, log_probability


def policy_gradient(
    logits: Array, episode: Episode, sizes: Sequence[int], entropy_weight: float = 0.0
) -> Array:
    """The gradient of minus the mean return of an episode by the logits of its actions, estimated, (T, B, L).

        -(1/B) (A_t d log pi(a_t) / d z_t + entropy_weight d H_t / d z_t)

    (Williams 1992.) The advantages are constants. Its expectation over episodes is the gradient of minus the expected
    return, less `entropy_weight` times the entropy of each step as if what follows did not depend on it; rewards that
    depend on the outputs themselves add their own gradient. Actions that were not chosen, since one alone was allowed,
    have none.
    """
    _, gradient = log_probability(logits, episode.actions, episode.allowed, sizes)
    gradient *= episode.advantages[..., None]
    if entropy_weight:
        gradient += entropy_weight * entropy(logits, episode.allowed, sizes)[1]
    estimate: Array = -gradient / logits.shape[1]
    return estimate


def value_loss(values: Array, returns: Array, mask: NDArray[np.bool_]) -> tuple[float, Array]:
    """Half the squared error of the values, summed over the steps of an episode, a mean over episodes; its gradient.

    1/2 (1/B) sum_t mask_t (R_t - V_t)^2
    """
    error = np.where(mask, values - returns, 0).astype(values.dtype)
    count = values.shape[1]
    return float(np.square(error, dtype=np.float64).sum()) / (2 * count), error / count


def optimal_loss(logits: Array, optimal: NDArray[Any], allowed: NDArray[Any]) -> tuple[float, float, Array]:
    """Minus the log probability of the optimal values of one action a step, in nats, and its gradient by the logits.

        -(1/n) sum_t log sum_{j optimal} pi_t[j],    n steps at which more than one value is allowed

    The second number is n; with no such step the loss is 0. At least one allowed value of each step must be optimal.
    Raising any optimal value lowers the loss, so the policy need not choose between them.
    """
    chooses = allowed.sum(axis=-1) > 1
    count = max(1, int(chooses.sum()))
    log_all, pi = _log_sum_exp(logits, allowed.astype(bool))
    log_best, best = _log_sum_exp(logits, allowed & optimal.astype(bool))
    nats = np.where(chooses, log_all - log_best, 0)
    gradient: Array = np.where(chooses[..., None], pi - best, 0).astype(logits.dtype) / count
    return float(nats.sum(dtype=np.float64)) / count, count, gradient


def _log_sum_exp(logits: Array, some: NDArray[np.bool_]) -> tuple[Array, Array]:
    """log of the sum of exp over some of the logits, (..,), and the softmax over them, (.., L)."""
    most = np.where(some, logits, -np.inf).max(axis=-1, keepdims=True)
    weights = np.where(some, np.exp(np.where(some, logits - most, 0)), 0)
    total = weights.sum(axis=-1, keepdims=True)
    return (most + np.log(total))[..., 0], weights / total
