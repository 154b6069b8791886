"""The policy gradient and the loss of the values. Axes: T steps, B episodes, L logits of the actions."""

from collections.abc import Sequence

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
