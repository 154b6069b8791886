"""Parse questions about a named graph, as users type them, and find the path that answers them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from numdnc.errors import UserError
from numdnc.names import find_name, folded, quoted
from numdnc.tasks.graphs.inference import Inference
from numdnc.tasks.graphs.named import MAX_LOOKUPS, Edge, NamedGraph
from numdnc.tasks.graphs.relations import read_relations
from numdnc.tasks.graphs.shortest_path import ShortestPath
from numdnc.tasks.graphs.task import GraphTask
from numdnc.tasks.graphs.traversal import Traversal

FORMS = {
    Traversal.name: '"Oxford Circus -Central Line-> ? -Bakerloo Line-> ?"',
    ShortestPath.name: '"Oxford Circus -> Bank"',
    Inference.name: '"Ian -mother/father-> ?", or a relation of --relations',
}
"""Task -> the form of a question."""
_NODE, _EDGE = "a node of the graph", "an edge of the graph"
_RELATION = "a relation of --relations, an edge, or edges separated by /"
_LISTED = 10
"""Most edges that a message lists."""
_TRIED = 300_000
"""Most edges that are tried in the search for a walk that visits no node twice."""
_SPLITS = 50
"""Most places in a step that are tried as the end of the node's name."""


class ParsedQuestion(NamedTuple):
    """A question in names of the graph."""

    nodes: list[str]
    """Nodes on the path of the answer, first and last included."""
    path: Sequence[Edge] = ()
    steps: Sequence[str] = ()
    """For a relation: the edges it stands for, ..."""
    relation: str = ""
    """... and its name as the user gave it."""
    notes: Sequence[str] = ()
    """Remarks for the user."""


def parse_question(
    task: GraphTask, graph: NamedGraph, question: str, relations: Path | None
) -> ParsedQuestion:
    """Parse a question; UserError if the graph has no such name or path."""
    if relations is not None and not isinstance(task, Inference):
        raise UserError(
            f"--relations must be given for a run of inference, got one of {task.name}. Leave it out."
        )
    defined = {} if relations is None else read_relations(relations)
    known = [*defined, *graph.edge_names, *dict.fromkeys(edge.plain for edge in graph.edges)]
    nodes, edges = _parts(task, question, graph, known)
    start = find_name(nodes[0], graph.nodes, _NODE)
    if isinstance(task, ShortestPath):
        return ParsedQuestion(_path_between(graph, start, find_name(nodes[1], graph.nodes, _NODE)))
    if isinstance(task, Inference):
        relation, steps = _steps_of(edges[0], graph, defined)
        path = _walk(graph, start, steps, plain=False)
        return ParsedQuestion([start, *(edge.destination for edge in path)], path, steps, relation)
    names = [find_name(edge, known, _EDGE) for edge in edges]
    path = _walk(graph, start, names, plain=True)
    notes = [
        f"{edge.plain} leads from {edge.source} to several: {_several(graph, edge)}"
        for edge, name in zip(path, names, strict=True)
        if edge.edge != name
    ]
    return ParsedQuestion([start, *(edge.destination for edge in path)], path, notes=notes)


def _parts(
    task: GraphTask, question: str, graph: NamedGraph, known: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Names of nodes and of the edges between, from "A -edge-> ? -edge-> ?"."""
    nodes, edges = [], []
    *steps, last = (part.strip() for part in question.split("->"))
    known_nodes, known_edges = set(map(folded, [*graph.nodes, "?"])), set(map(folded, known))
    for step in steps:
        node, edge = _node_and_edge(step, known_nodes, known_edges)
        nodes.append(node)
        edges.append(edge)
    nodes.append(last)
    if isinstance(task, ShortestPath):
        fits = len(edges) == 1 and not edges[0] and "?" not in nodes
    else:
        fits = bool(edges) and all(edges) and all(node == "?" for node in nodes[1:]) and nodes[0] != "?"
        fits &= not isinstance(task, Inference) or len(edges) == 1
    if not fits or not all(nodes):
        raise UserError(
            f"a question to a run of {task.name} must be written like {FORMS[task.name]}, got {quoted(question)}."
        )
    return nodes, edges


def _node_and_edge(step: str, nodes: set[str], edges: set[str]) -> tuple[str, str]:
    """Split "NODE -EDGE", or "NODE", by the known names, since names may contain " -" themselves."""
    if folded(step) in nodes:
        return step, ""
    places = [match.start() for match in re.finditer(" -", step)]
    splits = [
        (step[:place].strip(), step[place + 2 :].strip()) for place in [*places[:_SPLITS], *places[-1:]]
    ]
    of_nodes = [split for split in dict.fromkeys(splits) if folded(split[0]) in nodes]
    whole = [split for split in of_nodes if folded(split[1]) in edges]
    if len(whole) > 1:
        several = ", ".join(f"{quoted(node)} and {quoted(edge)}" for node, edge in whole[:3])
        raise UserError(
            f"a step of a question must be one node and one edge, got {quoted(step)}, which may be {several}. "
            "Rename one of them in the file."
        )
    return (whole or of_nodes or splits[-1:] or [(step, "")])[0]


def _steps_of(
    typed: str, graph: NamedGraph, defined: dict[str, tuple[str, ...]]
) -> tuple[str, tuple[str, ...]]:
    """The name of a relation and the edges that it stands for."""
    both = [name for name in defined if name in graph.edge_names]
    if both:
        raise UserError(
            f"a relation of --relations must have a name that no edge of the graph has, got {quoted(both[0])}. "
            "Rename it."
        )
    either = [*defined, *graph.edge_names]
    if "/" in typed and folded(typed) not in set(map(folded, either)):
        steps = tuple(part.strip() for part in typed.split("/"))
        name = "/".join(steps)
    else:
        name = find_name(typed, either, _RELATION)
        steps = defined.get(name, (name,))
    return name, tuple(find_name(step, graph.edge_names, _EDGE) for step in steps)


def _path_between(graph: NamedGraph, start: str, end: str) -> list[str]:
    """The nodes of a shortest path."""
    if start == end:
        raise UserError(f"a path must join two different nodes, got {quoted(start)} twice. Name another.")
    path = graph.shortest_path(start, end)
    if not path:
        raise UserError(
            f"the graph must have a path from {quoted(start)} to {quoted(end)}, got none. Name others, or --two-way."
        )
    return path


def _walk(graph: NamedGraph, start: str, names: Sequence[str], *, plain: bool) -> list[Edge]:
    """The path along edges with these names; with `plain` the number of an edge's name may be left out.

    Among several paths the first that visits no node twice, if the search finds one in time; else the first.
    """
    if not names:
        return []
    most = max(1, MAX_LOOKUPS // len(graph.edges))
    if len(names) > most:
        raise UserError(
            f"a walk in a graph of {len(graph.edges):,} edges must have at most {most:,} steps, got {len(names):,}. "
            "Ask for fewer."
        )
    come_to = [{start}]
    for name in names:
        come_to.append({edge.destination for at in come_to[-1] for edge in _called(graph, at, name, plain)})
    if not come_to[-1]:
        _refuse_walk(graph, start, names, come_to, plain)
    # For each step, the nodes reached from which the rest of the path can be walked.
    leads = [come_to[-1]]
    for name, nodes in zip(reversed(names), reversed(come_to[:-1]), strict=True):
        leads.append(
            {at for at in nodes if any(e.destination in leads[-1] for e in _called(graph, at, name, plain))}
        )
    leads.reverse()
    walk, at = list[Edge](), start
    for name, ahead in zip(names, leads[1:], strict=True):
        walk.append(next(edge for edge in _called(graph, at, name, plain) if edge.destination in ahead))
        at = walk[-1].destination
    return _walk_without_return(graph, start, names, leads, plain) or walk


def _called(graph: NamedGraph, at: str, name: str, plain: bool) -> list[Edge]:
    return [edge for edge in graph.edges_from(at) if name == edge.edge or (plain and name == edge.plain)]


def _walk_without_return(
    graph: NamedGraph, start: str, names: Sequence[str], leads: Sequence[set[str]], plain: bool
) -> list[Edge]:
    """The first walk that visits no node twice; empty if there is none or the search takes too long."""
    path, visited = list[Edge](), {start}
    choices = [iter(graph.edges_from(start))]
    for _ in range(_TRIED):
        edge = next(choices[-1], None)
        if edge is None:
            choices.pop()
            if not choices:
                break
            visited.remove(path.pop().destination)
            continue
        name, ahead = names[len(path)], leads[len(path) + 1]
        if name != edge.edge and not (plain and name == edge.plain):
            continue
        if edge.destination in visited or edge.destination not in ahead:
            continue
        path.append(edge)
        visited.add(edge.destination)
        if len(path) == len(names):
            return path
        choices.append(iter(graph.edges_from(edge.destination)))
    return []


def _refuse_walk(
    graph: NamedGraph, start: str, names: Sequence[str], come_to: Sequence[set[str]], plain: bool
) -> NoReturn:
    """Raise a UserError that says where the longest possible walk ends."""
    steps = next(number for number, nodes in enumerate(come_to) if not nodes) - 1
    walked = _walk(graph, start, names[:steps], plain=plain)
    at = walked[-1].destination if walked else start
    leaving = [edge.edge for edge in graph.edges_from(at)]
    more = f" and {len(leaving) - _LISTED:,} more" if len(leaving) > _LISTED else ""
    raise UserError(
        f"the graph must have the path that is asked for, got none: {quoted(names[steps])} leads nowhere from "
        f"{quoted(at)}. From there lead: {', '.join(leaving[:_LISTED]) or 'nothing'}{more}."
    )


def _several(graph: NamedGraph, taken: Edge) -> str:
    """Where the edges with one plain name lead, first the one that was taken."""
    same = [edge for edge in graph.edges_from(taken.source) if edge.plain == taken.plain and edge != taken]
    ways = [f"{edge.edge} to {edge.destination}" for edge in (taken, *same[:_LISTED])]
    more = f", and {len(same) - _LISTED:,} more" if len(same) > _LISTED else ""
    return ", ".join([f"{ways[0]} (taken)", *ways[1:]]) + more
