"""What the graph tasks share: their lessons, and how a graph and a question become a sequence.

Axes: T steps, B batch, D digits of a label, G digits of a triple.
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

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

MAX_DIGITS = 6
MAX_NODES = 1000
MAX_NUMBERS = 1 << 22
"""Numbers of a sequence, at most: settings may come from elsewhere."""
FEW = 4
NEVER_TWICE = 12
"""Random decimal digits of a sequence with which none comes twice."""
TRIES = 1000
"""So many graphs are drawn, at most, until one has a question of the lesson."""


class Question(NamedTuple):
    """What is asked, a triple a step with ABSENT for what is not told, and what is to be answered, a triple a step."""

    asked: Sequence[tuple[int, int, int]]
    answers: Sequence[tuple[int, int, int]]
    feed_back: bool = False
    """Whether each answer but the last is shown at the step after it."""


@dataclass(frozen=True, kw_only=True)
class GraphTask(ABC):
    """Questions about random graphs; see `Traversal`, `ShortestPath` and `Inference`."""

    name: ClassVar[str]
    """What the task is called."""
    lessons: ClassVar[tuple[Lesson, ...]]

    lesson: int
    """Sizes of graphs and paths, from 1, the easiest, on; see docs/tasks.md."""
    digits: int = 3
    """D, decimal digits of a label: 10^D different ones."""
    min_nodes: int = 0
    """Nodes of a graph, at least; 0 = as the lesson says."""
    max_nodes: int = 0
    """Nodes of a graph, at most; 0 = as the lesson says."""
    min_degree: int = 0
    """Edges that leave a node, at least; 0 = as the lesson says."""
    max_degree: int = 0
    """Edges that leave a node, at most; 0 = as the lesson says."""
    min_path: int = 0
    """Edges of the path asked for, at least; 0 = as the lesson says."""
    max_path: int = 0
    """Edges of the path asked for, at most; 0 = as the lesson says."""
    few_labels: float = 0.0
    """Share of the graphs whose edges have few different labels, as on the map of a railway: from as many as may leave
    a node to four times that. In the others hardly two are alike, and an edge can be told by its label alone."""

    def __post_init__(self) -> None:
        if not 1 <= self.lesson <= len(self.lessons):
            raise UserError(f"lesson must be from 1 to {len(self.lessons)}, got {self.lesson}.")
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
                    f"(0 stands for what lesson {self.lesson} says)."
                )
        if sizes.nodes[1] > 10**self.digits:
            raise UserError(
                f"max_nodes must be at most {10**self.digits}, the labels of {self.digits} digits, got "
                f"{sizes.nodes[1]}. Lower --lesson or max_nodes, or raise digits."
            )
        if sizes.nodes[1] > MAX_NODES:
            raise UserError(f"max_nodes must be at most {MAX_NODES:,}, got {sizes.nodes[1]:,}.")
        steps = sizes.nodes[1] * min(sizes.degree[1], sizes.nodes[1]) + 2 * sizes.path[1] + 1 + self.plan
        if steps * (self.input_size + self.output_size) > MAX_NUMBERS:
            raise UserError(
                f"a sequence must have at most {MAX_NUMBERS:,} numbers, got up to {steps:,} steps of "
                f"{self.input_size + self.output_size:,}. Lower max_nodes, max_degree, max_path or planning."
            )
        if sizes.degree[1] > self.edge_labels:
            raise UserError(
                f"max_degree must be at most {self.edge_labels}, the labels of edges, got {sizes.degree[1]}. "
                "Lower max_degree or raise digits."
            )

    @property
    def sizes(self) -> Lesson:
        """The lesson with what other settings change of it."""
        lesson = self.lessons[self.lesson - 1]

        def changed(lesson_says: Range, low: int, high: int) -> Range:
            return low or lesson_says[0], high or lesson_says[1]

        return lesson._replace(
            nodes=changed(lesson.nodes, self.min_nodes, self.max_nodes),
            degree=changed(lesson.degree, self.min_degree, self.max_degree),
            path=changed(lesson.path, self.min_path, self.max_path),
        )

    @property
    def resolved_settings(self) -> dict[str, Any]:
        """The settings, with the lesson's values where they were left to it."""
        sizes = self.sizes
        found = dataclasses.asdict(self)
        for what in ("nodes", "degree", "path"):
            found[f"min_{what}"], found[f"max_{what}"] = getattr(sizes, what)
        return found

    @property
    def edge_labels(self) -> int:
        """How many labels of edges there are."""
        return int(10**self.digits)

    @property
    def plan(self) -> int:
        """Steps between question and answer."""
        return 0

    @property
    def repeats(self) -> bool:
        """Whether a sequence may be drawn twice: hardly, where the labels alone can be given in 10^12 ways."""
        edge_digits = math.log10(self.edge_labels)
        return self.digits * self.sizes.nodes[0] + edge_digits * self.sizes.degree[0] < NEVER_TWICE

    @property
    def slots_needed(self) -> int:
        """Triples of the largest graphs."""
        return self.sizes.nodes[1] * self.sizes.degree[1]

    @property
    def input_channels(self) -> tuple[str, ...]:
        """One name a channel."""
        return (*channel_names(self.digits), "question", "answer")

    @property
    def output_channels(self) -> tuple[str, ...]:
        """One name a channel."""
        return channel_names(self.digits)

    @property
    def input_size(self) -> int:
        """X."""
        return channel_counts(self.digits)[0]

    @property
    def output_size(self) -> int:
        """Y."""
        return channel_counts(self.digits)[1]

    @abstractmethod
    def question(self, rng: np.random.Generator, graph: Graph) -> Question | None:
        """A question of the lesson about a graph; None where there is none."""

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """`batch` questions, each about a graph of its own."""
        return pad_and_concat([self._sequence(rng) for _ in range(batch)])

    def _sequence(self, rng: np.random.Generator) -> Batch:
        for _ in range(TRIES):
            graph, question = self._graph_and_question(rng)
            if question is not None:
                return self.sequence(rng, graph.triples, question)
        raise UserError(
            f"graphs must have a path of the lengths asked for, got none in {TRIES}, with {self.sizes}. "
            "Lower min_path or raise min_degree."
        )

    def _graph_and_question(self, rng: np.random.Generator) -> tuple[Graph, Question | None]:
        """A random graph and a question about it, None where there is none."""
        graph = random_graph(rng, self.sizes, 10**self.digits, self._labels_of_edges(rng))
        return graph, self.question(rng, graph)

    def _labels_of_edges(self, rng: np.random.Generator) -> int | NDArray[np.int64]:
        """What the edges of a graph may be labelled with: 0 up to a number, or these."""
        if not self.few_labels or rng.random() >= self.few_labels:
            return self.edge_labels
        least = self.sizes.degree[1]
        count = int(rng.integers(least, min(FEW * least, self.edge_labels), endpoint=True))
        return rng.choice(self.edge_labels, count, replace=False)

    def sequence(self, rng: np.random.Generator, triples: Sequence[Triple], question: Question) -> Batch:
        """A batch of one: the triples in random order, the question, steps to plan in, the answer."""
        asked, answers = question.asked, question.answers
        begin = len(triples)
        answer = begin + len(asked) + self.plan
        steps = answer + len(answers)
        labels = np.full((steps, 3), ABSENT)
        labels[:begin] = rng.permutation(np.array(triples))
        labels[begin : begin + len(asked)] = asked
        if question.feed_back:
            labels[answer + 1 :] = answers[:-1]
        inputs = np.zeros((steps, 1, self.input_size), np.float32)
        inputs[:, 0, :-FLAGS] = one_hot(labels, self.digits)
        inputs[begin, 0, PHASE] = inputs[answer:, 0, ANSWER] = 1
        targets = np.zeros((steps, 1, 3 * self.digits), np.int64)
        targets[answer:, 0] = to_digits(answers, self.digits)
        mask = np.zeros((steps, 1), bool)
        mask[answer:] = True
        return Batch(inputs, targets, mask=mask)

    def describe(self, batch: Batch, outputs: Array, row: int) -> str:
        """Sequence `row` as triples of labels: what was shown and asked, what should be answered and what was."""
        steps = sequence_length(batch, row)
        inputs, counts = batch.inputs[:steps, row], loss_mask(batch)[:steps, row]
        labels, begin = decode(inputs), int(inputs[:, PHASE].argmax())
        answer = int(counts.argmax())

        def words(triples: NDArray[np.int64]) -> list[str]:
            shown = [
                ["-" if label == ABSENT else f"{label:0{self.digits}}" for label in row] for row in triples
            ]
            return [" ".join(row) for row in shown]

        asked = [text for text in words(labels[begin:answer]) if text != "- - -"]
        wanted = words(to_labels(batch.targets[:steps, row][counts]))
        given = words(predicted_labels(outputs[:steps, row][counts]))
        lines = [f"{begin} edges shown: {', '.join(words(labels[:begin]))}", f"asked: {', '.join(asked)}"]
        for right, said in zip(wanted, given, strict=True):
            lines.append(f"wanted {right}, got {said}{'' if right == said else '  WRONG'}")
        return "\n".join(lines)


def check_plan(steps: int) -> None:
    """Refuse a number of steps to plan in that is none."""
    if steps < 0:
        raise UserError(f"planning must be at least 0, got {steps}.")
