import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.examples import SIZES, links, single, weightings
from helpers.gradients import assert_backward
from numdnc.reference.linkage import (
    directional_weights,
    directional_weights_backward,
    sharpen,
    sharpen_backward,
    update_link,
    update_link_backward,
    update_precedence,
    update_precedence_backward,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def one_hot(slot, N=4):
    return np.eye(N)[[slot]]


def after_writing(*slots, N=4):
    """Link and precedence after one-hot writes in this order."""
    link, precedence = np.zeros((1, N, N)), np.zeros((1, N))
    for slot in slots:
        link, _ = update_link(link, precedence, one_hot(slot, N))
        precedence = update_precedence(precedence, one_hot(slot, N))
    return link, precedence


def test_link_says_which_slot_was_written_after_which():
    link, precedence = after_writing(0, 1, 2)
    expected = np.zeros((4, 4))
    expected[1, 0] = expected[2, 1] = 1
    assert_array_equal(link[0], expected)
    assert_array_equal(precedence, one_hot(2))


def test_forward_leads_to_what_was_written_next():
    link, _ = after_writing(0, 1, 2)
    forward, _ = directional_weights(link, one_hot(0)[:, None])
    assert_array_equal(forward[:, 0], one_hot(1))


def test_backward_leads_to_what_was_written_before():
    link, _ = after_writing(0, 1, 2)
    _, backward = directional_weights(link, one_hot(1)[:, None])
    assert_array_equal(backward[:, 0], one_hot(0))


def test_each_head_walks_on_its_own():
    link, _ = after_writing(0, 3, 1)
    heads = np.stack([one_hot(0), one_hot(3), one_hot(2)], axis=1)
    forward, backward = directional_weights(link, heads)
    assert_array_equal(forward[0], [one_hot(3)[0], one_hot(1)[0], np.zeros(4)])
    assert_array_equal(backward[0], [np.zeros(4), one_hot(0)[0], np.zeros(4)])


def test_writing_a_slot_again_forgets_its_old_links():
    link, _ = after_writing(0, 1, 2, 1)
    expected = np.zeros((4, 4))
    expected[1, 2] = 1
    assert_array_equal(link[0], expected)


def test_slot_is_never_linked_to_itself():
    link, _ = after_writing(1, 1)
    assert_array_equal(link, np.zeros((1, 4, 4)))
    link, _ = update_link(np.ones((1, 2, 2)), np.zeros((1, 2)), np.zeros((1, 2)))
    assert_array_equal(link[0], [[0, 1], [1, 0]])


def test_writing_nothing_changes_nothing(rng):
    link, precedence = links(rng, 2, 3), weightings(rng, 2, 3)
    assert_array_equal(update_link(link, precedence, np.zeros((2, 3)))[0], link)
    assert_array_equal(update_precedence(precedence, np.zeros((2, 3))), precedence)


def test_partial_write_links_and_leaves_in_proportion():
    link, precedence, weights = (
        np.array([[[0, 0.5], [0.25, 0]]]),
        np.array([[0.5, 0.25]]),
        np.array([[0.5, 0.25]]),
    )
    assert_array_equal(update_link(link, precedence, weights)[0], [[[0, 0.25], [0.1875, 0]]])
    assert_array_equal(update_precedence(precedence, weights), [[0.625, 0.3125]])


def sharp_of(weights, sharpness, dtype=np.float64):
    """One head of one row."""
    return sharpen(np.array([[weights]], dtype), np.array([[sharpness]], dtype))[0][0, 0]


def test_sharpness_of_two_compares_the_squares():
    assert_allclose(sharp_of([0.125, 0.25, 0.5], 2), np.array([1, 4, 16]) / 21, rtol=1e-4)


def test_sharpness_of_one_only_fills_up_to_a_sum_of_one():
    assert_allclose(sharp_of([0.1, 0.3, 0], 1), [0.25, 0.75, 0], atol=1e-5)


def test_epsilon_raises_every_weight_before_it_is_sharpened():
    assert_allclose(sharp_of([0, 1e-6, 3e-6], 2), np.array([1, 4, 16]) / 21, rtol=1e-12)


@pytest.mark.parametrize("weight", [0, 1e-9, 0.125, 0.25])
@pytest.mark.parametrize("sharpness", [1, 3.7, 1e4])
def test_where_nothing_stands_out_sharpening_stays_even(weight, sharpness):
    assert_array_equal(sharp_of([weight] * 4, sharpness), [0.25] * 4)


def test_sharpened_weights_sum_to_one(rng):
    weights = weightings(rng, 3, 4, 5)
    weights[0, :2] = 0  # where no link leads
    sharp, _ = sharpen(weights, 1 + 9 * rng.random((3, 4)))
    assert_allclose(sharp.sum(axis=2), np.ones((3, 4)), rtol=1e-13)
    assert sharp.min() >= 0


def test_sharpening_keeps_the_order(rng):
    weights = weightings(rng, 3, 4, 5)
    sharp, _ = sharpen(weights, 1 + rng.random((3, 4)))
    assert_array_equal(np.argsort(sharp), np.argsort(weights))


def test_more_sharpness_leaves_less_blur():
    peaks = [sharp_of([0.1, 0.3, 0.2], sharpness).max() for sharpness in (1, 1.5, 2, 5, 20)]
    assert_array_equal(peaks, sorted(set(peaks)))
    assert_allclose(sharp_of([0.1, 0.3, 0.2], 1e3), [0, 1, 0], atol=1e-12)


def test_each_head_has_its_own_sharpness():
    weights = np.tile([0.125, 0.25], (2, 2, 1))
    sharp, _ = sharpen(weights, np.array([[1.0, 2], [3, 4]]))
    expected = [[[1 / 3, 2 / 3], [1 / 5, 4 / 5]], [[1 / 9, 8 / 9], [1 / 17, 16 / 17]]]
    assert_allclose(sharp, expected, rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("error", [-1e-7, -9.9e-7, -2e-6])
def test_rounding_error_below_zero_counts_as_zero(error, dtype):
    assert_array_equal(sharp_of([error, 0.5, 0.25], 1.5, dtype), sharp_of([0, 0.5, 0.25], 1.5, dtype))


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_sharpening(B, R, N, W, rng):
    arguments = rng.uniform(0.1, 1, (B, R, N)) / N, 1 + 3 * rng.random((B, R))
    _, tape = sharpen(*arguments)
    assert_backward(lambda *a: sharpen(*a)[0], arguments, lambda d: sharpen_backward(tape, d), step=3e-5)


def test_gradient_of_sharpening_by_weights_near_zero(rng):
    weights, sharpness = rng.uniform(1e-5, 2e-5, (2, 4, 3)), 1 + rng.random((2, 4))
    _, tape = sharpen(weights, sharpness)
    assert_backward(
        lambda w: sharpen(w, sharpness)[0], (weights,), lambda d: sharpen_backward(tape, d)[:1], step=1e-8
    )


def test_gradient_of_sharpening_at_zero_is_bounded_by_epsilon():
    """(d[0] + eps) / (d[0] + d[1] + 2 eps) at 0: 1 / (4 eps)."""
    _, tape = sharpen(np.zeros((1, 1, 2)), np.ones((1, 1)))
    d_weights, d_sharpness = sharpen_backward(tape, np.array([[[1.0, 0]]]))
    assert_allclose(d_weights, [[[2.5e5, -2.5e5]]], rtol=1e-12)
    assert_array_equal(d_sharpness, [[0]])


@pytest.mark.parametrize("error", [-1e-7, -1e-6, -2e-6])
def test_rounding_error_below_zero_has_no_gradient(error):
    results = []
    for lowest in (error, 0):
        _, tape = sharpen(np.array([[[lowest, 0.5, 0.25]]]), np.array([[1.5]]))
        results.append(sharpen_backward(tape, np.array([[[3.0, 2, 1]]])))
    (d_weights, d_sharpness), (d_at_zero, d_sharpness_at_zero) = results
    assert_array_equal(d_weights[0, 0], [0, *d_at_zero[0, 0, 1:]])
    assert_array_equal(d_sharpness, d_sharpness_at_zero)


def test_sharpening_stays_single_and_finite_at_extremes(rng):
    weights = single(weightings(rng, 3, 2, 5))
    weights[0, 0], weights[1, 1] = 0, [1, 0, 0, 0, 0]
    weights[2, 0, :2] = [-1e-7, -2e-6]
    for sharpness in (1, 1e4):
        sharp, tape = sharpen(weights, np.full((3, 2), sharpness, np.float32))
        for result in (sharp, *sharpen_backward(tape, weights)):
            assert result.dtype == np.float32
            assert np.isfinite(result).all()


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_link(B, R, N, W, rng):
    arguments = rng.random((B, N, N)), weightings(rng, B, N), weightings(rng, B, N)
    _, tape = update_link(*arguments)
    assert_backward(lambda *a: update_link(*a)[0], arguments, lambda d: update_link_backward(tape, d))


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_precedence(B, R, N, W, rng):
    arguments = weightings(rng, B, N), weightings(rng, B, N)
    assert_backward(update_precedence, arguments, lambda d: update_precedence_backward(*arguments, d))


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_walking_the_links(B, R, N, W, rng):
    arguments = links(rng, B, N), weightings(rng, B, R, N)
    assert_backward(directional_weights, arguments, lambda d: directional_weights_backward(*arguments, *d))


def test_gradients_leave_what_they_are_given(rng):
    d_link = rng.random((2, 3, 3))
    given = d_link.copy()
    _, tape = update_link(links(rng, 2, 3), weightings(rng, 2, 3), weightings(rng, 2, 3))
    update_link_backward(tape, d_link)
    assert_array_equal(d_link, given)


def test_linkage_stays_single(rng):
    link, precedence, weights, heads = single(
        (links(rng, 3, 5), weightings(rng, 3, 5), weightings(rng, 3, 5), weightings(rng, 3, 2, 5))
    )
    link, tape = update_link(link, precedence, weights)
    walked = directional_weights(link, heads)
    results = (
        link,
        *update_link_backward(tape, link),
        update_precedence(precedence, weights),
        *update_precedence_backward(precedence, weights, precedence),
        *walked,
        *directional_weights_backward(link, heads, *walked),
    )
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
