"""A graph whose nodes and edges have names, and the graph tasks on it: names are numbered at random.

What leads from one node by the same name to several (a line of the Underground leads both ways) would make questions
ambiguous; such edges are told apart by a number: "Central Line 1", "Central Line 2". Axes: T steps.
"""

import csv
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.tasks import Batch, Forward
from numdnc.tasks.graphs.graph import Graph, Triple
from numdnc.tasks.graphs.shortest_path import ShortestPath
from numdnc.tasks.graphs.task import TRIES, GraphTask
from numdnc.tasks.sequences import joined

HEADER = ["source", "edge", "destination"]


class Edge(NamedTuple):
    """An edge by names."""

    source: str
    edge: str
    destination: str
    plain: str
    """The edge's name without the number that tells it from others of the same name and source."""


class Numbering(NamedTuple):
    """Which label stands for which name."""

    nodes: dict[str, int]
    edges: dict[str, int]

    def triple(self, edge: Edge) -> Triple:
        """The edge by labels."""
        return Triple(self.nodes[edge.source], self.edges[edge.edge], self.nodes[edge.destination])


class NamedGraph:
    """Edges by names; those of one source have different names."""

    def __init__(self, edges: Iterable[Edge]) -> None:
        self.edges = list(edges)

    @cached_property
    def nodes(self) -> list[str]:
        """Names of the nodes, in the order of the edges."""
        return list(dict.fromkeys(name for edge in self.edges for name in (edge.source, edge.destination)))

    @cached_property
    def edge_names(self) -> list[str]:
        """Different names of edges, in order."""
        return list(dict.fromkeys(edge.edge for edge in self.edges))

    def leaving(self, node: str) -> list[Edge]:
        """The edges that leave a node."""
        return self._leaving.get(node, [])

    @cached_property
    def _leaving(self) -> dict[str, list[Edge]]:
        found: dict[str, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.source, []).append(edge)
        return found

    def part(self, around: Sequence[str], count: int) -> "NamedGraph":
        """The graph of these nodes and those nearest to them, `count` in all, with the edges that join them."""
        beside: dict[str, list[str]] = {}
        for edge in self.edges:
            beside.setdefault(edge.source, []).append(edge.destination)
            beside.setdefault(edge.destination, []).append(edge.source)
        kept, waiting = dict.fromkeys(around), deque(around)
        while waiting and len(kept) < count:
            for node in beside.get(waiting.popleft(), []):
                if node not in kept and len(kept) < count:
                    kept[node] = None
                    waiting.append(node)
        return NamedGraph(edge for edge in self.edges if edge.source in kept and edge.destination in kept)

    def check_fits(self, task: GraphTask) -> None:
        """Refuse a graph that has more names than a task has labels for."""
        for what, names, labels in (
            ("nodes", self.nodes, 10**task.digits),
            ("names of edges", self.edge_names, task.edge_labels),
        ):
            if len(names) > labels:
                raise UserError(
                    f"a graph must have at most {labels} {what}, which is what this run has labels for, "
                    f"got {len(names)}. Give a smaller graph, or a part of it with --nodes."
                )

    def numbered(self, rng: np.random.Generator, task: GraphTask) -> Numbering:
        """Random labels for all names."""
        self.check_fits(task)
        nodes = rng.choice(10**task.digits, len(self.nodes), replace=False).tolist()
        edges = rng.choice(task.edge_labels, len(self.edge_names), replace=False).tolist()
        return Numbering(
            dict(zip(self.nodes, nodes, strict=True)), dict(zip(self.edge_names, edges, strict=True))
        )


@dataclass(frozen=True)
class OnGraph:
    """`Episodes` of a graph task whose graph is always the same, or a part of it; every sequence numbers it anew."""

    task: GraphTask
    graph: NamedGraph
    nodes: int = 0
    """Nodes of each sequence's graph, those around a random one; 0 = the whole graph."""

    @property
    def input_size(self) -> int:
        """X."""
        return self.task.input_size

    @property
    def output_size(self) -> int:
        """Y."""
        return self.task.output_size

    @property
    def input_channels(self) -> tuple[str, ...]:
        """One name a channel."""
        return self.task.input_channels

    @property
    def output_channels(self) -> tuple[str, ...]:
        """One name a channel."""
        return self.task.output_channels

    @property
    def most_held(self) -> int:
        """Edges of the largest graph that is shown."""
        if not self.nodes:
            return len(self.graph.edges)
        return max(len(self.graph.part([node], self.nodes).edges) for node in self.graph.nodes)

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """`batch` questions, each about the graph or a part of it."""
        return joined([self._sequence(rng) for _ in range(batch)])

    def play(self, forward: Forward, batch: Batch, rng: np.random.Generator | None) -> Batch:
        """As that of the task."""
        return self.task.play(forward, batch, rng) if isinstance(self.task, ShortestPath) else batch

    def in_words(self, batch: Batch, outputs: Array, row: int) -> str:
        """As that of the task."""
        return self.task.in_words(batch, outputs, row)

    def _sequence(self, rng: np.random.Generator) -> Batch:
        graph = self.graph
        for _ in range(TRIES):
            if self.nodes:
                graph = self.graph.part(
                    [self.graph.nodes[int(rng.integers(len(self.graph.nodes)))]], self.nodes
                )
            numbering = graph.numbered(rng, self.task)
            triples = [numbering.triple(edge) for edge in graph.edges]
            question = self.task.question(rng, Graph(triples)) if triples else None
            if question is not None:
                return self.task.sequence(rng, triples, question)
        low, high = self.task.sizes.path
        raise UserError(
            f"the graph must have paths that {self.task.name} asks for, of {low} to {high} edges, "
            f"got none in {TRIES} tries. Change --set lesson=.., min_path or max_path."
        )


def read_graph(path: Path, *, two_way: bool) -> NamedGraph:
    """The graph of a CSV file of source, edge, destination; `two_way`: each row also holds backwards."""
    rows = _rows(path)
    if two_way:
        rows += [(destination, edge, source) for source, edge, destination in rows]
    rows = list(dict.fromkeys(rows))
    together: dict[tuple[str, str], list[str]] = {}
    for source, edge, destination in rows:
        together.setdefault((source, edge), []).append(destination)

    def unique(source: str, edge: str, destination: str) -> str:
        same = together[source, edge]
        return edge if len(same) == 1 else f"{edge} {same.index(destination) + 1}"

    return NamedGraph(Edge(s, unique(s, e, d), d, e) for s, e, d in rows)


def lines_of(path: Path, option: str) -> list[tuple[int, list[str]]]:
    """Number and cells of each line of a CSV file that is not empty; `option` is what named the file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = enumerate(csv.reader(file, strict=True), 1)
            return [(number, [cell.strip() for cell in row]) for number, row in rows if row]
    except OSError as error:
        raise UserError(
            f"{option} must name a CSV file that can be read, got {path}: {error.strerror}. Check its name."
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{option} must name a CSV file of UTF-8 text, got {path} ({error}).") from None


def _rows(path: Path) -> list[tuple[str, str, str]]:
    rows = lines_of(path, "--graph")
    columns = ",".join(HEADER)
    if not rows or [name.lower() for name in rows[0][1]] != HEADER:
        got = repr(",".join(rows[0][1])[:80]) if rows else "nothing"
        raise UserError(f"the first line of {path} must be {columns}, got {got}. Put that there.")
    triples = []
    for number, names in rows[1:]:
        if len(names) != len(HEADER) or not all(names):
            raise UserError(
                f"each line of {path} must hold {columns}, none of them empty, got {','.join(names)[:80]!r} "
                f"as line {number}. Mend it; names with commas need quotes."
            )
        if names[0] == names[2]:
            raise UserError(
                f"each edge of {path} must join two different nodes, got {names[0]!r} twice in line {number}. "
                "Take it out."
            )
        triples.append((names[0], names[1], names[2]))
    if not triples:
        raise UserError(f"{path} must hold at least one edge below its first line, got none. Add some.")
    return triples
