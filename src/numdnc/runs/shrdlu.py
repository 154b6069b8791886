"""Runs of Mini-SHRDLU: models that move blocks until they lie as a goal says."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from numdnc.errors import UserError, check_seed
from numdnc.formatting import format_table
from numdnc.inspection.board_plot import save_board_plot
from numdnc.inspection.plan_decoding import PlanDecoding, decode_plans
from numdnc.reinforcement import Environment
from numdnc.runs.base import NewTask
from numdnc.runs.reinforcement import PolicyRun, Stored
from numdnc.runs.results import Evaluation
from numdnc.runs.stored import of_this_version
from numdnc.schema import validated
from numdnc.spec import Spec
from numdnc.tasks import Batch, Scores
from numdnc.tasks.imitation_task import ImitationSettings, ImitationTask
from numdnc.tasks.reinforcement_task import ReinforcementSettings, ReinforcementTask
from numdnc.tasks.shrdlu import Shrdlu
from numdnc.tasks.shrdlu.environment import MOST_CONSTRAINTS, MOST_MOVES
from numdnc.tasks.shrdlu.problems import Problem
from numdnc.tasks.shrdlu.words import Shown, action_name, describe, pose
from numdnc.tasks.trial_task import TrialTask

Table = dict[str, list[float | None]]
"""Constraints of a goal -> % of the episodes solved in the fewest moves, for goals 1, 2, .. moves away."""


@dataclass(frozen=True, kw_only=True)
class StoredShrdlu(Stored):
    """The task as a checkpoint stores it."""

    reinforcement: ImitationSettings


@dataclass(frozen=True)
class BoardPicture:
    """The boards of an episode; `str` draws them in characters."""

    problem: Problem
    shown: list[Shown]

    def __str__(self) -> str:
        return describe(self.problem, self.shown)

    def save(self, path: str | Path) -> None:
        """Save the picture as a PNG, PDF or SVG file (needs matplotlib)."""
        save_board_plot(Path(path), self.problem, self.shown)


@dataclass(frozen=True)
class BoardAnswer:
    """How a model moved the blocks for a goal."""

    asked: str
    picture: BoardPicture
    moves: int | None
    """After how many the goal held for the first time; None if it never did."""
    right: bool
    """Whether it holds at the end."""
    iteration: int
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        needed = self.picture.problem.moves
        if self.moves is None:
            verdict = "the goal was not reached"
        else:
            plural = "" if self.moves == 1 else "s"
            were = "was" if needed == 1 else "were"
            verdict = f"the goal was reached after {self.moves} move{plural}, of which {needed} {were} needed"
            verdict += "" if self.right else ", and was undone"
        return f"{self.picture}\n\n{verdict}"

    def record(self) -> dict[str, Any]:
        """What `numdnc ask --json` prints."""
        problem = self.picture.problem
        return {
            "question": self.asked,
            "right": self.right,
            "moves": self.moves,
            "moves_needed": problem.moves,
            "actions": [shown.caption for shown in self.picture.shown[1:]],
            "boards": [
                [[problem.names[b] + 1 for b in column] for column in problem.boards.columns[shown.board]]
                for shown in self.picture.shown
            ],
            "iteration": self.iteration,
        }


class ShrdluRun(PolicyRun):
    """A run of Mini-SHRDLU."""

    kind: ClassVar[str] = "shrdlu"
    noun: ClassVar[str] = "shrdlu"
    stored_class: ClassVar[type[Stored]] = StoredShrdlu
    right_noun: ClassVar[str] = "constraints hold"
    next_commands: ClassVar[tuple[str, ...]] = (
        "eval {} --show",
        'ask {} "put 1 on 2; 3 left of 1; go"',
        "view {}",
        "diagnose {}",
    )

    @classmethod
    def prepare(cls, shrdlu: Shrdlu, settings: ImitationSettings, *, seed: int) -> NewTask:
        """A task to train on."""
        stored = StoredShrdlu(
            name="shrdlu", kind=cls.kind, settings=dataclasses.asdict(shrdlu), reinforcement=settings
        )
        return cls.prepare_policy(stored, shrdlu, seed=seed)

    @classmethod
    def make_task(
        cls, name: str, environment: Environment, settings: ReinforcementSettings, seed: int
    ) -> ReinforcementTask:
        """The task of an environment, learned by imitation, by trial or by policy gradient."""
        assert isinstance(settings, ImitationSettings)
        kind = TrialTask if settings.trials else ImitationTask if settings.imitate else ReinforcementTask
        return kind(name, environment, settings, seed)

    @classmethod
    def critic_of(cls, stored: Stored) -> Callable[[Spec], Spec | None] | None:
        """Imitation and trials need no critic."""
        settings = stored.reinforcement
        assert isinstance(settings, ImitationSettings)
        return None if settings.imitate or settings.trials else super().critic_of(stored)

    def environment(self) -> Environment:
        """The environment, made again from what the checkpoint stores."""
        with of_this_version(self.noun):
            return validated(Shrdlu, self._stored.settings)

    def evaluate(
        self,
        *,
        no_reads: bool = False,
        overrides: Mapping[str, Any] | None = None,
        sequences: int | None = None,
        picture: bool = False,
    ) -> Evaluation:
        """Scores as of other policies and, without `overrides`, the share of problems solved in the fewest moves.

        That table has a row for each number of constraints and a column for each number of moves needed, of as many
        episodes each; none where there are no such goals.
        """
        found = super().evaluate(no_reads=no_reads, overrides=overrides, sequences=sequences, picture=picture)
        if overrides:
            return found
        goals = {"goals": 10, "blocks": 6}
        table: Table = {}
        for count in range(1, MOST_CONSTRAINTS + 1):
            table[str(count)] = self._row({**goals, "constraints": count, "fewer": False}, sequences)
        table[f"up to {MOST_CONSTRAINTS}"] = self._row(
            {**goals, "constraints": MOST_CONSTRAINTS, "fewer": True}, sequences
        )
        return dataclasses.replace(
            found, text=f"{_in_words(table)}\n\n{found.text}", json={**found.json, "optimal": table}
        )

    def _row(self, overrides: dict[str, Any], sequences: int | None) -> list[float | None]:
        row: list[float | None] = []
        for moves in range(1, MOST_MOVES + 1):
            task = self._with_settings({**overrides, "moves": moves}, sequences)
            try:
                scores = task.score(self.forward, whole=True)
            except UserError:
                row.append(None)  # there are no such goals
            else:
                row.append(100 * (1 - scores["not_optimal"]))
        return row

    def ask(self, question: str, *, seed: int | None = None) -> BoardAnswer:
        """Play a problem as `tasks.shrdlu.words.pose` takes it; `seed` chooses the board if it gives none."""
        check_seed(seed or 0)
        self._check_memory(3, 1)
        problem = pose(question, seed or 0)
        game = self._shrdlu(self.task).begin([problem])
        batch, _ = self._acted(self.task, game)
        reached = int(game.reached[0])
        return BoardAnswer(
            question,
            BoardPicture(problem, _shown(problem, batch)),
            None if reached < 0 else reached,
            bool(game.right[0] == 1),
            self.checkpoint.iteration,
        )

    def decode_plans(self, *, episodes: int = 1000, seed: int = 0) -> PlanDecoding:
        """Decode the first action from what the memory holds when the goal is written; see `PlanDecoding`."""
        check_seed(seed)
        shrdlu = self._shrdlu(self._with_settings(None))
        return decode_plans(self.spec, self.params, self.engine, shrdlu, episodes=episodes, seed=seed)

    def _given(self, task: ReinforcementTask, user_input: str) -> Batch:
        return self._acted(task, self._shrdlu(task).begin([pose(user_input)]))[0]

    def _picture(self, task: ReinforcementTask) -> BoardPicture:
        episodes: Any = next(task.episodes(task.current))
        problem = episodes.problems[0]
        return BoardPicture(problem, _shown(problem, self._acted(task, episodes)[0]))

    def _shrdlu(self, task: ReinforcementTask) -> Shrdlu:
        assert isinstance(task.environment, Shrdlu)
        return task.environment

    @property
    def _classifies(self) -> bool:
        """Whether the loss is that of the best actions, known or found by trial."""
        return isinstance(self.task, ImitationTask)

    @property
    def _counted(self) -> str:
        return "actions" if self._classifies else super()._counted

    def _trained(self, loss: float) -> str:
        return f"{loss:7.4f} nats" if self._classifies else super()._trained(loss)

    def _in_words(self, scores: Scores) -> str:
        return (
            f"{100 * (1 - scores['error']):.1f} % of constraints hold at the end, "
            f"{100 * (1 - scores['goal_error']):.1f} % of goals, {100 * (1 - scores['not_optimal']):.1f} % reached in "
            f"the fewest moves; mean return {-scores['loss']:.4g}"
        )


def _shown(problem: Problem, batch: Batch) -> list[Shown]:
    """The boards of an episode that is alone in its batch."""
    assert batch.episode is not None
    first = sum(len(goal.constraints) for goal in problem.goals) + 1
    board, found = problem.start, [Shown("start", problem.start)]
    for action in batch.episode.actions[first:, 0, 0].tolist():
        caption = action_name(action)
        if not problem.boards.valid[board, action]:
            caption += " !"
        board = int(problem.boards.after[board, action])
        found.append(Shown(caption, board))
    return found


def _in_words(table: Table) -> str:
    rows = [["constraints", *(str(moves) for moves in range(1, MOST_MOVES + 1))]]
    for name, row in table.items():
        rows.append([name, *("-" if cell is None else f"{cell:.0f}" for cell in row)])
    return (
        f"% of problems solved in the fewest moves, 1 to {MOST_MOVES}, that their goal needs (10 goals, 6 blocks)\n"
        f"{format_table(rows)}"
    )
