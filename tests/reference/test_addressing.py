"""Where the heads of an NTM attend: hand-made cases, gradients, ties and an empty memory."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.examples import single, weightings, words
from helpers.gradients import assert_backward
from numdnc.reference.addressing import Heads, address, address_backward, shift, shift_backward
from numdnc.spec import EPSILON
from numdnc.tree import leaves

SIZES = [(3, 2, 5, 4, 3), (2, 1, 4, 3, 5), (1, 4, 3, 2, 7), (2, 4, 1, 3, 3), (3, 2, 4, 1, 5)]
"""B, K, N, W, S: K never 3; more shifts than slots, one slot, one number per slot."""
MEMORY = np.eye(5)[:, :4] * [1.0, 2, 3, 4]
"""Five slots of words of four: each of the first four has a number of its own, the last is empty."""
STILL, AHEAD, BACK = np.eye(3)[[1, 2, 0]]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def attend(before, *, key=(0, 0, 0, 1), strength=1e4, gate=0.0, shifts=STILL, sharpening=1.0, memory=MEMORY):
    """Weighting of a single head."""
    given = [np.array([[part]], float) for part in (key, strength, gate, shifts, sharpening)]
    return address(memory[None], np.array([[before]], float), Heads(*given))[0][0, 0]


SPREAD = np.array([0.1, 0.4, 0.2, 0.3, 0.0])


def test_gate_0_keeps_the_weighting_and_gate_1_finds_the_key():
    assert_allclose(attend(SPREAD), SPREAD, atol=5 * EPSILON)
    assert_allclose(attend(SPREAD, gate=1), [0, 0, 0, 1, 0], atol=5 * EPSILON)
    assert_allclose(attend(SPREAD, gate=0.25), 0.75 * SPREAD + [0, 0, 0, 0.25, 0], atol=5 * EPSILON)


def test_pure_shift_rotates_the_weighting():
    assert_allclose(attend(SPREAD, shifts=AHEAD), [0.0, 0.1, 0.4, 0.2, 0.3], atol=5 * EPSILON)
    assert_allclose(attend(SPREAD, shifts=BACK), [0.4, 0.2, 0.3, 0.0, 0.1], atol=5 * EPSILON)


def test_shift_comes_after_the_look_up():
    """The word after the one that is like the key, as in the paper's associative recall."""
    assert_allclose(attend(SPREAD, gate=1, key=(0, 1, 0, 0), shifts=AHEAD), [0, 0, 1, 0, 0], atol=5 * EPSILON)


def test_strength_0_finds_all_slots_alike():
    assert_allclose(attend(SPREAD, gate=1, strength=0), np.full(5, 0.2), rtol=1e-12)


def test_sharpening_undoes_the_blur_of_a_shift():
    blurred = attend([0, 0, 1, 0, 0], shifts=[0.1, 0.8, 0.1])
    assert_allclose(blurred, [0, 0.1, 0.8, 0.1, 0], atol=5 * EPSILON)
    assert_allclose(attend([0, 0, 1, 0, 0], shifts=[0.1, 0.8, 0.1], sharpening=3)[2], 512 / 514, rtol=1e-5)


def test_ties_stay_ties():
    weights = attend([0.4, 0.1, 0.4, 0.1, 0.0], sharpening=7)
    assert weights[0] == weights[2] == pytest.approx(0.5, abs=1e-4)


def test_empty_memory_is_found_everywhere():
    weights = attend([1.0, 0, 0, 0, 0], gate=1, memory=np.zeros((5, 4)))
    assert_array_equal(weights, np.full(5, weights[0]))
    assert weights[0] == pytest.approx(0.2)


@pytest.mark.parametrize("S", [1, 3, 5, 7, 9])
def test_shifts_go_round(S):
    """Each shift moves slot 0 of three by its offset, more than once around if there are more shifts than slots."""
    for j, shifts in enumerate(np.eye(S)):
        moved = shift(np.array([[[1.0, 0, 0]]]), shifts[None, None])[0, 0]
        assert_array_equal(moved, np.eye(3)[(j - S // 2) % 3])


def test_each_head_of_each_row_shifts_by_its_own():
    weights = np.broadcast_to([1.0, 0, 0, 0], (2, 2, 4))
    shifts = np.array([[STILL, AHEAD], [BACK, AHEAD]])
    assert_array_equal(shift(weights, shifts).argmax(axis=2), [[0, 1], [3, 1]])


def example(rng, B, K, N, W, S):
    """A memory, weightings before, and what heads look for."""
    heads = Heads(
        words(rng, B, K, W),
        3 * rng.random((B, K)),
        rng.random((B, K)),
        rng.dirichlet(np.ones(S), (B, K)),
        1 + rng.random((B, K)),
    )
    return words(rng, B, N, W), weightings(rng, B, K, N), heads


@pytest.mark.parametrize("B, K, N, W, S", SIZES)
def test_gradient_of_shift(B, K, N, W, S, rng):
    _, weights, heads = example(rng, B, K, N, W, S)
    arguments = weights, heads.shifts
    assert_backward(shift, arguments, lambda d: shift_backward(*arguments, d))


@pytest.mark.parametrize("B, K, N, W, S", SIZES)
def test_gradient_of_address(B, K, N, W, S, rng):
    arguments = example(rng, B, K, N, W, S)
    _, tape = address(*arguments)
    assert_backward(lambda *a: address(*a)[0], arguments, lambda d: address_backward(tape, d))


def test_gradient_in_an_empty_memory_and_at_ties(rng):
    """All slots alike, and all weightings equal: no step of the addressing jumps there."""
    _, _, heads = example(rng, 2, 4, 5, 3, 3)
    arguments = np.zeros((2, 5, 3)), np.full((2, 4, 5), 0.2), heads
    _, tape = address(*arguments)
    assert_backward(
        lambda *a: address(*a)[0],
        arguments,
        lambda d: address_backward(tape, d),
        step=3e-6,
        tolerance=1e-7,
    )


def test_address_stays_single(rng):
    memory, before, heads = single(example(rng, 3, 2, 5, 4, 3))
    weights, tape = address(memory, before, heads)
    assert {leaf.dtype.name for leaf in leaves((weights, address_backward(tape, weights)))} == {"float32"}
