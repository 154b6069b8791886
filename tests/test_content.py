import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import plain
from examples import SIZES, single, words
from gradients import assert_backward
from numdnc.reference.content import content_weights, content_weights_backward


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def weights_of(memory, keys, strengths):
    """One row of a batch."""
    return content_weights(*(np.array([one], float) for one in (memory, keys, strengths)))[0][0]


def test_strong_key_finds_its_slot():
    memory = [[1, 0, 0], [0, 2, 0], [0, 3, 3]]
    weights = weights_of(memory, [[0, 5, 5], [0, 1, 0], [0.5, 0, 0]], [1e3] * 3)
    assert_allclose(weights, np.eye(3)[[2, 1, 0]], atol=1e-12)


def test_two_slots_that_hold_the_key_share_the_weight():
    assert_allclose(weights_of([[1, 2], [2, -1], [1, 2]], [[1, 2]], [100]), [[0.5, 0, 0.5]], atol=1e-12)


def test_weights_follow_the_cosine_and_the_strength():
    memory = [[300, 0], [0, 200], [-100, 0]]  # so long that epsilon plays no part
    powers = np.exp([2, 0, -2])
    assert_allclose(weights_of(memory, [[500, 0]], [2]), [powers / powers.sum()], rtol=1e-9)


def test_length_of_a_slot_plays_no_part():
    assert_allclose(weights_of([[10, 20], [300, 600]], [[2, 1]], [5]), [[0.5, 0.5]], rtol=1e-8)


def test_epsilon_halves_the_similarity_of_vectors_as_small_as_itself():
    weights = weights_of([[1e-3, 0], [0, 0]], [[1e-3, 0]], [4])
    assert weights[0, 0] / weights[0, 1] == pytest.approx(np.exp(4 * 0.5), rel=1e-12)


def test_empty_memory_is_looked_at_evenly():
    assert_array_equal(weights_of(np.zeros((4, 2)), [[1, 2], [0, 0]], [9, 9]), np.full((2, 4), 0.25))


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_weights_equal_the_equation_slot_by_slot(B, R, N, W, rng):
    memory, keys, strengths = arguments(rng, B, R, N, W)
    weights, _ = content_weights(memory, keys, strengths)
    for b in range(B):
        for head in range(R):
            expected = plain.content(memory[b], keys[b, head], strengths[b, head])
            assert_allclose(weights[b, head], expected, rtol=1e-12)


def arguments(rng, B, R, N, W):
    return words(rng, B, N, W), words(rng, B, R, W), 1 + 3 * rng.random((B, R))


def assert_content_gradient(arguments, **options):
    _, tape = content_weights(*arguments)
    assert_backward(
        lambda *a: content_weights(*a)[0], arguments, lambda d: content_weights_backward(tape, d), **options
    )


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient(B, R, N, W, rng):
    assert_content_gradient(arguments(rng, B, R, N, W))


@pytest.mark.parametrize("empty", ["one slot", "memory", "keys", "memory and keys"])
def test_gradient_at_zero(empty, rng):
    memory, keys, strengths = arguments(rng, 2, 4, 3, 5)
    if empty == "one slot":
        memory[:, 1] = 0
    if "memory" in empty:
        memory[:] = 0
    if "keys" in empty:
        keys[:] = 0
    assert_content_gradient((memory, keys, strengths), step=3e-6)


def test_single_stays_single_and_finite_at_extremes(rng):
    memory, keys, strengths = single(arguments(rng, 3, 2, 5, 4))
    for scale in (0, 1, 1e4):
        weights, tape = content_weights(memory * scale, keys * scale, 1 + strengths * scale)
        for result in (weights, *content_weights_backward(tape, weights)):
            assert result.dtype == np.float32
            assert np.isfinite(result).all()
