"""A user's own graphs: `eval --graph`, `ask`, and the errors of both."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from helpers.commands import TEXT, call, done, error_line, refused
from helpers.commands import train as train_text
from helpers.graph_models import Knows, Read
from numdnc.errors import UserError
from numdnc.inspection.trace_file import load_trace
from numdnc.tasks.graphs import Inference, ShortestPath, Traversal
from numdnc.tasks.graphs.asking import arrives, pose
from numdnc.tasks.graphs.named import NamedGraph, NamedGraphTask, read_graph
from numdnc.tasks.graphs.questions import parse_question
from numdnc.tasks.graphs.relations import numbering_for, read_relations
from numdnc.tasks.sequences import draw_checked
from numdnc.training.folder import RunFolder

EXAMPLES = Path(__file__).parents[2] / "examples"
LONDON = Path(os.environ.get("NUMDNC_DATA", "data")) / "london_underground.csv"
TUBE = """\
source,edge,destination
Bond Street,Central Line,Oxford Circus
Oxford Circus,Central Line,Tottenham Court Road
Tottenham Court Road,Central Line,Holborn
Oxford Circus,Victoria Line,Green Park
Bond Street,Jubilee Line,Green Park
Harrow-on-the-Hill,Metropolitan Line,Bond Street
"""
"""A few stations; each line leads both ways."""
SMALL = "--hidden 5 -N 64 -W 4 -R 1 --batch 2 --evaluated 3 --sample-every 0 --report-every 1 --steps 1"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each task, hardly trained."""
    folder = tmp_path_factory.mktemp("runs")
    for task in ("traversal", "shortest-path", "inference"):
        any_edge = ["--no-valid-edges"] if task == "shortest-path" else []
        lesson = ["--lesson", 2, "--grow-from", 2, "--queries", 1, *any_edge]
        done("train", task, *lesson, *SMALL.split(), "--out", folder / task)
    done("train", "copy", "--width", 2, "--max-length", 3, *SMALL.split(), "--out", folder / "copy")
    return folder


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tube.csv").write_text(TUBE)
    return tmp_path


@pytest.fixture
def knowing() -> Iterator[None]:
    """Models know every answer."""
    with mock.patch("numdnc.runs.base.finite_forward", lambda *_: Knows()):
        yield


def ask(run: Path, question: str, *more: object, graph: object = "tube.csv") -> str:
    result = call("ask", run, question, "--graph", graph, *more)
    assert result.code == 0, result
    assert not result.err or "the run's lesson about" in result.err
    return result.out


def test_a_path_longer_than_those_of_the_lesson_is_warned_of(runs: Path) -> None:
    walk = "Bond Street" + " -Central Line-> ?" * 3
    told = call("ask", runs / "traversal", walk, "--graph", "tube.csv").err
    assert "warning: the question is about a path of 3 edges, the run's lesson about 1 to 2" in " ".join(
        told.split()
    )
    walk = "Bond Street" + " -Central Line-> ?" * 2
    assert "warning" not in call("ask", runs / "traversal", walk, "--graph", "tube.csv").err
    path = call("ask", runs / "shortest-path", "Harrow-on-the-Hill -> Holborn", "--graph", "tube.csv").err
    assert "the question is about a path of 4 edges, the run's lesson about" in " ".join(path.split())


@pytest.mark.usefixtures("knowing")
def test_a_walk_is_told_in_names(runs: Path) -> None:
    run = runs / "traversal"
    out = ask(run, "Harrow-on-the-Hill -Metropolitan Line-> ? -Jubilee Line-> ?")
    first, second, end = out.splitlines()
    assert first.split("  ")[0] == "Harrow-on-the-Hill -Metropolitan Line-> Bond Street"
    assert second.split("  ")[0] == "Bond Street -Jubilee Line-> Green Park"
    assert first.endswith("  right")
    assert end == "right; shown 6 edges between 6 nodes (iteration 1)"
    assert ask(run, "harrow-on-the-hill -METROPOLITAN line-> ?").startswith(
        "Harrow-on-the-Hill -Metropolitan Line-> "
    )


@pytest.mark.usefixtures("knowing")
def test_a_line_that_leads_both_ways_is_told_apart(runs: Path) -> None:
    run = runs / "traversal"
    note, *lines, _ = ask(run, "Oxford Circus -Central Line-> ? -Jubilee Line-> ?", "--two-way").splitlines()
    assert note == (
        "Central Line leads from Oxford Circus to several: "
        "Central Line 2 to Bond Street (taken), Central Line 1 to Tottenham Court Road"
    )
    assert lines[0].startswith("Oxford Circus -Central Line 2-> Bond Street ")
    assert lines[1].startswith("Bond Street -Jubilee Line-> Green Park ")
    given = ask(run, "Oxford Circus -Central Line 1-> ?", "--two-way").splitlines()
    assert given[0] == "Oxford Circus -Central Line 1-> Tottenham Court Road  right"


@pytest.mark.usefixtures("knowing")
def test_a_walk_does_not_turn_back_if_it_need_not(runs: Path) -> None:
    out = ask(
        runs / "traversal", "Bond Street -Central Line-> ? -Central Line-> ? -Central Line-> ?", "--two-way"
    )
    assert re.search(r"^Tottenham Court Road -Central Line \d-> Holborn +right$", out, re.M)
    assert out.splitlines()[-1].startswith("right; shown 12 edges")


@pytest.mark.usefixtures("knowing")
def test_a_shortest_path_is_told_in_names(runs: Path) -> None:
    *lines, _ = ask(runs / "shortest-path", "Harrow-on-the-Hill -> Green Park").splitlines()
    assert [re.split(r"  +", line) for line in lines] == [
        ["Harrow-on-the-Hill -Metropolitan Line-> Bond Street", "right"],
        ["Bond Street -Jubilee Line-> Green Park", "right"],
        ["(end)", "right"],
    ]
    assert json.loads(ask(runs / "shortest-path", "Bond Street -> Green Park", "--json"))["arrives"] is True
    assert "arrives" not in json.loads(ask(runs / "traversal", "Bond Street -Jubilee Line-> ?", "--json"))


def test_a_longer_path_arrives_too() -> None:
    """Edges that are there and lead from one to the next, whichever they are."""
    Path("ring.csv").write_text("a,x,b\nb,x,c\na,y,c\n")
    posed = pose(ShortestPath(), Knows(), "a -> c", Path("ring.csv"))
    edges = {
        (edge.source, edge.destination): list(posed.numbering.triple(edge)) for edge in posed.graph.edges
    }
    around, straight = [edges["a", "b"], edges["b", "c"]], [edges["a", "c"]]
    end = [0, 0, 0]
    for given, wanted in (
        ([*around, end], True),
        ([*straight, end], True),
        ([*straight, end, edges["b", "c"]], True),
        ([edges["a", "b"], end], False),
        ([edges["b", "c"], end], False),
        ([[edges["a", "b"][0], edges["a", "b"][1], edges["a", "c"][2]], end], False),
        ([end], False),
    ):
        assert arrives(posed, given) is wanted, given


@pytest.mark.usefixtures("knowing")
def test_a_relation_is_told_in_names(runs: Path) -> None:
    run, family = runs / "inference", EXAMPLES / "family.csv"
    relations = "--relations", EXAMPLES / "relations.csv"
    out = ask(run, "olive -maternal grandmother's younger sibling-> ?", *relations, graph=family)
    assert out.startswith("Olive -maternal grandmother's younger sibling-> David  right\n")
    assert ask(run, "Olive -mother / mother-> ?", graph=family).startswith(
        "Olive -mother/mother-> Clara  right\n"
    )
    assert ask(run, "Olive -mother-> ?", graph=family).startswith("Olive -mother-> ")
    for seed in range(3):
        found = json.loads(
            ask(
                run,
                "Noah -father-in-law-> ?",
                *relations,
                "--seed",
                seed,
                "--json",
                graph=family,
            )
        )
        assert found["answer"] == found["truth"] == ["Noah -father-in-law-> Frank"]
        assert (found["right"], found["edges"], found["nodes"]) == (True, 50, 16)


@pytest.mark.usefixtures("knowing")
def test_only_relations_of_the_present_lesson_are_asked_for(runs: Path, tmp_path: Path) -> None:
    """Of the 5 of three edges on the first lessons none begins and ends alike; of the 100 on the last some do."""
    question = "Olive -mother/father/mother-> ?"
    edges = "Olive,mother,Ada", "Ada,father,Bob", "Bob,mother,Cleo"
    (tmp_path / "few.csv").write_text("\n".join(["source,edge,destination", *edges]))
    line = error_line(call("ask", runs / "inference", question, "--graph", "few.csv"))
    assert "a relation must have the form of one of the 30 in the run's lesson" in line
    last = tmp_path / "last"
    done("train", "inference", "--grow-from", 11, *SMALL.split(), "--out", last)
    assert ask(last, question, graph="few.csv").startswith("Olive -mother/father/mother-> Cleo  right\n")


def test_a_model_that_knows_nothing_is_wrong(runs: Path) -> None:
    out = ask(runs / "traversal", "Bond Street -Jubilee Line-> ?")
    assert re.search(r"  WRONG: Bond Street -Jubilee Line-> Green Park\nwrong; shown 6 edges", out)
    assert "(no such node)" in out
    assert ask(
        runs / "traversal", "Bond Street -Jubilee Line-> ?", "--last", "-N", 9, "--engine", "reference"
    )
    found = json.loads(ask(runs / "shortest-path", "Bond Street -> Holborn", "--json"))
    assert found["right"] is False
    assert found["arrives"] is False
    assert len(found["answer"]) == 4
    assert found["truth"][0] == "Bond Street -Central Line-> Oxford Circus"


@pytest.mark.usefixtures("knowing")
def test_a_part_of_the_graph_holds_the_answer(runs: Path) -> None:
    out = ask(runs / "traversal", "Bond Street -Jubilee Line-> ?", "--nodes", 3)
    assert re.search(r"right; shown \d edges between 3 nodes", out)
    longest = ask(runs / "shortest-path", "Bond Street -> Holborn", "--nodes", 2)
    assert "right; shown 3 edges between 4 nodes" in longest


@pytest.mark.usefixtures("knowing")
def test_eval_asks_about_the_graph_over_and_over(runs: Path) -> None:
    for task, graph, more in (
        ("traversal", "tube.csv", ("--two-way",)),
        ("traversal", "tube.csv", ("--two-way", "--nodes", 4)),
        ("shortest-path", "tube.csv", ("--two-way",)),
        ("inference", EXAMPLES / "family.csv", ()),
    ):
        out = done("eval", runs / task, "--graph", graph, *more, "--sequences", 20, "--json")
        found = json.loads(out)
        assert found["sequence_error"] == 0
        assert (found["settings"]["graph"], found["settings"]["two_way"]) == (str(graph), bool(more))
        assert found["sequences"] == 20
    words = done("eval", runs / "traversal", "-g", "tube.csv", "--two-way", "--show", "--set", "max_path=2")
    assert "100.0 % of sequences without error; 3 sequences (iteration 1)\n12 edges shown: " in words


def test_eval_of_a_real_model(runs: Path) -> None:
    out = done("eval", runs / "shortest-path", "--graph", "tube.csv", "--two-way")
    assert re.match(
        r"loss \d\.\d{4}, \d+\.\d\d % of classes wrong, 0\.0 % of sequences without error; 3 seq", out
    )


def test_a_graph_larger_than_the_memory_is_warned_of(runs: Path) -> None:
    for command in (
        ("eval", runs / "traversal"),
        ("ask", runs / "traversal", "Bond Street -Jubilee Line-> ?"),
    ):
        result = call(*command, "--graph", "tube.csv", "-N", 5)
        assert result.code == 0
        assert result.err.startswith("warning: ")
        assert "6" in result.err
        assert "5 slots" in result.err


# Graphs with names


def test_every_sequence_has_numbers_of_its_own(place: Path) -> None:
    graph = read_graph(place / "tube.csv", two_way=True)
    batch = draw_checked(NamedGraphTask(Traversal(lesson=2), graph), np.random.default_rng(0), 30)
    shapes, labels = set(), set()
    for row in range(30):
        read = Read(batch, row)
        assert len(read.edges) == 12
        assert len({(source, edge) for source, edge, _ in read.edges}) == 12
        labels.add(frozenset(read.nodes))
        degrees = sorted(sum(source == node for source, _, _ in read.edges) for node in read.nodes)
        shapes.add(tuple(degrees))
        at: int | None = read.asked[0][0]
        for (_, edge, _), answer in zip(read.asked, read.answers, strict=True):
            assert at is not None
            assert edge is not None
            at = read.after(at, edge)
            assert answer[2] == at
    assert shapes == {(1, 1, 2, 2, 3, 3)}
    assert len(labels) == 30


def test_parts_are_the_nearest_nodes_with_all_their_edges(place: Path) -> None:
    graph = read_graph(place / "tube.csv", two_way=False)
    part = graph.subgraph(["Holborn"], 3)
    assert part.nodes == ["Oxford Circus", "Tottenham Court Road", "Holborn"]
    assert [edge.source for edge in part.edges] == ["Oxford Circus", "Tottenham Court Road"]
    assert graph.subgraph(["Holborn"], 6).edges == graph.edges
    on = NamedGraphTask(Traversal(lesson=1), read_graph(place / "tube.csv", two_way=True), nodes=3)
    assert on.slots_needed == 6  # Bond Street, Oxford Circus and Green Park
    for row in range(20):
        read = Read(draw_checked(on, np.random.default_rng(row), 1))
        assert len(read.nodes) == 3


def test_both_ways_and_twice_told_edges(place: Path) -> None:
    (place / "graph.csv").write_text(
        "\ufeffsource,edge,destination\n\na, x ,b\na,x,b\nb,x,a\nb,x,c\n", "utf-8"
    )
    one_way, both = (read_graph(place / "graph.csv", two_way=two_way) for two_way in (False, True))
    assert [edge[:3] for edge in one_way.edges] == [("a", "x", "b"), ("b", "x 1", "a"), ("b", "x 2", "c")]
    assert [edge[:3] for edge in both.edges] == [*(edge[:3] for edge in one_way.edges), ("c", "x", "b")]
    assert {edge.plain for edge in both.edges} == {"x"}


def graph_of(place: Path, *rows: str, two_way: bool = False) -> NamedGraph:
    (place / "graph.csv").write_text("\n".join(["source,edge,destination", *rows]) + "\n", "utf-8")
    return read_graph(place / "graph.csv", two_way=two_way)


def test_a_number_makes_no_name_that_an_edge_has_already(place: Path) -> None:
    """Else two edges that leave A were both called "x 1"; and so for a name elsewhere, or in other letters."""
    graph = graph_of(place, "A,x,B", "A,x,C", "A,x 1,D", "A,x 3,B", "D,X 2,A", "B,x,A", "B,x,C", "B,x,D")
    assert [edge[:3] for edge in graph.edges] == [
        ("A", "x 4", "B"), ("A", "x 5", "C"), ("A", "x 1", "D"), ("A", "x 3", "B"),
        ("D", "X 2", "A"),
        ("B", "x 4", "A"), ("B", "x 5", "C"), ("B", "x 6", "D"),
    ]  # fmt: skip
    assert len({edge[:2] for edge in graph.edges}) == len(graph.edges)


@pytest.mark.usefixtures("knowing")
def test_parallel_edges_are_answered_by_the_one_that_was_named(runs: Path, place: Path) -> None:
    graph_of(place, "A,x,B", "A,x,C", "A,x 1,D")
    for name, lines in (("x 1", ["A -x 1-> D"]), ("x 2", ["A -x 2-> B"]), ("x 3", ["A -x 3-> C"])):
        found = json.loads(ask(runs / "traversal", f"A -{name}-> ?", "--json", graph="graph.csv"))
        assert (found["answer"], found["truth"], found["notes"]) == (lines, lines, [])
    found = json.loads(ask(runs / "traversal", "A -x-> ?", "--json", graph="graph.csv"))
    assert found["truth"] == ["A -x 2-> B"]
    assert found["notes"] == ["x leads from A to several: x 2 to B (taken), x 3 to C"]


@pytest.mark.usefixtures("knowing")
def test_names_that_differ_in_case_are_told_apart(runs: Path, place: Path) -> None:
    graph_of(place, "bank,by,Pub", "Bank,By,pub", "pub,to,Caf\u00e9", "Pub,to,bank")
    for question, answer in (
        ("bank -by-> ?", "bank -by-> Pub"),
        ("Bank -By-> ?", "Bank -By-> pub"),
        ("Bank -By-> ? -TO-> ?", "pub -to-> Caf\u00e9"),
    ):
        found = json.loads(ask(runs / "traversal", question, "--json", graph="graph.csv"))
        assert found["right"]
        assert found["truth"][-1] == answer
    path = json.loads(ask(runs / "shortest-path", "Bank -> cafe\u0301", "--json", graph="graph.csv"))
    assert path["truth"] == ["Bank -By-> pub", "pub -to-> Caf\u00e9", "(end)"]
    for question, expect in (
        (
            "BANK -by-> ?",
            "'BANK' must be a node of the graph|could be any of 'bank', 'Bank'. Type it exactly",
        ),
        ("bank -BY-> ?", "'BY' must be an edge of the graph|could be any of 'by', 'By'"),
        ("bank -By-> ?", "'By' leads nowhere from 'bank'. From there lead: by."),
    ):
        refused("ask", runs / "traversal", question, "--graph", "graph.csv", expect=expect)


@pytest.mark.usefixtures("knowing")
def test_names_may_hold_dashes_and_slashes(runs: Path, place: Path) -> None:
    graph_of(place, "A -B,North - South,C", "A,x,C", "C,and/or,A", "C,y,A -B", "C,B -z,A", "C -B,z,A")
    run = runs / "traversal"
    for question, answer in (
        ("A -B -North - South-> ?", "A -B -North - South-> C"),
        ("A -x-> ? -and/or-> ?", "C -and/or-> A"),
    ):
        assert json.loads(ask(run, question, "--json", graph="graph.csv"))["truth"][-1] == answer
    out = ask(runs / "inference", "C -and/or-> ?", graph="graph.csv")
    assert out.startswith("C -and/or-> A  right\n")
    expect = "a step of a question must be one node and one edge|'C' and 'B -z', 'C -B' and 'z'"
    refused("ask", run, "C -B -z-> ?", "--graph", "graph.csv", expect=expect)


@pytest.mark.usefixtures("knowing")
def test_a_relation_follows_the_very_edges_it_names(runs: Path, place: Path) -> None:
    """A name with a number is another edge to the model than the same without, which another node may have."""
    graph_of(place, "A,up,B", "A,up,C", "B,up,D", "C,up,E")
    run = runs / "inference"
    assert ask(run, "A -up 2/up-> ?", graph="graph.csv").startswith("A -up 2/up-> E  right\n")
    expect = "'up' leads nowhere from 'A'. From there lead: up 1, up 2."
    refused("ask", run, "A -up/up-> ?", "--graph", "graph.csv", expect=expect)


def test_relations_must_be_told_apart_too(runs: Path, place: Path) -> None:
    graph_of(place, "A,up,B", "B,up,C")
    words = "ask", runs / "inference", "A -Up2-> ?", "--graph", "graph.csv", "--relations", "relations.csv"
    for rows, expect in (
        ("up2,up/up\nup2,up/up/up\n", "each relation of relations.csv must stand for one path, got 'up2'"),
        ("up2,up/up\nUP2,up/up/up\n", "'Up2' must be a relation of|could be any of 'up2', 'UP2'"),
        ("up,up/up\n", "a relation of --relations must have a name that no edge of the graph has, got 'up'"),
    ):
        (place / "relations.csv").write_text(f"relation,path\n{rows}")
        refused(*words, expect=expect)
    (place / "relations.csv").write_text("\ufeffRelation,Path\r\nup2,UP/up\r\nup2,UP/up\r\n", "utf-8")
    assert call(*words).code == 0


def test_walks_among_very_many_are_found(place: Path) -> None:
    """A plain search looks at 2^60 walks before it finds that the last step leads nowhere, or where it must turn."""
    pairs = [f"n{i},e,{side}{i}\n{side}{i},e,n{i + 1}" for i in range(30) for side in "ab"]
    graph = graph_of(place, *pairs, "n30,f,a0")
    task, question = Traversal(), "n0 " + "-e-> ? " * 60
    found = parse_question(task, graph, question + "-F-> ?", None).path
    assert [edge.destination for edge in found][:3] == ["a0", "n1", "a1"]
    assert (len(found), found[-1][:3]) == (61, ("n30", "f", "a0"))  # all come to a0 twice, or to b0 first
    with pytest.raises(UserError, match=r"'e' leads nowhere from 'n30'\. From there lead: f\."):
        parse_question(task, graph, question + "-e-> ?", None)


def test_large_graphs_take_no_longer_than_their_size(place: Path) -> None:
    """Each took minutes: what looks at all edges for each of them comes to some 10^9."""
    count = 40_000
    many = graph_of(place, *(f"hub,x,leaf {number}" for number in range(count)))
    assert (many.edges[-1].edge, many.edges[-1].plain) == (f"x {count}", "x")
    chain = graph_of(place, *(f"n{number},e,n{number + 1}" for number in range(count)))
    assert NamedGraphTask(Traversal(), chain, nodes=20).slots_needed == 19
    assert chain.shortest_path("n0", f"n{count}") == [f"n{number}" for number in range(count + 1)]
    with pytest.raises(UserError, match=r"of 40,000 edges must have at most 75 steps, got 76"):
        parse_question(Traversal(), chain, "n0 " + "-e-> ? " * 76, None)
    with pytest.raises(UserError, match=r"'y' must be an edge of the graph, got none such"):
        parse_question(Traversal(), many, "hub -y-> ?", None)
    asked = parse_question(Traversal(), many, "hub -x-> ?", None)
    assert asked.notes[0].endswith("x 11 to leaf 10, and 39,989 more")


def test_relations_get_labels_that_the_run_has_learned() -> None:
    family, task = read_graph(EXAMPLES / "family.csv", two_way=False), Inference()
    for path in read_relations(EXAMPLES / "relations.csv").values():
        for seed in range(5):
            numbering, relation = numbering_for(family, path, task, np.random.default_rng(seed))
            assert task.meanings[relation] == tuple(numbering.edges[step] for step in path)
            assert len(set(numbering.edges.values())) == len(family.edge_names)
            assert set(numbering.edges.values()) <= set(range(10))
    with pytest.raises(
        UserError, match="a relation must have the form of one of the 410 in the run's lesson"
    ):
        numbering_for(family, ["mother"] * 6, task, np.random.default_rng(0))


def test_the_family_is_one() -> None:
    """Parents of siblings are the same, and who is whose eldest child is their child."""
    edges = {
        (edge.source, edge.edge): edge.destination
        for edge in read_graph(EXAMPLES / "family.csv", two_way=False).edges
    }
    relations = read_relations(EXAMPLES / "relations.csv")
    for (who, edge), other in edges.items():
        if edge == "next sibling":
            assert edges[other, "previous sibling"] == who
            assert edges[who, "mother"] == edges[other, "mother"]
        if edge == "mother":
            assert edges[edges[who, "father"], "spouse"] == other
        if edge == "eldest child":
            assert who in (edges[other, "mother"], edges[other, "father"])
    for path in relations.values():  # each is had by somebody
        found = 0
        for at in {who for who, _ in edges}:
            for step in path:
                at = edges.get((at, step), "")
            found += bool(at)
        assert found


@pytest.mark.skipif(not LONDON.exists(), reason="the map is not here (NUMDNC_DATA)")
@pytest.mark.usefixtures("knowing")
def test_the_london_underground(runs: Path) -> None:
    whole = read_graph(LONDON, two_way=True)
    assert (len(whole.nodes), len(whole.edges)) == (302, 812)
    assert len({edge[:2] for edge in whole.edges}) == 812
    assert 13 < len(whole.edge_names) < 1000
    found = json.loads(
        done(
            "eval",
            runs / "traversal",
            "--graph",
            LONDON,
            "--two-way",
            "--nodes",
            15,
            "--sequences",
            20,
            "--json",
        )
    )
    assert found["sequence_error"] == 0
    question = "Oxford Circus -Central Line-> ? -Central Line-> ?"
    out = ask(runs / "traversal", question, "--two-way", "--nodes", 12, graph=LONDON)
    assert out.splitlines()[-1].startswith("right; shown ")
    assert "leads from Oxford Circus to several: " in out
    way = ask(runs / "shortest-path", "Oxford Circus -> Holborn", "--two-way", "--nodes", 9, graph=LONDON)
    assert re.search(r"-> Holborn +right\n\(end\) +right\nright", way)


# What users get wrong


QUESTIONS = {
    "traversal|Bond Street": "a question to a run of traversal must be written like \"Oxford Circus -Central Line-> ?",
    "traversal|Bond Street -> Holborn": "must be written like",
    "traversal|Bond Street -Jubilee Line-> Holborn": "must be written like",
    "traversal|? -Jubilee Line-> ?": "must be written like",
    "traversal|": "must be written like|got ''",
    "traversal|Bondstreet -Jubilee Line-> ?":
        "'Bondstreet' must be a node of the graph, got none such. Similar: 'Bond Street'.",
    "traversal|Xyz -Jubilee Line-> ?": "must be a node of the graph, got none such. Check its name",
    "traversal|Bond Street -Jubilee-> ?":
        "'Jubilee' must be an edge of the graph, got none such. Similar: 'Jubilee Line'.",
    "traversal|Holborn -Central Line-> ?": "'Central Line' leads nowhere from 'Holborn'. From there lead: nothing",
    "traversal|Bond Street -Jubilee Line-> ? -Victoria Line-> ?":
        "the graph must have the path|'Victoria Line' leads nowhere from 'Green Park'",
    "traversal|Bond Street -Central Line-> ? -Jubilee Line-> ?": "From there lead: Central Line, Victoria Line.",
    "shortest-path|Bond Street -Jubilee Line-> ?": "a question to a run of shortest-path must be written like",
    "shortest-path|Bond Street -> ?": "must be written like",
    "shortest-path|Bond Street -> Bank": "'Bank' must be a node of the graph, got none such",
    "shortest-path|Bond Street -> bond street": "a path must join two different nodes, got 'Bond Street' twice",
    "shortest-path|Holborn -> Bond Street": "the graph must have a path from 'Holborn' to 'Bond Street', got none",
    "inference|Bond Street -> Holborn": "a question to a run of inference must be written like",
    "inference|Bond Street -aunt-> ?": "'aunt' must be a relation of --relations, an edge, or edges separated by /",
    "inference|Bond Street -Central Line/nothing-> ?": "'nothing' must be an edge of the graph",
    "inference|Bond Street -Victoria Line/Jubilee Line-> ?": "the graph must have the path that is asked for",
}  # fmt: skip


@pytest.mark.parametrize("case", QUESTIONS)
def test_a_question_that_cannot_be_asked(case: str, runs: Path) -> None:
    task, _, question = case.partition("|")
    refused("ask", runs / task, question, "--graph", "tube.csv", expect=QUESTIONS[case])


FILES = {
    "": "graph.csv must hold a line of source,edge,destination or more, got none",
    "a\n": "each line of graph.csv must hold source,edge,destination, none of them empty, got 'a' as line 1",
    "a,b,c\nd,e\n": "none of them empty, got 'd,e' as line 2",
    "from,to\na,b\na,b,c\n": "must hold source,destination, none of them empty, got 'a,b,c' as line 3",
    "source,edge,destination\n": "graph.csv must hold at least one edge below its first line, got none",
    "source,edge,destination\na,b\n": "none of them empty, got 'a,b' as line 2",
    "source,edge,destination\na,b,c\na,,c\n": "none of them empty, got 'a,,c' as line 3",
    "source,edge,destination\na,b,c,d\n": "got 'a,b,c,d' as line 2. Fix it; names with commas need quotes",
    "source,edge,destination\na,b,a\n": "each edge of graph.csv must join two different nodes, got 'a' twice in line 2",
    'source,edge,destination\n"a,b,c\n': "--graph must name a CSV file of UTF-8 or UTF-16 text",
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_graph(case: str, runs: Path, place: Path) -> None:
    (place / "graph.csv").write_text(case)
    refused("ask", runs / "traversal", "a -b-> ?", "--graph", "graph.csv", expect=FILES[case])
    refused("eval", runs / "traversal", "--graph", "graph.csv", expect=FILES[case])


def test_files_that_cannot_be_read(runs: Path, place: Path) -> None:
    (place / "binary.csv").write_bytes(b"source,edge,destination\n\xff\xfe,a,b\n")
    run = runs / "traversal"
    for file, expect in (
        ("binary.csv", "must name a CSV file of UTF-8 or UTF-16 text, got binary.csv"),
        ("none.csv", "--graph must name a CSV file that can be read, got none.csv: No such file"),
        (place, "--graph must name a CSV file that can be read|Is a directory"),
    ):
        refused("eval", run, "--graph", file, expect=expect)
    relations = "ask", runs / "inference", "Olive -x-> ?", "--graph", EXAMPLES / "family.csv", "--relations"
    (place / "bad.csv").write_text("relation,path\nx,mother\n")
    (place / "other.csv").write_text("x,mother/mother\ny\n")
    for file, expect in (
        ("none.csv", "--relations must name a CSV file that can be read"),
        ("binary.csv", "--relations must name a CSV file of UTF-8 or UTF-16 text"),
        ("bad.csv", "each line of bad.csv must be a relation and edges separated by /|got 'x,mother'"),
        ("other.csv", "each line of other.csv must hold relation,path|got 'y' as line 2"),
    ):
        refused(*relations, file, expect=expect)


REQUESTS = {
    "ask {}/copy x --graph tube.csv":
        "ask must be given a run of a graph task, arithmetic or a language, bAbI, catbAbI, a learned interface",
    "ask {}/traversal x": "--graph must be given, the graph to ask about, got none",
    "ask {}/traversal x --graph tube.csv --seed -1": "seed must be at least 0, got -1",
    "ask {}/traversal Holborn --graph tube.csv -N 0": "memory_size must be a whole number of at least 1, got 0",
    "eval {}/copy --graph tube.csv":
        "--graph must be given for a run of a graph task, got one of copy",
    "eval {}/traversal --two-way": "--two-way and --nodes must be given with --graph, got one alone",
    "eval {}/traversal --nodes 3": "--two-way and --nodes must be given with --graph, got one alone",
    "eval {}/traversal --graph tube.csv --nodes 1": "--nodes must be from 2 to 6, the nodes of the graph, got 1",
    "eval {}/traversal --graph tube.csv --nodes 7": "--nodes must be from 2 to 6, the nodes of the graph, got 7",
    "eval {}/traversal --graph tube.csv --set lesson=14 --set min_path=20":
        "the graph must have paths that traversal asks for, of 20 to 20 edges, got none",
    "eval {}/inference --graph many.csv":
        "a graph must have at most 10 names of edges, the number of labels of this run",
}  # fmt: skip


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_that_cannot_be_met(case: str, runs: Path, place: Path) -> None:
    lines = [f"a,edge {number},b{number}" for number in range(11)]
    (place / "many.csv").write_text("source,edge,destination\n" + "\n".join(lines))
    refused(*case.format(runs).split(), expect=REQUESTS[case])


def test_more_options_that_do_not_go_together(runs: Path, place: Path) -> None:
    words = "ask", runs / "traversal", "Bond Street -Jubilee Line-> ?", "--graph", "tube.csv"
    refused(
        *words,
        "--relations",
        EXAMPLES / "relations.csv",
        expect="--relations must be given for a run of inference",
    )
    refused(*words, "--nodes", 1, expect="--nodes must be from 2 to 6")
    lines = "".join(f"n{number},e,n{number + 1}\n" for number in range(1000))
    (place / "long.csv").write_text("source,edge,destination\n" + lines)
    refused(*words[:2], "n0 -e-> ?", "--graph", "long.csv", expect="a graph must have at most 1000 nodes")
    (place / "text.txt").write_text(TEXT)
    train_text("text")
    line = error_line(call("eval", "text", "--graph", "tube.csv"))
    assert "--graph must be given for a run of a graph task" in line
    assert "got one of text" in error_line(call("ask", "text", "x", "--graph", "tube.csv"))


# Training


def test_a_run_goes_on_with_more_slots(place: Path) -> None:
    done("train", "traversal", *SMALL.split(), "--lesson", 3, "--out", "run")
    before = RunFolder(Path("run")).load_last()
    done("resume", "run", "--steps", 2, "-N", 80, "--sample-every", 0)
    after = RunFolder(Path("run")).load_last()
    assert (before.spec.memory_size, after.spec.memory_size) == (64, 80)  # type: ignore[union-attr]
    assert after.iteration == 2
    done("resume", "run", "--steps", 3, "--sample-every", 0)
    assert RunFolder(Path("run")).load_last().spec.memory_size == 80  # type: ignore[union-attr]
    done("resume", "run", "--steps", 4, "-N", 70, "--sparsity", 5, "--sample-every", 0)
    sparse = RunFolder(Path("run")).load_last().spec
    assert (sparse.memory_size, sparse.sparsity) == (70, 5)  # type: ignore[union-attr]
    refused(
        "resume",
        "run",
        "--steps",
        5,
        "-N",
        0,
        expect="memory_size must be a whole number of at least 1, got 0",
    )
    (place / "text.txt").write_text(TEXT)
    train_text("text", model="dnc")
    refused(
        "resume",
        "text",
        "--steps",
        14,
        "-N",
        9,
        expect="--memory-size must be given for a run of separate seq",
    )
    refused(
        *("resume", "text", "--steps", 14, "--sparsity", 2),
        expect="--sparsity must be given for a run of separate seq",
    )


def test_a_run_says_its_lesson_and_samples(place: Path) -> None:
    out = done(
        "train",
        "shortest-path",
        *SMALL.split(),
        "--pass-at",
        1,
        "--fall-at",
        1,
        "--lesson",
        2,
        "--steps",
        3,
        "--sample-every",
        1,
        "--out",
        "run",
    )
    lines = [line for line in out.splitlines() if " s, iter " in line]
    assert [re.search(r"(\d+) samples.* level (\d)", line).groups() for line in lines] == [  # type: ignore[union-attr]
        ("2", "1"), ("4", "2"), ("6", "2"),
    ]  # fmt: skip
    assert re.search(
        r"^----\n\d+ edges shown: .*\nasked: \d{3} - \d{3}\nwanted \d{3} \d{3} \d{3}, got ", out, re.M
    )


def test_a_run_with_own_choices_goes_on_as_if_it_had_never_stopped(place: Path) -> None:
    settings = *SMALL.split(), "--lesson", 1, "--optimal-share", 0.5, "--schedule", "constant"
    done("train", "shortest-path", *settings, "--steps", 4, "--out", "straight")
    done("train", "shortest-path", *settings, "--steps", 2, "--out", "run")
    done("resume", "run", "--steps", 4, "--sample-every", 0)
    one, other = (RunFolder(Path(name)).load_last() for name in ("straight", "run"))
    assert one.position == other.position
    np.testing.assert_array_equal(one.params.output.weights, other.params.output.weights)


def test_a_trace_holds_own_choices(runs: Path, place: Path) -> None:
    done("trace", runs / "shortest-path", "--sample", 1, "--out", "trace.safetensors")
    trace = load_trace(place / "trace.safetensors")
    answers = np.flatnonzero(trace.arrays["inputs"][:, -1])
    for step in answers[1:]:
        own = trace.arrays["outputs"][step - 1].reshape(9, 10).argmax(1)
        np.testing.assert_array_equal(trace.arrays["inputs"][step, :90].reshape(9, 10).argmax(1), own)
    assert "in trace.html" in done("view", "trace.safetensors", "--no-open")
