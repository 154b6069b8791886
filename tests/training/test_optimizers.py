"""Optimizers against scalar loops written from their papers, clipping, the schedule."""

import math
from typing import Any

import numpy as np
import pytest

from numdnc import UserError
from numdnc.training.optimizers import (
    OptimizerSettings,
    clip,
    first_moments,
    gradient_norm,
    learning_rate_at,
    update,
    with_noise,
)

RATES = [0.1, 0.05, 0.2, 0.1]
GRADIENTS = [0.5, -2.0, 0.0, 3.0]


def sgd(p: float) -> float:
    velocity = 0.0
    for rate, g in zip(RATES, GRADIENTS, strict=True):
        velocity = 0.7 * velocity + g
        p -= rate * velocity
    return p


def adagrad(p: float) -> float:
    total = 0.0
    for rate, g in zip(RATES, GRADIENTS, strict=True):
        total += g**2
        p -= rate * g / (math.sqrt(total) + 1e-8)
    return p


def rmsprop(p: float) -> float:
    square = velocity = 0.0
    for rate, g in zip(RATES, GRADIENTS, strict=True):
        square = 0.9 * square + 0.1 * g**2
        velocity = 0.7 * velocity + g / (math.sqrt(square) + 1e-8)
        p -= rate * velocity
    return p


def adam(p: float) -> float:
    mean = square = 0.0
    for t, (rate, g) in enumerate(zip(RATES, GRADIENTS, strict=True), start=1):
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
        p -= rate * (mean / (1 - 0.9**t)) / (math.sqrt(square / (1 - 0.999**t)) + 1e-8)
    return p


def run(settings: OptimizerSettings, params: Any, gradients: list[Any]) -> Any:
    moments = first_moments(settings, params)
    for i, (rate, g) in enumerate(zip(RATES, gradients, strict=True), start=1):
        params, moments = update(settings, params, g, moments, rate, i)
    return params


@pytest.mark.parametrize("rule", [sgd, adagrad, rmsprop, adam], ids=lambda rule: rule.__name__)
def test_an_update_is_the_papers_number_by_number(rule: Any) -> None:
    settings = OptimizerSettings(optimizer=rule.__name__, momentum=0.7)
    start = (np.array([[1.0, -4.0]]), (np.array([2.0]),))
    gradients = [(np.array([[g, 0.0]]), (np.array([g]),)) for g in GRADIENTS]
    weights, (bias,) = run(settings, start, gradients)
    np.testing.assert_allclose([weights[0, 0], bias[0]], [rule(1.0), rule(2.0)], rtol=1e-12)
    assert weights[0, 1] == -4.0


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "rmsprop", "adam"])
def test_updates_keep_float32_and_their_arguments(optimizer: Any) -> None:
    settings = OptimizerSettings(optimizer=optimizer, weight_decay=0.1, clip_norm=1, clip_value=0.5)
    params, gradient = (np.ones((2, 3), np.float32),), (np.full((2, 3), 2, np.float32),)
    moments = first_moments(settings, params)
    gradient_clipped = clip(settings, gradient, gradient_norm(gradient))
    after, after_moments = update(settings, params, gradient_clipped, moments, 0.1, 1)
    assert after[0].dtype == after_moments[0][0].dtype == gradient_clipped[0].dtype == np.float32
    assert (params[0] == 1).all()
    assert (gradient[0] == 2).all()
    assert (moments[0][0] == 0).all()
    assert (after[0] < 1).all()


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("sgd", 0.05), ("adagrad", 5.0), ("rmsprop", 0.05), ("adam", 0.1)]
)
def test_every_optimizer_finds_the_bottom_of_a_bowl(optimizer: Any, rate: float) -> None:
    settings = OptimizerSettings(optimizer=optimizer, momentum=0.5)
    params = (np.array([3.0, -2.0]),)
    moments = first_moments(settings, params)
    for i in range(1, 2001):
        gradient = (params[0] * [1.0, 10.0],)
        params, moments = update(settings, params, gradient, moments, rate / math.sqrt(i), i)
    assert np.abs(params[0]).max() < 0.02


def test_weight_decay_shrinks_weights_by_rate_times_decay_and_leaves_biases() -> None:
    settings = OptimizerSettings(optimizer="sgd", weight_decay=0.5)
    weights, bias = np.full((1, 1), 4.0), np.array([4.0])
    zero = (np.zeros((1, 1)), np.zeros(1))
    (weights, bias), _ = update(settings, (weights, bias), zero, first_moments(settings, zero), 0.2, 1)
    assert weights[0, 0] == pytest.approx(4.0 * (1 - 0.2 * 0.5))
    assert bias[0] == 4.0


def test_a_long_gradient_is_scaled_and_a_short_one_left() -> None:
    gradient = (np.array([3.0, 0.0]), np.array([[4.0]]))
    assert gradient_norm(gradient) == 5.0
    scaled = clip(OptimizerSettings(clip_norm=2.5), gradient, 5.0)
    np.testing.assert_allclose(scaled[0], [1.5, 0.0])
    np.testing.assert_allclose(scaled[1], [[2.0]])
    assert clip(OptimizerSettings(clip_norm=6), gradient, 5.0) is gradient
    assert clip(OptimizerSettings(clip_norm=0), gradient, 5.0) is gradient


def test_values_are_clipped_after_the_norm() -> None:
    (clipped,) = clip(OptimizerSettings(clip_norm=5, clip_value=1.0), (np.array([-6.0, 0.5, 8.0]),), 10.0)
    np.testing.assert_allclose(clipped, [-1.0, 0.25, 1.0])


def test_the_norm_of_large_float32_gradients_does_not_overflow() -> None:
    assert gradient_norm((np.full(4, 1e30, np.float32),)) == pytest.approx(2e30)


def test_the_cosine_falls_to_a_twentieth_at_the_horizon_and_stays() -> None:
    settings = OptimizerSettings(learning_rate=2.0, schedule="cosine")
    rates = [learning_rate_at(settings, i, 100) for i in (1, 50, 100, 1000)]
    assert rates[0] == pytest.approx(2.0, rel=1e-3)
    assert rates[1] == pytest.approx(1.05)
    assert rates[2] == rates[3] == pytest.approx(0.1)


def test_warm_up_rises_in_a_line() -> None:
    settings = OptimizerSettings(learning_rate=1.0, schedule="constant", warmup=4)
    assert [learning_rate_at(settings, i, 10) for i in (1, 2, 4, 9)] == [0.25, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimizer": "adamw"}, "optimizer must be one of adam, rmsprop, adagrad, sgd, got 'adamw'"),
        ({"schedule": "step"}, "schedule must be one of constant, cosine, plateau, got 'step'"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0, got 0.0"),
        ({"learning_rate": math.nan}, "learning_rate must be a number above 0, got nan"),
        ({"learning_rate": math.inf}, "learning_rate must be a number above 0, got inf"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\), got 1.0"),
        ({"warmup": -1}, "warmup must be at least 0, got -1"),
        ({"clip_norm": math.nan}, "clip_norm must be at least 0, got nan"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0, got -0.1"),
    ],
)
def test_settings_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        OptimizerSettings(**options)


def test_weight_noise_has_its_size_spares_biases_and_repeats() -> None:
    params = (np.ones((300, 200), np.float32), np.ones(50, np.float32))
    settings = OptimizerSettings(weight_noise=0.1)
    weights, bias = with_noise(settings, params, 7, 3)
    assert weights.dtype == np.float32
    assert (weights - 1).mean() == pytest.approx(0, abs=2e-3)
    assert (weights - 1).std() == pytest.approx(0.1, rel=0.02)
    assert bias is params[1]
    assert (params[0] == 1).all()
    np.testing.assert_array_equal(weights, with_noise(settings, params, 7, 3)[0])
    assert (weights != with_noise(settings, params, 7, 4)[0]).mean() > 0.99
    assert (weights != with_noise(settings, params, 8, 3)[0]).mean() > 0.99
    assert with_noise(OptimizerSettings(), params, 7, 3) is params
