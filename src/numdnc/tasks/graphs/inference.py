"""Inference: learn which paths relations stand for."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.tasks.graphs.encoding import ABSENT
from numdnc.tasks.graphs.graph import Graph, Triple, random_graph
from numdnc.tasks.graphs.lessons import INFERENCE, PAPER_INFERENCE, Lesson
from numdnc.tasks.graphs.planned import PlannedTask
from numdnc.tasks.graphs.task import Question

SINGLE = 10
"""Labels 0..9 are single edges and stand for themselves; from 10 on they are relations."""
MIN_LENGTH, MAX_LENGTH = 2, 5
"""Number of edges that a relation stands for."""
MIN_RELATIONS, MAX_RELATIONS = 4, 400
_SEED = 20161012
_TRIES = 20
"""Most walks that are tried for each of the later questions about a graph."""


@dataclass(frozen=True, kw_only=True)
class Inference(PlannedTask):
    """A graph is shown edge by edge, then a node and a relation, which stands for a path; the answer is where it leads.

    A graph of n edges:

        steps  input                                             target
        n      (source, edge, destination), in random order
        1      question, (source, relation, -)
        plan   nothing
        1      answer                                            (source, relation, destination)

    Edges of graphs have labels 0..9; labels 10..409 are relations. A relation stands for 2 to 5 edges in a row, always
    the same ones. These are never an input: the model must learn them, from questions alone or from hints too, where
    planning steps are to output the edges of the path. They are drawn once from a fixed seed, distinct, a quarter of
    them of each length; an early lesson uses the first of them. If a lesson's shortest paths have one edge, labels 0..9
    are asked for too. Input channels: digits of the three labels, question, answer. Output channels: digits of the
    three labels, one of ten each.

    Source: Graves et al. 2016, "Graph task descriptions", which does not say how questions are drawn. Here the length
    is uniform in the lesson's range, then the relation is uniform among those of that length, and a random walk through
    the graph gets its labels. (In a given graph the length is uniform among those that lead anywhere, then the node and
    relation.) Single edges, and few relations at first, are ours: without them a model learns no more than to find the
    last edge by its label (docs/results.md).
    """

    name: ClassVar[str] = "inference"
    lesson_tables: ClassVar[dict[str, tuple[Lesson, ...]]] = {"ours": INFERENCE, "paper": PAPER_INFERENCE}

    relations: int = 0
    """Number of relations; 0 = that of the lesson."""

    def __post_init__(self) -> None:
        super().__post_init__()
        most = min(MAX_RELATIONS, 10**self.digits - SINGLE)
        if not MIN_RELATIONS <= self._known <= most:
            raise UserError(
                f"relations must be from {MIN_RELATIONS} to {max(most, 0)} with labels of {self.digits} digits, "
                f"got {self._known}. Change relations, or give more digits."
            )
        if self.sizes.path[1] > MAX_LENGTH:
            raise UserError(
                f"max_path must be at most {MAX_LENGTH}, as many edges as a relation stands for, "
                f"got {self.sizes.path[1]}. Lower max_path."
            )

    @property
    def resolved_settings(self) -> dict[str, Any]:
        """The settings, with the lesson's values in place of 0."""
        return {**super().resolved_settings, "relations": self._known}

    @property
    def edge_labels(self) -> int:
        """Number of labels of single edges."""
        return SINGLE

    @property
    def _known(self) -> int:
        return self.relations or self.sizes.relations

    @property
    def meanings(self) -> dict[int, tuple[int, ...]]:
        """Label of a single edge or a relation -> the edges that it stands for."""
        return meanings_of(self._known)

    def _try(self, rng: np.random.Generator) -> tuple[Graph, list[Question]]:
        asked = [self._relation(rng) for _ in range(self.queries)]
        labels = self._labels_of_edges(rng)
        if not isinstance(labels, int):
            labels = np.union1d(labels, np.concatenate([edges for _, edges in asked]))
        graph = random_graph(rng, self.sizes, 10**self.digits, labels)
        changed = _with_walks(rng, graph, [edges for _, edges in asked])
        if changed is None:
            return graph, []
        graph, paths = changed
        return graph, [
            relation_question(path[0], relation, path[-1])
            for (relation, _), path in zip(asked, paths, strict=True)
        ]

    def _relation(self, rng: np.random.Generator) -> tuple[int, tuple[int, ...]]:
        """Label and edges of a random relation of a random length."""
        relations = _by_length(self._known)[int(rng.integers(*self.sizes.path, endpoint=True))]
        return relations[int(rng.integers(len(relations)))]

    def question(self, rng: np.random.Generator, graph: Graph) -> Question | None:
        """A question about a given graph, drawn as the class docstring says; None if no relation leads anywhere."""
        pairs = self._pairs(graph)
        if not pairs:
            return None
        lengths = sorted(pairs)
        found = pairs[lengths[int(rng.integers(len(lengths)))]]
        start, relation, end = (int(label) for label in found[int(rng.integers(len(found)))])
        return relation_question(start, relation, end)

    def hints_of(self, graph: Graph, question: Question) -> Sequence[Sequence[Triple]]:
        """The edges that the relation stands for, from the node asked for on."""
        ((start, relation, _),) = question.asked
        return [[edge] for edge in graph.walk(start, self.meanings[relation]) or []]

    def _pairs(self, graph: Graph) -> dict[int, NDArray[np.int64]]:
        """Length -> every (start, relation, end) of that length in the graph, (M, 3); only lengths that occur."""
        nodes = np.array(graph.nodes)
        place = {node: number for number, node in enumerate(graph.nodes)}
        nowhere = len(nodes)
        leads = np.full((nowhere + 1, SINGLE), nowhere)  # (nodes, edges) -> node; from nowhere, nowhere
        for source, edge, destination in graph.triples:
            leads[place[source], edge] = place[destination]
        low, high = self.sizes.path
        found = {}
        for length in range(low, high + 1):
            relations = _by_length(self._known)[length]
            at = np.repeat(np.arange(nowhere)[:, None], len(relations), axis=1)
            for edges in np.array([edges for _, edges in relations]).T:
                at = leads[at, edges]
            starts, which = np.nonzero(at != nowhere)
            if len(starts):
                labels = np.array([label for label, _ in relations])[which]
                found[length] = np.stack([nodes[starts], labels, nodes[at[starts, which]]], axis=1)
        return found


def meanings_of(relations: int) -> dict[int, tuple[int, ...]]:
    """Label of a single edge, or of one of so many relations -> the edges that it stands for."""
    return dict(sorted(pair for pairs in _by_length(relations).values() for pair in pairs))


def relation_question(start: int, relation: int, end: int) -> Question:
    """The question where a relation leads from `start`, and its answer `end`."""
    return Question([(start, relation, ABSENT)], [(start, relation, end)])


def _with_walks(
    rng: np.random.Generator, graph: Graph, walks: Sequence[tuple[int, ...]]
) -> tuple[Graph, list[list[int]]] | None:
    """The graph after edge labels were swapped such that random walks have the labels `walks`, and the walks' nodes.

    None if a walk reached a node without an edge that may still change its label; the first walk is tried once, the
    others, which must leave the edges of earlier ones alone, some times.
    """
    leaving = {node: {edge.edge: edge for edge in graph.edges_from(node)} for node in graph.nodes}
    settled = {node: set[int]() for node in leaving}
    paths = list[list[int]]()
    for labels in walks:
        tries = (_with_walk(rng, leaving, settled, labels) for _ in range(_TRIES if paths else 1))
        path = next(filter(None, tries), None)
        if path is None:
            return None
        paths.append(path)
    return Graph(edge for here in leaving.values() for edge in here.values()), paths


def _with_walk(
    rng: np.random.Generator,
    leaving: dict[int, dict[int, Triple]],
    settled: dict[int, set[int]],
    labels: tuple[int, ...],
) -> list[int] | None:
    """Swap labels of edges, node -> label -> edge, such that a random walk has these; its nodes, or None.

    `settled`, node -> labels of edges that walks have taken, stay where they are.
    """
    nodes, taken = list(leaving), {node: labels.copy() for node, labels in settled.items()}
    path = [nodes[int(rng.integers(len(nodes)))]]
    for label in labels:
        at, here = path[-1], leaving[path[-1]]
        if label not in taken[at]:
            free = [other for other in here if other not in taken[at]]
            if not free:
                return None
            other = free[int(rng.integers(len(free)))]
            chosen, replaced = here.pop(other), here.pop(label, None)
            if replaced is not None:
                here[other] = replaced._replace(edge=other)
            here[label] = chosen._replace(edge=label)
            taken[at].add(label)
        path.append(here[label].destination)
    settled.update(taken)
    return path


@lru_cache(maxsize=16)
def _by_length(count: int) -> dict[int, list[tuple[int, tuple[int, ...]]]]:
    """Length -> label and edges of every single edge or relation of that length, with `count` relations in all."""
    found: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
    for label, edges in enumerate([*((edge,) for edge in range(SINGLE)), *_relations(count)]):
        found.setdefault(len(edges), []).append((label, edges))
    return found


def _relations(count: int) -> tuple[tuple[int, ...], ...]:
    """The edges that `count` relations stand for: distinct, their lengths in turn from shortest to longest."""
    # Python guarantees the same `random()` in every version; NumPy guarantees nothing of the kind.
    rng = random.Random(_SEED)
    found: dict[tuple[int, ...], None] = {}
    while len(found) < count:
        length = MIN_LENGTH + len(found) % (MAX_LENGTH - MIN_LENGTH + 1)
        found[tuple(int(SINGLE * rng.random()) for _ in range(length))] = None
    return tuple(found)
