"""Graphs of the user's own: scored on by `eval --graph`, asked about by `ask --graph`."""

import dataclasses
import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numdnc import console
from numdnc.errors import UserError
from numdnc.spec import DNCSpec, Spec
from numdnc.tasks import Batch, Forward
from numdnc.tasks.episodes import EpisodeTask
from numdnc.tasks.graphs import GraphTask, Inference, ShortestPath, Traversal
from numdnc.tasks.graphs.encoding import ABSENT, END, chosen, labels_of
from numdnc.tasks.graphs.graph import Graph
from numdnc.tasks.graphs.inference import asked_where
from numdnc.tasks.graphs.named import Edge, NamedGraph, Numbering, OnGraph, read_graph
from numdnc.tasks.graphs.relations import numbering_for, read_relations
from numdnc.tasks.graphs.traversal import asked_for

FORMS = {
    Traversal.name: '"Oxford Circus -Central Line-> ? -Bakerloo Line-> ?"',
    ShortestPath.name: '"Oxford Circus -> Bank"',
    Inference.name: '"Ian -mother/father-> ?", or a relation of --relations',
}
"""How questions are written, by task."""


def on_graph(task: EpisodeTask, file: Path, *, two_way: bool, nodes: int | None, seed: int) -> EpisodeTask:
    """The task of a run with questions about a graph of the user's own, numbered anew for each."""
    episodes = graph_task(task, "--graph")
    graph = read_graph(file, two_way=two_way)
    _check_nodes(graph, nodes)
    on = OnGraph(episodes, graph, nodes or 0)
    if nodes is None:
        graph.check_fits(episodes)
    return EpisodeTask(task.name, on, dataclasses.replace(task.settings, grow=""), seed)


def graph_task(task: EpisodeTask, option: str) -> GraphTask:
    """What graphs of a run are like; a UserError where it has none."""
    if not isinstance(task.episodes, GraphTask):
        raise UserError(
            f"{option} must be given for a run of {', '.join(FORMS)}, got one of {task.name}. Leave it out."
        )
    return task.episodes


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
    asked = _understood(task, whole, question, relations)
    _check_nodes(whole, nodes)
    graph = whole if nodes is None else whole.part(list(dict.fromkeys(asked.nodes)), nodes)
    graph.check_fits(task)
    if isinstance(task, Inference):
        numbering, relation = numbering_for(graph, asked.steps, task, rng)
    else:
        numbering, relation = graph.numbered(rng, task), ABSENT
    triples = [numbering.triple(edge) for edge in graph.edges]
    start, end = numbering.nodes[asked.nodes[0]], numbering.nodes[asked.nodes[-1]]
    if isinstance(task, ShortestPath):
        wanted = task.between(rng, Graph(triples), start, end)
    elif isinstance(task, Inference):
        wanted = asked_where(start, relation, end)
    else:
        wanted = asked_for([numbering.triple(edge) for edge in asked.path])
    batch = task.sequence(rng, triples, wanted)
    if isinstance(task, ShortestPath):
        batch = task.play(forward, batch, None)
    _warn_of_slots(spec, len(triples))
    outputs, _ = forward(batch.inputs, None)
    lines = _lines(batch, outputs, numbering, {relation: asked.relation})
    return Answer(asked.notes, lines, len(graph.nodes), len(triples))


class _Asked(NamedTuple):
    """A question in names that the graph has."""

    nodes: list[str]
    """Nodes that the answer comes through, the first and the last among them."""
    path: Sequence[Edge] = ()
    steps: Sequence[str] = ()
    """Of a relation: the edges it stands for, ..."""
    relation: str = ""
    """... and how it was given."""
    notes: Sequence[str] = ()


def _understood(task: GraphTask, graph: NamedGraph, question: str, relations: Path | None) -> _Asked:
    nodes, edges = _parts(task, question)
    if relations is not None and not isinstance(task, Inference):
        raise UserError(
            f"--relations must be given for a run of inference, got one of {task.name}. Leave it out."
        )
    start = _known(nodes[0], graph.nodes, "a node of the graph")
    if isinstance(task, ShortestPath):
        end = _known(nodes[1], graph.nodes, "a node of the graph")
        return _Asked(_way(graph, start, end))
    if isinstance(task, Inference):
        defined = {} if relations is None else read_relations(relations)
        name = edges[0]
        if "/" in name:
            steps = tuple(part.strip() for part in name.split("/"))
            name = "/".join(steps)
        else:
            either = [*defined, *graph.edge_names]
            name = _known(name, either, "a relation of --relations, an edge, or edges with / between")
            steps = defined.get(name, (name,))
        known = tuple(_known(step, graph.edge_names, "an edge of the graph") for step in steps)
        path = _walk(graph, start, known)
        return _Asked([start, *(edge.destination for edge in path)], path, known, name)
    path = _walk(graph, start, edges)
    notes = [
        f"{edge.plain} leads from {edge.source} to several: " + ", ".join(_several(graph, edge))
        for edge, given in zip(path, edges, strict=True)
        if edge.edge.lower() != given.lower()
    ]
    return _Asked([start, *(edge.destination for edge in path)], path, notes=notes)


def _parts(task: GraphTask, question: str) -> tuple[list[str], list[str]]:
    """Names of nodes and of the edges between, from "A -edge-> ? -edge-> ?"."""
    nodes, edges = [], []
    *steps, last = (part.strip() for part in question.split("->"))
    for step in steps:
        node, dash, edge = step.rpartition(" -")
        nodes.append(node.strip() if dash else step)
        edges.append(edge.strip() if dash else "")
    nodes.append(last)
    if isinstance(task, ShortestPath):
        fits = len(edges) == 1 and not edges[0] and "?" not in nodes
    else:
        fits = bool(edges) and all(edges) and all(node == "?" for node in nodes[1:]) and nodes[0] != "?"
        fits &= not isinstance(task, Inference) or len(edges) == 1
    if not fits or not all(nodes):
        raise UserError(
            f"a question to a run of {task.name} must be written like {FORMS[task.name]}, got {question!r}."
        )
    return nodes, edges


def _known(name: str, names: Sequence[str], what: str) -> str:
    """The name as the graph has it; a UserError suggests those that are like it."""
    by_lower = {known.lower(): known for known in names}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    close = [by_lower[found] for found in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)]
    hint = f"Like it: {', '.join(map(repr, close))}." if close else "Check its name."
    raise UserError(f"{name!r} must be {what}, got none such. {hint}")


def _walk(graph: NamedGraph, start: str, names: Sequence[str]) -> list[Edge]:
    """The path along these edges, given with or without the numbers that tell them apart.

    Of several the first that comes to no node twice, else the first.
    """
    known = [*graph.edge_names, *dict.fromkeys(edge.plain for edge in graph.edges)]
    names = [_known(name, known, "an edge of the graph") for name in names]
    walks = list(islice(_walks(graph, start, names), MOST_WALKS))
    for walk in walks:
        if len({start, *(edge.destination for edge in walk)}) == len(walk) + 1:
            return walk
    if walks:
        return walks[0]
    # How far the first of the walks goes that goes furthest.
    parts = (next(_walks(graph, start, names[:count]), None) for count in range(len(names) - 1, -1, -1))
    walked = next(part for part in parts if part is not None)
    at = walked[-1].destination if walked else start
    leads = ", ".join(edge.edge for edge in graph.leaving(at)) or "nothing"
    raise UserError(
        f"the graph must have the path that is asked for, got none: {names[len(walked)]!r} leads nowhere from {at!r}. "
        f"From there lead: {leads}."
    )


MOST_WALKS = 10_000
"""So many are looked at, at most, for one that comes to no node twice."""


def _walks(graph: NamedGraph, start: str, names: Sequence[str]) -> Iterator[list[Edge]]:
    """Every path from a node along edges of these names."""
    if not names:
        yield []
        return
    for edge in graph.leaving(start):
        if names[0] in (edge.edge, edge.plain):
            for rest in _walks(graph, edge.destination, names[1:]):
                yield [edge, *rest]


def _several(graph: NamedGraph, edge: Edge) -> list[str]:
    """Where edges of one plain name lead, the one that was taken first."""
    same = [other for other in graph.leaving(edge.source) if other.plain == edge.plain and other != edge]
    ways = [f"{other.edge} to {other.destination}" for other in (edge, *same)]
    return [f"{ways[0]} (taken)", *ways[1:]]


def _way(graph: NamedGraph, start: str, end: str) -> list[str]:
    """The nodes of a shortest path."""
    if start == end:
        raise UserError(f"a path must join two different nodes, got {start!r} twice. Name another.")
    before: dict[str, str] = {start: start}
    for node in (waiting := [start]):
        for edge in graph.leaving(node):
            if edge.destination not in before:
                before[edge.destination] = node
                waiting.append(edge.destination)
    if end not in before:
        raise UserError(
            f"the graph must have a path from {start!r} to {end!r}, got none. Name others, or --two-way."
        )
    way = [end]
    while way[-1] != start:
        way.append(before[way[-1]])
    return way[::-1]


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

    given, wanted = chosen(outputs[counts, 0]).tolist(), labels_of(batch.targets[counts, 0]).tolist()
    return [Line(in_names(g), in_names(w), g == w) for g, w in zip(given, wanted, strict=True)]


def _check_nodes(graph: NamedGraph, nodes: int | None) -> None:
    if nodes is not None and not 2 <= nodes <= len(graph.nodes):
        raise UserError(f"--nodes must be from 2 to {len(graph.nodes)}, the nodes of the graph, got {nodes}.")


def _warn_of_slots(spec: Spec, triples: int) -> None:
    if isinstance(spec, DNCSpec) and spec.memory_size < triples:
        sys.stderr.write(
            f"warning: the graph has {triples} edges, more than the {spec.memory_size} slots of the memory: "
            "show a part of it with --nodes, or give more with --memory-size\n"
        )


def say_answer(answer: Answer, iteration: int, *, as_json: bool) -> None:
    """Print what was answered, line by line, beside what is right."""
    right = all(line.right for line in answer.lines)
    if as_json:
        print(
            json.dumps(
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
        )
        return
    for note in answer.notes:
        console.say(note)
    width = max(len(line.given) for line in answer.lines)
    for line in answer.lines:
        console.say(f"{line.given:<{width}}  {'right' if line.right else f'WRONG: {line.wanted}'}")
    console.say(
        f"{'right' if right else 'wrong'}; shown {answer.edges} edges between {answer.nodes} nodes "
        f"(iteration {iteration})"
    )
