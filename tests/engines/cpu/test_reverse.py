"""Rows that are turned around for the second direction: padding stays behind, and turning twice changes nothing."""

import numpy as np
import pytest

from numdnc import DNCSpec
from numdnc.engines.cpu.reverse import mirror, reverse_spec

LENGTHS = np.array([3, 1, 0, 4])
ROWS = np.array([[1, 2, 3, 0], [5, 0, 0, 0], [0, 0, 0, 0], [6, 7, 8, 9]]).T


def test_rows_begin_with_their_last_step() -> None:
    turn = mirror(ROWS, LENGTHS)
    turned = turn.turn(ROWS)
    for row, wanted in enumerate(([3, 2, 1], [5], [], [9, 8, 7, 6])):
        assert turned[: len(wanted), row].tolist() == wanted
    np.testing.assert_array_equal(mirror(ROWS, None).turn(ROWS), ROWS[::-1])


@pytest.mark.parametrize("lengths", [None, LENGTHS, LENGTHS.astype(np.uint8)], ids=str)
def test_values_come_back_and_are_0_in_padding(lengths: np.ndarray | None) -> None:
    values = np.random.default_rng(0).standard_normal((4, 4, 5)).astype(np.float32)
    turn = mirror(values, lengths)
    turned = turn.turn_values(values)
    assert turned.dtype == np.float32
    inside = np.arange(4)[:, None] < (4 if lengths is None else lengths)
    np.testing.assert_array_equal(turn.turn_values(turned), values * inside[..., None])


def test_the_second_direction_is_an_lstm_like_the_controller() -> None:
    for flag in (False, True):
        spec = DNCSpec(
            input_size=3, output_size=2, hidden_sizes=(4, 6), normalisation=flag, bidirectional=True
        )
        found = reverse_spec(spec)
        assert (found.input_size, found.hidden_sizes, found.reads_size) == (3, (4, 6), 0)
        assert (found.normalisation, found.controller) == (flag, "lstm")
