"""Whether a model plans when a goal is written: its first action, decoded from what the memory holds then.

The experiment of Graves et al. 2016 with mini-SHRDLU. Axes: B episodes, F features.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines import Engine
from numdnc.errors import UserError
from numdnc.init import initial_state
from numdnc.params import Array, cast_inputs
from numdnc.reinforcement import likeliest_actions
from numdnc.spec import Spec
from numdnc.tasks.shrdlu import Shrdlu
from numdnc.tasks.shrdlu.boards import ACTIONS
from numdnc.training.optimizers import OptimizerSettings, first_moments, update

_BATCH = 64
_STEPS, _PENALTY = 400, 1e-3
_LEAST = 20


@dataclass(frozen=True)
class PlanDecoding:
    """Shares of the first actions, of episodes that the decoder was not fitted to, that are decoded rightly."""

    written: float
    """From what the slots that are read at the go cue hold once the goal's last constraint has been shown."""
    before: float
    """From what they hold just before its first constraint is shown: nothing of the goal."""
    frequency: float
    """By naming the most frequent action."""
    episodes: int

    def __str__(self) -> str:
        return (
            f"first action decoded from the memory: {100 * self.written:.1f} % when the goal is written, "
            f"{100 * self.before:.1f} % before, {100 * self.frequency:.1f} % by frequency; "
            f"{self.episodes:,} episodes"
        )


class _Seen(NamedTuple):
    written: Array  # (B, F)
    before: Array  # (B, F)
    actions: NDArray[np.int64]  # (B,)


def decode_plans(
    spec: Spec, params: Any, engine: Engine, shrdlu: Shrdlu, *, episodes: int = 1000, seed: int = 0
) -> PlanDecoding:
    """Fit a logistic regression to half of the episodes, and score it on the other half.

    Its features are the contents of the memory weighted as each head reads at the go cue, R W numbers.
    """
    if spec.kind != "dnc":
        raise UserError(
            f"plans must be decoded from the memory of a dnc, got a {spec.kind}. Take another run."
        )
    if episodes < _LEAST:
        raise UserError(f"episodes must be at least {_LEAST}, got {episodes}.")
    rng = np.random.default_rng(seed)
    counts = [_BATCH] * (episodes // _BATCH) + [episodes % _BATCH] * bool(episodes % _BATCH)
    parts = [_observe(spec, params, engine, shrdlu, rng, count) for count in counts]
    written, before, actions = (np.concatenate(part) for part in zip(*parts, strict=True))
    half = episodes // 2
    most = np.bincount(actions[:half]).argmax()

    def decoded(features: Array) -> float:
        return float((predict(features[:half], actions[:half], features[half:]) == actions[half:]).mean())

    frequency = float((actions[half:] == most).mean())
    return PlanDecoding(decoded(written), decoded(before), frequency, episodes)


def _observe(
    spec: Spec, params: Any, engine: Engine, shrdlu: Shrdlu, rng: np.random.Generator, count: int
) -> _Seen:
    """Play some episodes up to their first action."""
    game = shrdlu.reset(rng, count)
    state = initial_state(spec, params, count)
    sizes = [[len(goal.constraints) for goal in problem.goals] for problem in game.problems]
    first = np.array([sum(s[: p.chosen]) for s, p in zip(sizes, game.problems, strict=True)])
    last = np.array([sum(s[: p.chosen + 1]) for s, p in zip(sizes, game.problems, strict=True)])
    cue = np.array([sum(s) for s in sizes])
    before, written = np.zeros_like(state.memory), np.zeros_like(state.memory)
    weights, actions = np.zeros_like(state.read_weights), np.zeros(count, np.int64)
    for t in range(int(cue.max()) + 2):
        before[first == t], written[last == t] = state.memory[first == t], state.memory[last == t]
        weights[cue + 1 == t] = state.read_weights[cue + 1 == t]
        seen = game.observation
        inputs = cast_inputs(seen.inputs[None], params)
        outputs, state, _ = engine.forward(spec, params, inputs, state, keep_tape=False)
        chosen = likeliest_actions(outputs[0], seen.allowed, shrdlu.action_sizes)
        actions[cue + 1 == t] = chosen[cue + 1 == t, 0]
        game.step(chosen, outputs[0])
    return _Seen((weights @ written).reshape(count, -1), (weights @ before).reshape(count, -1), actions)


def predict(features: Array, classes: NDArray[np.int64], others: Array) -> NDArray[np.int64]:
    """The classes of `others` by a logistic regression that was fitted to features (B, F), with a small penalty."""
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    known, asked = ((part - mean) / scale for part in (features.astype(float), others.astype(float)))
    weights = np.zeros((known.shape[1] + 1, ACTIONS))
    known, asked = (np.concatenate([part, np.ones((len(part), 1))], axis=1) for part in (known, asked))
    target = np.eye(ACTIONS)[classes]
    settings = OptimizerSettings(learning_rate=0.02)
    moments = first_moments(settings, weights)
    for step in range(1, _STEPS + 1):
        logits = known @ weights
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        gradient = known.T @ (p / p.sum(axis=1, keepdims=True) - target) / len(known) + _PENALTY * weights
        weights, moments = update(settings, weights, gradient, moments, settings.learning_rate, step)
    found: NDArray[np.int64] = (asked @ weights).argmax(axis=1)
    return found
