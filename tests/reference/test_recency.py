"""Writing by recency: to the least recently used slot, which is wiped, or to where was read last."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.examples import SIZES, ages, random_state, weightings
from helpers.gradients import assert_backward
from numdnc import DNCSpec, zero_state
from numdnc.parts import Interface
from numdnc.reference.access import access, access_backward
from numdnc.reference.recency import (
    least_recent,
    recency_weights,
    recency_weights_backward,
    update_age,
    write_over,
    write_over_backward,
)
from numdnc.reference.sparse import link_matrix
from numdnc.spec import ACCESSED

WORDS = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
BACKWARD, CONTENT, FORWARD = np.eye(3)
SDNC = DNCSpec(
    input_size=1, output_size=1, memory_size=4, word_size=3, read_heads=1, sparsity=2, recency=True
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    "age, slot", [([0, 0, 0], 0), ([1, 3, 2], 1), ([2, 5, 5], 1), ([0, 0, 1], 2), ([4, 4, 4], 0)]
)
def test_the_oldest_slot_is_written_and_of_equal_ones_the_first(age, slot):
    assert_array_equal(least_recent(np.array([age], float))[0], np.eye(3)[slot])


def test_the_gates_share_a_write_between_the_oldest_slot_and_those_read():
    oldest, read = np.array([[0.0, 0, 1]]), np.array([[[0.5, 0.5, 0], [0.25, 0, 0.75]]])
    weights, _ = recency_weights(oldest, read, np.array([0.2]), np.array([0.5]))
    mean = [0.375, 0.25, 0.375]
    assert_allclose(weights, [[0.4 * mean[0], 0.4 * mean[1], 0.1 + 0.4 * mean[2]]], rtol=1e-15)


def test_the_oldest_slot_is_wiped_and_all_others_are_added_to():
    memory, oldest = np.array([[[1.0, 2], [3, 4], [5, 6]]]), np.array([[0.0, 1, 0]])
    after = write_over(memory, oldest, np.array([[0.5, 0.25, 0]]), np.array([[8.0, 4]]))
    assert_array_equal(after, [[[5, 4], [2, 1], [5, 6]]])


def test_a_slot_is_accessed_above_five_thousandths_of_all_weights_together():
    age, written = np.array([[3.0, 3, 3, 3]]), np.array([[0.0, 0.003, 0.005, 0.0]])
    read = np.array([[[0.0, 0.001, 0, 0.004], [0, 0.002, 0, 0.0005]]])
    assert ACCESSED == 0.005
    assert_array_equal(update_age(age, written, read), [[4, 0, 4, 4]])


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradients(B, R, N, W, rng):
    oldest = least_recent(ages(rng, B, N))
    given = weightings(rng, B, R, N), rng.random(B), rng.random(B)
    _, tape = recency_weights(oldest, *given)
    assert_backward(
        lambda *arguments: recency_weights(oldest, *arguments)[0],
        given,
        lambda d: recency_weights_backward(tape, d),
    )
    memory, weights, vector = (
        rng.standard_normal((B, N, W)),
        weightings(rng, B, N),
        rng.standard_normal((B, W)),
    )
    assert_backward(
        lambda *arguments: write_over(arguments[0], oldest, *arguments[1:]),
        (memory, weights, vector),
        lambda d: write_over_backward(oldest, weights, vector, d),
    )


def step(state, *, store=None, to_oldest=1.0, key=WORDS[0], mode=CONTENT, spec=SDNC):
    """The state after writing `store`, to the oldest slot or to that read last, and one read."""
    interface = Interface(
        read_keys=key[None, None],
        read_strengths=np.array([[1e6]]),
        write_vector=np.zeros((1, 3)) if store is None else store[None],
        allocation_gate=np.array([to_oldest]),
        write_gate=np.array([0.0 if store is None else 1.0]),
        read_modes=mode[None, None] if spec.links else (),
    )
    return access(spec, interface, state)[0]


def stored(*words, spec=SDNC):
    """Each word is read when it is written, so that no other slot is accessed."""
    state = zero_state(spec, 1, np.float64)
    for word in words:
        state = step(state, store=word, key=word, spec=spec)
    return state


def test_words_are_written_to_one_slot_after_the_other():
    state = stored(*WORDS)
    assert_array_equal(state.memory[0], [*WORDS, [0, 0, 0]])
    assert_array_equal(state.age, [[2, 1, 0, 3]])


def test_what_was_not_accessed_for_longest_is_overwritten():
    state = stored(*WORDS, WORDS[0] + WORDS[1])
    state = step(state, key=WORDS[0])  # reads slot 0, wipes nothing it needs: slot 0 was the oldest
    assert_array_equal(state.memory[0, 0], [0, 0, 0])


def test_the_oldest_slot_is_wiped_even_if_nothing_is_written():
    """As published: I^U enters the erasure without the gates."""
    state = stored(*WORDS, WORDS.sum(axis=0))
    after = step(state, key=WORDS[2])
    assert_array_equal(after.memory[0, 0], [0, 0, 0])
    assert_array_equal(after.memory[0, 1:], state.memory[0, 1:])


def test_writing_to_the_slot_read_last_is_additive():
    state = step(stored(*WORDS), key=WORDS[1])
    state = step(state, store=WORDS[0] * 9, to_oldest=0.0, key=WORDS[2])
    assert_allclose(state.memory[0], [WORDS[0], WORDS[1] + WORDS[0] * 9, WORDS[2], [0, 0, 0]], atol=1e-12)
    assert_allclose(state.write_weights, [[0, 1, 0, 0]], atol=1e-12)


def test_head_that_found_a_word_walks_along_the_links():
    """The spare slot 3 is the one that each step wipes."""
    state = step(stored(*WORDS), key=WORDS[0])
    link = link_matrix(state.link_slots, state.link_values)[0]
    assert_array_equal(np.argwhere(link), [[1, 0], [2, 1]])
    for mode, word in [(FORWARD, 1), (FORWARD, 2), (BACKWARD, 1)]:
        state = step(state, mode=mode)
        assert_allclose(state.reads[0], WORDS[[word]], atol=1e-12)


def test_it_has_ages_and_no_usage():
    state = zero_state(SDNC, 2)
    assert state.usage == state.link == ()
    assert state.age.shape == (2, 4)
    absent = {"write_key", "write_strength", "erase", "free_gates", "write_mask"}
    masked = DNCSpec(input_size=1, output_size=1, sparsity=2, recency=True, masking=True)
    assert not absent & masked.interface_sizes.keys()
    assert "read_masks" in masked.interface_sizes


def test_ages_have_no_gradient(rng):
    interface = Interface(
        read_keys=rng.standard_normal((2, 1, 3)),
        read_strengths=1 + rng.random((2, 1)),
        write_vector=rng.standard_normal((2, 3)),
        allocation_gate=rng.random(2),
        write_gate=rng.random(2),
        read_modes=rng.dirichlet(np.ones(3), (2, 1)),
    )
    after, tape = access(SDNC, interface, random_state(SDNC, rng, 2))
    d_interface, d_before = access_backward(SDNC, tape, after)
    assert not d_before.age.any()
    assert d_interface.write_key == d_interface.erase == ()
    assert d_interface.write_vector.any()
