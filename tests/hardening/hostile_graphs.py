"""Graphs of a user's own, relations and questions, as odd as they can be; see `hostile_data`."""

import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from hardening.strange import NAMES, USUAL, Rng, damaged, one_line_end, one_of, saved
from helpers.graph_models import Knows
from numdnc.tasks.graphs import GraphTask, Inference, ShortestPath, Traversal
from numdnc.tasks.graphs.asking import answer, pose
from numdnc.tasks.graphs.named import NamedGraph, read_graph
from numdnc.tasks.graphs.questions import parse_question
from numdnc.tasks.graphs.relations import read_relations


def csv_text(rng: Rng, header: str, rows: Sequence[Sequence[str]]) -> str:
    """A CSV file of these rows; blanks beside commas now and then, and lines that hold nothing."""
    lines = [header]
    for row in rows:
        quotes = [cell.replace('"', '""') for cell in row]
        cells = [
            f'"{quoted}"' if re.search('[",\r\n]', cell) else cell
            for cell, quoted in zip(row, quotes, strict=True)
        ]
        lines.append((" , " if cells == list(row) and rng.random() < 0.2 else ",").join(cells))
        if rng.random() < 0.05:
            lines.append(one_of(rng, ["", ",,", " ", "\t"]))
    return "\n".join(lines) + one_of(rng, ["\n", ""])


def edges(rng: Rng) -> list[tuple[str, str, str]]:
    """Few names, so that many edges are alike."""
    choices = USUAL if rng.random() < 0.8 else NAMES
    nodes, names = (
        [choices[at] for at in rng.permutation(len(choices))[: rng.integers(2, 7)]] for _ in range(2)
    )
    rows = [
        (one_of(rng, nodes), one_of(rng, names), one_of(rng, nodes)) for _ in range(int(rng.integers(1, 25)))
    ]
    return [row for row in rows if row[0].strip() != row[2].strip() or rng.random() < 0.01]


def checked_graph(
    place: Path, rows: Sequence[tuple[str, str, str]], whole: bool, two_way: bool
) -> NamedGraph:
    """The graph that was read of a file of these rows, held to what must be true of it."""
    graph = read_graph(place / "graph.csv", two_way=two_way)
    assert len({edge[:2] for edge in graph.edges}) == len(graph.edges)
    plain = {edge.plain for edge in graph.edges}
    for edge in graph.edges:
        alike = [other for other in graph.edges_from(edge.source) if other.plain == edge.plain]
        number = re.fullmatch(re.escape(edge.plain) + r" [1-9]\d*", edge.edge)
        assert (edge.edge == edge.plain) == (len(alike) == 1)
        assert edge.edge == edge.plain or (number and edge.edge not in plain)
    if whole:
        wanted = {(*(one_line_end(cell.strip()) for cell in row),) for row in rows}
        wanted |= {row[::-1] for row in wanted} if two_way else set()
        found = {(e.source, e.plain, e.destination) for e in graph.edges}
        assert {(*map(one_line_end, row),) for row in found} == wanted
    return graph


def graph_file(rng: Rng, place: Path) -> tuple[NamedGraph, bool]:
    rows, two_way = edges(rng), bool(rng.random() < 0.3)
    text = csv_text(rng, one_of(rng, ["source,edge,destination", "Source, Edge ,DESTINATION"]), rows)
    raw = damaged(rng, saved(rng, text), 0.2)
    (place / "graph.csv").write_bytes(raw)
    whole = one_line_end(raw.decode("utf-8-sig", "replace")) == one_line_end(text)
    return checked_graph(place, rows, whole, two_way), two_way


def question(rng: Rng, place: Path) -> None:
    """A question about a graph: a walk that is there, in the graph's own names or nearly, or nonsense."""
    graph, two_way = graph_file(rng, place)
    kinds: list[GraphTask] = [Traversal(), ShortestPath(), Inference()]
    task = one_of(rng, kinds)
    at = start = one_of(rng, graph.nodes)
    walk = []
    for _ in range(int(rng.integers(1, 6))):
        if not graph.edges_from(at):
            break
        walk.append(one_of(rng, graph.edges_from(at)))
        at = walk[-1].destination
    names = [one_of(rng, [edge.edge, edge.edge, edge.plain]) for edge in walk]
    if isinstance(task, ShortestPath):
        words = f"{start} -> {at}"
    elif isinstance(task, Inference):
        words = f"{start} -{'/'.join(edge.edge for edge in walk)}-> ?"
    else:
        words = f"{start} " + "".join(f"-{name}-> ? " for name in names)
    exact = rng.random() < 0.5
    if not exact:
        words = damaged(rng, one_of(rng, [words, words.upper(), words.swapcase()]).encode()).decode(
            "utf-8", "replace"
        )
    forward = Knows()
    asked = parse_question(task, graph, words, None)
    path = asked.nodes
    assert (
        path == path_by_hand(graph, asked.nodes[0], asked.nodes[-1])
        if isinstance(task, ShortestPath)
        else True
    )
    before = asked.nodes[0]
    for edge in asked.path:
        assert edge in graph.edges_from(before)
        before = edge.destination
    separators = any(sign in name for name in (start, at, *names) for sign in ("->", " -", "?", "/"))
    if exact and not separators:
        assert asked.nodes[0] == start
        if isinstance(task, Traversal):
            assert all(name in (e.edge, e.plain) for name, e in zip(names, asked.path, strict=True))
        elif isinstance(task, Inference):
            assert list(asked.path) == walk
        else:
            assert asked.nodes[-1] == at
    found = answer(pose(task, forward, words, place / "graph.csv", two_way=two_way), forward)
    assert all(step.right for step in found.steps)


def path_by_hand(graph: NamedGraph, start: str, end: str) -> list[str]:
    """The first of the shortest paths, in the order of the edges."""
    waiting, seen = deque([[start]]), {start}
    while waiting:
        path = waiting.popleft()
        if path[-1] == end:
            return path
        for edge in graph.edges:
            if edge.source == path[-1] and edge.destination not in seen:
                seen.add(edge.destination)
                waiting.append([*path, edge.destination])
    return []


def relations(rng: Rng, place: Path) -> None:
    """A file of relations: each stands for the edges that its row says."""
    graph, _ = graph_file(rng, place)
    choices = NAMES if rng.random() < 0.1 else graph.edge_names
    rows = [
        (
            one_of(rng, ["r", "R", "s", one_of(rng, NAMES)]),
            "/".join(one_of(rng, choices) for _ in range(count)),
        )
        for count in rng.integers(1 + (rng.random() < 0.9), 4, size=int(rng.integers(1, 4)))
    ]
    contents = saved(rng, csv_text(rng, "relation,path", rows))
    (place / "relations.csv").write_bytes(damaged(rng, contents, 0.2))
    found = read_relations(place / "relations.csv")
    assert all(name and len(steps) > 1 and all(steps) for name, steps in found.items())
    name = one_of(rng, list(found) or ["x"])
    asked = parse_question(
        Inference(), graph, f"{one_of(rng, graph.nodes)} -{name}-> ?", place / "relations.csv"
    )
    assert [edge.edge for edge in asked.path] == list(asked.steps)
    if asked.relation in found:
        assert len(asked.steps) == len(found[asked.relation])
