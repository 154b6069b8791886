"""Learn to act by trial: every action is tried, and those that brought most are learned.

Axes: T steps, B episodes, L values of the action.
"""

from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array, Inputs
from numdnc.reinforcement import Episodes, likeliest_actions, rewards_to_go
from numdnc.tasks import Batch, Forward
from numdnc.tasks.imitation_task import ImitationTask
from numdnc.tree import map_leaves

_EQUAL = 1e-4
"""Returns that differ by no more are equal."""


class Branching(Episodes, Protocol):
    """Episodes of which any can be played on in several ways."""

    @property
    def board(self) -> NDArray[np.int64]:
        """(B,): of two episodes `taken` of the same one whose numbers are equal, what follows is the same."""
        ...

    def taken(self, rows: NDArray[np.int64]) -> "Branching":
        """Copies of these episodes as they stand, any of them any number of times."""
        ...


class Tried(NamedTuple):
    """What is kept of the steps of an episode besides actions."""

    optimal: NDArray[np.bool_]
    """(T, B, L): the actions that brought most; where one alone is allowed, that one."""


class TrialTask(ImitationTask):
    """A `Task` of an `Environment` of one action a step whose episodes are `Branching`: it tries which are the best.

        Q(a) = r(a) + discount (the return if the likeliest actions follow),    best = those of the highest Q

    Of the action that is then taken, Q is what the episode brought from there on, if that is more. Rewards alone
    decide. From each state that it came to, the model learns to prefer the best actions, as in imitation: a step of
    policy iteration, with rollouts as in Tesauro and Galperin 1996 and a classifier for the next policy as in
    Lagoudakis and Parr 2003.
    """

    tries_actions = True

    def rollout(self, forward: Forward, batch: Batch) -> Batch:
        """Episodes in which all actions are tried at every step; the record has the best."""
        episodes, found = cast(Branching, self._begun(batch.inputs.shape[1])), []
        after: Any = None
        """The state after the last step computed. Of steps computed at once none but the last has a choice."""

        def step(inputs: Inputs, state: Any, lengths: NDArray[np.integer] | None = None) -> tuple[Array, Any]:
            nonlocal after
            outputs, after = forward(inputs, state, lengths)
            return outputs, after

        def choose(logits: Array, allowed: NDArray[Any]) -> NDArray[Any]:
            found.append(self._worth(forward, episodes, after, allowed.astype(bool)))
            return self._drawn(logits, allowed, _best(found[-1]))

        played = self._play(step, episodes, choose)
        assert played.episode is not None
        worth, actions = np.stack(found), played.episode.actions
        returns = rewards_to_go(played.episode.rewards, self.settings.discount)
        brought = np.maximum(np.take_along_axis(worth, actions, -1), returns[..., None])
        np.put_along_axis(worth, actions, brought, -1)
        return played._replace(episode=played.episode._replace(record=Tried(_best(worth))))

    def _worth(self, forward: Forward, episodes: Branching, state: Any, allowed: NDArray[np.bool_]) -> Array:
        """What each action brings from here on, (B, L); 0 where one alone is allowed, -inf of those that are not."""
        found = np.where(allowed, 0, -np.inf)
        rows, actions = np.nonzero(allowed & (allowed.sum(axis=1) > 1)[:, None])
        if not len(rows):
            return found
        branches = episodes.taken(rows)
        found[rows, actions] = branches.step(actions[:, None], np.zeros((len(rows), self.output_size)))
        if branches.observation.alive.any():
            _, first, same = np.unique(
                np.stack([rows, branches.board]), axis=1, return_index=True, return_inverse=True
            )
            following = map_leaves(lambda array: array[rows[first]], state)
            to_come = self._to_come(forward, branches.taken(first), following)
            found[rows, actions] += self.settings.discount * to_come[same]
        return found

    def _to_come(self, forward: Forward, episodes: Branching, state: Any) -> Array:
        """The return from here on if the likeliest actions follow, (b,)."""
        sizes, rewards = self.environment.action_sizes, []
        while episodes.observation.alive.any():
            seen = episodes.observation
            outputs, state = forward(seen.inputs[None], state)
            actions = likeliest_actions(outputs[0, :, : sum(sizes)], seen.allowed, sizes)
            rewards.append(episodes.step(actions, outputs[0]))
        found: Array = rewards_to_go(np.stack(rewards), self.settings.discount)[0]
        return found


def _best(worth: Array) -> NDArray[np.bool_]:
    """The actions that bring most."""
    best: NDArray[np.bool_] = worth >= worth.max(axis=-1, keepdims=True) - _EQUAL
    return best
