"""Which questions the graph tasks ask: every length of a lesson, every answer, and each as often as it should be."""

from collections import Counter
from typing import Any
from unittest import mock

import numpy as np
import pytest

from numdnc.tasks.graphs import GraphTask, Inference, ShortestPath, Traversal
from numdnc.tasks.graphs.encoding import decode, to_labels
from numdnc.tasks.graphs.graph import Graph, Triple, random_graph
from numdnc.tasks.graphs.inference import _with_walks
from numdnc.tasks.graphs.lessons import INFERENCE
from numdnc.tasks.graphs.named import Edge, NamedGraph, NamedGraphTask
from numdnc.tasks.graphs.rollout import read_walkers
from numdnc.tasks.graphs.task import Question
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask

LESSONS = [
    (kind, n)
    for kind in (Traversal, ShortestPath, Inference)
    for n in range(1, len(kind.lesson_tables["ours"]) + 1)
]
LADDER = Graph([Triple(n, way, n + 1) for n in range(5) for way in (7, 8)])
"""Nodes 0 to 5 in a row, each joined to the next by two edges: 6 - k pairs are k apart, by 2^k paths."""


def questions(task: GraphTask, graph: Graph, count: int) -> list[Question]:
    rng = np.random.default_rng(0)
    found = [task.question(rng, graph) for _ in range(count)]
    return [question for question in found if question is not None]


def length(task: GraphTask, question: Question) -> int:
    """Edges of the path that is asked for."""
    if isinstance(task, Inference):
        return len(task.meanings[question.asked[0][1]])
    return len(question.answers) - question.feed_back


@pytest.mark.parametrize(("kind", "lesson"), LESSONS)
def test_every_length_of_a_lesson_is_asked_for(kind: Any, lesson: int) -> None:
    task, rng = kind(lesson=lesson), np.random.default_rng(lesson)
    low, high = task.sizes.path
    seen = set()
    for _ in range(300):
        _, questions = task.graph_and_questions(rng)
        seen.update(length(task, question) for question in questions)
        if len(seen) == high - low + 1:
            break
    assert seen == set(range(low, high + 1))


def test_a_shortest_path_has_each_length_as_often() -> None:
    task = ShortestPath(max_path=4)
    found = Counter(length(task, question) for question in questions(task, LADDER, 900))
    assert sorted(found) == [2, 3, 4]
    for count in found.values():
        assert count / 900 == pytest.approx(1 / 3, abs=0.06)


def test_walks_have_each_length_as_often() -> None:
    task = Traversal(min_path=1, max_path=4)
    ring = Graph([Triple(n, edge, (n + 1) % 3) for n in range(3) for edge in (1, 2)])
    found = Counter(len(question.answers) for question in questions(task, ring, 1200))
    assert sorted(found) == [1, 2, 3, 4]
    for count in found.values():
        assert count / 1200 == pytest.approx(1 / 4, abs=0.05)


def test_shortest_paths_lead_from_any_node_by_any_edge() -> None:
    """Of length 2 in the ladder: 4 pairs of nodes, and 4 paths between them, all as likely."""
    task = ShortestPath(max_path=2)
    found = Counter(tuple(question.answers[:-1]) for question in questions(task, LADDER, 1600))
    assert len(found) == 16
    for count in found.values():
        assert count / 1600 == pytest.approx(1 / 16, abs=0.03)


def test_relations_are_asked_for_from_any_node() -> None:
    """A ring by edges of every label: each of 3 nodes and of 100 relations of 2 edges leads somewhere."""
    ring = Graph([Triple(n, edge, (n + 1) % 3) for n in range(3) for edge in range(10)])
    task = Inference(max_path=2)
    found = Counter(question.asked[0][:2] for question in questions(task, ring, 3000))
    starts = Counter(start for start, _ in found.elements())
    assert len({relation for _, relation in found}) == 100
    for node in range(3):
        assert starts[node] / 3000 == pytest.approx(1 / 3, abs=0.05)


def test_walks_that_relations_are_made_of_start_at_any_node() -> None:
    """In a random graph labels are moved so that a walk has them; that walk begins at any of the nodes."""
    task, rng = Inference(lesson=1, min_nodes=5, max_nodes=5), np.random.default_rng(0)
    places = Counter[int]()
    for _ in range(1500):
        graph, questions = task.graph_and_questions(rng)
        places.update(graph.nodes.index(question.asked[0][0]) for question in questions)
    for place in range(5):
        assert places[place] / places.total() == pytest.approx(1 / 5, abs=0.08)


def test_labels_change_places_and_nothing_else() -> None:
    """A walk gets its labels from other edges of its nodes; every edge stays, with a label of its own."""
    rng, moved = np.random.default_rng(0), 0
    for _ in range(200):
        graph = random_graph(rng, INFERENCE[3], 1000, 10)
        edges = tuple(rng.integers(10, size=4).tolist())
        changed = _with_walks(rng, graph, [edges])
        if changed is None:
            continue
        after, (path,) = changed
        walked = after.walk(path[0], edges)
        assert walked is not None
        assert [triple.destination for triple in walked] == path[1:]
        for node in graph.nodes:
            one, other = graph.edges_from(node), after.edges_from(node)
            assert sorted(edge.destination for edge in one) == sorted(edge.destination for edge in other)
            assert len({edge.edge for edge in other}) == len(other)
            if node not in path[:-1]:
                assert sorted(one) == sorted(other)
        moved += sorted(graph.triples) != sorted(after.triples)
    assert moved > 50


def test_few_labels_are_those_of_the_walk_too() -> None:
    """Of 60 edges and more, of at most 10 labels, several have each label of the walk: labels tell no edge."""
    task, rng = Inference(few_labels=1, max_path=2), np.random.default_rng(0)
    counts = []
    for _ in range(100):
        graph, questions = task.graph_and_questions(rng)
        labels = Counter(triple.edge for triple in graph.triples)
        for question in questions:
            counts += [labels[edge] for edge in task.meanings[question.asked[0][1]]]
    assert len(counts) > 100
    assert np.mean([count <= 2 for count in counts]) < 0.05


def test_sizes_of_graphs_reach_both_ends() -> None:
    task, rng = Traversal(lesson=3), np.random.default_rng(0)
    sizes = {len(random_graph(rng, task.sizes, 1000, 1000).nodes) for _ in range(300)}
    assert sizes == set(range(5, 11))


def asked_on_the_ladder(start: int, end: int, **settings: Any) -> tuple[ShortestPath, Any]:
    task, rng = ShortestPath(planning=0, **settings), np.random.default_rng(0)
    return task, task.sequence(rng, LADDER.triples, [task.between(rng, LADDER, start, end)])


def test_a_walker_goes_by_edges_from_where_it_stands_and_by_nothing_else() -> None:
    _, batch = asked_on_the_ladder(1, 4)
    (walker,) = read_walkers(batch.inputs[:, 0], 9)
    assert (walker.at, walker.end) == (1, 4)
    for choice in (
        (3, 7, 4),
        (1, 9, 2),
        (1, 7, 3),
        (0, 7, 1),
        (0, 0, 0),
    ):  # from elsewhere, or no edges at all
        walker.go(choice)
        assert walker.at == 1
        assert to_labels(walker.options().digits).tolist() == [[1, 7, 2], [1, 8, 2]]
        assert walker.options().optimal.all()
    for choice in ((1, 8, 2), (2, 7, 3), (3, 7, 4)):
        walker.go(choice)
        assert walker.at == choice[2]
    assert to_labels(walker.options().digits).tolist() == [[0, 0, 0]]


def test_what_is_fed_in_place_of_a_choice_is_walked_too() -> None:
    """Fed are targets alone: they make a path that arrives, whatever the model says."""
    task, batch = asked_on_the_ladder(0, 5, optimal_share=1.0)
    says_nothing = lambda inputs, state, lengths=None: (np.zeros((*inputs.shape[:2], task.output_size)), None)  # noqa: E731
    played = task.rollout(says_nothing, batch, np.random.default_rng(0))
    assert batch.mask is not None
    answers = to_labels(played.targets[batch.mask]).tolist()
    assert [answer[::2] for answer in answers] == [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [0, 0]]
    assert decode(played.inputs[batch.mask]).tolist()[1:] == answers[:-1]


def test_whether_a_choice_is_fed_is_drawn_for_each_step() -> None:
    task, batch = asked_on_the_ladder(0, 5, optimal_share=0.5)
    says_nothing = lambda inputs, state, lengths=None: (np.zeros((*inputs.shape[:2], task.output_size)), None)  # noqa: E731
    rng, mixed = np.random.default_rng(0), 0
    for _ in range(100):
        fed = decode(task.rollout(says_nothing, batch, rng).inputs[batch.mask])[1:]
        own = (fed == 0).all(axis=1)
        mixed += own.any() and not own.all()
    assert mixed / 100 == pytest.approx(1 - 2 / 2**5, abs=0.08)


def test_a_score_lets_the_model_choose_and_draws_no_random_number_of_training() -> None:
    settings = SequenceSettings(batch=4, evaluated=20)
    task = SequenceTask("paths", ShortestPath(lesson=1, planning=0, optimal_share=0.8), settings, 0)
    says_nothing = lambda inputs, state, lengths=None: (np.zeros((*inputs.shape[:2], task.output_size)), None)  # noqa: E731
    before = task.position()
    task.score(says_nothing)
    played = task.scoring_rollout(says_nothing, task.example(20))
    assert task.position() == before
    fed = np.diff(played.mask.astype(int), axis=0, prepend=0) == 0  # but at the first step of an answer
    assert not decode(played.inputs[played.mask & fed]).any()


def test_parts_of_a_named_graph_are_around_any_node() -> None:
    """A ring of 6 towns with one way: parts of 3 are the 6 runs of 3 in a row, each as often."""
    ring = NamedGraph(Edge(f"town {n}", f"road {n}", f"town {(n + 1) % 6}", f"road {n}") for n in range(6))
    episodes, shown = (
        NamedGraphTask(Traversal(min_path=1, max_path=1), ring, nodes=3),
        Counter[frozenset[str]](),
    )
    original = NamedGraph.draw_numbering

    def noted(graph: NamedGraph, *others: Any) -> Any:
        shown[frozenset(graph.nodes)] += 1
        return original(graph, *others)

    with mock.patch.object(NamedGraph, "draw_numbering", noted):
        for seed in range(300):
            episodes.draw(np.random.default_rng(seed), 1)
    assert len(shown) == 6
    for count in shown.values():
        assert count / shown.total() == pytest.approx(1 / 6, abs=0.08)
