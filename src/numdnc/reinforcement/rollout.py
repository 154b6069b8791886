"""Rollout: a policy steps through a batch of episodes side by side.

Axes: T steps, B episodes, X input, Y output, A actions a step, L logits of all of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.reinforcement.episode import Episode
from numdnc.tree import map_leaves

Step = Callable[[Any, Any], tuple[Array, Any]]
"""A model: (inputs (T, B, X), state or None) -> (outputs (T, B, Y), state)."""
Choose = Callable[[Array, NDArray[Any]], NDArray[Any]]
"""(logits (B, L), allowed (B, L)) -> actions (B, A), as `sample_actions`."""


class Observation(NamedTuple):
    """What a policy sees before a step."""

    inputs: Array  # (B, X), 0 after the end of an episode
    allowed: NDArray[Any]  # (B, L): at least one value of each action; one alone after the end
    alive: NDArray[Any]  # (B,): whether the episode goes on


class Episodes(Protocol):
    """A batch of episodes that have begun."""

    observation: Observation
    """The present one."""

    def step(self, actions: NDArray[Any], outputs: Array) -> Array:
        """Act, and go on to the next observation; return rewards (B,), 0 after the end.

        `outputs` (B, ..) are the policy's: the logits of its actions, then whatever else the environment takes, Y in
        all; what follows is not the environment's.
        """
        ...

    def record(self) -> Any:
        """What an `Episode` is to keep of the last step, a tree of arrays (B, ..); may be ()."""
        ...


class Environment(Protocol):
    """Where episodes take place; a frozen dataclass, whose fields are its settings."""

    @property
    def input_size(self) -> int:
        """X, numbers of an observation."""
        ...

    @property
    def output_size(self) -> int:
        """Y, logits of the actions and what else the environment takes of the policy's outputs."""
        ...

    @property
    def action_sizes(self) -> tuple[int, ...]:
        """Number of values of each action of a step; L is their sum."""
        ...

    def reset(self, rng: np.random.Generator, count: int) -> Episodes:
        """Begin `count` episodes, which depend on nothing but `rng`, actions and outputs."""
        ...


class Rollout(NamedTuple):
    """Episodes that have ended."""

    inputs: Array  # (T, B, X)
    outputs: Array  # (T, B, Y)
    alive: NDArray[np.bool_]  # (T, B)
    episode: Episode  # without advantages, which are 0


def rollout(step: Step, episodes: Episodes, sizes: tuple[int, ...], choose: Choose) -> Rollout:
    """Let a model act until all episodes have ended.

    Episodes may say the inputs of their first steps `ahead`, (P, B, X), at which they allow one action alone; the model
    then computes these steps at once.
    """
    ahead: Any = getattr(episodes, "ahead", ())
    first, state = step(ahead, None) if len(ahead) else (ahead, None)
    steps: list[Any] = []
    while episodes.observation.alive.any():
        seen = episodes.observation
        if len(steps) < len(ahead):
            outputs = first[len(steps)]
        else:
            found, state = step(seen.inputs[None], state)
            outputs = found[0]
        actions = choose(outputs[:, : sum(sizes)], seen.allowed)
        rewards = episodes.step(actions, outputs)
        steps.append((seen, outputs, actions, rewards, episodes.record()))
    observations, all_outputs, all_actions, all_rewards, record = zip(*steps, strict=True)
    inputs, allowed, alive = (np.stack(part) for part in zip(*observations, strict=True))
    returned = np.stack(all_rewards)
    episode = Episode(np.stack(all_actions), allowed, returned, np.zeros_like(returned), _stacked(record))
    return Rollout(inputs, np.stack(all_outputs), alive, episode)


def _stacked(trees: Any) -> Any:
    """Trees of arrays as one, with the steps as the first axis of each array."""
    return map_leaves(lambda *arrays: np.stack(arrays), *trees)
