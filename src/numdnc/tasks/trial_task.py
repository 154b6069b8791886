"""Learn to act by trial: every action is tried, and those that brought most are learned.

Axes: T steps, B episodes, L values of the action.
"""

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.reinforcement import likeliest_actions, rollout, sample_actions
from numdnc.tasks import Batch, Forward
from numdnc.tasks.imitation_task import ImitationTask
from numdnc.tree import map_leaves


class Tried(NamedTuple):
    """What is kept of the steps of an episode."""

    optimal: NDArray[np.bool_]  # (T, B, L) actions that brought most of those that are allowed


class TrialTask(ImitationTask):
    """A `Task` of an `Environment` of one action a step whose episodes can be `taken`: copied as they stand.

        Q(a) = r(a) + the sum of the rewards to come if the likeliest actions follow,    best = argmax Q

    At every step all actions are tried so, and the model learns which of them were best from each state that it came
    to: its present policy is improved by a step of policy iteration, of which rewards alone decide (rollouts as in
    Tesauro and Galperin 1996; a classifier of the best actions as in Lagoudakis and Parr 2003). It acts as in imitation:
    at some steps by a best action.
    """

    def rollout(self, forward: Forward, batch: Batch) -> Batch:
        """Episodes in which all actions are tried at every step; the best are in their record."""
        episodes, tried = self._begun(batch.inputs.shape[1]), []
        sizes, share, rng = self.environment.action_sizes, self.settings.optimal_share, self._rng
        state: Any = None

        def step(inputs: Any, before: Any, lengths: Any = None) -> tuple[Array, Any]:
            nonlocal state
            outputs, state = forward(inputs, before)
            return outputs, state

        def choose(logits: Array, allowed: NDArray[Any]) -> NDArray[Any]:
            best = self._best(forward, episodes, state, allowed.astype(bool))
            tried.append(best)
            told = rng.random(len(logits)) < share
            return sample_actions(logits, allowed & (best | ~told[:, None]), sizes, rng)

        played = self._play(step, episodes, choose)
        assert played.episode is not None
        return played._replace(episode=played.episode._replace(record=Tried(np.stack(tried))))

    def _best(
        self, forward: Forward, episodes: Any, state: Any, allowed: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """The actions that bring most from here, (B, L); all that are allowed where nothing is chosen."""
        found = allowed.copy()
        rows, actions = np.nonzero(allowed & (allowed.sum(axis=1) > 1)[:, None])
        if not len(rows):
            return found
        branches = episodes.taken(rows)
        returns = branches.step(actions[:, None], np.zeros((len(rows), self.output_size), np.float32))
        _, first, same = np.unique(
            np.stack([rows, branches.position]), axis=1, return_index=True, return_inverse=True
        )
        if branches.observation.alive.any():
            returns = returns + self._returns_from(forward, branches.taken(first), state, rows[first])[same]
        worth = np.full(allowed.shape, -np.inf)
        worth[rows, actions] = returns
        chooses = np.unique(rows)
        found[chooses] = worth[chooses] >= worth[chooses].max(axis=1, keepdims=True) - _EQUAL
        return found

    def _returns_from(
        self, forward: Forward, episodes: Any, state: Any, rows: NDArray[np.int64]
    ) -> NDArray[Any]:
        """What the likeliest actions bring from here on, (b,), of episodes that go on from these rows of a state."""
        sizes = self.environment.action_sizes
        done = rollout(
            forward,
            episodes,
            sizes,
            lambda logits, may: likeliest_actions(logits, may, sizes),
            map_leaves(lambda array: array[rows], state),
        )
        return done.episode.rewards.sum(axis=0)


_EQUAL = 1e-4
"""Returns that differ by no more are equal."""
