"""Trials: what each action brings, by acting every episode out again from its first step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numdnc import DNCSpec, UserError, init_params, map_leaves
from numdnc.engines import get_engine
from numdnc.reinforcement import rollout
from numdnc.tasks.imitation_task import ImitationSettings, ImitationTask
from numdnc.tasks.reinforcement_task import ReinforcementTask
from numdnc.tasks.shrdlu import Shrdlu
from numdnc.tasks.trial_task import TrialTask
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings, forward_with, new_run
from numdnc.training.workers import Workers

SHRDLU = Shrdlu(lesson=4, spare_moves=1, last_weight=3, undo_cost=0.5)
SPEC = DNCSpec(input_size=97, output_size=7, hidden_sizes=(5,), memory_size=4, word_size=3, read_heads=2)


def forward(scale: float = 0.5) -> Any:
    rng = np.random.default_rng(0)
    params = map_leaves(
        lambda leaf: leaf + rng.normal(0, scale, leaf.shape), init_params(SPEC, 0, np.float64)
    )
    return forward_with(get_engine("reference"), SPEC, params)


def trial_task(share: float = 0.5, discount: float = 1.0) -> TrialTask:
    settings = ImitationSettings(batch=24, trials=True, optimal_share=share, discount=discount)
    return TrialTask("shrdlu", SHRDLU, settings, seed=4)


def likeliest(logits: Any, allowed: Any) -> Any:
    return np.where(allowed, logits, -np.inf).argmax(axis=1)[:, None]


@pytest.mark.parametrize(("scale", "discount"), [(0.5, 1.0), (1.5, 1.0), (1.5, 0.1)])
def test_the_best_actions_are_those_of_episodes_acted_out_from_the_first_step(
    scale: float, discount: float
) -> None:
    task, model, started = trial_task(discount=discount), forward(scale), []

    def remembered(rng: Any, count: int) -> Any:
        started.append(Shrdlu.reset(SHRDLU, rng, count))
        return Shrdlu.begin(SHRDLU, started[-1].problems)

    task.environment = type("Remembered", (), {"action_sizes": (7,), "reset": staticmethod(remembered)})()  # type: ignore[assignment]
    batch = task.rollout(model, task.next_batch())
    assert batch.episode is not None
    (game,), episode = started, batch.episode
    steps, some_equal, more = len(episode.actions), 0, 0
    for t in range(steps):
        returns, weights = [], discount ** np.arange(steps - t)
        for action in range(7):
            time = -1

            def choose(logits: Any, allowed: Any, t: int = t, action: int = action) -> Any:
                nonlocal time
                time += 1
                if time < t:
                    return episode.actions[time]
                return likeliest(logits, allowed) if time > t else np.full((len(logits), 1), action)

            done = rollout(model, SHRDLU.begin(game.problems), (7,), choose)
            returns.append(weights @ done.episode.rewards[t:])
        worth, brought = np.stack(returns, axis=1), weights @ episode.rewards[t:]
        for row, taken in enumerate(episode.actions[t, :, 0]):
            more += brought[row] > worth[row].max() + 1e-9
            worth[row, taken] = max(worth[row, taken], brought[row])
        chooses = episode.allowed[t].sum(axis=1) > 1
        expected = np.where(
            chooses[:, None], worth > worth.max(axis=1, keepdims=True) - 1e-9, episode.allowed[t]
        )
        np.testing.assert_array_equal(episode.record.optimal[t], expected)
        best = expected.sum(axis=1)[chooses]
        some_equal += ((best > 1) & (best < 7)).sum()
    assert some_equal > 2
    assert more or scale > 0.5 or discount < 1
    assert (episode.allowed.sum(axis=2) > 1).any(axis=1).sum() > 2


@pytest.mark.parametrize(("share", "least", "most"), [(1.0, 1.0, 1.0), (0.0, 0.0, 0.8)])
def test_a_share_of_the_actions_brought_most(share: float, least: float, most: float) -> None:
    task = trial_task(share)
    batch = task.rollout(forward(), task.next_batch())
    assert batch.episode is not None
    best = np.take_along_axis(batch.episode.record.optimal, batch.episode.actions, axis=2)[..., 0]
    chosen = best[batch.episode.allowed.sum(axis=2) > 1]
    assert least <= chosen.mean() <= most


def test_a_trial_learns_from_rewards_alone() -> None:
    """Without rewards all actions are equal, however well a search would know the best."""
    settings = ImitationSettings(batch=6, trials=True)
    nothing = Shrdlu(
        lesson=4, last_weight=0, spare_moves=0, invalid_cost=0, moves=1, constraints=2, undo_cost=0
    )
    task = TrialTask("shrdlu", nothing, settings, seed=0)
    batch = task.rollout(forward(), task.next_batch())
    assert batch.episode is not None
    assert not batch.episode.rewards.any()
    loss, _, gradient = task.loss(np.ones((*batch.inputs.shape[:2], 7)), batch)
    assert loss == pytest.approx(0)
    np.testing.assert_allclose(gradient, 0, atol=1e-15)


def test_taken_episodes_go_on_as_the_same_and_independently() -> None:
    rng = np.random.default_rng(1)
    game, rows = SHRDLU.reset(rng, 5), np.array([3, 0, 3, 4])
    started = game.taken(np.arange(5))
    np.testing.assert_array_equal(started.ahead, game.ahead)
    acted = 0
    while game.observation.alive.any():
        taken, seen = game.taken(rows), map_leaves(np.copy, game.observation)
        acted += int((seen.allowed.sum(axis=1) > 1).any())
        actions = rng.integers(7, size=(5, 1))
        other = (actions[rows] + 1) % 7
        apart = game.taken(rows)
        apart.step(other, np.zeros(4))
        map_leaves(np.testing.assert_array_equal, game.observation, seen)
        rewards = game.step(actions, np.zeros(5))
        np.testing.assert_array_equal(taken.step(actions[rows], np.zeros(4)), rewards[rows])
        map_leaves(
            lambda a, b: np.testing.assert_array_equal(a, b[rows]), taken.observation, game.observation
        )
        map_leaves(lambda a, b: np.testing.assert_array_equal(a, b[rows]), taken.record(), game.record())
        for name in ("right", "reached", "optimal", "board"):
            np.testing.assert_array_equal(getattr(taken, name), getattr(game, name)[rows])
        np.testing.assert_array_equal(taken.measures["not_optimal"], game.measures["not_optimal"][rows])
    assert acted > 2


def test_what_is_at_random_is_not_told_the_best_actions() -> None:
    """The return that `diagnose` compares with is the same whatever is learned from."""
    settings = ImitationSettings(batch=6, evaluated=64, optimal_share=1.0)
    kinds = (ReinforcementTask, ImitationTask, TrialTask)
    found = [kind("shrdlu", SHRDLU, settings, seed=4).random_return() for kind in kinds]
    assert found[0] == found[1] == found[2]
    best = ImitationTask("shrdlu", SHRDLU, settings, seed=4)
    batch = best.rollout(forward(), best.next_batch())
    assert batch.episode is not None
    assert batch.episode.rewards.sum(axis=0).mean() > 2 * found[0]


def test_an_action_is_the_best_of_a_search_or_of_trials() -> None:
    with pytest.raises(UserError, match=r"trials must be given without imitate, got both. Add --no-imitate"):
        ImitationSettings(imitate=True, trials=True)


def test_several_processes_are_refused(tmp_path: Path) -> None:
    task = trial_task()
    training, optimizer = TrainingSettings(steps=1), OptimizerSettings()
    made = new_run(SPEC, training, optimizer, task={}, position=task.position(), batch=24, engine="reference")
    two = Workers()
    two.world_size = 2
    with pytest.raises(UserError, match="or one that learns by trial, must be trained by one process, got 2"):
        next(iter(train(made, task, RunFolder(tmp_path / "two"), workers=two)))


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_trials_are_acted_out_with_the_average_of_the_parameters(
    decay: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, optimizer = trial_task(), OptimizerSettings(learning_rate=0.1)
    training = TrainingSettings(steps=3, report_every=3, average_decay=decay)
    made = new_run(SPEC, training, optimizer, task={}, position=task.position(), batch=24, engine="reference")
    made.carries_state, made.state = False, ()
    folder, acted = RunFolder(tmp_path / "run"), []
    folder.create(made)
    whole = TrialTask.rollout

    def seen(self: TrialTask, model: Any, batch: Any) -> Any:
        probe = np.ones((1, 1, 97), np.float32)
        own, average = (forward_with(made.engine, SPEC, p) for p in (made.params, made.evaluated))
        acted.append([np.array_equal(model(probe, None)[0], f(probe, None)[0]) for f in (own, average)])
        return whole(self, model, batch)

    monkeypatch.setattr(TrialTask, "rollout", seen)
    list(train(made, task, folder))
    assert acted[1:] == [[not decay, True]] * 2
