"""All that can happen in a short episode: every sequence of actions, how likely it is, and what comes of it.

All sequences are the rows of one batch. Axes: T steps, K sequences, A actions.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from numdnc.engines import get_engine
from numdnc.reinforcement import Episodes, Rollout, log_probability, rollout
from numdnc.training.run import forward_with


class Enumerated(NamedTuple):
    """Every sequence of actions."""

    rollout: Rollout
    probability: Any  # (K,), 0 where a sequence has an action that is not allowed

    @property
    def expected_return(self) -> float:
        """sum_k P_k sum_t r_t"""
        return float(self.probability @ self.rollout.episode.rewards.sum(axis=0))


def action_sequences(sizes: tuple[int, ...], steps: int) -> Any:
    """(T, K, A)."""
    one_step = list(product(*map(range, sizes)))
    return np.array(list(product(one_step, repeat=steps))).swapaxes(0, 1)


def enumerate_episodes(
    spec: Any, params: Any, begin: Callable[[int], Episodes], sizes: tuple[int, ...], steps: int
) -> Enumerated:
    """Let a model act in every way; `begin` makes equal episodes, which have ended after so many steps."""
    scripted = action_sequences(sizes, steps)
    possible, t = np.ones(scripted.shape[1], bool), iter(range(steps))

    def choose(logits: Any, allowed: Any) -> Any:
        actions, first = scripted[next(t)].copy(), 0
        for number, size in enumerate(sizes):
            may = allowed[:, first : first + size]
            first += size
            legal = np.take_along_axis(may, actions[:, number, None], 1)[:, 0]
            possible[~legal] = False
            actions[~legal, number] = may[~legal].argmax(axis=1)
        return actions

    played = rollout(forward_with(get_engine("reference"), spec, params), begin(len(possible)), sizes, choose)
    logits, episode = played.outputs[..., : sum(sizes)], played.episode
    log_pi, _ = log_probability(logits, episode.actions, episode.allowed, sizes)
    probability = np.where(possible, np.exp(log_pi.sum(axis=0)), 0)
    assert abs(probability.sum() - 1) < 1e-12
    return Enumerated(played, probability)
