import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers import plain
from helpers.examples import SIZES, single, usages, weightings
from helpers.gradients import assert_backward, assert_gradient
from numdnc.reference.allocation import (
    allocate,
    allocate_backward,
    allocate_in_turn,
    allocate_in_turn_backward,
    retain,
    retain_backward,
    update_usage,
    update_usage_backward,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def allocation_of(*usage):
    return allocate(np.array([usage]))[0][0]


def usage_after(usage, write_weights, read_weights, free_gates):
    """One row of a batch; as many heads as free gates."""
    arguments = (np.array([one], float) for one in (usage, write_weights, read_weights, free_gates))
    return free_and_fill(*arguments)[0][0]


def free_and_fill(usage, write_weights, read_weights, free_gates):
    """Usage after what heads freed and writes filled, and the tapes of both."""
    retention, retention_tape = retain(read_weights, free_gates)
    after, usage_tape = update_usage(usage, (write_weights,), retention)
    return after, (retention_tape, usage_tape)


def free_and_fill_backward(tapes, d_usage):
    retention_tape, usage_tape = tapes
    d_usage, (d_write_weights,), d_retention = update_usage_backward(usage_tape, d_usage)
    return d_usage, d_write_weights, *retain_backward(retention_tape, d_retention)


def test_least_used_slot_is_offered_first():
    assert_allclose(allocation_of(0.2, 0.1, 0.5), [0.08, 0.9, 0.01], rtol=1e-15)


def test_ties_go_by_slot_index():
    assert_array_equal(allocation_of(0.5, 0.5, 0.5), [0.5, 0.25, 0.125])
    assert_array_equal(allocation_of(0.5, 0.0, 0.5, 0.0), [0, 1, 0, 0])


def test_ties_among_many_slots_go_by_slot_index(rng):
    usage = rng.choice([0.5, 0.75, 1.0], 100)
    assert_array_equal(allocation_of(*usage), plain.allocation(usage, plain.rising(usage)))


def test_free_slot_takes_everything():
    assert_array_equal(allocation_of(0.3, 0.0, 1.0, 0.7), [0, 1, 0, 0])


def test_nothing_is_allocated_where_all_slots_are_used():
    assert_array_equal(allocation_of(1.0, 1.0, 1.0), [0, 0, 0])


def test_used_slot_does_not_stand_in_the_way():
    assert_array_equal(allocation_of(1.0, 0.5, 1.0), [0, 0.5, 0])


def test_rows_of_a_batch_are_sorted_on_their_own():
    allocation, _ = allocate(np.array([[0.5, 0.25], [0.25, 0.5]]))
    assert_array_equal(allocation, [[0.125, 0.75], [0.75, 0.125]])


def test_freeing_what_a_head_read_frees_exactly_that_slot():
    assert_array_equal(usage_after([1, 1, 1], [0, 0, 0], [[0, 1, 0]], [1]), [1, 0, 1])


def test_retention_is_what_no_head_frees():
    retention, _ = retain(np.array([[[0, 1, 0.5], [0.5, 0.5, 0]]]), np.array([[0.5, 1]]))
    assert_array_equal(retention, [[0.5, 0.25, 0.75]])


def test_closed_gate_frees_nothing():
    assert_array_equal(usage_after([1, 0.5, 0], [0, 0, 0], [[0, 1, 0]], [0]), [1, 0.5, 0])


def test_each_head_frees_on_its_own():
    read_weights = [[1, 0, 0], [0.5, 0.5, 0]]
    assert_array_equal(usage_after([1, 1, 1], [0, 0, 0], read_weights, [0.5, 1]), [0.25, 0.5, 1])


def test_writing_fills_what_was_empty():
    assert_array_equal(usage_after([0, 0.5, 0.5, 1], [1, 0.5, 0, 1], [[0, 0, 0, 0]], [1]), [1, 0.75, 0.5, 1])


def test_slot_written_and_freed_at_once_is_free():
    assert_array_equal(usage_after([0, 0.5], [1, 0], [[1, 0]], [1]), [0, 0.5])


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_allocation(B, R, N, W, rng):
    usage = usages(rng, B, N)
    _, tape = allocate(usage)
    assert_backward(lambda u: allocate(u)[0], (usage,), lambda d: (allocate_backward(tape, d),))


@pytest.mark.parametrize(
    "usage", [[0, 0.4, 0, 0.8, 0], [1, 0.4, 1, 0.8, 1], [0, 0, 0, 0], [1, 1, 1], [0.5, 0, 1, 0.5]]
)
def test_gradient_of_allocation_at_ties_keeps_the_order(usage):
    usage = np.array(usage, float)
    weights = np.arange(1.0, 1 + len(usage))
    order = plain.rising(usage)
    _, tape = allocate(usage[None])
    assert_gradient(
        lambda u: float(plain.allocation(u, order) @ weights),
        usage,
        allocate_backward(tape, weights[None])[0],
    )


def usage_arguments(rng, B, R, N):
    return usages(rng, B, N), weightings(rng, B, N), weightings(rng, B, R, N), rng.random((B, R))


def assert_usage_gradient(arguments):
    _, tapes = free_and_fill(*arguments)
    assert_backward(lambda *a: free_and_fill(*a)[0], arguments, lambda d: free_and_fill_backward(tapes, d))


@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_usage(B, R, N, W, rng):
    assert_usage_gradient(usage_arguments(rng, B, R, N))


@pytest.mark.parametrize("heads", [[0], [0, 2], [0, 1, 2, 3]])
def test_gradient_of_usage_where_heads_free_a_slot_entirely(heads, rng):
    usage, write_weights, read_weights, free_gates = usage_arguments(rng, 2, 4, 3)
    read_weights[:, heads] = [0, 1, 0]
    free_gates[:, heads] = 1
    assert_usage_gradient((usage, write_weights, read_weights, free_gates))


def test_allocation_stays_single(rng):
    arguments = single(usage_arguments(rng, 3, 2, 5))
    usage, usage_tapes = free_and_fill(*arguments)
    allocation, tape = allocate(usage)
    d_usage = allocate_backward(tape, allocation)
    results = usage, allocation, d_usage, *free_and_fill_backward(usage_tapes, d_usage)
    assert {result.dtype for result in results} == {np.dtype(np.float32)}


# Several write heads.


def in_turn(usage, *gates):
    allocations, _ = allocate_in_turn(np.array([usage], float), tuple(np.array([[gate] for gate in gates])))
    return np.concatenate(allocations)


def test_each_write_head_is_offered_a_slot_of_its_own():
    assert_array_equal(in_turn([0, 0, 0, 0], 1, 1, 1), np.eye(3, 4))


def test_a_write_head_leaves_the_slot_to_the_next_as_far_as_it_does_not_write():
    assert_array_equal(in_turn([0, 0, 0], 0, 1), [[1, 0, 0], [1, 0, 0]])
    assert_array_equal(
        in_turn([0, 0, 1], 0.25, 1), [[1, 0, 0], [0, 1, 0]]
    )  # the least used slot is now the second


def test_the_usage_that_heads_go_by_is_what_the_heads_before_would_leave():
    """After the first: 0.5 + 0.5 x 0.5 x 0.5 = 0.625 and 0.8 + 0.2 x 0.5 x 0.1 = 0.81."""
    assert_allclose(in_turn([0.5, 0.8], 0.5, 1), [[0.5, 0.1], [0.375, 0.19 * 0.625]], rtol=1e-15)


def test_a_single_write_head_is_offered_what_is_free(rng):
    usage = usages(rng, 3, 5)
    (allocation,), _ = allocate_in_turn(usage, (rng.random(3),))
    assert_array_equal(allocation, allocate(usage)[0])


def test_all_writes_of_the_step_before_fill_slots():
    """1 - 0.75 (1 - 0.5) (1 - 0.5) and 1 - (1 - 1) (1 - 0)."""
    writes = np.array([[0.5, 1]]), np.array([[0.5, 0]])
    usage, _ = update_usage(np.array([[0.25, 0]]), writes, np.array([[1.0, 0.5]]))
    assert_array_equal(usage, [[0.8125, 0.5]])


@pytest.mark.parametrize("V", [1, 2, 3])
@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_allocation_in_turn(B, R, N, W, V, rng):
    """With gates so small that no slot overtakes another."""
    arguments = usages(rng, B, N), tuple(rng.uniform(0, 0.1, (V, B)))
    _, turns = allocate_in_turn(*arguments)
    assert_backward(
        lambda *a: allocate_in_turn(*a)[0], arguments, lambda d: allocate_in_turn_backward(turns, d)
    )


@pytest.mark.parametrize("V", [1, 2, 3])
@pytest.mark.parametrize("B, R, N, W", SIZES)
def test_gradient_of_usage_by_all_writes(B, R, N, W, V, rng):
    arguments = usages(rng, B, N), tuple(weightings(rng, V, B, N)), rng.random((B, N))
    _, tape = update_usage(*arguments)
    assert_backward(lambda *a: update_usage(*a)[0], arguments, lambda d: update_usage_backward(tape, d))


def test_gradient_of_usage_where_two_heads_fill_a_slot(rng):
    """Two factors 1 - w are 0: nothing is divided by them."""
    writes = tuple(np.array([[[0.0, 1, 0.5]], [[0, 1, 0]], [[1, 0, 0]]]))
    arguments = usages(rng, 1, 3), writes, rng.random((1, 3))
    _, tape = update_usage(*arguments)
    assert_backward(lambda *a: update_usage(*a)[0], arguments, lambda d: update_usage_backward(tape, d))
