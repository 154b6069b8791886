"""One whole step of the memory: what a controller can do with it, and the gradient."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from examples import SIZES, random_state, single, weightings, words
from gradients import assert_backward
from numdnc import DNCSpec, map_leaves, zero_state
from numdnc.reference.access import access, access_backward
from numdnc.reference.interface import Interface
from numdnc.tree import leaves

WORDS = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
STRONG = np.array([1e6])
BACKWARD, CONTENT, FORWARD = np.eye(3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spec_of(R, N, W):
    return DNCSpec(input_size=1, output_size=1, hidden_sizes=(2,), memory_size=N, word_size=W, read_heads=R)


def blank():
    """One row, one head, four slots, words of three."""
    return zero_state(spec_of(1, 4, 3), 1, np.float64)


def step(state, *, store=None, key=WORDS[0], mode=CONTENT, free=0.0, over=None):
    """The state after writing `store` into a free slot, or `over` the slot most like that, and one read."""
    interface = Interface(
        read_keys=key[None, None],
        read_strengths=STRONG[None],
        write_key=np.zeros((1, 3)) if over is None else over[None],
        write_strength=STRONG,
        erase=np.ones((1, 3)),
        write_vector=np.zeros((1, 3)) if store is None else store[None],
        free_gates=np.array([[free]]),
        allocation_gate=np.array([1.0 if over is None else 0.0]),
        write_gate=np.array([0.0 if store is None else 1.0]),
        read_modes=mode[None, None],
    )
    return access(interface, state)[0]


def stored(*words):
    state = blank()
    for word in words:
        state = step(state, store=word)
    return state


def test_words_are_written_to_one_slot_after_the_other():
    state = stored(*WORDS)
    assert_array_equal(state.memory[0], [*WORDS, [0, 0, 0]])
    assert_array_equal(state.write_weights, [[0, 0, 1, 0]])


def test_word_can_be_read_in_the_step_that_writes_it():
    state = step(blank(), store=WORDS[2], key=WORDS[2])
    assert_allclose(state.reads[0], WORDS[[2]], atol=1e-12)


def test_slot_most_like_the_write_key_is_overwritten():
    state = step(stored(*WORDS), store=WORDS[2] * 5, over=WORDS[1])
    assert_allclose(state.memory[0], [WORDS[0], WORDS[2] * 5, WORDS[2], [0, 0, 0]], atol=1e-12)


def test_links_are_made_with_what_was_written_the_step_before():
    state = stored(WORDS[0], WORDS[1])
    expected = np.zeros((4, 4))
    expected[1, 0] = 1
    assert_array_equal(state.link[0], expected)
    assert_array_equal(state.precedence, [[0, 1, 0, 0]])


def test_head_that_found_a_word_walks_forward_and_back():
    state = step(stored(*WORDS), key=WORDS[0])
    for mode, word in [(FORWARD, 1), (FORWARD, 2), (BACKWARD, 1), (BACKWARD, 0)]:
        state = step(state, mode=mode)
        assert_allclose(state.reads[0], WORDS[[word]], atol=1e-12)


def test_freed_slot_is_written_next():
    state = step(stored(*WORDS), key=WORDS[1])
    state = step(state, store=WORDS[0] * 9, free=1.0)
    assert_allclose(state.memory[0], [WORDS[0], WORDS[0] * 9, WORDS[2], [0, 0, 0]], atol=1e-12)


def test_usage_counts_the_write_of_the_step_before():
    state = stored(WORDS[0])
    assert_array_equal(state.usage, np.zeros((1, 4)))
    assert_array_equal(step(state).usage, [[1, 0, 0, 0]])


def example(rng, B, R, N, W):
    """A random interface and a random state."""
    interface = Interface(
        read_keys=words(rng, B, R, W),
        read_strengths=1 + rng.random((B, R)),
        write_key=words(rng, B, W),
        write_strength=1 + rng.random(B),
        erase=rng.random((B, W)),
        write_vector=rng.standard_normal((B, W)),
        free_gates=0.1 * rng.random((B, R)),  # usage stays far from ties
        allocation_gate=rng.random(B),
        write_gate=rng.random(B),
        read_modes=rng.dirichlet(np.ones(3), (B, R)),
    )
    state = random_state(spec_of(R, N, W), rng, B)
    return interface, state._replace(write_weights=0.1 * weightings(rng, B, N))


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient(B, R, N, W, rng):
    interface, before = example(rng, B, R, N, W)
    _, tape = access(interface, before)
    assert_backward(
        lambda *arguments: access(*arguments)[0], (interface, before), lambda d: access_backward(tape, d)
    )


@pytest.mark.parametrize("part", ["memory", "usage", "precedence", "link", "write_weights", "read_weights"])
def test_gradient_from_each_part_of_the_state_alone(part, rng):
    """No part hides an error in another, however small its gradient."""
    interface, before = example(rng, 2, 4, 5, 3)
    after, tape = access(interface, before)
    blank = map_leaves(np.zeros_like, after)
    assert_backward(
        lambda *arguments: getattr(access(*arguments)[0], part),
        (interface, before),
        lambda d: access_backward(tape, blank._replace(**{part: d})),
    )


def test_access_stays_single(rng):
    interface, before = single(example(rng, 3, 2, 5, 4))
    after, tape = access(interface, before)
    results = leaves((after, access_backward(tape, after)))
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
