"""Boards and goals, for the page of mini-SHRDLU. Axes: T steps."""

from typing import Any

import numpy as np

from numdnc.inspection.trace import Trace
from numdnc.params import Array
from numdnc.tasks.shrdlu.boards import BLOCKS, COLUMNS, HEIGHT, RELATIONS
from numdnc.tasks.shrdlu.game import BOARD, GO, INPUTS
from numdnc.tasks.shrdlu.problems import LETTERS
from numdnc.tasks.shrdlu.words import action_name, letter_name

_PARTS = np.cumsum([LETTERS, BLOCKS, len(RELATIONS)])


def boards_of(trace: Trace, steps: int) -> dict[str, Any] | None:
    """What the first `steps` steps show, as JSON; None if the task is not mini-SHRDLU.

    "squares": for each step the number on each square, row by row from the top, 0 if it is empty; "said": the
    constraint shown, "go" with the letter, or the action; "constraints": the steps that show one.
    """
    inputs = trace.arrays["inputs"]
    if trace.about.task != "shrdlu" or inputs.shape[1:] != (INPUTS,):
        return None
    shown = inputs[:steps]
    actions = trace.arrays["targets"][:steps].astype(int).tolist()
    return {
        "squares": [_squares(row) for row in shown],
        "said": [_said(row, action) for row, action in zip(shown, actions, strict=True)],
        "constraints": [t for t, row in enumerate(shown) if row[:LETTERS].any() and not row[GO]],
    }


def _squares(row: Array) -> list[int]:
    numbers = row[BOARD:].reshape(COLUMNS, HEIGHT, BLOCKS)
    found = np.where(numbers.any(axis=2), numbers.argmax(axis=2) + 1, 0)
    return [int(number) for number in found[:, ::-1].T.ravel()]


def _said(row: Array, action: int) -> str:
    letter, block, relation, other = (int(part.argmax()) for part in np.split(row[:GO], _PARTS))
    if row[GO]:
        return f"go {letter_name(letter)}"
    if row[:LETTERS].any():
        return f"{letter_name(letter)}: {block + 1} {RELATIONS[relation]} {other + 1}"
    return action_name(action)
