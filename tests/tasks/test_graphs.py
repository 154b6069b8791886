"""The graph tasks: graphs are what they must be, encodings decode back, and a plain search gives every answer."""

import dataclasses
import json
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from helpers.graph_models import Knows, Read, plain
from helpers.marks import thorough_but
from numdnc import DNCSpec, UserError
from numdnc.engines import select_engine
from numdnc.init import init_params
from numdnc.tasks import Batch, Interactive
from numdnc.tasks.graphs import GraphTask, Inference, ShortestPath, Traversal
from numdnc.tasks.graphs.encoding import ABSENT, decode, one_hot, predicted_labels, to_digits, to_labels
from numdnc.tasks.graphs.graph import Graph, Triple, random_graph
from numdnc.tasks.graphs.lessons import INFERENCE, SHORTEST_PATH, TRAVERSAL, Lesson
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.tasks.sequences import draw_checked, single_sequence
from numdnc.training.run import forward_with

KINDS: list[type[GraphTask]] = [Traversal, ShortestPath, Inference]
EVERY_LESSON = [(kind, lesson) for kind in KINDS for lesson in range(1, len(kind.lesson_tables["ours"]) + 1)]


def reads(task: GraphTask, count: int, seed: int = 0) -> list[Read]:
    batch = draw_checked(task, np.random.default_rng(seed), count)
    return [Read(batch, row, task.digits) for row in range(count)]


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_triples_are_encoded_and_decoded_back(digits: int) -> None:
    labels = np.random.default_rng(0).integers(10**digits, size=(50, 2, 3))
    labels[np.random.default_rng(1).random(labels.shape) < 0.3] = ABSENT
    vectors = one_hot(labels, digits)
    assert vectors.shape == (50, 2, 30 * digits)
    inputs = np.concatenate([vectors, np.ones((50, 2, 2), np.float32)], axis=-1)
    np.testing.assert_array_equal(decode(inputs), labels)
    np.testing.assert_array_equal(to_labels(to_digits(labels, digits)), labels)
    for vector, triple in zip(vectors.reshape(-1, 3, 10 * digits), labels.reshape(-1, 3), strict=True):
        assert [plain(part) for part in vector] == [None if label == ABSENT else label for label in triple]
    whole = np.abs(labels)
    np.testing.assert_array_equal(predicted_labels(one_hot(whole, digits) - 0.5), whole)


def test_the_order_of_channels_is_the_one_that_checkpoints_were_trained_with() -> None:
    vector = one_hot([(123, 45, 6)], 3)[0]
    assert np.flatnonzero(vector).tolist() == [1, 12, 23, 30, 44, 55, 60, 70, 86]
    task = Traversal()
    assert (task.input_size, task.output_size) == (92, 90)
    assert [task.input_channels[i] for i in (1, 44, 86, 90, 91)] == [
        "source 100s = 1",
        "edge 10s = 4",
        "destination 1s = 6",
        "question",
        "answer",
    ]
    assert task.output_channels == task.input_channels[:90]
    assert Traversal(digits=1, lesson=1).input_channels[13] == "edge = 3"


# Graphs


@pytest.mark.parametrize(("kind", "lesson"), EVERY_LESSON)
def test_graphs_are_those_of_their_lesson(kind: Any, lesson: int) -> None:
    task = kind(lesson=lesson)
    sizes = task.sizes
    assert sizes == kind.lesson_tables["ours"][lesson - 1]
    for read in reads(task, 10, seed=lesson):
        assert sizes.nodes[0] <= len(read.nodes) <= sizes.nodes[1]
        degrees = Counter(source for source, _, _ in read.edges)
        assert set(degrees) == read.nodes
        least = min(sizes.degree[0], len(read.nodes) - 1)
        assert all(least <= degree <= sizes.degree[1] for degree in degrees.values())
        assert len({(source, edge) for source, edge, _ in read.edges}) == len(read.edges)
        assert len({(source, destination) for source, _, destination in read.edges}) == len(read.edges)
        assert all(source != destination for source, _, destination in read.edges)
        assert all(0 <= node < 1000 and 0 <= edge < task.edge_labels for node, edge, _ in read.edges)


def test_points_are_joined_to_the_nearest() -> None:
    """The same random numbers give the same points, whose neighbours are then found one by one."""
    lesson = Lesson((12, 12), (3, 3), (1, 1))
    graph = random_graph(np.random.default_rng(5), lesson, 1000, 1000)
    rng = np.random.default_rng(5)
    assert rng.integers(12, 12, endpoint=True) == 12
    points = rng.random((12, 2))
    nodes = rng.choice(1000, 12, replace=False).tolist()
    for place, node in enumerate(nodes):
        others = sorted(
            (n for n in range(12) if n != place), key=lambda n: np.hypot(*(points[n] - points[place]))
        )
        assert {edge.destination for edge in graph.edges_from(node)} == {nodes[n] for n in others[:3]}


def test_sizes_and_labels_are_spread_evenly() -> None:
    rng, lesson = np.random.default_rng(0), Lesson((3, 6), (2, 4), (1, 1))
    graphs = [random_graph(rng, lesson, 10, 10) for _ in range(3000)]
    sizes = np.bincount([len(graph.nodes) for graph in graphs], minlength=7)[3:]
    np.testing.assert_allclose(sizes / 3000, 1 / 4, atol=0.03)
    degrees = Counter(len(g.edges_from(node)) for g in graphs if len(g.nodes) == 6 for node in g.nodes)
    np.testing.assert_allclose([degrees[k] / degrees.total() for k in (2, 3, 4)], 1 / 3, atol=0.03)
    of_three = Counter(len(g.edges_from(node)) for g in graphs if len(g.nodes) == 3 for node in g.nodes)
    assert set(of_three) == {2}  # no more than there are others
    for place in range(3):
        labels = np.bincount([triple[place] for graph in graphs for triple in graph.triples], minlength=10)
        np.testing.assert_allclose(labels / labels.sum(), 1 / 10, atol=0.01)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_graphs_has_few_labels_of_edges(share: float) -> None:
    """Graphs of 12 nodes with 4 edges each: 48 edges, of at most 16 labels or of about 47."""
    rng = np.random.default_rng(1)
    task = Traversal(few_labels=share, min_nodes=12, max_nodes=12, min_degree=4, max_degree=4)
    few, counts = 0, set()
    for _ in range(200):
        edges = Read(task.draw(rng, 1)).edges
        assert len({(source, edge) for source, edge, _ in edges}) == len(edges) == 48
        labels = len({edge for _, edge, _ in edges})
        assert labels <= 16 or labels > 40
        few += labels <= 16
        counts.add(labels)
    assert few / 200 == pytest.approx(share, abs=0.12)
    if share:
        assert set(range(4, 17)) <= counts
    with pytest.raises(UserError, match=r"few_labels must lie in \[0, 1\], got 1.5"):
        Traversal(few_labels=1.5)


def test_without_few_labels_nothing_more_is_drawn() -> None:
    one, other = (np.random.default_rng(3) for _ in range(2))
    graph = random_graph(one, TRAVERSAL[0], 1000, 1000)
    task = Traversal(lesson=1)
    drawn_edges = sorted(Read(task.draw(other, 1)).edges)
    assert drawn_edges == sorted(graph.triples)


def test_searches_of_a_graph() -> None:
    graph = Graph([Triple(1, 7, 2), Triple(2, 7, 3), Triple(1, 8, 3), Triple(3, 7, 4), Triple(5, 7, 1)])
    assert graph.nodes == [1, 2, 3, 4, 5]
    assert graph.distances_from(1) == {1: 0, 2: 1, 3: 1, 4: 2}
    assert graph.distances_to(3) == {3: 0, 2: 1, 1: 1, 5: 2}
    assert graph.walk(1, [7, 7, 7]) == [(1, 7, 2), (2, 7, 3), (3, 7, 4)]
    assert graph.walk(1, [7, 8]) is None
    assert graph.edges_from(4) == []


# Questions and answers, by a plain search


@pytest.mark.parametrize("lesson", range(1, 15))
def test_traversal_follows_the_edges_asked_for(lesson: int) -> None:
    lengths = set()
    for read in reads(Traversal(lesson=lesson), 30):
        at, first = read.asked[0][0], read.asked[0]
        assert first[2] is None
        assert all(source is None and destination is None for source, _, destination in read.asked[1:])
        assert len(read.answers) == len(read.asked)
        assert set(read.fed) == {(None, None, None)}
        for (_, edge, _), answer in zip(read.asked, read.answers, strict=True):
            assert at is not None
            assert edge is not None
            to = read.after(at, edge)
            assert answer == (at, edge, to)
            at = to
        lengths.add(len(read.answers))
    low, high = TRAVERSAL[lesson - 1].path
    assert low <= min(lengths) <= max(lengths) <= high
    assert len(lengths) > 1 or low == high


def test_walks_start_anywhere_and_turn_anywhere() -> None:
    """All edges of a graph of 3 nodes with 2 edges each are the first of a walk as often."""
    firsts = Counter()
    for read in reads(Traversal(lesson=1, digits=1, max_nodes=3), 3000):
        order = sorted(read.edges)
        firsts[order.index(read.answers[0])] += 1
    np.testing.assert_allclose([firsts[i] / 3000 for i in range(6)], 1 / 6, atol=0.03)


def test_edges_are_shown_in_random_order() -> None:
    """Of 6 edges, 2 of each of 3 nodes, any two follow each other as often: 1 in 5 times they are of one node."""
    found = reads(Traversal(lesson=1, max_nodes=3), 2000)
    for place in range(5):
        same = [read.edges[place][0] == read.edges[place + 1][0] for read in found]
        assert np.mean(same) == pytest.approx(1 / 5, abs=0.04)


@pytest.mark.parametrize("lesson", range(1, len(SHORTEST_PATH) + 1))
def test_shortest_paths_are_shortest(lesson: int) -> None:
    lengths = set()
    for read in reads(ShortestPath(lesson=lesson), 20):
        (start, nothing, end), *planning = read.asked
        assert nothing is None
        assert planning == [(None, None, None)] * 10
        assert start is not None
        assert end is not None
        *path, last = read.answers
        assert last == (0, 0, 0)
        assert path[0][0] == start
        assert path[-1][2] == end
        assert all(step in read.edges for step in path)
        assert all(one[2] == other[0] for one, other in pairwise(path))
        assert len(path) == read.distance(start, end)
        assert read.fed == [(None, None, None), *path]
        lengths.add(len(path))
    low, high = SHORTEST_PATH[lesson - 1].path
    assert low <= min(lengths) <= max(lengths) <= high


@pytest.mark.parametrize("lesson", range(1, len(INFERENCE) + 1))
def test_relations_stand_for_paths(lesson: int) -> None:
    task = Inference(lesson=lesson)
    low, high = INFERENCE[lesson - 1].path
    for read in reads(task, 20):
        (start, relation, nothing), *planning = read.asked
        assert nothing is None
        assert planning == [(None, None, None)] * 10
        assert start is not None
        assert relation is not None
        meaning = task.meanings[relation]
        assert low <= len(meaning) <= high
        at: int | None = start
        for edge in meaning:
            assert at is not None
            at = read.after(at, edge)
        assert read.answers == [(start, relation, at)]
        assert read.fed == [(None, None, None)]


def test_relations_are_400_different_ones_that_never_change() -> None:
    meanings = Inference().meanings
    assert list(meanings) == list(range(410))
    assert len(set(meanings.values())) == 410
    assert Counter(map(len, meanings.values())) == {1: 10, 2: 100, 3: 100, 4: 100, 5: 100}
    assert [meanings[edge] for edge in range(10)] == [(edge,) for edge in range(10)]
    assert {edge for edges in meanings.values() for edge in edges} == set(range(10))
    assert (meanings[10], meanings[13], meanings[409]) == MEANINGS  # checkpoints depend on them
    for few, count in (
        (Inference(relations=8, digits=2), 8),
        (Inference(lesson=1), 20),
        (Inference(lesson=7), 160),
    ):
        assert list(few.meanings.items()) == list(meanings.items())[: 10 + count]


MEANINGS = ((6, 7), (0, 7, 9, 0, 4), (5, 6, 9, 2, 0))


@pytest.mark.parametrize("few_labels", thorough_but([0], [0, 1]))
def test_lengths_and_relations_come_equally_often(few_labels: float) -> None:
    task = Inference(lesson=4, min_path=1, few_labels=few_labels)
    found = Counter(read.asked[0][1] for read in reads(task, 1500))
    lengths = Counter(len(task.meanings[relation or 0]) for relation in found.elements())
    for length in range(1, 6):
        assert lengths[length] / 1500 == pytest.approx(1 / 5, abs=0.04)
    for relation in range(10, 30):
        assert found[relation] / 1500 == pytest.approx(1 / 25, abs=0.02)


def test_a_label_of_the_walk_is_on_edges_elsewhere_too() -> None:
    """As often as any other, and once more where the walk's own edge got it: which it is, labels do not tell.

    Of 10 labels a node has 3 in the mean, so 7 walks in 10 bring a label to a node that had it not.
    """
    task = Inference(lesson=11, min_path=2, max_path=2)
    on_walk, elsewhere = [], []
    for read in reads(task, 400):
        sources = Counter(edge for _, edge, _ in read.edges)
        of_walk = set(task.meanings[read.asked[0][1] or 0])
        on_walk += [sources[edge] for edge in of_walk]
        elsewhere += [sources[edge] for edge in range(10) if edge not in of_walk]
    assert np.mean(on_walk) == pytest.approx(np.mean(elsewhere) + 0.7, abs=0.3)


def test_every_pair_that_can_be_asked_for_is() -> None:
    """All (node, relation) that lead somewhere, found one by one, are found; lengths come equally often."""
    task = Inference(lesson=3, min_path=1, relations=400)
    graph = random_graph(np.random.default_rng(2), task.sizes, 1000, 10)
    wanted = {
        (node, relation, path[-1].destination)
        for node in graph.nodes
        for relation, edges in task.meanings.items()
        if len(edges) <= 4 and (path := graph.walk(node, edges))
    }
    found = task._pairs(graph)
    assert {tuple(row) for rows in found.values() for row in rows.tolist()} == wanted
    assert set(found) == {1, 2, 3, 4}
    rng = np.random.default_rng(0)
    questions = [task.question(rng, graph) for _ in range(1000)]
    lengths = Counter(len(task.meanings[question.asked[0][1]]) for question in questions if question)
    assert set(lengths) == {1, 2, 3, 4}
    assert lengths[2] / 1000 == pytest.approx(0.25, abs=0.05)


# Lessons and settings


def test_the_lessons_of_the_paper() -> None:
    assert len(TRAVERSAL) == 14
    assert TRAVERSAL[0] == ((3, 10), (2, 4), (1, 1), 0)
    assert TRAVERSAL[13] == ((10, 40), (2, 6), (1, 20), 0)
    assert (SHORTEST_PATH[0], SHORTEST_PATH[-1]) == (
        ((5, 10), (1, 2), (2, 2), 0),
        ((20, 25), (2, 6), (2, 5), 0),
    )
    assert INFERENCE[-1] == ((20, 25), (2, 4), (2, 5), 400)
    for lessons in (TRAVERSAL, SHORTEST_PATH, INFERENCE):
        for one, other in pairwise(lessons):
            assert all(a[1] <= b[1] for a, b in zip(one[:3], other[:3], strict=True))
            assert one.relations <= other.relations
            assert one != other


def test_settings_change_a_lesson() -> None:
    task = Traversal(lesson=14, max_nodes=12, min_path=3, max_path=4)
    assert task.sizes == ((10, 12), (2, 6), (3, 4), 0)
    assert {len(read.answers) for read in reads(task, 20)} == {3, 4}
    assert task.slots_needed == 72


def test_lessons_are_a_curriculum() -> None:
    settings = SequenceSettings(batch=4, evaluated=8, grow="lesson", pass_at=0.1, fall_at=0.5)
    task = SequenceTask("traversal", Traversal(), settings, seed=0)
    seen = []

    def forward(inputs: Any, state: Any, lengths: Any = None) -> Any:
        seen.append(inputs.shape[0])
        return np.zeros((*inputs.shape[:2], 90), np.float32), None

    scores = task.score(forward)
    assert scores["level"] == 1
    assert max(seen) <= 42  # 40 edges, a question, an answer: nothing of lesson 14 was scored
    task.on_scores(scores | {"sequence_error": 0.1})
    assert json.loads(json.dumps(task.position()))["level"] == 2


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Traversal, {"lesson": -1}, "lesson must be from 1 to 14, or 0 for the last, got -1"),
        (Traversal, {"lesson": 15}, "lesson must be from 1 to 14, or 0 for the last, got 15"),
        (ShortestPath, {"lesson": 10}, "lesson must be from 1 to 9, or 0 for the last, got 10"),
        (ShortestPath, {"lessons": "paper", "lesson": 16}, "lesson must be from 1 to 15"),
        (Inference, {"lessons": "other"}, "lessons must be one of ours, paper, got 'other'"),
        (Traversal, {"queries": 0}, "queries must be from 1 to 64, got 0"),
        (Traversal, {"queries": 65}, "queries must be from 1 to 64, got 65"),
        (Traversal, {"digits": 0}, "digits must be from 1 to 6, got 0"),
        (Traversal, {"digits": 1}, "max_nodes must be at most 10, the labels of 1 digits, got 40"),
        (Traversal, {"min_nodes": 41}, "min_nodes must be from 2 to max_nodes, got 41 and 40"),
        (Traversal, {"min_nodes": 1}, "min_nodes must be from 2 to max_nodes, got 1 and 40"),
        (Traversal, {"min_path": -1}, "min_path must be from 1 to max_path, got -1 and 20"),
        (Traversal, {"digits": 1, "lesson": 1, "max_degree": 11}, "max_degree must be at most 10"),
        (Inference, {"max_degree": 11}, "max_degree must be at most 10, the labels of edges, got 11"),
        (
            Inference,
            {"digits": 1, "lesson": 1},
            "relations must be from 4 to 0 with labels of 1 digits, got 20",
        ),
        (Inference, {"relations": 401}, "relations must be from 4 to 400"),
        (
            Inference,
            {"max_path": 6},
            "max_path must be at most 5, as many edges as a relation stands for, got 6",
        ),
        (Inference, {"planning": -1}, "planning must be at least 0, or edges or random, got -1"),
        (ShortestPath, {"planning": -1}, "planning must be at least 0, or edges or random or path, got -1"),
        (Inference, {"planning": "path"}, "planning must be at least 0, or edges or random, got path"),
        (ShortestPath, {"optimal_share": 1.5}, r"optimal_share must lie in \[0, 1\], got 1.5"),
    ],
)
def test_settings_that_cannot_be_used(kind: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        kind(**settings)


def test_a_path_that_no_graph_has_is_refused() -> None:
    task = ShortestPath(max_nodes=20, min_path=25, max_path=25)
    with pytest.raises(UserError, match="graphs must have a path of the lengths asked for, got none in 1000"):
        dataclasses.replace(task, min_nodes=3, max_nodes=3).draw(np.random.default_rng(0), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_no_graph_that_is_scored_on_is_ever_trained_on(kind: Any) -> None:
    """Sequences to be scored on have random numbers of their own; so many labels make two graphs alike by no chance."""

    def graphs(batch: Batch) -> set[frozenset[tuple[int, int, int]]]:
        return {frozenset(Read(single_sequence(batch, row)).edges) for row in range(batch.inputs.shape[1])}

    settings = SequenceSettings(batch=50, evaluated=100, grow="lesson")
    task = SequenceTask("graphs", kind(lesson=3), settings, seed=1)
    task.move_to(task.position() | {"level": 3})
    scored = set().union(*map(graphs, task.evaluation_batches()))
    assert len(scored) == 100
    trained = set().union(*(graphs(task.next_batch()) for _ in range(6)))
    assert len(trained) == 300
    assert not scored & trained
    assert graphs(task.example(8)) <= scored


# Shortest path: own choices


PATHS = ShortestPath(lesson=3, planning=2)


def path_task(episodes: Any = PATHS, **settings: Any) -> SequenceTask:
    return SequenceTask(
        "shortest-path", episodes, SequenceSettings(**{"batch": 6, "evaluated": 40, **settings}), 0
    )


def test_who_finds_shortest_paths_has_no_error() -> None:
    scores = path_task().score(Knows())
    assert scores["sequence_error"] == 0
    assert scores["bit_error"] == 0


def last_of(edges: Graph, at: int, end: int, answered: int) -> Any:
    """Of several ways the last that is shortest, where `Knows` takes the first."""
    far = edges.distances_to(end)
    ways = [edge for edge in edges.edges_from(at) if far.get(edge.destination, -1) == far.get(at, 0) - 1]
    return ways[-1] if ways and at != end else None


def test_any_of_several_shortest_paths_is_right() -> None:
    first, last = Knows(), Knows(choose=last_of)
    batch = path_task().example(40)
    one, other = (PATHS.rollout(model, batch, None) for model in (first, last))
    assert not np.array_equal(one.targets, other.targets)
    assert path_task().score(last)["sequence_error"] == 0


@pytest.mark.parametrize(
    "choose",
    [
        lambda edges, at, end, answered: (0, 0, 0),  # ends at once
        lambda edges, at, end, answered: (at, 5, end) if answered == 0 else None,  # an edge that is none
        lambda edges, at, end, answered: (
            next(t for t in edges.triples if t.source != at) if answered == 0 else None
        ),
        lambda edges, at, end, answered: edges.edges_from(end)[0] if at == end else None,  # never ends
    ],
    ids=["ends at once", "no edge", "from elsewhere", "goes on"],
)
def test_what_is_no_shortest_path_is_an_error(choose: Any) -> None:
    assert path_task().score(Knows(choose=choose))["sequence_error"] == 1


def test_a_way_round_is_an_error_though_it_arrives() -> None:
    """A detour by a valid edge, from where the model then goes on shortest."""

    def detour(edges: Graph, at: int, end: int, answered: int) -> Any:
        far = edges.distances_to(end)
        longer = [e for e in edges.edges_from(at) if far.get(e.destination, 0) >= far.get(at, 99)]
        return longer[0] if answered == 0 and longer else None

    task = path_task()
    batch = task.example(40)
    played = PATHS.rollout(Knows(choose=detour), batch, None)
    detours = 0
    for row in range(40):
        read = Read(played, row)
        start, _, end = read.asked[0]
        choice = read.fed[1]
        assert choice in read.edges
        at = choice[2]
        assert start is not None
        assert at is not None
        assert end is not None
        before, after = read.distance(start, end), read.distance(at, end)
        wanted = read.answers[1]
        assert read.answers[0] in read.edges
        assert read.answers[0][0] == start
        if after is None:
            assert wanted == (0, 0, 0)
        elif before is not None and after >= before:
            detours += 1
            assert wanted in read.edges  # what is due then starts from where it has come to
            assert wanted[0] == at
            assert read.distance(wanted[2], end) == after - 1
    assert detours > 10


def test_own_choices_are_fed_back_and_nothing_else_changes() -> None:
    """Choices that are random triples: they are fed as they are, and the node come to stays the first."""
    rng = np.random.default_rng(0)
    said = {}

    def forward(inputs: Any, state: Any, lengths: Any = None) -> Any:
        first = 0 if state is None else state
        outputs = rng.standard_normal((*inputs.shape[:2], 90)).astype(np.float32)
        for t in range(len(inputs)):
            said[first + t] = outputs[t].copy()
        return outputs, first + len(inputs)

    batch = path_task().example(7)
    before = batch.inputs.copy()
    played = PATHS.rollout(forward, batch, None)
    np.testing.assert_array_equal(batch.inputs, before)
    np.testing.assert_array_equal(played.mask, batch.mask)
    for row in range(7):
        read, old = Read(played, row), Read(batch, row)
        assert (read.edges, read.asked) == (old.edges, old.asked)
        for t in range(read.first, read.steps - 1):
            own = said[t][row].reshape(9, 10).argmax(1)
            labels = tuple(int("".join(map(str, own[i : i + 3]))) for i in (0, 3, 6))
            assert read.fed[t - read.first + 1] == labels
        start, _, end = read.asked[0]
        assert start is not None
        assert end is not None
        whole = read.distance(start, end)
        for t, answer in enumerate(read.answers):
            assert answer[0] == start  # it never moved
            ways = [e for e in read.edges if e[0] == start and read.distance(e[2], end) == whole - 1]
            assert answer in ways
            scores = [
                sum(
                    said[read.first + t][row][10 * i + int(d)]
                    for i, d in enumerate("".join(f"{n:03}" for n in way))
                )
                for way in ways
            ]
            assert answer == ways[int(np.argmax(scores))]  # the one the model holds likeliest


def test_training_mixes_right_choices_with_own() -> None:
    """A model that always says 999 999 999: what is fed is either that or the target."""
    task = path_task(dataclasses.replace(PATHS, optimal_share=0.7), batch=400)
    assert isinstance(task, Interactive)
    own = [0, 0]
    batch = task.rollout(Knows(choose=lambda *_: (999, 999, 999)), task.next_batch())
    for row in range(400):
        read = Read(batch, row)
        for fed, target in zip(read.fed[1:], read.answers, strict=False):
            assert fed in ((999, 999, 999), target)
            own[fed == target] += 1
    assert own[1] / sum(own) == pytest.approx(0.7, abs=0.04)
    single_sequence = path_task(dataclasses.replace(PATHS, optimal_share=1.0), batch=30)
    right = single_sequence.rollout(Knows(choose=lambda *_: (999, 999, 999)), single_sequence.next_batch())
    for row in range(30):
        read = Read(right, row)
        assert [tuple(step) for step in read.fed[1:]] == read.answers[:-1]


def test_other_tasks_leave_batches_as_they_are() -> None:
    task = SequenceTask("traversal", Traversal(lesson=1), SequenceSettings(), 0)
    batch = task.next_batch()
    assert task.rollout(lambda *_: 1 / 0, batch) is batch  # type: ignore[arg-type, return-value]


def test_a_real_model_plays_as_one_whole_sequence() -> None:
    """Its choices while it played step by step are those of one run over what was filled in."""
    spec = DNCSpec(
        input_size=92,
        output_size=90,
        hidden_sizes=(16,),
        memory_size=12,
        word_size=8,
        controller="feedforward",
    )
    engine = select_engine("cpu", spec, "float64")
    forward = forward_with(engine, spec, init_params(spec, 0, "float64"))
    batch = path_task().example(5)
    played = PATHS.rollout(forward, batch, None)
    outputs, _ = forward(played.inputs, None)
    for row in range(5):
        read = Read(played, row)
        labels = [
            tuple(triple) for triple in predicted_labels(outputs[read.first : read.steps, row]).tolist()
        ]
        assert read.fed[1:] == labels[:-1]


def test_a_sequence_in_words() -> None:
    task = ShortestPath(lesson=1, digits=1, max_nodes=5, planning=1)
    batch = draw_checked(task, np.random.default_rng(1), 2)
    read = Read(batch, 1, digits=1)
    outputs = one_hot(to_labels(batch.targets), 1).astype(float)
    outputs[read.first, 1] = one_hot([(9, 8, 7)], 1)[0]
    shown, asked, *answers = task.describe(batch, outputs, 1).splitlines()
    assert shown == f"{len(read.edges)} edges shown: " + ", ".join(f"{s} {e} {d}" for s, e, d in read.edges)
    assert asked == f"asked: {read.asked[0][0]} - {read.asked[0][2]}"
    wanted = [" ".join(map(str, answer)) for answer in read.answers]
    assert answers == [f"wanted {wanted[0]}, got 9 8 7  WRONG", *(f"wanted {w}, got {w}" for w in wanted[1:])]
