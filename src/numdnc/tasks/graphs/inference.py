"""Inference: relations that stand for paths and are never explained."""

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.tasks.graphs.encoding import ABSENT
from numdnc.tasks.graphs.graph import Graph, random_graph
from numdnc.tasks.graphs.lessons import INFERENCE, Lesson
from numdnc.tasks.graphs.task import GraphTask, Question, check_plan

SINGLE = 10
"""Labels 0..9 are single edges and stand for themselves, those after them are relations."""
MIN_LENGTH, MAX_LENGTH = 2, 5
"""Edges that a relation stands for."""
MIN_RELATIONS, MAX_RELATIONS = 4, 400
_SEED = 20161012


@dataclass(frozen=True, kw_only=True)
class Inference(GraphTask):
    """A graph is shown edge by edge; then: where does a relation, which stands for a path of edges, lead from a node?

    A graph of n edges:

        steps  input                                             target
        n      (source, edge, destination), in random order
        1      question, (source, relation, -)
        plan   nothing
        1      answer                                            (source, relation, destination)

    Edges of graphs have labels 0..9; labels 10..409 are relations, each of which stands for 2 to 5 edges in a row,
    always the same ones and never told: the model must learn them from questions. They are drawn once, a quarter of
    each length and no two alike, by a seed that nothing changes; those of an early lesson are the first of them. Where
    a lesson's paths begin with one edge, labels 0..9 are asked for too. Input channels: digits of the three labels,
    question, answer. Output channels: digits of the three labels, one of ten each.

    Source: Graves et al. 2016, "Graph task descriptions". It leaves open which questions are asked. Here any length of
    the lesson's is as likely, then any relation of that length; a walk through the graph, taken at random, gets its
    labels. (Of a graph that is given any length that leads somewhere is as likely, then any node and relation that do.)
    Single edges, and few relations first, are ours: without them a model stays at finding the last edge by its label
    alone (docs/results.md).
    """

    name: ClassVar[str] = "inference"
    lessons: ClassVar[tuple[Lesson, ...]] = INFERENCE

    lesson: int = len(INFERENCE)
    """Sizes of graphs and paths, from 1, the easiest, to 11; see docs/tasks.md."""
    planning: int = 10
    """Steps between question and answer."""
    relations: int = 0
    """How many relations there are; 0 = as the lesson says."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_plan(self.planning)
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
        """The settings, with the lesson's values where they were left to it."""
        return {**super().resolved_settings, "relations": self._known}

    @property
    def edge_labels(self) -> int:
        """Those of single edges."""
        return SINGLE

    @property
    def plan(self) -> int:
        """Steps between question and answer."""
        return self.planning

    @property
    def _known(self) -> int:
        return self.relations or self.sizes.relations

    @property
    def meanings(self) -> dict[int, tuple[int, ...]]:
        """Label -> the edges that it stands for, of single edges and of relations."""
        return dict(sorted(pair for pairs in _by_length(self._known).values() for pair in pairs))

    def _graph_and_question(self, rng: np.random.Generator) -> tuple[Graph, Question | None]:
        by_length = _by_length(self._known)
        relations = by_length[int(rng.integers(*self.sizes.path, endpoint=True))]
        relation, edges = relations[int(rng.integers(len(relations)))]
        labels = self._labels_of_edges(rng)
        if not isinstance(labels, int):
            labels = np.union1d(labels, edges)
        graph = random_graph(rng, self.sizes, 10**self.digits, labels)
        changed = _with_walk(rng, graph, edges)
        if changed is None:
            return graph, None
        graph, path = changed
        return graph, relation_question(path[0], relation, path[-1])

    def question(self, rng: np.random.Generator, graph: Graph) -> Question | None:
        """A relation that leads from a node of the graph to another, as the docstring of the class says."""
        pairs = self._pairs(graph)
        if not pairs:
            return None
        lengths = sorted(pairs)
        found = pairs[lengths[int(rng.integers(len(lengths)))]]
        start, relation, end = (int(label) for label in found[int(rng.integers(len(found)))])
        return relation_question(start, relation, end)

    def _pairs(self, graph: Graph) -> dict[int, NDArray[np.int64]]:
        """Length -> (M, 3), every (start, relation, end) of that length in the graph, where there is any."""
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


def relation_question(start: int, relation: int, end: int) -> Question:
    """The question where a relation leads from a node, and the answer."""
    return Question([(start, relation, ABSENT)], [(start, relation, end)])


def _with_walk(
    rng: np.random.Generator, graph: Graph, edges: tuple[int, ...]
) -> tuple[Graph, list[int]] | None:
    """The graph after labels of edges have changed places such that a walk taken at random has these labels, and the
    nodes of that walk; None where it came to a node that has no edge left for its label.
    """
    leaving = {node: {edge.edge: edge for edge in graph.edges_from(node)} for node in graph.nodes}
    settled = {node: set[int]() for node in leaving}
    path = [graph.nodes[int(rng.integers(len(leaving)))]]
    for label in edges:
        at, here = path[-1], leaving[path[-1]]
        if label not in settled[at]:
            free = [other for other in here if other not in settled[at]]
            if not free:
                return None
            other = free[int(rng.integers(len(free)))]
            chosen, replaced = here.pop(other), here.pop(label, None)
            if replaced is not None:
                here[other] = replaced._replace(edge=other)
            here[label] = chosen._replace(edge=label)
            settled[at].add(label)
        path.append(here[label].destination)
    return Graph(edge for here in leaving.values() for edge in here.values()), path


@lru_cache(maxsize=16)
def _by_length(count: int) -> dict[int, list[tuple[int, tuple[int, ...]]]]:
    """Length -> label and edges of all that stand for as many edges, of single edges and so many relations."""
    found: dict[int, list[tuple[int, tuple[int, ...]]]] = {}
    for label, edges in enumerate([*((edge,) for edge in range(SINGLE)), *_relations(count)]):
        found.setdefault(len(edges), []).append((label, edges))
    return found


def _relations(count: int) -> tuple[tuple[int, ...], ...]:
    """What so many relations stand for: different sequences, their lengths in turn from shortest to longest."""
    # Python promises that `random()` stays the same in every version; NumPy promises no such thing.
    rng = random.Random(_SEED)
    found: dict[tuple[int, ...], None] = {}
    while len(found) < count:
        length = MIN_LENGTH + len(found) % (MAX_LENGTH - MIN_LENGTH + 1)
        found[tuple(int(SINGLE * rng.random()) for _ in range(length))] = None
    return tuple(found)
