"""Base class of the graph tasks: lessons, and how a graph and a question become a sequence.

Axes: T steps, B batch, D digits of a label, G digits of a triple.
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.tasks import Batch
from numdnc.tasks.graphs.encoding import (
    ABSENT,
    ANSWER,
    FLAGS,
    PHASE,
    channel_counts,
    channel_names,
    decode,
    one_hot,
    predicted_labels,
    to_digits,
    to_labels,
)
from numdnc.tasks.graphs.graph import Graph, Triple, random_graph
from numdnc.tasks.graphs.lessons import Lesson, Range
from numdnc.tasks.sequences import loss_mask, pad_and_concat, sequence_length
from numdnc.tasks.targets import likeliest_choices

MAX_DIGITS = 6
MAX_NODES = 1000
MAX_NUMBERS = 1 << 22
"""Most numbers of a sequence: settings may come from somebody else's file."""
FEW = 4
NEVER_TWICE = 12
"""Number of random decimal digits in a sequence from which on no sequence is drawn twice."""
TRIES = 1000
"""Most graphs that are drawn until one has the questions of the lesson."""
MAX_QUERIES = 64


class Question(NamedTuple):
    """A question and its answer, a triple for each step; in the question ABSENT stands for the unknown part."""

    asked: Sequence[tuple[int, int, int]]
    answers: Sequence[tuple[int, int, int]]
    feed_back: bool = False
    """Whether each step of the answer is shown as input at the next step."""
    hints: Sequence[Sequence[tuple[int, int, int]]] = ()
    """Triples that each of the first planning steps is to output, all as likely; what does not fit is left out."""


@dataclass(frozen=True, kw_only=True)
class GraphTask(ABC):
    """Questions about random graphs; see `Traversal`, `ShortestPath` and `Inference`."""

    name: ClassVar[str]
    """Name of the task."""
    lesson_tables: ClassVar[dict[str, tuple[Lesson, ...]]]
    """The lessons that a value of `lessons` stands for."""

    lesson: int = 0
    """Lesson: sizes of graphs and paths, from 1, the easiest, see docs/tasks.md; 0 = the last."""
    lessons: Literal["ours", "paper"] = "ours"
    """Table of lessons: ours, which is learned sooner, or the paper's; the same for traversal."""
    queries: int = 1
    """Questions about each graph, asked and answered one after the other."""
    digits: int = 3
    """D, decimal digits of a label; there are 10^D labels."""
    min_nodes: int = 0
    """Least number of nodes of a graph; 0 = that of the lesson."""
    max_nodes: int = 0
    """Largest number of nodes of a graph; 0 = that of the lesson."""
    min_degree: int = 0
    """Least number of edges that leave a node; 0 = that of the lesson."""
    max_degree: int = 0
    """Largest number of edges that leave a node; 0 = that of the lesson."""
    min_path: int = 0
    """Least number of edges of the path asked for; 0 = that of the lesson."""
    max_path: int = 0
    """Largest number of edges of the path asked for; 0 = that of the lesson."""
    few_labels: float = 0.0
    """Share of graphs with few distinct edge labels, like the lines of a railway map: between max_degree and four times
    that. In the other graphs hardly two edges have the same label, so that the label alone identifies an edge."""

    def __post_init__(self) -> None:
        if self.lessons not in self.lesson_tables:
            raise UserError(f"lessons must be one of {', '.join(self.lesson_tables)}, got {self.lessons!r}.")
        last = len(self.lesson_tables[self.lessons])
        if not 0 <= self.lesson <= last:
            raise UserError(f"lesson must be from 1 to {last}, or 0 for the last, got {self.lesson}.")
        if not 1 <= self.queries <= MAX_QUERIES:
            raise UserError(f"queries must be from 1 to {MAX_QUERIES}, got {self.queries}.")
        if not 1 <= self.digits <= MAX_DIGITS:
            raise UserError(f"digits must be from 1 to {MAX_DIGITS}, got {self.digits}.")
        if not 0 <= self.few_labels <= 1:
            raise UserError(f"few_labels must lie in [0, 1], got {self.few_labels}.")
        sizes = self.sizes
        for what, least in (("nodes", 2), ("degree", 1), ("path", 1)):
            low, high = getattr(sizes, what)
            if not least <= low <= high:
                raise UserError(
                    f"min_{what} must be from {least} to max_{what}, got {low} and {high} "
                    f"(0 stands for the value of lesson {self.lesson or last})."
                )
        if sizes.nodes[1] > 10**self.digits:
            raise UserError(
                f"max_nodes must be at most {10**self.digits}, the labels of {self.digits} digits, got "
                f"{sizes.nodes[1]}. Lower --lesson or max_nodes, or raise digits."
            )
        if sizes.nodes[1] > MAX_NODES:
            raise UserError(f"max_nodes must be at most {MAX_NODES:,}, got {sizes.nodes[1]:,}.")
        edges = sizes.nodes[1] * min(sizes.degree[1], sizes.nodes[1])
        steps = edges + self.queries * (2 * sizes.path[1] + 1 + self.most_planning_steps(edges))
        if steps * (self.input_size + self.output_size) > MAX_NUMBERS:
            raise UserError(
                f"a sequence must have at most {MAX_NUMBERS:,} numbers, got up to {steps:,} steps of "
                f"{self.input_size + self.output_size:,}. Lower max_nodes, max_degree, max_path, queries or planning."
            )
        if sizes.degree[1] > self.edge_labels:
            raise UserError(
                f"max_degree must be at most {self.edge_labels}, the labels of edges, got {sizes.degree[1]}. "
                "Lower max_degree or raise digits."
            )

    @property
    def sizes(self) -> Lesson:
        """The sizes of the lesson, with those that other settings override."""
        lesson = self.lesson_tables[self.lessons][self.lesson - 1]

        def changed(lesson_says: Range, low: int, high: int) -> Range:
            return low or lesson_says[0], high or lesson_says[1]

        return lesson._replace(
            nodes=changed(lesson.nodes, self.min_nodes, self.max_nodes),
            degree=changed(lesson.degree, self.min_degree, self.max_degree),
            path=changed(lesson.path, self.min_path, self.max_path),
        )

    @property
    def resolved_settings(self) -> dict[str, Any]:
        """The settings, with the lesson's values in place of 0."""
        sizes = self.sizes
        found = dataclasses.asdict(self)
        found["lesson"] = self.lesson or len(self.lesson_tables[self.lessons])
        for what in ("nodes", "degree", "path"):
            found[f"min_{what}"], found[f"max_{what}"] = getattr(sizes, what)
        return found

    @property
    def edge_labels(self) -> int:
        """How many labels of edges there are."""
        return int(10**self.digits)

    def most_planning_steps(self, edges: int) -> int:
        """Planning steps after a question about a graph with so many edges, at most; 0 where a task has none."""
        return 0

    def planning_steps(self, rng: np.random.Generator, edges: int, question: Question) -> int:
        """Planning steps after a question about a graph with so many edges."""
        return self.most_planning_steps(edges)

    @property
    def repeats(self) -> bool:
        """Whether a sequence may be drawn twice; unlikely if there are 10^12 ways to choose its labels."""
        edge_digits = math.log10(self.edge_labels)
        return self.digits * self.sizes.nodes[0] + edge_digits * self.sizes.degree[0] < NEVER_TWICE

    @property
    def slots_needed(self) -> int:
        """Number of edges of the largest graphs."""
        return self.sizes.nodes[1] * self.sizes.degree[1]

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return (*channel_names(self.digits), "question", "answer")

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return channel_names(self.digits)

    @property
    def input_size(self) -> int:
        """Width of an input, X."""
        return channel_counts(self.digits)[0]

    @property
    def output_size(self) -> int:
        """Width of an output, Y."""
        return channel_counts(self.digits)[1]

    @abstractmethod
    def question(self, rng: np.random.Generator, graph: Graph) -> Question | None:
        """A question of the lesson about a graph; None if there is none."""

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """`batch` sequences, each a new graph and questions about it."""
        return pad_and_concat([self._sequence(rng) for _ in range(batch)])

    def _sequence(self, rng: np.random.Generator) -> Batch:
        graph, questions = self.graph_and_questions(rng)
        return self.sequence(rng, graph.triples, questions)

    def graph_and_questions(self, rng: np.random.Generator) -> tuple[Graph, list[Question]]:
        """A random graph and `queries` questions about it."""
        for _ in range(TRIES):
            graph, questions = self._try(rng)
            if questions:
                return graph, questions
        raise UserError(
            f"graphs must have a path of the lengths asked for, got none in {TRIES} graphs of {self.sizes}. "
            "Lower min_path or raise min_degree."
        )

    def _try(self, rng: np.random.Generator) -> tuple[Graph, list[Question]]:
        """A random graph and `queries` questions about it, or none."""
        graph = random_graph(rng, self.sizes, 10**self.digits, self._labels_of_edges(rng))
        return graph, self.questions(rng, graph)

    def questions(self, rng: np.random.Generator, graph: Graph) -> list[Question]:
        """`queries` questions about a graph; none if not all of them can be drawn."""
        found = list[Question]()
        for _ in range(self.queries):
            question = self.question(rng, graph)
            if question is None:
                return []
            found.append(question)
        return found

    def _labels_of_edges(self, rng: np.random.Generator) -> int | NDArray[np.int64]:
        """The labels that the edges of a graph may have: all below a number, or those of an array."""
        if not self.few_labels or rng.random() >= self.few_labels:
            return self.edge_labels
        least = self.sizes.degree[1]
        count = int(rng.integers(least, min(FEW * least, self.edge_labels), endpoint=True))
        return rng.choice(self.edge_labels, count, replace=False)

    def sequence(
        self, rng: np.random.Generator, triples: Sequence[Triple], questions: Sequence[Question]
    ) -> Batch:
        """A batch of one sequence: the triples in random order, then each question, planning steps, its answer."""
        plans = [self.planning_steps(rng, len(triples), question) for question in questions]
        begin = len(triples)
        steps = (
            begin + sum(len(question.asked) + len(question.answers) for question in questions) + sum(plans)
        )
        labels = np.full((steps, 3), ABSENT)
        labels[:begin] = rng.permutation(np.array(triples))
        inputs = np.zeros((steps, 1, self.input_size), np.float32)
        targets = np.zeros((steps, 1, 3 * self.digits), np.int64)
        mask = np.zeros((steps, 1), bool)
        hints = np.zeros((steps, 1, self.output_size), np.float32)
        for question, plan in zip(questions, plans, strict=True):
            asked, answers = question.asked, question.answers
            answer = begin + len(asked) + plan
            end = answer + len(answers)
            labels[begin : begin + len(asked)] = asked
            if question.feed_back:
                labels[answer + 1 : end] = answers[:-1]
            inputs[begin, 0, PHASE] = inputs[answer:end, 0, ANSWER] = 1
            targets[answer:end, 0] = to_digits(answers, self.digits)
            mask[answer:end] = True
            for step, triples_due in enumerate(question.hints[:plan], answer - plan):
                hints[step, 0] = one_hot(triples_due, self.digits).mean(axis=0)
            begin = end
        inputs[:, 0, :-FLAGS] = one_hot(labels, self.digits)
        return Batch(inputs, targets, mask=mask, hints=hints if hints.any() else None)

    def describe(self, batch: Batch, outputs: Array, row: int) -> str:
        """Sequence `row` as triples of labels: the graph, then each question with target and output of its answer."""
        steps = sequence_length(batch, row)
        inputs, counts = batch.inputs[:steps, row], loss_mask(batch)[:steps, row]
        labels, starts = decode(inputs), np.flatnonzero(inputs[:, PHASE] > 0).tolist()

        def words(triples: NDArray[np.int64]) -> list[str]:
            shown = [
                ["-" if label == ABSENT else f"{label:0{self.digits}}" for label in row] for row in triples
            ]
            return [" ".join(row) for row in shown]

        lines = [f"{starts[0]} edges shown: {', '.join(words(labels[: starts[0]]))}"]
        wanted, given = to_labels(batch.targets[:steps, row]), given_labels(batch, outputs)[:steps, row]
        for begin, end in pairwise([*starts, steps]):
            due = begin + np.flatnonzero(counts[begin:end])
            asked = [text for text in words(labels[begin : due[0]]) if text != "- - -"]
            lines.append(f"asked: {', '.join(asked)}")
            for right, said in zip(words(wanted[due]), words(given[due]), strict=True):
                lines.append(f"wanted {right}, got {said}{'' if right == said else '  WRONG'}")
        return "\n".join(lines)


@dataclass(frozen=True)
class DrawnOtherwise(ABC):
    """The sequences of a graph task, drawn in another way than by `GraphTask.draw`."""

    task: GraphTask

    @property
    def input_size(self) -> int:
        """Width of an input, X."""
        return self.task.input_size

    @property
    def output_size(self) -> int:
        """Width of an output, Y."""
        return self.task.output_size

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """`batch` sequences, each with its own graph or part of one, and questions about it."""
        return pad_and_concat([self._sequence(rng) for _ in range(batch)])

    @abstractmethod
    def _sequence(self, rng: np.random.Generator) -> Batch:
        """One sequence."""


def given_labels(batch: Batch, outputs: Array) -> NDArray[np.int64]:
    """What a model answers, (T, B, 3): the likeliest of a step's choices; without choices, the likeliest digits."""
    if batch.choices is None:
        return predicted_labels(outputs)
    return to_labels(likeliest_choices(outputs, batch.choices))
