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
    """One row of a batch."""
    return write(*(np.array([one], float) for one in (memory, weights, erase, vector)))[0][0]


def test_full_erase_replaces_the_slot_and_no_other():
    assert_array_equal(written([[1, 2], [3, 4]], [0, 1], [1, 1], [7, 8]), [[1, 2], [7, 8]])


def test_without_erase_the_vector_is_added():
    assert_array_equal(written([[1, 2], [3, 4]], [1, 0], [0, 0], [7, 8]), [[8, 10], [3, 4]])


def test_erase_chooses_numbers_of_the_word():
    assert_array_equal(written([[1, 2], [3, 4]], [1, 0], [1, 0], [0, 0]), [[0, 2], [3, 4]])


def test_partial_write_erases_and_adds_in_proportion():
    assert_array_equal(written([[4, 8]], [0.5], [0.5, 1], [2, 6]), [[4, 7]])


def test_slot_loses_what_is_not_retained():
    memory, retention = np.array([[[1.0, 2], [3, 4], [5, 6]]]), np.array([[0, 1, 0.5]])
    assert_array_equal(deallocate(memory, retention), [[[0, 0], [3, 4], [2.5, 3]]])


def test_slots_of_each_row_are_wiped_on_their_own():
    kept = deallocate(np.ones((2, 2, 3)), np.array([[0.0, 1], [1, 0.25]]))
    assert_array_equal(kept[:, :, 0], [[0, 1], [1, 0.25]])


@pytest.mark.parametrize("mode, name", [(0, "backward"), (1, "content"), (2, "forward")])
def test_mode_chooses_how_a_head_reads(mode, name, rng):
    ways = {way: rng.random((1, 1, 3)) for way in ("backward", "content", "forward")}
    assert_array_equal(read_weights(np.eye(3)[None, None, mode], **ways), ways[name])


def test_modes_mix_per_head():
    modes = np.array([[[0.5, 0.25, 0.25], [0, 0, 1]]])
    backward, content, forward = (np.eye(3)[[[slot, slot]]] for slot in range(3))
    expected = [[[0.5, 0.25, 0.25], [0, 0, 1]]]
    assert_array_equal(read_weights(modes, backward, content, forward), expected)


def test_read_sums_the_slots_by_weight():
    memory, heads = np.array([[[1.0, 2], [4, 8], [5, 6]]]), np.array([[[0, 0, 1], [0.5, 0.25, 0]]])
    assert_array_equal(read(memory, heads), [[[5, 6], [1.5, 3]]])


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_write_weights(B, R, N, W, rng):
    arguments = weightings(rng, B, N), weightings(rng, B, N), rng.random(B), rng.random(B)
    _, tape = write_weights(*arguments)
    assert_backward(lambda *a: write_weights(*a)[0], arguments, lambda d: write_weights_backward(tape, d))


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_write(B, R, N, W, rng):
    arguments = (
        rng.standard_normal((B, N, W)),
        weightings(rng, B, N),
        rng.random((B, W)),
        rng.standard_normal((B, W)),
    )
    _, tape = write(*arguments)
    assert_backward(lambda *a: write(*a)[0], arguments, lambda d: write_backward(tape, d))


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_deallocation(B, R, N, W, rng):
    arguments = rng.standard_normal((B, N, W)), rng.random((B, N))
    assert_backward(deallocate, arguments, lambda d: deallocate_backward(*arguments, d))


def test_gradient_of_deallocation_where_all_or_nothing_is_kept(rng):
    arguments = rng.standard_normal((2, 2, 3)), np.array([[0.0, 1], [1, 0]])
    assert_backward(deallocate, arguments, lambda d: deallocate_backward(*arguments, d))


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_read_weights(B, R, N, W, rng):
    arguments = rng.random((B, R, 3)), *(weightings(rng, B, R, N) for _ in range(3))
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
    memory, write_tape = write(memory, weights, vector, vector)
    reading = read_weights(modes, heads, heads, heads)
    reads = read(memory, reading)
    kept = deallocate(memory, slots)
    results = (
        kept,
        *deallocate_backward(memory, slots, kept),
        weights,
        *write_weights_backward(weights_tape, weights),
        memory,
        *write_backward(write_tape, memory),
        reading,
        *read_weights_backward(modes, heads, heads, heads, reading),
        reads,
        *read_backward(memory, reading, reads),
    )
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
