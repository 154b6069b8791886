"""Settings and layout of Mini-SHRDLU."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from numdnc.errors import UserError
from numdnc.tasks.bits.steps import check_at_least
from numdnc.tasks.shrdlu.boards import ACTIONS, BLOCKS, HEIGHT, RELATIONS, SQUARES
from numdnc.tasks.shrdlu.game import INPUTS, Game
from numdnc.tasks.shrdlu.lessons import LAST_LESSON, LESSONS
from numdnc.tasks.shrdlu.problems import LETTERS, Kind, Problem, draw_problem
from numdnc.tasks.shrdlu.words import action_name, letter_name

_EASIER = 0.1
"""Share of the training batches that are of an earlier lesson."""
MOST_CONSTRAINTS, MOST_MOVES = 6, 7
_MOST_SPARE = 1000


@dataclass(frozen=True, kw_only=True)
class Shrdlu:
    """Move numbered blocks on a board of three columns until they lie as a goal says.

    Several goals are shown first, a constraint a step: the goal's letter, a block, a relation (above, below, left of,
    right of) and the block on the adjacent square. At the go cue the letter of one goal is shown once. Then each action
    moves the top block of a column onto another column, or passes. The board is seen at every step.

    The reward of a move is the number of the goal's constraints that hold after it, less what an invalid move or an
    undone goal costs. Inputs: letter, block, relation, block, go cue, the block on each of 9 squares (all one-hot).

    Source: Graves et al. 2016, "Mini-SHRDLU".
    """

    lesson: int = LAST_LESSON
    """The lesson whose problems are scored, 0 to 26; 10 % of the training batches are of earlier ones."""
    goals: int = 0
    """Goals of a problem, at most 26; 0 = as the lesson says, which holds for the next three too."""
    blocks: int = 0
    """Blocks on the board, 2 to 6."""
    constraints: int = 0
    """Constraints of a goal, at most 6."""
    moves: int = 0
    """The fewest moves that reach a goal."""
    fewer: bool = False
    """Whether a goal may have fewer constraints, where the board that is drawn for it has no more (as in the last
    lesson)."""
    spare_moves: int = 6
    """Moves that an episode has beyond those that its goal needs."""
    last_weight: float = 1.0
    """How much the constraints that hold after the last move count: 7 without spare moves is as if the board then
    stayed as it is for six more."""
    invalid_cost: float = 0.1
    """Cost of a move that cannot be made, for want of a block or of room."""
    undo_cost: float = 1.0
    """Cost of a move after which the goal holds no longer."""

    def __post_init__(self) -> None:
        check_at_least(0, self, "goals", "blocks", "constraints", "moves", "spare_moves")
        for name, least, most in (
            ("lesson", 0, LAST_LESSON),
            ("goals", 0, LETTERS),
            ("blocks", 0, BLOCKS),
            ("constraints", 0, MOST_CONSTRAINTS),
            ("spare_moves", 0, _MOST_SPARE),
        ):
            if not least <= getattr(self, name) <= most:
                raise UserError(f"{name} must be from {least} to {most:,}, got {getattr(self, name):,}.")
        if self.blocks == 1:
            raise UserError("blocks must be from 2 to 6, or 0, got 1.")
        for name in ("last_weight", "invalid_cost", "undo_cost"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UserError(f"{name} must be at least 0 and finite, got {getattr(self, name)}.")

    input_size = INPUTS
    output_size = ACTIONS
    action_sizes = (ACTIONS,)

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        numbers = [str(i + 1) for i in range(BLOCKS)]
        places = [f"column {1 + s // HEIGHT} row {1 + s % HEIGHT}" for s in range(SQUARES)]
        return (
            *(f"goal {letter_name(i)}" for i in range(LETTERS)),
            *(f"block {n}" for n in numbers),
            *RELATIONS,
            *(f"other {n}" for n in numbers),
            "go",
            *(f"{place}: {n}" for place in places for n in numbers),
        )

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return (*(action_name(action) for action in range(ACTIONS)),)

    def kind(self) -> Kind:
        """What the problems of the present settings are like."""
        lesson = LESSONS[self.lesson]
        own = {name: getattr(self, name) for name in lesson._fields}
        ranges = {name: (value, value) for name, value in own.items() if value}
        last = self.lesson == LAST_LESSON and not ranges
        return Kind(lesson._replace(**ranges), fewer=self.fewer or last)

    @property
    def slots_needed(self) -> int:
        """A slot for each constraint, and one for the go cue."""
        lesson = self.kind().lesson
        return lesson.goals[1] * lesson.constraints[1] + 1

    def reset(self, rng: np.random.Generator, count: int) -> Game:
        """Begin episodes of the lesson."""
        kind = self.kind()
        return self.begin([draw_problem(kind, rng) for _ in range(count)])

    def reset_training(self, rng: np.random.Generator, count: int) -> Game:
        """Begin episodes for training: with a probability of 10 % all are of an earlier lesson, any of them.

        Episodes of one lesson are about as long, so that a batch has little padding and goals are shown at once.
        """
        earlier = self.lesson > 0 and rng.random() < _EASIER
        lesson = int(rng.integers(self.lesson)) if earlier else self.lesson
        return dataclasses.replace(self, lesson=lesson).reset(rng, count)

    def begin(self, problems: Sequence[Problem]) -> Game:
        """Begin episodes with these problems."""
        return Game(
            problems,
            spare_moves=self.spare_moves,
            last_weight=self.last_weight,
            invalid_cost=self.invalid_cost,
            undo_cost=self.undo_cost,
        )
