"""Policies, returns, values and rollouts, by hand and by other means."""

from typing import Any

import numpy as np
import pytest

from numdnc.reinforcement import (
    advantages,
    entropy,
    likeliest_actions,
    log_probability,
    rewards_to_go,
    sample_actions,
    value_loss,
)

SIZES = (3, 2)
LOGITS = np.log([[0.2, 0.3, 0.5, 0.9, 0.1], [0.2, 0.3, 0.5, 0.9, 0.1]])
ALLOWED = np.array([[True] * 5, [True, False, True, False, True]])


def test_probabilities_by_hand() -> None:
    found, _ = log_probability(LOGITS, np.array([[1, 0], [2, 1]]), ALLOWED, SIZES)
    np.testing.assert_allclose(np.exp(found), [0.3 * 0.9, 0.5 / 0.7], rtol=1e-14)
    np.testing.assert_array_equal(likeliest_actions(LOGITS, ALLOWED, SIZES), [[2, 0], [2, 1]])


def test_what_is_not_allowed_has_no_gradient_and_what_is_forced_none_at_all() -> None:
    for gradient in (
        log_probability(LOGITS, np.array([[1, 0], [2, 1]]), ALLOWED, SIZES)[1],
        entropy(LOGITS, ALLOWED, SIZES)[1],
    ):
        np.testing.assert_array_equal(gradient[1, [1, 3, 4]], 0)
        assert (gradient[0] != 0).all()
    assert entropy(LOGITS, ALLOWED, SIZES)[0][1] == pytest.approx(
        -(2 / 7 * np.log(2 / 7) + 5 / 7 * np.log(5 / 7))
    )


@pytest.mark.parametrize("what", ["log_probability", "entropy"])
def test_gradients_are_differences(what: str) -> None:
    rng = np.random.default_rng(0)
    logits, allowed = rng.normal(size=(4, 5)), rng.random((4, 5)) < 0.8
    allowed[:, [0, 3]] = True
    actions = sample_actions(logits, allowed, SIZES, rng)

    def value(z: Any) -> Any:
        return (
            entropy(z, allowed, SIZES) if what == "entropy" else log_probability(z, actions, allowed, SIZES)
        )

    for i in range(5):
        shift = 1e-6 * np.eye(5)[i]
        slope = (value(logits + shift)[0] - value(logits - shift)[0]) / 2e-6
        np.testing.assert_allclose(value(logits)[1][:, i], slope, atol=1e-9)


def test_samples_come_as_often_as_they_should_and_never_where_not_allowed() -> None:
    rng, count = np.random.default_rng(0), 20_000
    wide = np.repeat(LOGITS[:, None], count, axis=1), np.repeat(ALLOWED[:, None], count, axis=1)
    drawn = sample_actions(*wide, SIZES, rng)
    assert drawn.shape == (2, count, 2)
    shares = [np.bincount(drawn[row, :, 0], minlength=3) / count for row in range(2)]
    np.testing.assert_allclose(shares[0], [0.2, 0.3, 0.5], atol=0.015)
    np.testing.assert_allclose(shares[1], [2 / 7, 0, 5 / 7], atol=0.015)
    assert (drawn[1, :, 1] == 1).all()
    extreme = np.array([[0.0, 200.0, -200.0, -np.inf, 3.0]])
    assert sample_actions(extreme, np.ones((1, 5), bool), SIZES, rng).tolist() == [[1, 1]]


def test_returns_and_advantages_by_hand() -> None:
    rewards, values = np.array([[1.0], [2.0], [4.0]]), np.array([[5.0], [3.0], [1.0]])
    np.testing.assert_array_equal(rewards_to_go(rewards, 0.5)[:, 0], [3, 4, 4])
    np.testing.assert_array_equal(advantages(rewards, values)[:, 0], [2, 3, 3])
    # delta: 1 + 3 - 5, 2 + 1 - 3, 4 - 1
    np.testing.assert_array_equal(advantages(rewards, values, decay=0.5)[:, 0], [-0.25, 1.5, 3])
    np.testing.assert_array_equal(advantages(rewards, values, decay=0)[:, 0], [-1, 0, 3])


def test_the_value_loss_counts_steps_of_the_mask() -> None:
    values, returns = np.array([[1.0, 2.0], [3.0, 9.0]]), np.array([[0.0, 4.0], [3.5, 0.0]])
    loss, gradient = value_loss(values, returns, np.array([[True, True], [True, False]]))
    assert loss == 0.25 * (1 + 4 + 0.25)
    np.testing.assert_array_equal(gradient, [[0.5, -1], [-0.25, 0]])
