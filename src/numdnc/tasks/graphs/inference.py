"""Inference: relations that stand for paths and are never explained."""

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.tasks.graphs.encoding import ABSENT
from numdnc.tasks.graphs.graph import Graph
from numdnc.tasks.graphs.lessons import INFERENCE, Lesson
from numdnc.tasks.graphs.task import GraphTask, Question, check_plan

SINGLE = 10
"""Labels 0..9 are single edges, those after them relations."""
SHORTEST, LONGEST = 2, 5
"""Edges that a relation stands for."""
MOST_RELATIONS = 400
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
    each length and no two alike, by a seed that nothing changes. Input channels: digits of the three labels, question,
    answer. Output channels: digits of the three labels, one of ten each.

    Source: Graves et al. 2016, "Graph task descriptions". It leaves open which questions are asked. Here the length is
    any of the lesson's of which some relation leads from some node to another (each as likely), then any such pair of
    node and relation (each as likely); a graph that has none is drawn anew.
    """

    name: ClassVar[str] = "inference"
    lessons: ClassVar[tuple[Lesson, ...]] = INFERENCE

    lesson: int = len(INFERENCE)
    """Sizes of graphs and paths, from 1, the easiest, to 8; see docs/tasks.md."""
    planning: int = 10
    """Steps between question and answer."""
    relations: int = MOST_RELATIONS
    """How many relations there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_plan(self.planning)
        most = min(MOST_RELATIONS, 10**self.digits - SINGLE)
        if not LONGEST <= self.relations <= most:
            raise UserError(
                f"relations must be from {LONGEST} to {max(most, 0)} with labels of {self.digits} digits, "
                f"got {self.relations}. Change relations, or give more digits."
            )
        low, high = self.sizes.path
        if low < SHORTEST or high > LONGEST:
            raise UserError(
                f"min_path and max_path must be from {SHORTEST} to {LONGEST}, which is what relations "
                f"stand for, got {low} and {high}."
            )

    @property
    def edge_labels(self) -> int:
        """Those of single edges."""
        return SINGLE

    @property
    def plan(self) -> int:
        """Steps between question and answer."""
        return self.planning

    @property
    def meanings(self) -> dict[int, tuple[int, ...]]:
        """Label of a relation -> the edges that it stands for."""
        return {SINGLE + number: edges for number, edges in enumerate(_relations(self.relations))}

    def question(self, rng: np.random.Generator, graph: Graph) -> Question | None:
        """A relation from a node, as the docstring of the class says."""
        pairs = self._pairs(graph)
        if not pairs:
            return None
        lengths = sorted(pairs)
        found = pairs[lengths[int(rng.integers(len(lengths)))]]
        start, relation, end = (int(label) for label in found[int(rng.integers(len(found)))])
        return Question([(start, relation, ABSENT)], [(start, relation, end)])

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
            relations = [(label, edges) for label, edges in self.meanings.items() if len(edges) == length]
            at = np.repeat(np.arange(nowhere)[:, None], len(relations), axis=1)
            for edges in np.array([edges for _, edges in relations]).T:
                at = leads[at, edges]
            starts, which = np.nonzero(at != nowhere)
            if len(starts):
                labels = np.array([label for label, _ in relations])[which]
                found[length] = np.stack([nodes[starts], labels, nodes[at[starts, which]]], axis=1)
        return found


@lru_cache(maxsize=8)
def _relations(count: int) -> tuple[tuple[int, ...], ...]:
    """What so many relations stand for: different sequences, their lengths in turn from shortest to longest."""
    # Python promises that `random()` stays the same in every version; NumPy promises no such thing.
    rng = random.Random(_SEED)
    found: dict[tuple[int, ...], None] = {}
    while len(found) < count:
        length = SHORTEST + len(found) % (LONGEST - SHORTEST + 1)
        found[tuple(int(SINGLE * rng.random()) for _ in range(length))] = None
    return tuple(found)
