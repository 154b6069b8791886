"""Traversal: follow given edges from node to node."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from numdnc.tasks.graphs.encoding import ABSENT
from numdnc.tasks.graphs.graph import Graph, Triple
from numdnc.tasks.graphs.lessons import TRAVERSAL, Lesson
from numdnc.tasks.graphs.task import GraphTask, Question


@dataclass(frozen=True, kw_only=True)
class Traversal(GraphTask):
    """A graph is shown edge by edge, then the first node and the edges of a walk; the answer is every node of the walk.

    A graph of n edges and a walk of k:

        steps  input                                             target
        n      (source, edge, destination), in random order
        1      question, (source, edge, -)
        k - 1  (-, edge, -)
        k      answer                                            (source, edge, destination), completed

    The walk starts at a random node and leaves each node by a random edge. Input channels: digits of the three labels,
    question, answer. Output channels: digits of the three labels, one of ten each.

    Source: Graves et al. 2016, "Graph task descriptions". Ours: the question flag is 1 at its first step only, and
    where an answer is due the input is zero but for the answer flag.
    """

    name: ClassVar[str] = "traversal"
    lesson_tables: ClassVar[dict[str, tuple[Lesson, ...]]] = {"ours": TRAVERSAL, "paper": TRAVERSAL}

    def question(self, rng: np.random.Generator, graph: Graph) -> Question | None:
        """A random walk; None if it reaches a node without leaving edges."""
        nodes, path = graph.nodes, list[Triple]()
        at = nodes[int(rng.integers(len(nodes)))]
        for _ in range(int(rng.integers(*self.sizes.path, endpoint=True))):
            edges = graph.edges_from(at)
            if not edges:
                return None
            path.append(edges[int(rng.integers(len(edges)))])
            at = path[-1].destination
        return walk_question(path)


def walk_question(path: list[Triple]) -> Question:
    """The question whose answer is this path."""
    first = (path[0].source, path[0].edge, ABSENT)
    return Question([first, *((ABSENT, triple.edge, ABSENT) for triple in path[1:])], path)
