"""Shortest path: plan a path, then output its edges, each of which becomes the next input."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from numdnc.errors import UserError
from numdnc.tasks import Batch, Forward
from numdnc.tasks.graphs.encoding import ABSENT, END
from numdnc.tasks.graphs.graph import Graph, Triple
from numdnc.tasks.graphs.lessons import PAPER_SHORTEST_PATH, SHORTEST_PATH, Lesson
from numdnc.tasks.graphs.planned import PlannedTask
from numdnc.tasks.graphs.rollout import roll_out
from numdnc.tasks.graphs.task import Question


@dataclass(frozen=True, kw_only=True)
class ShortestPath(PlannedTask):
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
    With `valid_edges` a step is one choice among the edges of the current node, with the probabilities of their digits,
    renormalised; where the target is 000 000 000, nothing else can be chosen.
    With `planning` path the question says by its planning steps how many edges the path has. Who does not know it asks
    with 1 step, then with 2 and so on, until an answer of as many edges arrives, which none can with fewer.
    Input channels: digits of the three labels, question, answer. Output channels: digits of the three labels, one of
    ten each.

    Source: Graves et al. 2016, "Graph task descriptions". Ours: the pattern that ends an answer, and how questions are
    drawn: first a length of the lesson's that occurs in the graph, then a pair of nodes at that distance.
    """

    name: ClassVar[str] = "shortest-path"
    lesson_tables: ClassVar[dict[str, tuple[Lesson, ...]]] = {
        "ours": SHORTEST_PATH,
        "paper": PAPER_SHORTEST_PATH,
    }

    plannings: ClassVar[tuple[str, ...]] = ("edges", "random", "path")

    optimal_share: float = 0.8
    """Share of training steps that feed back the target instead of the model's own choice."""
    valid_edges: bool = False
    """Choose among the edges that leave the current node, by outputs renormalised over these (the paper's way), instead
    of any digits; the answer then ends where the path does."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.optimal_share <= 1:
            raise UserError(f"optimal_share must lie in [0, 1], got {self.optimal_share}.")

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
            edges = graph.shortest_edges(at, steps)
            path.append(edges[int(rng.integers(len(edges)))])
            at = path[-1].destination
        return Question([(start, ABSENT, end)], [*path, END], feed_back=True)

    def hints_of(self, graph: Graph, question: Question) -> Sequence[Sequence[Triple]]:
        """Breadth-first search from the end: at step i all edges that lead from distance i of the end to i - 1.

        The last step has those that leave the start. What a step is to output thus is how the labels of these edges are
        distributed, which a look-up of all of them at once reads.
        """
        ((start, _, end),) = question.asked
        steps = graph.distances_to(end)
        levels: list[list[int]] = [[] for _ in range(steps[start])]
        for node, far in steps.items():
            if 1 <= far < steps[start]:
                levels[far - 1].append(node)
        levels[-1] = [start]
        return [[edge for node in level for edge in graph.shortest_edges(node, steps)] for level in levels]

    def most_planning_steps(self, edges: int) -> int:
        """Planning steps after a question about a graph with so many edges, at most."""
        return self.sizes.path[1] if self.planning == "path" else super().most_planning_steps(edges)

    def planning_steps(self, rng: np.random.Generator, edges: int, question: Question) -> int:
        """Planning steps after a question about a graph with so many edges."""
        if self.planning == "path":
            return len(question.answers) - 1  # the last step ends the path
        return super().planning_steps(rng, edges, question)

    def rollout(self, forward: Forward, batch: Batch, rng: np.random.Generator | None) -> Batch:
        """The batch with a model's choices as inputs, and the targets that follow from them.

        Without `rng` all choices are the model's own; with it, each is the target with probability `optimal_share`.
        """
        return roll_out(forward, batch, rng, self.optimal_share, valid_edges=self.valid_edges)
