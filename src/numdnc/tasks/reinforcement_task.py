"""Learn to act: a `Task` whose batches are episodes in an `Environment`, learned by policy gradient.

Axes: T steps, B episodes, X input, Y output, L logits of the actions.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.reinforcement import (
    Choose,
    Environment,
    Episode,
    Episodes,
    advantages,
    likeliest_actions,
    policy_gradient,
    rewards_to_go,
    rollout,
    sample_actions,
    value_loss,
)
from numdnc.spec import LSTMSpec, Spec
from numdnc.tasks import Batch, Feedback, Forward, Scores
from numdnc.tasks.curriculum import Curriculum, continue_from, position_of
from numdnc.tasks.sequence_task import EVAL_BATCH
from numdnc.tasks.sequences import SequenceGenerator, optional_attribute

_TRAINING, _EVALUATION, _EXAMPLE = 0, 1, 2
"""Separate the random numbers for training, for the episodes that are scored, and for examples."""
_MOST_AT_ONCE, _MOST_EVALUATED = 1 << 14, 1 << 17
CriticKind = Literal["lstm", "same", "shared"]


@dataclass(frozen=True, kw_only=True)
class ReinforcementSettings:
    """How episodes are batched, scored and learned from."""

    batch: int = 64
    """B, episodes per update."""
    evaluated: int = 128
    """Episodes that every progress line scores, which begin alike every time; there the likeliest action is taken."""
    solved_at: float = 0.0
    """The run stops once at most this share of them has an error."""
    discount: float = 1.0
    """A reward counts this much less for each step that it is later."""
    trace_decay: float = 1.0
    """lambda of the advantages: 1 = return minus the critic's value; below 1 the critic's later values count more."""
    entropy: float = 0.0
    """Weight of the policy's entropy, which keeps it from settling too soon."""
    critic: CriticKind = "lstm"
    """What learns which return to expect: an lstm, a model of the same kind and sizes as the policy, or, shared, the
    policy itself with an output more."""
    critic_hidden: int = 32
    """Hidden units of that lstm."""
    value_weight: float = 0.25
    """With critic shared: weight of the loss of its values beside the policy gradient."""
    grow: str = ""
    """Curriculum: the environment's setting, a whole number, that grows up to its own value; empty = no curriculum."""
    grow_from: int = 1
    """Value of that setting on the first level."""
    grow_by: int = 1
    """Its increase from level to level."""
    pass_at: float = 0.1
    """A level is passed once at most this share of its episodes has an error."""

    def __post_init__(self) -> None:
        for name, most in (("batch", _MOST_AT_ONCE), ("evaluated", _MOST_EVALUATED)):
            if not 1 <= getattr(self, name) <= most:
                raise UserError(f"{name} must be from 1 to {most:,}, got {getattr(self, name):,}.")
        for name in ("critic_hidden", "grow_by"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("solved_at", "discount", "trace_decay", "pass_at"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} must lie in [0, 1], got {getattr(self, name)}.")
        for name in ("entropy", "value_weight"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UserError(f"{name} must be at least 0 and finite, got {getattr(self, name)}.")
        if self.critic not in get_args(CriticKind):
            raise UserError(f"critic must be one of {', '.join(get_args(CriticKind))}, got {self.critic!r}.")

    def critic_spec(self, policy: Spec) -> Spec | None:
        """The spec of the critic beside a policy; None if the policy is its own."""
        if self.critic == "shared":
            return None
        if self.critic == "same":
            return dataclasses.replace(policy, output_size=1)
        return LSTMSpec(input_size=policy.input_size, output_size=1, hidden_sizes=(self.critic_hidden,))


class ReinforcementTask:
    """A `Task` of any `Environment`.

    An environment may also have `reset_training(rng, count)`, which begins the episodes for training, `rewards(outputs,
    batch)`, where rewards are a function of outputs (returns them and the gradient of their sum by the outputs), and
    `feedback` as in `Differentiable`. Its episodes may say which were `right`, (B,) booleans or the share of each that
    was, and have other `measures`, name -> (B,) numbers, whose means are scores.
    """

    unit = "nats"
    nats_per_unit = 1.0
    tries_actions = False

    def __init__(
        self, name: str, environment: Environment, settings: ReinforcementSettings, seed: int
    ) -> None:
        self.name, self.environment, self.settings = name, environment, settings
        self.input_size = environment.input_size
        self.output_size = environment.output_size + self.gives_value
        self._seed = seed
        self._rng = np.random.default_rng([seed, _TRAINING])
        self._curriculum = None
        if settings.grow:
            whole = cast(SequenceGenerator, environment)  # of which a curriculum needs the settings and sizes
            self._curriculum = Curriculum(whole, settings.grow, settings.grow_from, settings.grow_by, 0)

    @property
    def gives_value(self) -> bool:
        """Whether the policy is its own critic: then its last output, after those of the environment, is the value."""
        return self.settings.critic == "shared"

    @property
    def current(self) -> Environment:
        """The environment of the curriculum's current level; without a curriculum, that of the task."""
        if self._curriculum is None:
            return self.environment
        return cast(Environment, self._curriculum.generator)

    @property
    def slots_needed(self) -> int | None:
        """How many vectors an episode of the current level must hold at once, where the environment says it."""
        slots: int | None = optional_attribute(self.current, "slots_needed")
        return slots

    def next_batch(self) -> Batch:
        """Episodes that have not begun: a step of zeros."""
        count = self.settings.batch
        nothing = np.zeros((1, count), bool)
        return Batch(np.zeros((1, count, self.input_size), np.float32), nothing.astype(int), mask=nothing)

    def rollout(self, forward: Forward, batch: Batch) -> Batch:
        """Episodes in which the model draws its actions, with returns as advantages."""
        episodes = self._begun(batch.inputs.shape[1])
        return self._play(forward, episodes, self._chooser(episodes))

    def _begun(self, count: int) -> Episodes:
        """Episodes for training."""
        environment = self.current
        found: Episodes = getattr(environment, "reset_training", environment.reset)(self._rng, count)
        return found

    def scoring_rollout(self, forward: Forward, episodes: Episodes) -> Batch:
        """Episodes in which the model takes the likeliest actions."""
        sizes = self.environment.action_sizes
        return self._play(
            forward, episodes, lambda logits, allowed: likeliest_actions(logits, allowed, sizes)
        )

    def _chooser(self, episodes: Episodes) -> Choose:
        """How actions are chosen in training: drawn from the policy."""
        return self._draws(self._rng)

    def _draws(self, rng: np.random.Generator) -> Choose:
        sizes = self.environment.action_sizes
        return lambda logits, allowed: sample_actions(logits, allowed, sizes, rng)

    def _play(self, forward: Forward, episodes: Episodes, choose: Choose) -> Batch:
        done = rollout(forward, episodes, self.environment.action_sizes, choose)
        targets = np.zeros(done.alive.shape, int)
        batch = Batch(done.inputs.astype(np.float32), targets, mask=done.alive, episode=done.episode)
        return self.with_values(batch, np.zeros_like(done.episode.rewards))

    def with_values(self, batch: Batch, values: Array) -> Batch:
        """The batch with the advantages over a critic's values (T, B)."""
        assert batch.episode is not None
        assert batch.mask is not None
        values = np.where(batch.mask, values, 0).astype(values.dtype)
        found = advantages(batch.episode.rewards, values, self.settings.discount, self.settings.trace_decay)
        return batch._replace(episode=batch.episode._replace(advantages=found))

    def value_loss(self, values: Array, batch: Batch) -> tuple[float, Array]:
        """The loss of a critic's values (T, B), and its gradient."""
        assert batch.episode is not None
        assert batch.mask is not None
        return value_loss(values, rewards_to_go(batch.episode.rewards, self.settings.discount), batch.mask)

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Minus the mean return of an episode, the number of episodes, and the estimated gradient by the outputs."""
        episode, count = batch.episode, outputs.shape[1]
        if episode is None:
            return 0.0, count, np.zeros_like(outputs)
        rewards, gradient = episode.rewards, np.zeros_like(outputs)
        if self.gives_value:
            values = outputs[..., -1]
            episode = cast(Episode, self.with_values(batch, values).episode)
            gradient[..., -1] = self.settings.value_weight * self.value_loss(values, batch)[1]
        of_outputs = getattr(self.environment, "rewards", None)
        if of_outputs is not None:
            rewards, d_outputs = of_outputs(outputs, batch)
            gradient -= d_outputs / count
        sizes = self.environment.action_sizes
        logits = slice(sum(sizes))
        gradient[..., logits] += policy_gradient(outputs[..., logits], episode, sizes, self.settings.entropy)
        return -float(rewards.sum(dtype=np.float64)) / count, count, gradient

    def feedback(self, outputs: Array, batch: Batch) -> Feedback | None:
        """The way of gradients from inputs to earlier outputs, if the environment has one."""
        way = getattr(self.environment, "feedback", None)
        return None if way is None or batch.episode is None else way(outputs, batch)

    def score(self, forward: Forward, *, whole: bool = False) -> Scores:
        """Scores of the episodes that are scored: "loss", minus the mean return, "error", the share with an error, and
        the means of what else the environment measures.

        With a curriculum they are of the current level, which "level" gives; with `whole`, or where the task itself
        turns out to be solved already, they are of the task itself.
        """
        curriculum = self._curriculum
        if curriculum is None or whole:
            return self._measure(self.environment, forward)
        scores = self._measure(self.current, forward)
        if scores["error"] <= self.settings.pass_at and not curriculum.on_last_level:
            all_levels = self._measure(self.environment, forward)
            if all_levels["error"] <= self.settings.solved_at:
                return {**all_levels, "level": float(curriculum.last)}
        return {**scores, "level": float(curriculum.level)}

    def episodes(self, environment: Environment | None = None) -> Iterator[Episodes]:
        """The episodes that are scored, begun anew and the same every time."""
        rng = np.random.default_rng([self._seed, _EVALUATION])
        for first in range(0, self.settings.evaluated, EVAL_BATCH):
            count = min(EVAL_BATCH, self.settings.evaluated - first)
            yield (environment or self.environment).reset(rng, count)

    def _measure(self, environment: Environment, forward: Forward) -> Scores:
        total, wrong = 0.0, 0.0
        measured: dict[str, float] = {}
        for episodes in self.episodes(environment):
            batch = self.scoring_rollout(forward, episodes)
            assert batch.episode is not None
            total += float(batch.episode.rewards.sum(dtype=np.float64))
            right = getattr(episodes, "right", None)
            wrong += float(batch.inputs.shape[1] - (0 if right is None else right.sum()))
            for name, values in getattr(episodes, "measures", {}).items():
                measured[name] = measured.get(name, 0.0) + float(values.sum())
        count = self.settings.evaluated
        means = {name: value / count for name, value in measured.items()}
        return {"loss": -total / count, "error": wrong / count, **means}

    def returns(self, forward: Forward) -> Array:
        """The return of each episode of the current level that is scored, (B,)."""
        played = [self.scoring_rollout(forward, episodes) for episodes in self.episodes(self.current)]
        return np.concatenate([_returns(batch) for batch in played])

    def random_return(self) -> float:
        """The mean return of the first of the same episodes, acted out at random."""
        return float(_returns(self.example(min(self.settings.evaluated, EVAL_BATCH))).mean())

    def example(self, sequences: int = 1) -> Batch:
        """The first episodes that are scored, acted out at random."""
        rng = np.random.default_rng([self._seed, _EVALUATION])
        episodes = self.current.reset(rng, sequences)

        def idle(inputs: Any, state: Any, lengths: Any = None) -> tuple[Array, Any]:
            return np.zeros((len(inputs), sequences, self.output_size), np.float32), None

        return self._play(idle, episodes, self._draws(np.random.default_rng([self._seed, _EXAMPLE])))

    def solved(self, scores: Scores) -> bool:
        """Whether, on the last level, at most `solved_at` of the episodes have an error."""
        if self._curriculum is not None and scores["level"] < self._curriculum.last:
            return False
        return scores["error"] <= self.settings.solved_at

    def on_scores(self, scores: Scores) -> None:
        """Move to the next level if this one is passed."""
        if self._curriculum is not None:
            self._curriculum.move_to(int(scores["level"]), held=False)
            self._curriculum.update(scores["error"], self.settings.pass_at, fall_at=1)

    def position(self) -> dict[str, Any]:
        """Random state, and the level if there are any."""
        return position_of(self._rng, self._curriculum)

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""
        self._rng = continue_from(position, self._curriculum)


def _returns(batch: Batch) -> Array:
    assert batch.episode is not None
    found: Array = batch.episode.rewards.sum(axis=0, dtype=np.float64)
    return found
