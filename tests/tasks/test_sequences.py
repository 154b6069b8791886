"""Sequences in a batch: where one ends, which are equal, and how batches become one."""

import numpy as np

from numdnc.tasks import Batch
from numdnc.tasks.sequences import (
    digests,
    loss_mask,
    pad_and_concat,
    sequence_length,
    sequence_lengths,
    single_sequence,
)
from numdnc.tasks.targets import targets_problem

INPUTS = np.zeros((5, 3, 2), np.float32)
TARGETS, MASK = np.zeros((5, 3, 1), np.float32), np.zeros((5, 3), bool)
INPUTS[:2, :, 0] = 1
TARGETS[2, 1] = 1
MASK[1, 0] = MASK[2, 1] = MASK[4, 2] = True
BATCH = Batch(INPUTS, TARGETS, mask=MASK)
"""Of 2, 3 and 5 steps; the last one has zeros where an answer is due."""


def test_a_sequence_ends_with_what_is_read_or_due() -> None:
    assert [sequence_length(BATCH, row) for row in range(3)] == [2, 3, 5]
    assert [len(single_sequence(BATCH, row).inputs) for row in range(3)] == [2, 3, 5]
    assert sequence_length(BATCH._replace(mask=None), 0) == 5


def test_equal_sequences_have_equal_digests_whatever_their_padding() -> None:
    longer = pad_and_concat(
        [BATCH.rows(slice(0, 1)), Batch(np.ones((9, 1, 2), np.float32), np.ones((9, 1, 1)))]
    )
    assert len(longer.inputs) == 9
    assert digests(longer)[0] == digests(BATCH)[0]
    assert len(set(digests(BATCH))) == 3


def test_batches_side_by_side_keep_their_rows_and_count_where_they_did() -> None:
    both = pad_and_concat(
        [BATCH, Batch(np.full((2, 2, 2), 7, np.float32), np.full((2, 2, 1), 8, np.float32))]
    )
    assert both.inputs.shape == (5, 5, 2)
    np.testing.assert_array_equal(both.inputs[:, :3], INPUTS)
    np.testing.assert_array_equal(both.targets[:, :3], TARGETS)
    assert (both.inputs[:2, 3:] == 7).all()
    assert (both.targets[:2, 3:] == 8).all()
    assert not both.inputs[2:, 3:].any()
    np.testing.assert_array_equal(loss_mask(both)[:, :3], MASK)
    assert loss_mask(both)[:, 3:].sum(axis=0).tolist() == [2, 2]


def test_targets_are_in_range() -> None:
    targets = np.array([[0], [3]])
    assert targets_problem(targets, 2, 1, 4) is None
    assert targets_problem(targets + 1, 2, 1, 4) == "integer targets in 0..3, got 1..4"
    assert targets_problem(targets - 1, 2, 1, 4) == "integer targets in 0..3, got -1..2"
    bits = np.array([[[0.0, 1.0]]])
    assert targets_problem(bits, 1, 1, 2) is None
    assert targets_problem(2 * bits, 1, 1, 2) == "targets in [0, 1], got 0.0..2.0"
    groups = np.array([[[1, 1]]])
    assert targets_problem(groups, 1, 1, 4) is None
    assert targets_problem(groups, 1, 1, 2) == "integer targets in 0..0, got 1..1"


def test_lengths_end_where_nothing_follows() -> None:
    """The last step with an input, a target or a place in the loss; a sequence of nothing but zeros counts whole."""
    inputs, targets, mask = np.zeros((5, 5, 2)), np.zeros((5, 5, 3)), np.zeros((5, 5), bool)
    inputs[1, 0, 1] = targets[2, 1, 0] = mask[3, 2] = mask[4, 3] = 1
    batch = Batch(inputs, targets, mask=mask)
    assert sequence_lengths(batch).tolist() == [2, 3, 4, 5, 5]
    assert [sequence_length(batch, row) for row in range(5)] == [2, 3, 4, 5, 5]
    assert sequence_lengths(batch._replace(mask=None)).tolist() == [5] * 5
    assert sequence_lengths(
        Batch(inputs[..., 0].astype(int), inputs[..., 1].astype(int), mask=mask)
    ).tolist() == [2, 5, 4, 5, 5]
