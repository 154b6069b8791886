"""Shortest path: plan a path, then output its edges, each of which becomes the next input."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.tasks import Batch, Forward
from numdnc.tasks.graphs.encoding import (
    ABSENT,
    ANSWER,
    END,
    FLAGS,
    PHASE,
    decode,
    one_hot,
    predicted_labels,
    to_digits,
)
from numdnc.tasks.graphs.graph import Graph, Triple
from numdnc.tasks.graphs.lessons import SHORTEST_PATH, Lesson
from numdnc.tasks.graphs.task import GraphTask, Question, check_plan


@dataclass(frozen=True, kw_only=True)
class ShortestPath(GraphTask):
    """A graph is shown edge by edge, then two of its nodes; the answer is the edges of a shortest path between them.

    A graph of n edges and a path of k:

        steps  input                                             target
        n      (source, edge, destination), in random order
        1      question, (start, -, end)
        plan   nothing
        1      answer                                            the first edge of a shortest path
        k - 1  answer, the edge chosen at the step before        the next edge from the node reached
        1      answer, the edge chosen at the step before        000 000 000: the path has ended

    Any shortest path is right: the target is an edge that begins a shortest path, the likeliest one to the model if
    there are several. The choice is fed back as the next input: in scoring always the model's own, in training the
    target instead with probability `optimal_share`, drawn at each step. A choice that is an edge of the current node
    leads to its destination; any other choice leaves the current node unchanged. If the end can no longer be reached,
    the target is 000 000 000. An answer without errors therefore is a shortest path of the model's own choices that
    ends in time. (`draw` feeds back a random shortest path; `rollout` replaces it by the model's choices.)
    Input channels: digits of the three labels, question, answer. Output channels: digits of the three labels, one of
    ten each.

    Source: Graves et al. 2016, "Graph task descriptions". Ours: the pattern that ends an answer, and how questions are
    drawn: first a length of the lesson's that occurs in the graph, then a pair of nodes at that distance.
    """

    name: ClassVar[str] = "shortest-path"
    lessons: ClassVar[tuple[Lesson, ...]] = SHORTEST_PATH

    lesson: int = len(SHORTEST_PATH)
    """Lesson: sizes of graphs and paths, from 1, the easiest, to 9; see docs/tasks.md."""
    planning: int = 10
    """Empty steps between question and answer."""
    optimal_share: float = 0.8
    """Share of training steps that feed back the target instead of the model's own choice."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_plan(self.planning)
        if not 0 <= self.optimal_share <= 1:
            raise UserError(f"optimal_share must lie in [0, 1], got {self.optimal_share}.")

    @property
    def plan(self) -> int:
        """Empty steps between question and answer."""
        return self.planning

    def question(self, rng: np.random.Generator, graph: Graph) -> Question | None:
        """Two random nodes and a random shortest path between them."""
        low, high = self.sizes.path
        pairs: dict[int, list[tuple[int, int]]] = {}
        for start in graph.nodes:
            for end, steps in graph.distances_from(start).items():
                if low <= steps <= high:
                    pairs.setdefault(steps, []).append((start, end))
        if not pairs:
            return None
        lengths = sorted(pairs)
        found = pairs[lengths[int(rng.integers(len(lengths)))]]
        return self.between(rng, graph, *found[int(rng.integers(len(found)))])

    def between(self, rng: np.random.Generator, graph: Graph, start: int, end: int) -> Question:
        """The question for a path between two nodes, the second of which can be reached from the first."""
        steps = graph.distances_to(end)
        path, at = list[Triple](), start
        while at != end:
            edges = _optimal(graph, steps, at)
            path.append(edges[int(rng.integers(len(edges)))])
            at = path[-1].destination
        return Question([(start, ABSENT, end)], [*path, END], feed_back=True)

    def rollout(self, forward: Forward, batch: Batch, rng: np.random.Generator | None) -> Batch:
        """The batch with a model's choices as inputs, and the targets that follow from them.

        Without `rng` all choices are the model's own; with it, each is the target with probability `optimal_share`.
        """
        inputs, targets = batch.inputs.copy(), batch.targets.copy()
        walkers = [Walker(inputs[:, row]) for row in range(inputs.shape[1])]
        state, begin = None, 0
        for t in sorted({t for walker in walkers for t in walker.answer}):
            outputs, state = forward(inputs[begin : t + 1], state)
            begin = t + 1
            for row, walker in enumerate(walkers):
                if t not in walker.answer:
                    continue
                target = walker.target(outputs[-1, row])
                targets[t, row] = to_digits(target, self.digits)
                own = rng is None or rng.random() >= self.optimal_share
                choice = tuple(predicted_labels(outputs[-1, row]).tolist()) if own else target
                walker.go(choice)
                if t + 1 in walker.answer:
                    inputs[t + 1, row, :-FLAGS] = one_hot(choice, self.digits)
        return batch._replace(inputs=inputs, targets=targets)


class Walker:
    """The node that the choices of one sequence have reached so far."""

    def __init__(self, inputs: Array) -> None:
        """Read graph and question from the `inputs` (T, X) of a sequence."""
        question = int(inputs[:, PHASE].argmax())
        labels = decode(inputs[: question + 1])
        self.graph = Graph(Triple(*triple) for triple in labels[:question].tolist())
        self.at, _, self.end = labels[question].tolist()
        self.answer = range(*_first_and_after(inputs[:, ANSWER] > 0))
        self._steps = self.graph.distances_to(self.end)

    def target(self, outputs: Array) -> tuple[int, int, int]:
        """The edge to choose now, or END; among several edges the likeliest by the outputs (Y,)."""
        if self.at == self.end:
            return END
        edges = _optimal(self.graph, self._steps, self.at)
        if not edges:  # the end can no longer be reached
            return END
        groups = outputs.reshape(-1, 10)
        # The sum of the outputs of the digits ranks triples as their probabilities do.
        places = to_digits(edges, len(groups) // 3)
        return edges[int(groups[np.arange(len(groups)), places].sum(axis=1).argmax())]

    def go(self, choice: tuple[int, ...]) -> None:
        """Follow the choice if it is an edge of the current node."""
        if choice in self.graph.edges_from(self.at):
            self.at = choice[2]


def _optimal(graph: Graph, steps: dict[int, int], at: int) -> list[Triple]:
    """The edges of a node that begin a shortest path; `steps` gives each node's distance to the end."""
    if at not in steps:
        return []
    return [edge for edge in graph.edges_from(at) if steps.get(edge.destination, -1) == steps[at] - 1]


def _first_and_after(flags: NDArray[np.bool_]) -> tuple[int, int]:
    steps = np.flatnonzero(flags)
    return int(steps[0]), int(steps[-1]) + 1
