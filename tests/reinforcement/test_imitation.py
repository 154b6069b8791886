"""Imitation: its loss by hand and by differences, and how actions are chosen where the best ones are known."""

from typing import Any

import numpy as np
import pytest

from numdnc import DNCSpec, UserError, init_params
from numdnc.engines import get_engine
from numdnc.reinforcement import likeliest_actions, optimal_loss, rollout
from numdnc.tasks.imitation_task import ImitationSettings, ImitationTask
from numdnc.tasks.shrdlu import Shrdlu
from numdnc.training.run import forward_with

LOGITS = np.log([[[0.2, 0.3, 0.5], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]]])
OPTIMAL = np.array([[[True, True, False], [False, True, True], [True, False, False]]])
ALLOWED = np.array([[[True, True, True], [True, True, False], [True, False, False]]])


def test_the_loss_is_that_of_all_best_actions_where_any_is_chosen() -> None:
    loss, count, gradient = optimal_loss(LOGITS, OPTIMAL, ALLOWED)
    assert count == 2
    assert loss == pytest.approx(-(np.log(0.5) + np.log(0.3 / 0.5)) / 2)
    np.testing.assert_allclose(gradient[0, 0], np.array([0.2 - 0.4, 0.3 - 0.6, 0.5]) / 2)
    np.testing.assert_allclose(gradient[0, 1], np.array([0.4, 0.6 - 1, 0]) / 2)
    np.testing.assert_array_equal(gradient[0, 2], 0)


def test_the_gradient_is_that_of_differences_and_large_logits_are_finite() -> None:
    rng = np.random.default_rng(0)
    logits, allowed = rng.normal(size=(4, 3, 5)), rng.random((4, 3, 5)) < 0.7
    optimal = rng.random((4, 3, 5)) < 0.5
    allowed[..., 2] = optimal[..., 2] = True
    _, _, gradient = optimal_loss(logits, optimal, allowed)
    for index in np.ndindex(logits.shape):
        shift = np.zeros_like(logits)
        shift[index] = 1e-6
        slope = (
            optimal_loss(logits + shift, optimal, allowed)[0]
            - optimal_loss(logits - shift, optimal, allowed)[0]
        ) / 2e-6
        assert gradient[index] == pytest.approx(slope, abs=1e-9)
    for scale in (1e3, -1e3):
        loss, _, gradient = optimal_loss(scale * logits, optimal, allowed)
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()


def test_nothing_is_chosen_without_loss() -> None:
    one = np.array([[[True, False, False]]])
    loss, _, gradient = optimal_loss(LOGITS[:, :1], one, one)
    assert loss == 0
    assert not gradient.any()


def idle(inputs: Any, state: Any, lengths: Any = None) -> Any:
    return np.zeros((*inputs.shape[:2], 7), np.float32), None


@pytest.mark.parametrize(("share", "least", "most"), [(1.0, 1.0, 1.0), (0.0, 0.1, 0.35), (0.5, 0.5, 0.8)])
def test_a_share_of_the_actions_is_the_best(share: float, least: float, most: float) -> None:
    settings = ImitationSettings(batch=40, imitate=True, optimal_share=share)
    task = ImitationTask("shrdlu", Shrdlu(lesson=3), settings, seed=1)
    batch = task.rollout(idle, task.next_batch())
    assert batch.episode is not None
    best = np.take_along_axis(batch.episode.record.optimal, batch.episode.actions, axis=2)[..., 0]
    chosen = best[batch.episode.allowed.sum(axis=2) > 1]
    assert least <= chosen.mean() <= most
    outputs = idle(batch.inputs, None)[0]
    loss, count, gradient = task.loss(outputs, batch)
    assert count == len(chosen)
    assert gradient.shape == outputs.shape
    assert 0 < loss < np.log(7)
    assert task.loss(outputs, task.next_batch())[0] == 0


def test_a_share_is_a_share() -> None:
    with pytest.raises(UserError, match=r"optimal_share must lie in \[0, 1\], got 1.5"):
        ImitationSettings(optimal_share=1.5)


def test_steps_computed_ahead_are_those_of_the_whole_episode() -> None:
    spec = DNCSpec(input_size=97, output_size=7, hidden_sizes=(4,), memory_size=5, word_size=3, read_heads=2)
    params = init_params(spec, 0, np.float64)
    forward, steps = forward_with(get_engine("reference"), spec, params), []

    def counted(inputs: Any, state: Any, lengths: Any = None) -> Any:
        steps.append(len(inputs))
        return forward(inputs, state)

    task = ImitationTask("shrdlu", Shrdlu(lesson=4), ImitationSettings(batch=5, imitate=True), seed=0)
    game = task.environment.reset(np.random.default_rng(0), 5)
    done = rollout(counted, game, (7,), lambda logits, allowed: likeliest_actions(logits, allowed, (7,)))
    assert steps[0] > 1
    assert set(steps[1:]) == {1}
    assert sum(steps) == len(done.inputs)
    np.testing.assert_allclose(done.outputs, forward(done.inputs, None)[0], rtol=0, atol=1e-12)
