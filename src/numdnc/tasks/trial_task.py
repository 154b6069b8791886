"""Learn to act by trial: every action is tried, and those that brought most are learned.

Axes: T steps, B episodes, L values of the action.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array, Inputs
from numdnc.reinforcement import likeliest_actions, rewards_to_go, rollout
from numdnc.tasks import Batch, Forward
from numdnc.tasks.imitation_task import ImitationTask
from numdnc.tree import map_leaves

_EQUAL = 1e-4
"""Returns that differ by no more are equal."""


class Tried(NamedTuple):
    """What is kept of the steps of an episode besides actions."""

    optimal: NDArray[
        np.bool_
    ]  # (T, B, L) actions that brought most; where nothing is chosen, the one allowed


class TrialTask(ImitationTask):
    """A `Task` of an `Environment` of one action a step, whose best actions are found by trying all of them.

        Q(a) = r(a) + the rewards to come if the likeliest actions follow,    best = those of the highest Q

    Of the action that is then taken, Q is what the episode brought from there on, if that is more. Rewards alone
    decide. From each state that it came to, the model learns to prefer the best actions, as in imitation: a step of
    policy iteration, with rollouts as in Tesauro and Galperin 1996 and a classifier for the next policy as in
    Lagoudakis and Parr 2003.

    Its episodes can be `taken(rows)`, which copies them as they stand, and say their `position`, (B,): of two that were
    taken of the same one and have the same, the future is the same.
    """

    one_process = True
    """A trial goes on from the state of every episode, of which each of several processes has only its own."""
    acts_averaged = True
    """Episodes are acted out with the average of the parameters, if there is one: it plays on better."""

    def rollout(self, forward: Forward, batch: Batch) -> Batch:
        """Episodes in which all actions are tried at every step; the record has the best."""
        episodes, found = self._begun(batch.inputs.shape[1]), []
        after: Any = None

        def step(inputs: Inputs, state: Any, lengths: NDArray[np.integer] | None = None) -> tuple[Array, Any]:
            nonlocal after
            outputs, after = forward(inputs, state, lengths)
            return outputs, after

        def choose(logits: Array, allowed: NDArray[Any]) -> NDArray[Any]:
            found.append(self._worth(forward, episodes, after, allowed.astype(bool)))
            return self._drawn(logits, allowed, _best(found[-1]), self._rng)

        played = self._play(step, episodes, choose)
        assert played.episode is not None
        worth, actions = np.stack(found), played.episode.actions
        brought = np.maximum(
            np.take_along_axis(worth, actions, -1), rewards_to_go(played.episode.rewards)[..., None]
        )
        np.put_along_axis(worth, actions, brought, -1)
        return played._replace(episode=played.episode._replace(record=Tried(_best(worth))))

    def _worth(self, forward: Forward, episodes: Any, state: Any, allowed: NDArray[np.bool_]) -> Array:
        """What each action brings from here on, (B, L); 0 where one alone is allowed, -inf of those that are not."""
        found = np.where(allowed, 0, -np.inf)
        rows, actions = np.nonzero(allowed & (allowed.sum(axis=1) > 1)[:, None])
        if not len(rows):
            return found
        branches = episodes.taken(rows)
        found[rows, actions] = branches.step(actions[:, None], np.zeros((len(rows), self.output_size)))
        if branches.observation.alive.any():
            _, first, same = np.unique(
                np.stack([rows, branches.position]), axis=1, return_index=True, return_inverse=True
            )
            following = map_leaves(lambda array: array[rows[first]], state)
            found[rows, actions] += self._to_come(forward, branches.taken(first), following)[same]
        return found

    def _to_come(self, forward: Forward, episodes: Any, state: Any) -> Array:
        """The rewards from here on if the likeliest actions follow, (b,)."""
        sizes = self.environment.action_sizes
        done = rollout(
            forward, episodes, sizes, lambda logits, may: likeliest_actions(logits, may, sizes), state
        )
        total: Array = done.episode.rewards.sum(axis=0)
        return total


def _best(worth: Array) -> NDArray[np.bool_]:
    """The actions that bring most."""
    best: NDArray[np.bool_] = worth >= worth.max(axis=-1, keepdims=True) - _EQUAL
    return best
