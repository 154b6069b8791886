"""Graphs with named nodes and edges, and the graph tasks on them, with random labels for the names.

Several edges of one node with the same name (a line of the Underground leads both ways) would make questions ambiguous.
They get numbers: "Central Line 1", "Central Line 2", except numbers that would give another edge's name. Axes: T steps.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numdnc.errors import UserError
from numdnc.names import folded, quoted
from numdnc.params import Array
from numdnc.tables import Column, read_table
from numdnc.tasks import Batch, Forward
from numdnc.tasks.graphs.graph import Graph, Triple, breadth_first
from numdnc.tasks.graphs.shortest_path import ShortestPath
from numdnc.tasks.graphs.task import TRIES, DrawnOtherwise, GraphTask

COLUMNS = (
    Column("source", ("from",)),
    Column("edge", ("label", "relation"), default="edge"),
    Column("destination", ("target", "to")),
)
"""Columns of the file of a graph."""
MAX_LOOKUPS = 3_000_000
"""Most nodes and edges that one look-up visits: very large graphs get less exact answers instead of long waits."""


class Edge(NamedTuple):
    """An edge, by names."""

    source: str
    edge: str
    destination: str
    plain: str
    """The edge's name without the number that distinguishes it from others of the same name and source."""


class Numbering(NamedTuple):
    """The labels that stand for names."""

    nodes: dict[str, int]
    edges: dict[str, int]

    def triple(self, edge: Edge) -> Triple:
        """The edge, by labels."""
        return Triple(self.nodes[edge.source], self.edges[edge.edge], self.nodes[edge.destination])


class NamedGraph:
    """A directed graph with named edges; the edges of one node have different names."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self.edges = list(edges)

    @cached_property
    def nodes(self) -> list[str]:
        """Names of the nodes, in the order in which edges name them."""
        return list(dict.fromkeys(name for edge in self.edges for name in (edge.source, edge.destination)))

    @cached_property
    def edge_names(self) -> list[str]:
        """Distinct names of edges, in order."""
        return list(dict.fromkeys(edge.edge for edge in self.edges))

    def edges_from(self, node: str) -> list[Edge]:
        """The edges that leave a node."""
        return self._leaving.get(node, [])

    @cached_property
    def _leaving(self) -> dict[str, list[Edge]]:
        found: dict[str, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.source, []).append(edge)
        return found

    @cached_property
    def _beside(self) -> dict[str, list[str]]:
        """The neighbours of each node, regardless of the edges' direction."""
        found: dict[str, list[str]] = {}
        for edge in self.edges:
            found.setdefault(edge.source, []).append(edge.destination)
            found.setdefault(edge.destination, []).append(edge.source)
        return found

    @cached_property
    def _place(self) -> dict[Edge, int]:
        return {edge: place for place, edge in enumerate(self.edges)}

    def shortest_path(self, start: str, end: str) -> list[str]:
        """The nodes of a shortest path from one node to another; empty if there is none."""
        before: dict[str, str] = {}
        for node, at in breadth_first([start], lambda at: (edge.destination for edge in self.edges_from(at))):
            before[node] = at
            if node == end:
                path = [end]
                while path[-1] != start:
                    path.append(before[path[-1]])
                return path[::-1]
        return []

    def subgraph(self, around: Sequence[str], count: int) -> "NamedGraph":
        """The subgraph of these nodes and the nearest other ones, `count` in all."""
        nearest = breadth_first(around, lambda node: self._beside.get(node, []))
        kept = {node for node, _ in itertools.islice(nearest, max(count, len(set(around))))}
        edges = [edge for node in kept for edge in self.edges_from(node) if edge.destination in kept]
        return NamedGraph(sorted(edges, key=self._place.__getitem__))

    def check_fits(self, task: GraphTask) -> None:
        """Refuse a graph with more names than the task has labels."""
        for what, names, labels in (
            ("nodes", self.nodes, 10**task.digits),
            ("names of edges", self.edge_names, task.edge_labels),
        ):
            if len(names) > labels:
                raise UserError(
                    f"a graph must have at most {labels} {what}, the number of labels of this run, "
                    f"got {len(names)}. Give a smaller graph, or a part of it with --nodes."
                )

    def draw_numbering(self, rng: np.random.Generator, task: GraphTask) -> Numbering:
        """Draw random labels for all names."""
        self.check_fits(task)
        nodes = rng.choice(10**task.digits, len(self.nodes), replace=False).tolist()
        edges = rng.choice(task.edge_labels, len(self.edge_names), replace=False).tolist()
        return Numbering(
            dict(zip(self.nodes, nodes, strict=True)), dict(zip(self.edge_names, edges, strict=True))
        )


@dataclass(frozen=True)
class NamedGraphTask(DrawnOtherwise):
    """A graph task on a given graph, or on random parts of it; names get new random labels in each sequence."""

    graph: NamedGraph
    nodes: int = 0
    """Nodes of each sequence's graph, a random node and its nearest; 0 = the whole graph."""

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.task.input_channels

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.task.output_channels

    @property
    def queries(self) -> int:
        """Questions about each graph."""
        return self.task.queries

    @property
    def slots_needed(self) -> int:
        """Number of edges of the largest graph shown; a sample of its parts decides if the graph is very large."""
        if not self.nodes:
            return len(self.graph.edges)
        nodes = self.graph.nodes
        around = nodes[:: 1 + len(nodes) * (len(nodes) + len(self.graph.edges)) // MAX_LOOKUPS]
        return max(len(self.graph.subgraph([node], self.nodes).edges) for node in around)

    def rollout(self, forward: Forward, batch: Batch, rng: np.random.Generator | None) -> Batch:
        """The task's rollout."""
        return self.task.rollout(forward, batch, rng) if isinstance(self.task, ShortestPath) else batch

    def describe(self, batch: Batch, outputs: Array, row: int) -> str:
        """The task's description of a sequence."""
        return self.task.describe(batch, outputs, row)

    def _sequence(self, rng: np.random.Generator) -> Batch:
        graph = self.graph
        tries = max(1, min(TRIES, MAX_LOOKUPS // len(graph.edges)))
        for _ in range(tries):
            if self.nodes:
                graph = self.graph.subgraph(
                    [self.graph.nodes[int(rng.integers(len(self.graph.nodes)))]], self.nodes
                )
            numbering = graph.draw_numbering(rng, self.task)
            triples = [numbering.triple(edge) for edge in graph.edges]
            questions = self.task.questions(rng, Graph(triples)) if triples else []
            if questions:
                return self.task.sequence(rng, triples, questions)
        low, high = self.task.sizes.path
        raise UserError(
            f"the graph must have paths that {self.task.name} asks for, of {low} to {high} edges, "
            f"got none in {tries:,} tries. Ask for paths that it has: --set min_path=1 --set max_path=3."
        )


def read_graph(path: Path, *, two_way: bool) -> NamedGraph:
    """Read a graph from a CSV file of source, edge, destination; with `two_way` each row also gives its reverse.

    Without a column of edges, each is named "edge".
    """
    rows = _rows(path)
    if two_way:
        rows += [(destination, edge, source) for source, edge, destination in rows]
    rows = list(dict.fromkeys(rows))
    same_name = Counter((source, edge) for source, edge, _ in rows)
    numbered = _NumberedNames({edge for _, edge, _ in rows})
    seen = Counter[tuple[str, str]]()
    edges = []
    for source, edge, destination in rows:
        name = edge
        if same_name[source, edge] > 1:
            name = numbered.name(edge, seen[source, edge])
            seen[source, edge] += 1
        edges.append(Edge(source, name, destination, edge))
    return NamedGraph(edges)


class _NumberedNames:
    """Names followed by a number, 1, 2, .., except those that equal an edge's name, ignoring case."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {folded(name) for name in taken}
        self._found: dict[str, list[str]] = {}
        self._more: dict[str, Iterator[str]] = {}

    def name(self, plain: str, place: int) -> str:
        """The numbered name at index `place`, from 0, of those made from `plain`."""
        found = self._found.setdefault(plain, [])
        more = self._more.setdefault(plain, self._all(plain))
        while len(found) <= place:
            found.append(next(more))
        return found[place]

    def _all(self, plain: str) -> Iterator[str]:
        numbered = (f"{plain} {number}" for number in itertools.count(1))
        return (name for name in numbered if folded(name) not in self._taken)


def _rows(path: Path) -> list[tuple[str, str, str]]:
    rows = read_table(path, "--graph", COLUMNS)
    for number, (source, _, destination) in rows:
        if source == destination:
            raise UserError(
                f"each edge of {path} must join two different nodes, got {quoted(source)} twice in line {number}. "
                "Take it out."
            )
    if not rows:
        raise UserError(f"{path} must hold at least one edge below its first line, got none. Add some.")
    return [(source, edge, destination) for _, (source, edge, destination) in rows]
