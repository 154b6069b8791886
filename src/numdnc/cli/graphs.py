"""Graphs of the user's own: scored on by `eval --graph`, asked about by `ask --graph`."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numdnc import console
from numdnc.errors import UserError
from numdnc.spec import Spec
from numdnc.tasks import Batch, Forward
from numdnc.tasks.graphs import GraphTask, Inference, ShortestPath
from numdnc.tasks.graphs.encoding import ABSENT, END, predicted_labels, to_labels
from numdnc.tasks.graphs.graph import Graph
from numdnc.tasks.graphs.inference import relation_question
from numdnc.tasks.graphs.named import NamedGraph, NamedGraphTask, Numbering, read_graph
from numdnc.tasks.graphs.questions import FORMS, parse_question
from numdnc.tasks.graphs.relations import numbering_for
from numdnc.tasks.graphs.traversal import walk_question
from numdnc.tasks.sequence_task import SequenceTask


def on_graph(task: SequenceTask, file: Path, *, two_way: bool, nodes: int | None, seed: int) -> SequenceTask:
    """The task of a run with questions about a graph of the user's own, numbered anew for each."""
    episodes = graph_task(task, "--graph")
    graph = read_graph(file, two_way=two_way)
    _check_nodes(graph, nodes)
    on = NamedGraphTask(episodes, graph, nodes or 0)
    if nodes is None:
        graph.check_fits(episodes)
    return SequenceTask(task.name, on, dataclasses.replace(task.settings, grow=""), seed)


def graph_task(task: SequenceTask, option: str) -> GraphTask:
    """What graphs of a run are like; a UserError where it has none."""
    if not isinstance(task.generator, GraphTask):
        raise UserError(
            f"{option} must be given for a run of {', '.join(FORMS)}, got one of {task.name}. Leave it out."
        )
    return task.generator


class Line(NamedTuple):
    """One step of an answer."""

    given: str
    """What the model says, ..."""
    wanted: str
    """... and what is right."""
    right: bool


class Answer(NamedTuple):
    """What a model makes of a question."""

    notes: Sequence[str]
    """What has to be said of the question."""
    lines: Sequence[Line]
    nodes: int
    edges: int
    """Sizes of the graph that was shown."""


def ask_graph(
    task: GraphTask,
    spec: Spec,
    forward: Forward,
    question: str,
    file: Path,
    *,
    two_way: bool,
    nodes: int | None,
    relations: Path | None,
    seed: int,
) -> Answer:
    """A question about a graph, as the user typed it, answered in names."""
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
    start, end = numbering.nodes[asked.nodes[0]], numbering.nodes[asked.nodes[-1]]
    if isinstance(task, ShortestPath):
        wanted = task.between(rng, Graph(triples), start, end)
    elif isinstance(task, Inference):
        wanted = relation_question(start, relation, end)
    else:
        wanted = walk_question([numbering.triple(edge) for edge in asked.path])
    batch = task.sequence(rng, triples, wanted)
    if isinstance(task, ShortestPath):
        batch = task.rollout(forward, batch, None)
    _warn_of_slots(spec, len(triples))
    outputs, _ = forward(batch.inputs, None)
    lines = _lines(batch, outputs, numbering, {relation: asked.relation})
    return Answer(asked.notes, lines, len(graph.nodes), len(triples))


def _lines(batch: Batch, outputs: np.ndarray, numbering: Numbering, relation: dict[int, str]) -> list[Line]:
    assert batch.mask is not None
    counts = batch.mask[:, 0]
    nodes = {label: name for name, label in numbering.nodes.items()}
    edges = {label: name for name, label in numbering.edges.items()} | relation

    def in_names(labels: list[int]) -> str:
        if tuple(labels) == END:
            return "(end)"
        source, edge, destination = labels
        unknown = "(no such {})"
        return (
            f"{nodes.get(source, unknown.format('node'))} -{edges.get(edge, unknown.format('edge'))}-> "
            f"{nodes.get(destination, unknown.format('node'))}"
        )

    given, wanted = (
        predicted_labels(outputs[counts, 0]).tolist(),
        to_labels(batch.targets[counts, 0]).tolist(),
    )
    return [Line(in_names(g), in_names(w), g == w) for g, w in zip(given, wanted, strict=True)]


def _check_nodes(graph: NamedGraph, nodes: int | None) -> None:
    if nodes is not None and not 2 <= nodes <= len(graph.nodes):
        raise UserError(f"--nodes must be from 2 to {len(graph.nodes)}, the nodes of the graph, got {nodes}.")


def _warn_of_slots(spec: Spec, triples: int) -> None:
    if spec.has_memory and spec.memory_size < triples:
        sys.stderr.write(
            f"warning: the graph has {triples} edges, more than the {spec.memory_size} slots of the memory: "
            "show a part of it with --nodes, or give more with --memory-size\n"
        )


def say_answer(answer: Answer, iteration: int, *, as_json: bool) -> None:
    """Print what was answered, line by line, beside what is right."""
    right = all(line.right for line in answer.lines)
    if as_json:
        console.say_json(
            {
                "right": right,
                "answer": [line.given for line in answer.lines],
                "truth": [line.wanted for line in answer.lines],
                "notes": answer.notes,
                "nodes": answer.nodes,
                "edges": answer.edges,
                "iteration": iteration,
            }
        )
        return
    for note in answer.notes:
        console.say(note)
    width = max(len(line.given) for line in answer.lines)
    for line in answer.lines:
        verdict = "right" if line.right else f"WRONG: {line.wanted}"
        console.say(f"{line.given:<{width}}  {verdict}")
    console.say(
        f"{'right' if right else 'wrong'}; shown {answer.edges} edges between {answer.nodes} nodes "
        f"(iteration {iteration})"
    )
