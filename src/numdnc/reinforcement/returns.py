"""Returns and advantages of recorded rewards. Axes: T steps, B episodes.

After the end of an episode rewards and values must be 0.
"""

import numpy as np

from numdnc.params import Array


def rewards_to_go(rewards: Array, discount: float = 1.0) -> Array:
    """The return from each step on, (T, B).

    R_t = r_t + discount R_{t+1}
    """
    found, following = np.zeros_like(rewards), np.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        found[t] = following = rewards[t] + discount * following
    return found


def advantages(rewards: Array, values: Array, discount: float = 1.0, decay: float = 1.0) -> Array:
    """How much better the return is than the values (T, B), which were expected before each action, (T, B).

        delta_t = r_t + discount V_{t+1} - V_t,    A_t = sum_{k >= t} (discount decay)^(k - t) delta_k

    With `decay` 1 that is R_t - V_t. Below 1 later rewards count less than the later values, which lowers the variance;
    the gradient is then exact only if the values are (Schulman et al. 2016; Graves et al. 2016, mini-SHRDLU).
    """
    following = np.concatenate([values[1:], np.zeros_like(values[:1])])
    return rewards_to_go(rewards + discount * following - values, discount * decay)
