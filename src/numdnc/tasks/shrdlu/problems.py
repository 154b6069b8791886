"""Problems of Mini-SHRDLU: a board, several goals, and the one to reach; drawn at random with the moves it takes.

Axes: M boards.
"""

from functools import lru_cache, reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.tasks.shrdlu.boards import COLUMNS, FAR, HEIGHT, Boards, boards
from numdnc.tasks.shrdlu.lessons import Lesson, Range

LETTERS = 26
_TRIES, _STARTS = 60, 100
"""How often a goal is drawn from a board, and a board for a problem, before it is given up."""


class Constraint(NamedTuple):
    """A relation of `RELATIONS` that is to hold of two blocks of a board."""

    block: int
    relation: int
    other: int


class Goal(NamedTuple):
    """Constraints that are to hold together."""

    letter: int
    """Its name, 0..25."""
    constraints: tuple[Constraint, ...]


class Problem(NamedTuple):
    """A board, goals, and which of them is to be reached."""

    boards: Boards
    start: int
    names: tuple[int, ...]
    """The number, 0..5, that each block of the boards has for the model."""
    goals: tuple[Goal, ...]
    chosen: int
    moves: int
    """The fewest that reach the chosen goal."""


class Kind(NamedTuple):
    """What problems are to be like."""

    lesson: Lesson
    fewer: bool = False
    """Whether a goal may have fewer constraints, where the board that is drawn for it has no more."""


def satisfied(table: Boards, constraints: tuple[Constraint, ...]) -> NDArray[np.int8]:
    """How many of the constraints hold on each board, (M,)."""
    held = [table.holds[c.relation, c.block, c.other] for c in constraints]
    found: NDArray[np.int8] = np.sum(held, axis=0, dtype=np.int8)
    return found


def distances_to(table: Boards, constraints: tuple[Constraint, ...]) -> NDArray[np.int8]:
    """The fewest moves from each board to one on which all constraints hold, (M,); `FAR` if there is none.

    Constraints that differ in the names of their blocks alone, or in which of two blocks is said to be where the other
    is not, are searched for once.
    """
    constraints = tuple(c if c.relation % 2 == 0 else _turned(c) for c in constraints)
    names = dict.fromkeys(block for c in constraints for block in (c.block, c.other))
    order = (*names, *(block for block in range(table.blocks) if block not in names))
    place = {block: i for i, block in enumerate(order)}
    first = tuple(Constraint(place[c.block], c.relation, place[c.other]) for c in constraints)
    return table.renamed(_search(table.blocks, first), order)


@lru_cache(maxsize=4096)
def _search(blocks: int, constraints: tuple[Constraint, ...]) -> NDArray[np.int8]:
    table = boards(blocks)
    return table.distances_to(_all_hold(table, constraints))


def least_moves(table: Boards, start: int, constraints: tuple[Constraint, ...]) -> int | None:
    """The fewest moves to a board on which all constraints hold; None if there is none."""
    moves = int(distances_to(table, constraints)[start])
    return None if moves == FAR else moves


def _all_hold(table: Boards, constraints: tuple[Constraint, ...]) -> NDArray[np.bool_]:
    held = (table.holds[c.relation, c.block, c.other] for c in constraints)
    return reduce(np.logical_and, held)


def draw_board(table: Boards, rng: np.random.Generator) -> int:
    """Drop the blocks one by one, in any order, each on a column with room."""
    columns: list[list[int]] = [[] for _ in range(COLUMNS)]
    for block in rng.permutation(table.blocks):
        free = [column for column in columns if len(column) < HEIGHT]
        free[rng.integers(len(free))].append(int(block))
    return table.number(tuple(map(tuple, columns)))


def draw_problem(kind: Kind, rng: np.random.Generator) -> Problem:
    """Draw a problem; UserError if none is found."""
    lesson = kind.lesson
    for _ in range(_STARTS):
        table = boards(_draw(lesson.blocks, rng))
        start, count = draw_board(table, rng), _draw(lesson.goals, rng)
        distances = table.distances_from(start)
        letters = rng.permutation(LETTERS)[:count]
        goals, moves = [], []
        for letter in letters.tolist():
            found = _draw_goal(table, start, distances, kind, rng)
            if found is None:
                break
            goals.append(Goal(letter, found[0]))
            moves.append(found[1])
        else:
            chosen = int(rng.integers(count))
            return Problem(table, start, (*range(table.blocks),), tuple(goals), chosen, moves[chosen])
    wanted = [str(a) if a == b else f"{a} to {b}" for a, b in (lesson.constraints, lesson.moves)]
    raise UserError(
        f"constraints and moves must be those of some goal, got {wanted[0]} and {wanted[1]} with {lesson.blocks[1]} "
        "blocks. Take more constraints for more moves, and fewer for fewer."
    )


def _draw(among: Range, rng: np.random.Generator) -> int:
    return int(rng.integers(*among, endpoint=True))


def _draw_goal(
    table: Boards, start: int, distances: NDArray[np.int8], kind: Kind, rng: np.random.Generator
) -> tuple[tuple[Constraint, ...], int] | None:
    """Constraints and the moves they take, drawn from a board at that distance; None if none is found.

    They are of adjacent blocks, at most one of two blocks, and none holds at the start.
    """
    for _ in range(_TRIES):
        moves, count = _draw(kind.lesson.moves, rng), _draw(kind.lesson.constraints, rng)
        candidates = np.flatnonzero(distances == moves)
        if not len(candidates):
            continue
        goal = candidates[rng.integers(len(candidates))]
        new = np.argwhere(table.ordered[goal] & ~table.ordered[start])
        if len(new) < count and not (kind.fewer and len(new)):
            continue
        picked = rng.permutation(len(new))[:count]
        constraints = tuple(
            _turned(Constraint(block, 2 * way, other)) if turn else Constraint(block, 2 * way, other)
            for (way, block, other), turn in zip(
                new[picked].tolist(), rng.integers(2, size=len(picked)).tolist(), strict=True
            )
        )
        if not (_all_hold(table, constraints) & (distances < moves)).any():
            return constraints, moves
    return None


def _turned(constraint: Constraint) -> Constraint:
    """The same said of the other block: "below" for "above", "right of" for "left of", and back."""
    return Constraint(constraint.other, constraint.relation ^ 1, constraint.block)
