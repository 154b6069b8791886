"""The policy gradient: its expectation, over every sequence of actions, is the gradient of the expected return."""

from typing import Any

import numpy as np
import pytest

from helpers.enumeration import Enumerated, enumerate_episodes
from numdnc import DNCSpec, LSTMSpec, init_params, initial_state, map_leaves
from numdnc.engines import get_engine
from numdnc.reinforcement import Observation, advantages, entropy, policy_gradient, rewards_to_go
from numdnc.tasks import Batch
from numdnc.training import loss_and_gradient
from numdnc.tree import leaves

SIZES = (2, 3)
STEPS = 3
SPECS = {
    "lstm": LSTMSpec(input_size=6, output_size=5, hidden_sizes=(4,)),
    "dnc": DNCSpec(input_size=6, output_size=5, hidden_sizes=(3,), memory_size=4, word_size=2, read_heads=1),
}


class Walk:
    """A walk over places 0..2, which one action moves; it ends after three steps, or earlier at place 2 by the other.

    At place 0 one value of the first action alone is allowed. Rewards depend on places and on both actions.
    """

    def __init__(self, count: int) -> None:
        self.t, self.place, self.alive = 0, np.zeros(count, int), np.ones(count, bool)
        self.last = np.zeros((count, 3))
        self.observation = self._observe()

    def step(self, actions: Any, outputs: Any) -> Any:
        one, two = actions.T
        rewards = np.where(self.alive, 0.5 + self.place * (1 + one) - 0.7 * two * (1 + self.place), 0)
        rewards[self.alive & (self.t == 2) & (one == 1)] += 2
        ended = (self.place == 2) & (two == 2)
        self.place = np.where(self.alive, (self.place + two) % 3, self.place)
        self.t += 1
        self.alive = self.alive & ~ended & (self.t < STEPS)
        self.last = np.eye(3)[two]
        self.observation = self._observe()
        return rewards

    def record(self) -> Any:
        return ()

    def _observe(self) -> Observation:
        inputs = np.concatenate([np.eye(3)[self.place], self.last], axis=1) * self.alive[:, None]
        allowed = np.ones((len(self.place), 5), bool)
        allowed[self.place == 0, 1] = False
        allowed[~self.alive] = [True, False, True, False, False]
        return Observation(inputs, allowed, self.alive)


def random_params(spec: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return map_leaves(lambda leaf: leaf + rng.normal(0, 0.5, leaf.shape), init_params(spec, seed, np.float64))


def enumerated(spec: Any, params: Any) -> Enumerated:
    return enumerate_episodes(spec, params, Walk, SIZES, STEPS)


def expected_estimate(
    spec: Any, params: Any, found: Enumerated, advantage: Any, entropy_weight: float = 0
) -> Any:
    """sum_k P_k (gradient estimated from sequence k)."""
    episode = found.rollout.episode._replace(advantages=advantage)
    batch = Batch(found.rollout.inputs, episode.actions[..., 0], mask=found.rollout.alive, episode=episode)

    def loss(outputs: Any, batch: Batch) -> Any:
        gradient = policy_gradient(outputs, batch.episode, SIZES, entropy_weight)
        return 0.0, 1, gradient * (len(found.probability) * found.probability)[:, None]

    return loss_and_gradient(spec, params, get_engine("reference"), batch, loss).gradient


def slopes(function: Any, params: Any, directions: int = 6, step: float = 1e-6) -> list[tuple[Any, float]]:
    """Random directions, and the slope of a function of the parameters along each."""
    rng, found = np.random.default_rng(9), []
    for _ in range(directions):
        along = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), params)
        up, down = (
            function(map_leaves(lambda p, d, s=sign: p + s * step * d, params, along)) for sign in (1, -1)
        )
        found.append((along, (up - down) / (2 * step)))
    return found


def assert_gradient(gradient: Any, function: Any, params: Any) -> None:
    """`gradient` is that of minus the function."""
    for along, slope in slopes(function, params):
        got = sum(float((g * d).sum()) for g, d in zip(leaves(gradient), leaves(along), strict=True))
        assert got == pytest.approx(-slope, rel=1e-6, abs=1e-8)


def baselines(found: Enumerated) -> dict[str, Any]:
    """Values before each action: none, and numbers that differ by everything that may be known by then."""
    return {
        "none": np.zeros_like(found.rollout.episode.rewards),
        "of inputs": np.where(
            found.rollout.alive, 3 * np.cumsum(found.rollout.inputs, 0) @ np.arange(6.0), 0
        ),
    }


@pytest.mark.parametrize("baseline", ["none", "of inputs"])
@pytest.mark.parametrize("kind", SPECS)
def test_the_expected_estimate_is_the_gradient_of_the_expected_return(kind: str, baseline: str) -> None:
    spec, params = SPECS[kind], random_params(SPECS[kind])
    found = enumerated(spec, params)
    episode = found.rollout.episode
    gradient = expected_estimate(spec, params, found, advantages(episode.rewards, baselines(found)[baseline]))
    assert_gradient(gradient, lambda p: enumerated(spec, p).expected_return, params)


def test_a_baseline_that_knows_the_action_is_noticed() -> None:
    spec, params = SPECS["lstm"], random_params(SPECS["lstm"])
    found = enumerated(spec, params)
    episode = found.rollout.episode
    leaking = rewards_to_go(episode.rewards) - episode.actions[..., 1]
    with pytest.raises(AssertionError):
        assert_gradient(
            expected_estimate(spec, params, found, leaking),
            lambda p: enumerated(spec, p).expected_return,
            params,
        )


@pytest.mark.parametrize(("discount", "decay"), [(1.0, 0.75), (0.9, 0.0), (0.9, 1.0)])
def test_with_true_values_the_advantages_are_exact_at_any_decay(discount: float, decay: float) -> None:
    spec, params = SPECS["lstm"], random_params(SPECS["lstm"])
    found = enumerated(spec, params)
    rewards, actions = found.rollout.episode.rewards, found.rollout.episode.actions
    returns, values = rewards_to_go(rewards, discount), np.zeros_like(rewards)
    for t in range(len(values)):  # the mean return of all sequences with the same actions so far
        _, past = np.unique(
            actions[:t].swapaxes(0, 1).reshape(len(values[0]), -1), axis=0, return_inverse=True
        )
        weights = np.bincount(past.ravel(), found.probability)
        means = np.bincount(past.ravel(), found.probability * returns[t]) / np.maximum(weights, 1e-300)
        values[t] = np.where(found.rollout.alive[t], means[past.ravel()], 0)
    exact = expected_estimate(spec, params, found, returns)
    other = expected_estimate(spec, params, found, advantages(rewards, values, discount, decay))
    for one, two in zip(leaves(exact), leaves(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)


def test_the_entropy_bonus_adds_the_gradient_of_the_entropy() -> None:
    spec, params = SPECS["lstm"], random_params(SPECS["lstm"])
    found = enumerated(spec, params)
    none = np.zeros_like(found.rollout.episode.rewards)
    gradient = expected_estimate(spec, params, found, none, entropy_weight=0.3)

    def bonus(changed: Any) -> float:
        """Entropies of the same episodes by other parameters."""
        start = initial_state(spec, changed, len(found.probability))
        outputs, *_ = get_engine("reference").forward(
            *(spec, changed, found.rollout.inputs, start), keep_tape=False
        )
        each, _ = entropy(outputs, found.rollout.episode.allowed, SIZES)
        return 0.3 * float(found.probability @ each.sum(axis=0))

    assert_gradient(gradient, bonus, params)
