"""Graphs with numbered nodes and edges, random graphs, and breadth-first search."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from numdnc.tasks.graphs.lessons import Lesson

Node = TypeVar("Node", bound=Hashable)


def breadth_first(
    starts: Iterable[Node], beside: Callable[[Node], Iterable[Node]]
) -> Iterator[tuple[Node, Node]]:
    """Every node that can be reached from the starts, nearest first, with its predecessor; a start precedes itself.

    `beside` gives the nodes to which the edges of a node lead.
    """
    waiting = deque(dict.fromkeys(starts))
    found = set(waiting)
    yield from ((start, start) for start in tuple(waiting))
    while waiting:
        at = waiting.popleft()
        for node in beside(at):
            if node not in found:
                found.add(node)
                waiting.append(node)
                yield node, at


class Triple(NamedTuple):
    """An edge: the labels of its source, of itself, and of its destination."""

    source: int
    edge: int
    destination: int


class Graph:
    """A directed graph with labelled nodes and edges."""

    def __init__(self, triples: Iterable[Triple]) -> None:
        self.triples = list(triples)
        self._leaving: dict[int, list[Triple]] = {}
        for triple in self.triples:
            self._leaving.setdefault(triple.source, []).append(triple)

    @property
    def nodes(self) -> list[int]:
        """All nodes, in the order in which edges name them."""
        return list(
            dict.fromkeys(node for triple in self.triples for node in (triple.source, triple.destination))
        )

    def edges_from(self, node: int) -> list[Triple]:
        """The edges that leave a node."""
        return self._leaving.get(node, [])

    def distances_from(self, start: int) -> dict[int, int]:
        """Node -> number of edges of a shortest path to it, for all nodes that can be reached."""
        steps: dict[int, int] = {}
        for node, before in breadth_first([start], self._after):
            steps[node] = steps.get(before, -1) + 1
        return steps

    def _after(self, node: int) -> list[int]:
        return [triple.destination for triple in self.edges_from(node)]

    def distances_to(self, end: int) -> dict[int, int]:
        """Node -> number of edges of a shortest path from it, for all nodes from which `end` can be reached."""
        return self.reversed().distances_from(end)

    def shortest_edges(self, at: int, distances: dict[int, int]) -> list[Triple]:
        """The edges of a node that begin a shortest path; `distances` are those of `distances_to` its end."""
        if not distances.get(at):
            return []
        return [
            edge for edge in self.edges_from(at) if distances.get(edge.destination, -1) == distances[at] - 1
        ]

    def reversed(self) -> "Graph":
        """The graph with every edge reversed."""
        return Graph(Triple(d, e, s) for s, e, d in self.triples)

    def walk(self, start: int, edges: Iterable[int]) -> list[Triple] | None:
        """The path from a node along edges with these labels, or None; labels are unique among a node's edges."""
        path, at = [], start
        for edge in edges:
            found = next((triple for triple in self.edges_from(at) if triple.edge == edge), None)
            if found is None:
                return None
            path.append(found)
            at = found.destination
        return path


def random_graph(
    rng: np.random.Generator, lesson: Lesson, labels: int, edge_labels: int | NDArray[np.int64]
) -> Graph:
    """Random points in the unit square, each joined to its K nearest others, K drawn for each (Graves et al. 2016).

    The number of points and K are uniform in the lesson's ranges; K is at most the number of other points. Nodes have
    distinct labels in 0..labels - 1. Edges have labels that are distinct among the edges of a node: in
    0..edge_labels - 1, or from the array `edge_labels`.
    """
    count = int(rng.integers(*lesson.nodes, endpoint=True))
    points = rng.random((count, 2))
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argsort(axis=1)
    nodes = rng.choice(labels, count, replace=False)
    degrees = np.minimum(rng.integers(*lesson.degree, count, endpoint=True), count - 1)
    triples = []
    for source in range(count):
        degree = int(degrees[source])
        edges = rng.choice(edge_labels, degree, replace=False)
        triples += [
            Triple(int(nodes[source]), int(edge), int(nodes[destination]))
            for edge, destination in zip(edges, nearest[source, :degree], strict=True)
        ]
    return Graph(triples)
