import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers import plain
from helpers.examples import SIZES, single, words
from helpers.gradients import assert_backward
from numdnc import DNCSpec
from numdnc.reference.content import (
    content_weights,
    content_weights_backward,
    look_up,
    look_up_backward,
    masked_content_weights,
    masked_content_weights_backward,
)


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


def masked_weights_of(memory, keys, strengths, masks, floor=0.0):
    """One row of a batch."""
    arguments = (np.array([one], float) for one in (memory, keys, strengths, masks))
    return masked_content_weights(*arguments, floor)[0][0]


def test_mask_of_one_column_compares_nothing_else():
    memory = np.array([[9.0, 300, -4], [-7, -100, 8], [-3, 0, 2]])
    weights = masked_weights_of(memory, [[-8, 500, 6]], [2], [[0, 1, 0]])
    powers = np.exp([2, -2, 0])
    assert_allclose(weights, [powers / powers.sum()], rtol=1e-9)
    memory[:, [0, 2]] = [[1e6, -5], [0, 3], [2, 2]]  # what the other columns hold plays no part
    assert_array_equal(masked_weights_of(memory, [[77, 500, 0]], [2], [[0, 1, 0]]), weights)


@pytest.mark.parametrize("floor", [0.0, 0.25, 1.0])
def test_mask_of_ones_is_the_plain_look_up(floor, rng):
    memory, keys, strengths = arguments(rng, 2, 4, 5, 3)
    plainly, _ = content_weights(memory, keys, strengths)
    weights, _ = masked_content_weights(memory, keys, strengths, np.ones_like(keys), floor)
    assert_allclose(weights, plainly, rtol=1e-13)


def test_floor_of_one_is_the_plain_look_up_whatever_the_mask(rng):
    memory, keys, strengths = arguments(rng, 2, 4, 5, 3)
    plainly, _ = content_weights(memory, keys, strengths)
    weights, _ = masked_content_weights(memory, keys, strengths, rng.random(keys.shape), 1.0)
    assert_allclose(weights, plainly, rtol=1e-13)


def test_floor_is_what_a_masked_column_still_counts():
    memory = [[300, 400], [100, -1200], [-300, -400]]  # seen as (300, 100), (100, -300), (-300, -100)
    powers = np.exp([2, 0, -2])
    weights = masked_weights_of(memory, [[300, 400]], [2], [[1, 0]], floor=0.25)
    assert_allclose(weights, [powers / powers.sum()], rtol=1e-8)


def test_floor_raises_what_a_mask_half_lets_through():
    memory = [[300, 750], [300, -750]]  # the second number counts 0.25 + 0.75 * 0.2 = 0.4
    powers = np.exp([2, 0])
    weights = masked_weights_of(memory, [[200, 500]], [2], [[1, 0.2]], floor=0.25)
    assert_allclose(weights, [powers / powers.sum()], rtol=1e-8)


def test_mask_of_zeros_looks_evenly(rng):
    weights = masked_weights_of(rng.standard_normal((4, 3)), [[1, 2, 3]], [9], np.zeros((1, 3)))
    assert_array_equal(weights, np.full((1, 4), 0.25))


def test_each_key_sees_the_memory_through_its_own_mask():
    memory, key = [[1, -1], [-1, 1]], [1, 1]
    weights = masked_weights_of(memory, [key, key, key], [1e3] * 3, [[1, 0], [0, 1], [1, 1]])
    assert_allclose(weights, [[1, 0], [0, 1], [0.5, 0.5]], atol=1e-12)


def test_each_row_of_a_batch_has_its_own_masks():
    memory, keys = np.tile([[1.0, -1], [-1, 1]], (2, 1, 1)), np.ones((2, 1, 2))
    weights, _ = masked_content_weights(memory, keys, np.full((2, 1), 1e3), np.eye(2)[:, None], 0.0)
    assert_allclose(weights[:, 0], np.eye(2), atol=1e-12)


def test_empty_memory_is_looked_at_evenly_through_any_mask():
    weights = masked_weights_of(np.zeros((4, 2)), [[1, 2], [0, 0]], [9, 9], [[0.5, 1], [1, 0]], floor=0.25)
    assert_array_equal(weights, np.full((2, 4), 0.25))


@pytest.mark.parametrize("floor", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_masked_weights_equal_the_equation_slot_by_slot(B, R, N, W, floor, rng):
    memory, keys, strengths, masks = masked_arguments(rng, B, R, N, W)
    weights, _ = masked_content_weights(memory, keys, strengths, masks, floor)
    for b in range(B):
        for head in range(R):
            counts = floor + (1 - floor) * masks[b, head]
            expected = plain.content(memory[b] * counts, keys[b, head] * counts, strengths[b, head])
            assert_allclose(weights[b, head], expected, rtol=1e-12)


def masked_arguments(rng, B, R, N, W):
    return *arguments(rng, B, R, N, W), rng.uniform(0.1, 1, (B, R, W))


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


def assert_masked_gradient(arguments, floor, **options):
    _, tape = masked_content_weights(*arguments, floor)
    assert_backward(
        lambda *a: masked_content_weights(*a, floor)[0],
        arguments,
        lambda d: masked_content_weights_backward(tape, d, floor),
        **options,
    )


@pytest.mark.parametrize("floor", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_with_masks(B, R, N, W, floor, rng):
    assert_masked_gradient(masked_arguments(rng, B, R, N, W), floor)


@pytest.mark.parametrize("empty", ["masks", "one column", "memory", "keys", "memory and masks"])
def test_gradient_with_masks_at_zero(empty, rng):
    memory, keys, strengths, masks = masked_arguments(rng, 2, 4, 3, 5)
    if empty == "one column":
        masks[:, :, 1] = 0
    if "masks" in empty:
        masks[:] = 0
    if "memory" in empty:
        memory[:] = 0
    if "keys" in empty:
        keys[:] = 0
    assert_masked_gradient((memory, keys, strengths, masks), 0.0, step=3e-6)


@pytest.mark.parametrize("floor", [0.0, 0.25, 1.0])
def test_masks_stay_single_and_finite_at_extremes(floor, rng):
    memory, keys, strengths, masks = single(masked_arguments(rng, 3, 2, 5, 4))
    for scale in (0, 1, 1e4):
        for mask in (0 * masks, masks, masks > 0.5):
            given = memory * scale, keys * scale, 1 + strengths * scale, mask.astype(np.float32)
            weights, tape = masked_content_weights(*given, floor)
            for result in (weights, *masked_content_weights_backward(tape, weights, floor)):
                assert result.dtype == np.float32
                assert np.isfinite(result).all()


@pytest.mark.parametrize("variations", [{}, {"masking": True}, {"masking": True, "mask_floor": 0.25}])
def test_look_up_follows_the_spec(variations, rng):
    spec = DNCSpec(input_size=1, output_size=1, **variations)
    *given, masks = masked_arguments(rng, 2, 4, 5, 3)
    if not spec.masking:
        expected, tape = content_weights(*given)
        masks, pulled_back = (), (*content_weights_backward(tape, expected), ())
    else:
        expected, tape = masked_content_weights(*given, masks, spec.mask_floor)
        pulled_back = masked_content_weights_backward(tape, expected, spec.mask_floor)
    weights, tape = look_up(spec, *given, masks)
    assert_array_equal(weights, expected)
    for result, wanted in zip(look_up_backward(spec, tape, weights), pulled_back, strict=True):
        assert_array_equal(result, wanted)
