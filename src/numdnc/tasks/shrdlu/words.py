"""Problems of Mini-SHRDLU as people type and read them: "put 1 on 2; 3 left of 1; go", and boards in characters."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numdnc.errors import UserError
from numdnc.names import quoted
from numdnc.tasks.shrdlu.boards import (
    BLOCKS,
    COLUMNS,
    HEIGHT,
    MOVES,
    PASS,
    RELATIONS,
    Boards,
    Columns,
    boards,
)
from numdnc.tasks.shrdlu.problems import LETTERS, Constraint, Goal, Problem, draw_board, least_moves

_SAME = {"on": "above", "on top of": "above", "over": "above", "under": "below"}
_WORDS = (*RELATIONS, *_SAME)
_CLAUSE = re.compile(rf"(?:([a-z])\s*:\s*)?(?:put\s+)?(\d)\s+({'|'.join(_WORDS)})\s+(\d)")
_BOARD = re.compile(r"board\s+([0-9/\s]*)")
_GO = re.compile(r"go(?:\s+([a-z]))?")
EXAMPLE = "put 1 on 2; 3 left of 1; go"
_PER_LINE = 7
_MOST = 100


def pose(text: str, seed: int = 0) -> Problem:
    """The problem of a text of clauses; UserError if it is none.

        board 12/3/456; a: put 1 on 2; a: 3 left of 1; b: 4 below 5; go a

    A board is given column by column, from the bottom; without one it is drawn at random, of six blocks. A goal without
    a letter is A; without a letter after go the last goal is asked for.
    """
    goals: dict[int, list[tuple[int, int, int]]] = {}
    given: Columns | None = None
    asked: int | None = None
    clauses = [" ".join(clause.split()).lower() for clause in re.split(r"[;,\n]", text)]
    clauses = [clause for clause in clauses if clause]
    for i, clause in enumerate(clauses):
        if found := _CLAUSE.fullmatch(clause):
            letter, block, relation, other = found.groups()
            named = RELATIONS.index(_SAME.get(relation, relation))
            goals.setdefault(_number(letter or "a"), []).append((int(block), named, int(other)))
        elif found := _BOARD.fullmatch(clause):
            given = _board(found[1])
        elif (found := _GO.fullmatch(clause)) and i == len(clauses) - 1:
            asked = _number(found[1]) if found[1] else None
        else:
            raise UserError(
                f'a clause must be as in "board 12/3/456; {EXAMPLE}", of blocks 1 to {BLOCKS} and the relations '
                f"{', '.join(_WORDS)}, got {quoted(clause[:80])}."
            )
    if not goals:
        raise UserError(f'a goal must have a constraint, as in "{EXAMPLE}", got none.')
    if sum(map(len, goals.values())) > _MOST:
        raise UserError(f"constraints must be at most {_MOST}, got {sum(map(len, goals.values()))}.")
    chosen = [*goals][-1] if asked is None else asked
    if chosen not in goals:
        raise UserError(f"the letter after go must be that of a goal, got {letter_name(chosen)}.")
    return _problem(goals, chosen, given, seed)


def _number(letter: str) -> int:
    return ord(letter) - ord("a")


def _board(text: str) -> Columns:
    columns = tuple(tuple(map(int, re.sub(r"\s", "", column))) for column in text.split("/"))
    blocks = [block for column in columns for block in column]
    if (
        len(columns) != COLUMNS
        or max(map(len, columns)) > HEIGHT
        or not blocks
        or len(set(blocks)) < len(blocks)
        or not set(blocks) <= set(range(1, BLOCKS + 1))
    ):
        raise UserError(
            f"a board must have {COLUMNS} columns of at most {HEIGHT} different blocks, from the bottom, as in "
            f"12/3/456, got {quoted(text[:80])}."
        )
    return columns


def _problem(
    goals: dict[int, list[tuple[int, int, int]]],
    chosen: int,
    given: Columns | None,
    seed: int,
) -> Problem:
    numbers = range(1, BLOCKS + 1) if given is None else sorted(b for column in given for b in column)
    table, block = boards(len(numbers)), {number: i for i, number in enumerate(numbers)}
    if given is None:
        start = draw_board(table, np.random.default_rng(seed))
    else:
        start = table.number(tuple(tuple(block[number] for number in column) for column in given))
    named = []
    for letter, constraints in goals.items():
        for one, relation, other in constraints:
            if one not in block or other not in block or one == other:
                raise UserError(
                    f"a constraint must be of two of the blocks {', '.join(map(str, numbers))}, "
                    f"got {one} {RELATIONS[relation]} {other}."
                )
        named.append(Goal(letter, tuple(Constraint(block[a], r, block[b]) for a, r, b in constraints)))
    at = [goal.letter for goal in named].index(chosen)
    moves = least_moves(table, start, named[at].constraints)
    if moves is None:
        raise UserError(f"a goal must hold on some board, got {quoted(goal_text(named[at], numbers))}.")
    return Problem(table, start, tuple(number - 1 for number in numbers), tuple(named), at, moves)


def letter_name(number: int) -> str:
    """A goal's letter."""
    assert number < LETTERS
    return chr(ord("A") + number)


def goal_text(goal: Goal, numbers: Sequence[int]) -> str:
    """A goal in words; `numbers` are those that people see on the blocks."""
    parts = [f"{numbers[c.block]} {RELATIONS[c.relation]} {numbers[c.other]}" for c in goal.constraints]
    return f"{letter_name(goal.letter)}: {'; '.join(parts)}"


def action_name(action: int) -> str:
    """An action in words."""
    return "pass" if action == PASS else "{} to {}".format(*(1 + column for column in MOVES[action]))


class Shown(NamedTuple):
    """A board, and what led to it."""

    caption: str
    board: int


def describe(problem: Problem, shown: Sequence[Shown]) -> str:
    """Goals, the one asked for, and boards side by side, each under what led to it."""
    numbers = [name + 1 for name in problem.names]
    lines = [goal_text(goal, numbers) for goal in problem.goals]
    plural = "" if problem.moves == 1 else "s"
    lines += [f"go {letter_name(problem.goals[problem.chosen].letter)} ({problem.moves} move{plural} needed)"]
    for first in range(0, len(shown), _PER_LINE):
        part = shown[first : first + _PER_LINE]
        drawn = [drawn_board(problem.boards, board, numbers) for _, board in part]
        lines += ["", "   ".join(f"{caption:<8}" for caption, _ in part).rstrip()]
        lines += ["   ".join(f"{row:<8}" for row in rows).rstrip() for rows in zip(*drawn, strict=True)]
    return "\n".join(lines)


def drawn_board(table: Boards, board: int, numbers: Sequence[int]) -> list[str]:
    """A board in lines of characters, from the top; a dot where a square is empty."""
    squares = table.block[board].reshape(COLUMNS, HEIGHT)
    return [
        " ".join("." if block < 0 else str(numbers[block]) for block in squares[:, row])
        for row in reversed(range(HEIGHT))
    ]
