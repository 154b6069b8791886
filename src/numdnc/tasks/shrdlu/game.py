"""Episodes of Mini-SHRDLU, side by side: goals are shown, one is asked for, then blocks are moved.

Axes: T steps, B episodes, X = 97 inputs, M boards.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.reinforcement import Observation
from numdnc.tasks.shrdlu.boards import ACTIONS, BLOCKS, PASS, RELATIONS, SQUARES, Boards
from numdnc.tasks.shrdlu.problems import LETTERS, Problem, distances_to, satisfied
from numdnc.tree import map_leaves

_BLOCK = LETTERS
_RELATION = _BLOCK + BLOCKS
_OTHER = _RELATION + len(RELATIONS)
GO = _OTHER + BLOCKS
"""Channel of the go cue, ..."""
BOARD = GO + 1
"""... and the first of the board's."""
INPUTS = BOARD + SQUARES * BLOCKS


class GameRecord(NamedTuple):
    """What is kept of each step besides actions."""

    board: NDArray[np.int64]  # (T, B) before the step
    optimal: NDArray[
        np.bool_
    ]  # (T, B, 7) actions on a shortest way to the goal; to pass, where it is reached


class Game:
    """A batch of episodes."""

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        spare_moves: int,
        last_weight: float,
        invalid_cost: float,
        undo_cost: float,
    ) -> None:
        self.problems, count = problems, len(problems)
        self._last_weight, self._invalid_cost, self._undo_cost = last_weight, invalid_cost, undo_cost
        shown = [_shown(problem) for problem in problems]
        self._names = np.array([[*problem.names, *[-1] * BLOCKS][:BLOCKS] for problem in problems])
        self._begin = np.array([len(rows) for rows in shown])
        self._inputs = np.zeros((int(self._begin.max()) + 1, count, INPUTS))
        for row, rows in enumerate(shown):
            self._inputs[: len(rows), row, :BOARD] = rows
        self._end = self._begin + spare_moves + [problem.moves for problem in problems]
        self._due = np.array([len(problem.goals[problem.chosen].constraints) for problem in problems])
        self._satisfied = [
            satisfied(problem.boards, problem.goals[problem.chosen].constraints) for problem in problems
        ]
        self._distance = [
            distances_to(problem.boards, problem.goals[problem.chosen].constraints) for problem in problems
        ]
        self._board = np.array([problem.start for problem in problems])
        self._held = self._count_held()
        self._inputs[..., BOARD:] = self._encoded()
        self._t = self._first = 0
        """The number of the present step, and of the one whose inputs come first."""
        self.ahead = self._inputs[: self._begin.min()]
        """Inputs of the first steps, at which nothing is chosen."""
        self._moves = np.zeros(count, int)
        self.reached = np.where(self._held == self._due, 0, -1)
        """(B,): after how many moves the goal held for the first time; -1 if it has not yet."""
        self.observation = self._observe()
        self._optimal: NDArray[np.bool_] | None = None
        self._before: tuple[Any, Any, NDArray[np.bool_] | None] = self._board, self.observation.allowed, None

    @property
    def optimal(self) -> NDArray[np.bool_]:
        """Actions on a shortest way from the present boards, (B, 7), if anything is to be chosen; else to pass."""
        if self._optimal is None:
            self._optimal = self._find_optimal(self._board, self.observation.allowed)
        return self._optimal

    def taken(self, rows: NDArray[np.int64]) -> "Game":
        """These of the episodes as they stand now, any of them any number of times; they go on independently."""
        found, chosen = copy.copy(self), rows.tolist()
        found.problems = [self.problems[row] for row in chosen]
        found._satisfied = [self._satisfied[row] for row in chosen]
        found._distance = [self._distance[row] for row in chosen]
        for name in ("_names", "_begin", "_end", "_due", "_board", "_held", "_moves", "reached"):
            setattr(found, name, getattr(self, name)[rows])
        found.observation = map_leaves(lambda array: array[rows], self.observation)
        found._optimal = None
        found._before = found._board, found.observation.allowed, None
        found._first = min(self._t, self._first + len(self._inputs) - 1)
        found._inputs = self._inputs[found._first - self._first :, rows]
        found.ahead = found._inputs[: max(0, found._begin.min() - self._t)]
        return found

    @property
    def board(self) -> NDArray[np.int64]:
        """Numbers of the present boards, (B,)."""
        return self._board

    @property
    def right(self) -> Array:
        """The share of the goal's constraints that hold."""
        share: Array = self._held / self._due
        return share

    @property
    def measures(self) -> dict[str, NDArray[np.bool_]]:
        """Of each episode, whether the goal does not hold, and whether that or its moves were not the best."""
        needed, missed = [problem.moves for problem in self.problems], self._held < self._due
        return {"goal_error": missed, "not_optimal": missed | (self.reached != needed)}

    def step(self, actions: NDArray[np.int64], outputs: Array) -> Array:
        """Move blocks; return the constraints that hold then, less what an invalid move and an undone goal cost."""
        acts = self.observation.alive & (self._t >= self._begin)
        self._before = self._board, self.observation.allowed, self._optimal
        self._t += 1
        rewards = self._act(actions[:, 0], acts) if acts.any() else np.zeros(len(acts))
        self.observation, self._optimal = self._observe(), None
        return rewards.astype(outputs.dtype)

    def _act(self, chosen: NDArray[np.int64], acts: NDArray[np.bool_]) -> Array:
        before, valid, after = self._held, np.ones(len(acts), bool), self._board.copy()
        for table, rows in self._tables():
            at = self._board[rows], chosen[rows]
            valid[rows], after[rows] = table.valid[at], table.after[at]
        self._board = np.where(acts, after, self._board)
        self._held = self._count_held()
        self._moves += acts
        reached = acts & (self._held == self._due) & (self.reached < 0)
        self.reached[reached] = self._moves[reached]
        undone = (before == self._due) & (self._held < self._due)
        weight = np.where(self._t == self._end, self._last_weight, 1)
        return np.where(acts, weight * self._held - self._invalid_cost * ~valid - self._undo_cost * undone, 0)

    def record(self) -> GameRecord:
        """What is kept of the last step."""
        board, allowed, optimal = self._before
        return GameRecord(board, self._find_optimal(board, allowed) if optimal is None else optimal)

    def _count_held(self) -> NDArray[np.int64]:
        return np.array([held[board] for held, board in zip(self._satisfied, self._board, strict=True)], int)

    def _find_optimal(self, boards: NDArray[np.int64], allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        found = np.zeros((len(self.problems), ACTIONS), bool)
        for row in np.flatnonzero(allowed[:, 0]).tolist():
            distance, board = self._distance[row], boards[row]
            found[row] = distance[self.problems[row].boards.after[board]] < distance[board]
        found[~found.any(axis=1), PASS] = True
        return found

    def _observe(self) -> Observation:
        alive, shows = self._t < self._end, self._t < self._begin
        inputs = self._inputs[min(self._t - self._first, len(self._inputs) - 1)].copy()
        if not shows.all():
            inputs[:, BOARD:] = self._encoded()
        inputs[~alive] = 0
        allowed = np.zeros((len(alive), ACTIONS), bool)
        allowed[alive & ~shows] = True
        allowed[:, PASS] = True
        return Observation(inputs, allowed, alive)

    def _encoded(self) -> Array:
        """The present boards, (B, 54)."""
        found = np.zeros((len(self.problems), SQUARES, BLOCKS))
        for table, rows in self._tables():
            block = table.block[self._board[rows]]
            at, square = np.nonzero(block >= 0)
            found[rows[at], square, self._names[rows[at], block[at, square]]] = 1
        return found.reshape(len(found), -1)

    def _tables(self) -> Iterator[tuple[Boards, NDArray[np.int64]]]:
        """The boards that episodes are played on, each with the numbers of these episodes."""
        blocks = np.array([problem.boards.blocks for problem in self.problems])
        for number in np.unique(blocks).tolist():
            rows = np.flatnonzero(blocks == number)
            yield self.problems[int(rows[0])].boards, rows


def _shown(problem: Problem) -> Array:
    """What is seen before the first move besides the board, (T, 43): a constraint a step, then letter and go cue."""
    rows = []
    for goal in problem.goals:
        for constraint in goal.constraints:
            row = np.zeros(BOARD)
            row[goal.letter] = 1
            row[_BLOCK + problem.names[constraint.block]] = 1
            row[_RELATION + constraint.relation] = 1
            row[_OTHER + problem.names[constraint.other]] = 1
            rows.append(row)
    asked = np.zeros(BOARD)
    asked[[problem.goals[problem.chosen].letter, GO]] = 1
    return np.array([*rows, asked])
