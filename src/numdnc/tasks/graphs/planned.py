"""Questions that are followed by steps to plan the answer, which hints may fill in training."""

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import numpy as np

from numdnc.errors import UserError
from numdnc.tasks import Batch
from numdnc.tasks.graphs.graph import Graph, Triple
from numdnc.tasks.graphs.task import DrawnOtherwise, GraphTask, Question
from numdnc.tasks.sequences import SequenceGenerator


@dataclass(frozen=True, kw_only=True)
class PlannedTask(GraphTask):
    """A graph task with planning steps between question and answer; see `ShortestPath` and `Inference`."""

    plannings: ClassVar[tuple[str, ...]] = ("edges", "random")
    """Values of `planning` that are not numbers."""

    planning: int | Literal["edges", "random", "path"] = 10
    """Empty steps between question and answer; edges = as many as the graph has edges, in training a random number of
    them; random = a random number of them in scoring too; path = of shortest path, as many as it has edges."""
    hints: float = 0.0
    """Share of the graphs for training where planning steps are to output how the answer is found; 0 = the paper's. The
    loss and scores of what is held out are of the answers alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.planning not in self.plannings and not (
            isinstance(self.planning, int) and self.planning >= 0
        ):
            raise UserError(
                f"planning must be at least 0, or {' or '.join(self.plannings)}, got {self.planning}."
            )
        if not 0 <= self.hints <= 1:
            raise UserError(f"hints must lie in [0, 1], got {self.hints}.")
        if self.hints and self.planning == 0:
            raise UserError(
                f"planning must be at least 1 with hints of {self.hints:g}, the targets of planning steps, got 0. "
                "Raise planning, or set hints to 0."
            )

    def most_planning_steps(self, edges: int) -> int:
        """Planning steps after a question about a graph with so many edges, at most."""
        return self.planning if isinstance(self.planning, int) else edges

    def planning_steps(self, rng: np.random.Generator, edges: int, question: Question) -> int:
        """Planning steps after a question about a graph with so many edges."""
        most = self.most_planning_steps(edges)
        return int(rng.integers(1, most, endpoint=True)) if self.planning == "random" else most

    @abstractmethod
    def hints_of(self, graph: Graph, question: Question) -> Sequence[Sequence[Triple]]:
        """The edges that each of the first planning steps of a question is to output, all as likely."""

    @property
    def for_training(self) -> SequenceGenerator:
        """What is trained on: the task with hints, where planning takes a random number of steps if not a fixed one.

        A model that has learned to plan for any number of steps can be given more of them for larger graphs.
        """
        planning = "random" if self.planning == "edges" else self.planning
        task: PlannedTask = dataclasses.replace(cast(Any, self), planning=planning)
        return Hinted(task) if self.hints else task


@dataclass(frozen=True)
class Hinted(DrawnOtherwise):
    """The sequences of a task, a share of them with hints."""

    task: PlannedTask

    @property
    def repeats(self) -> bool:
        """Whether a sequence may be drawn twice."""
        return self.task.repeats

    def _sequence(self, rng: np.random.Generator) -> Batch:
        graph, questions = self.task.graph_and_questions(rng)
        if rng.random() < self.task.hints:
            questions = [each._replace(hints=self.task.hints_of(graph, each)) for each in questions]
        return self.task.sequence(rng, graph.triples, questions)
