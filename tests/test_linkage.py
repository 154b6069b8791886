import numpy as np
import pytest
from numpy.testing import assert_array_equal

from examples import SIZES, links, single, weightings
from gradients import assert_backward
from numdnc.reference.linkage import (
    directional_weights,
    directional_weights_backward,
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
