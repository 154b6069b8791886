"""Ask a model about a graph of the user's own, in the names of its nodes and edges."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numdnc.errors import UserError
from numdnc.tasks import Batch, Forward
from numdnc.tasks.graphs.encoding import ABSENT, END, to_labels
from numdnc.tasks.graphs.graph import Graph, Triple
from numdnc.tasks.graphs.inference import Inference, relation_question
from numdnc.tasks.graphs.named import NamedGraph, NamedGraphTask, Numbering, read_graph
from numdnc.tasks.graphs.questions import ParsedQuestion, parse_question
from numdnc.tasks.graphs.relations import numbering_for
from numdnc.tasks.graphs.shortest_path import ShortestPath
from numdnc.tasks.graphs.task import GraphTask, Question, given_labels
from numdnc.tasks.graphs.traversal import walk_question
from numdnc.tasks.sequences import loss_mask


class GraphStep(NamedTuple):
    """One step of an answer."""

    given: str
    """What the model says, ..."""
    wanted: str
    """... and what is right."""
    right: bool


class Answer(NamedTuple):
    """What a model answers to a question."""

    steps: Sequence[GraphStep]
    notes: Sequence[str]
    """How the question was understood, where that is not obvious."""
    nodes: int
    edges: int
    """Sizes of the graph that was shown."""
    arrives: bool | None
    """Whether a path ends where it is to; None of other questions."""


def draw_on_graph(task: GraphTask, file: Path, *, two_way: bool, nodes: int | None) -> NamedGraphTask:
    """The task with questions about the graph of a file, or about parts of it with so many nodes."""
    graph = read_graph(file, two_way=two_way)
    _check_nodes(graph, nodes)
    if nodes is None:
        graph.check_fits(task)
    return NamedGraphTask(task, graph, nodes or 0)


class Posed(NamedTuple):
    """A question about the graph of a file as a sequence."""

    batch: Batch
    """The sequence, alone; with the model's choices where the task lets it choose."""
    asked: ParsedQuestion
    numbering: Numbering
    relation: int
    """Label of the relation asked for; ABSENT for other tasks."""
    graph: NamedGraph
    """What of the graph is shown."""


def pose(
    task: GraphTask,
    forward: Forward,
    question: str,
    file: Path,
    *,
    two_way: bool = False,
    nodes: int | None = None,
    relations: Path | None = None,
    seed: int = 0,
) -> Posed:
    """Put a question about the graph of a file into labels; names are numbered at random, as the seed says."""
    whole = read_graph(file, two_way=two_way)
    rng = np.random.default_rng(seed)
    asked = parse_question(task, whole, question, relations)
    _check_nodes(whole, nodes)
    graph = whole if nodes is None else whole.subgraph(list(dict.fromkeys(asked.nodes)), nodes)
    graph.check_fits(task)
    if isinstance(task, Inference):
        numbering, relation = numbering_for(graph, asked.steps, task, rng)
    else:
        numbering, relation = graph.draw_numbering(rng, task), ABSENT
    triples = [numbering.triple(edge) for edge in graph.edges]
    batch = task.sequence(rng, triples, [_question(task, asked, numbering, relation, Graph(triples), rng)])
    if isinstance(task, ShortestPath):
        batch = task.rollout(forward, batch, None)
    return Posed(batch, asked, numbering, relation, graph)


def answer(posed: Posed, forward: Forward) -> Answer:
    """What a model answers to a question, in names."""
    outputs, _ = forward(posed.batch.inputs, None)
    due = loss_mask(posed.batch)[:, 0]
    given = given_labels(posed.batch, outputs)[due, 0].tolist()
    return Answer(
        _steps(posed, given, to_labels(posed.batch.targets[due, 0]).tolist()),
        posed.asked.notes,
        len(posed.graph.nodes),
        len(posed.graph.edges),
        None if posed.asked.path or posed.asked.relation else arrives(posed, given),
    )


def arrives(posed: Posed, given: list[list[int]]) -> bool:
    """Whether edges with these labels lead from the first node to the last."""
    edges = {posed.numbering.triple(edge) for edge in posed.graph.edges}
    at, end = (posed.numbering.nodes[posed.asked.nodes[place]] for place in (0, -1))
    for labels in given:
        if tuple(labels) == END:
            break
        if labels[0] != at or Triple(*labels) not in edges:
            return False
        at = labels[2]
    return at == end


def _question(
    task: GraphTask,
    asked: ParsedQuestion,
    numbering: Numbering,
    relation: int,
    graph: Graph,
    rng: np.random.Generator,
) -> Question:
    """What is asked, by labels."""
    start, end = numbering.nodes[asked.nodes[0]], numbering.nodes[asked.nodes[-1]]
    if isinstance(task, ShortestPath):
        return task.between(rng, graph, start, end)
    if isinstance(task, Inference):
        return relation_question(start, relation, end)
    return walk_question([numbering.triple(edge) for edge in asked.path])


def _steps(posed: Posed, given: list[list[int]], wanted: list[list[int]]) -> list[GraphStep]:
    """What labels of a model say in names, beside those that are right."""
    nodes = {label: name for name, label in posed.numbering.nodes.items()}
    edges = {label: name for name, label in posed.numbering.edges.items()}
    edges[posed.relation] = posed.asked.relation

    def in_names(labels: list[int]) -> str:
        if tuple(labels) == END:
            return "(end)"
        source, edge, destination = labels
        return (
            f"{nodes.get(source, '(no such node)')} -{edges.get(edge, '(no such edge)')}-> "
            f"{nodes.get(destination, '(no such node)')}"
        )

    return [GraphStep(in_names(g), in_names(w), g == w) for g, w in zip(given, wanted, strict=True)]


def _check_nodes(graph: NamedGraph, nodes: int | None) -> None:
    if nodes is not None and not 2 <= nodes <= len(graph.nodes):
        raise UserError(f"--nodes must be from 2 to {len(graph.nodes)}, the nodes of the graph, got {nodes}.")
