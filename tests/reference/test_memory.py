import numpy as np
import pytest
from numpy.testing import assert_array_equal

from helpers.examples import SIZES, single, weightings
from helpers.gradients import assert_backward
from numdnc.reference.memory import (
    deallocate,
    deallocate_backward,
    read,
    read_backward,
    read_weights,
    read_weights_backward,
    write,
    write_backward,
    write_weights,
    write_weights_backward,
)
from numdnc.tree import leaves


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def chosen(allocation_gate, write_gate):
    """Write weights where allocation offers slot 0 and content slots 1 and 2."""
    allocation, content = np.array([[1.0, 0, 0]]), np.array([[0, 0.5, 0.5]])
    return write_weights(allocation, content, np.array([allocation_gate]), np.array([write_gate]))[0][0]


def test_allocation_gate_chooses_between_allocation_and_content():
    assert_array_equal(chosen(1.0, 1.0), [1, 0, 0])
    assert_array_equal(chosen(0.0, 1.0), [0, 0.5, 0.5])
    assert_array_equal(chosen(0.25, 1.0), [0.25, 0.375, 0.375])


def test_write_gate_scales_the_write():
    assert_array_equal(chosen(0.25, 0.5), [0.125, 0.1875, 0.1875])
    assert_array_equal(chosen(0.25, 0.0), [0, 0, 0])


def written(memory, weights, erase, vector):
    """One row of a batch, by one write head."""
    return written_by_heads(memory, [weights], [erase], [vector])


def written_by_heads(memory, *heads):
    """The same by several, each with weights, erase and vector."""
    parts = (tuple(np.array([one], float) for one in part) for part in heads)
    return write(np.array([memory], float), *parts)[0][0]


def test_full_erase_replaces_the_slot_and_no_other():
    assert_array_equal(written([[1, 2], [3, 4]], [0, 1], [1, 1], [7, 8]), [[1, 2], [7, 8]])


def test_without_erase_the_vector_is_added():
    assert_array_equal(written([[1, 2], [3, 4]], [1, 0], [0, 0], [7, 8]), [[8, 10], [3, 4]])


def test_erase_chooses_numbers_of_the_word():
    assert_array_equal(written([[1, 2], [3, 4]], [1, 0], [1, 0], [0, 0]), [[0, 2], [3, 4]])


def test_partial_write_erases_and_adds_in_proportion():
    assert_array_equal(written([[4, 8]], [0.5], [0.5, 1], [2, 6]), [[4, 7]])


def test_several_heads_write_to_slots_of_their_own():
    after = written_by_heads(
        [[8, 8], [8, 8], [8, 8]], [[1, 0, 0], [0, 0, 1]], [[1, 0], [0.5, 0.5]], [[3, 0], [0, 4]]
    )
    assert_array_equal(after, [[3, 8], [8, 8], [4, 8]])


def test_all_heads_erase_a_slot_before_any_adds_to_it():
    after = written_by_heads([[9, 8], [9, 9]], [[1, 0], [1, 0]], [[1, 0.5], [1, 0.5]], [[1, 0], [0, 2]])
    assert_array_equal(after, [[1, 4], [9, 9]])


def test_order_of_the_heads_does_not_matter(rng):
    memory = rng.integers(-9, 9, (4, 3))
    heads = rng.integers(0, 2, (2, 4)), rng.integers(0, 2, (2, 3)), rng.integers(-9, 9, (2, 3))
    assert_array_equal(
        written_by_heads(memory, *heads), written_by_heads(memory, *(part[::-1] for part in heads))
    )


def test_slot_loses_what_is_not_retained():
    memory, retention = np.array([[[1.0, 2], [3, 4], [5, 6]]]), np.array([[0, 1, 0.5]])
    assert_array_equal(deallocate(memory, retention), [[[0, 0], [3, 4], [2.5, 3]]])


def test_slots_of_each_row_are_wiped_on_their_own():
    kept = deallocate(np.ones((2, 2, 3)), np.array([[0.0, 1], [1, 0.25]]))
    assert_array_equal(kept[:, :, 0], [[0, 1], [1, 0.25]])


@pytest.mark.parametrize("mode, name", [(0, "backward"), (1, "content"), (2, "forward")])
def test_mode_chooses_how_a_head_reads(mode, name, rng):
    ways = {way: rng.random((1, 1, 3)) for way in ("backward", "content", "forward")}
    found = read_weights(
        np.eye(3)[None, None, mode], (ways["backward"],), ways["content"], (ways["forward"],)
    )
    assert_array_equal(found, ways[name])


@pytest.mark.parametrize("mode", range(5))
def test_there_is_a_mode_for_each_direction_of_each_write_head(mode, rng):
    """Backward along the links of each, content, forward along the links of each."""
    ways = rng.random((5, 1, 1, 3))
    found = read_weights(np.eye(5)[None, None, mode], tuple(ways[:2]), ways[2], tuple(ways[3:]))
    assert_array_equal(found, ways[mode])


def test_modes_mix_per_head():
    modes = np.array([[[0.5, 0.25, 0.25], [0, 0, 1]]])
    backward, content, forward = (np.eye(3)[[[slot, slot]]] for slot in range(3))
    expected = [[[0.5, 0.25, 0.25], [0, 0, 1]]]
    assert_array_equal(read_weights(modes, (backward,), content, (forward,)), expected)


def test_read_sums_the_slots_by_weight():
    memory, heads = np.array([[[1.0, 2], [4, 8], [5, 6]]]), np.array([[[0, 0, 1], [0.5, 0.25, 0]]])
    assert_array_equal(read(memory, heads), [[[5, 6], [1.5, 3]]])


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_write_weights(B, R, N, W, rng):
    arguments = weightings(rng, B, N), weightings(rng, B, N), rng.random(B), rng.random(B)
    _, tape = write_weights(*arguments)
    assert_backward(lambda *a: write_weights(*a)[0], arguments, lambda d: write_weights_backward(tape, d))


@pytest.mark.parametrize("V", [1, 2, 3])
@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_write(B, R, N, W, V, rng):
    arguments = (
        rng.standard_normal((B, N, W)),
        tuple(weightings(rng, V, B, N)),
        tuple(rng.random((V, B, W))),
        tuple(rng.standard_normal((V, B, W))),
    )
    assert_write_gradient(arguments)


def assert_write_gradient(arguments):
    _, tape = write(*arguments)
    assert_backward(lambda *a: write(*a)[0], arguments, lambda d: write_backward(tape, d))


def test_gradient_where_two_heads_erase_a_slot_wholly(rng):
    """The factors of the other heads are multiplied, never divided by: two of them are 0 here."""
    weights = np.zeros((4, 1, 3))
    weights[:2, :, 1] = 1
    erase, vectors = np.ones((4, 1, 2)), rng.standard_normal((4, 1, 2))
    assert_write_gradient((rng.standard_normal((1, 3, 2)), *map(tuple, (weights, erase, vectors))))


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_deallocation(B, R, N, W, rng):
    arguments = rng.standard_normal((B, N, W)), rng.random((B, N))
    assert_backward(deallocate, arguments, lambda d: deallocate_backward(*arguments, d))


def test_gradient_of_deallocation_where_all_or_nothing_is_kept(rng):
    arguments = rng.standard_normal((2, 2, 3)), np.array([[0.0, 1], [1, 0]])
    assert_backward(deallocate, arguments, lambda d: deallocate_backward(*arguments, d))


@pytest.mark.parametrize("V", [1, 2, 3])
@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_read_weights(B, R, N, W, V, rng):
    ways = weightings(rng, 2 * V + 1, B, R, N)
    arguments = rng.random((B, R, 2 * V + 1)), tuple(ways[:V]), ways[V], tuple(ways[V + 1 :])
    assert_backward(read_weights, arguments, lambda d: read_weights_backward(*arguments, d))


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_read(B, R, N, W, rng):
    arguments = rng.standard_normal((B, N, W)), weightings(rng, B, R, N)
    assert_backward(read, arguments, lambda d: read_backward(*arguments, d))


def test_memory_stays_single(rng):
    B, R, N, W = 3, 2, 5, 4
    memory, slots, vector, gate, heads, modes = single(
        (
            rng.standard_normal((B, N, W)),
            weightings(rng, B, N),
            rng.random((B, W)),
            rng.random(B),
            weightings(rng, B, R, N),
            rng.random((B, R, 3)),
        )
    )
    weights, weights_tape = write_weights(slots, slots, gate, gate)
    memory, write_tape = write(memory, (weights,), (vector,), (vector,))
    reading = read_weights(modes, (heads,), heads, (heads,))
    reads = read(memory, reading)
    kept = deallocate(memory, slots)
    results = (
        kept,
        *deallocate_backward(memory, slots, kept),
        weights,
        *write_weights_backward(weights_tape, weights),
        memory,
        *leaves(write_backward(write_tape, memory)),
        reading,
        *leaves(read_weights_backward(modes, (heads,), heads, (heads,), reading)),
        reads,
        *read_backward(memory, reading, reads),
    )
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
