"""Graph tasks as in the paper: several questions about a graph, choices among valid edges, lessons, planning."""

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from helpers.graph_models import Knows, Read
from numdnc.tasks import Batch
from numdnc.tasks.graphs import GraphTask, Inference, ShortestPath, Traversal
from numdnc.tasks.graphs.encoding import to_digits
from numdnc.tasks.graphs.graph import Graph, Triple
from numdnc.tasks.graphs.lessons import PAPER_INFERENCE, PAPER_SHORTEST_PATH
from numdnc.tasks.graphs.named import Edge, NamedGraph, NamedGraphTask
from numdnc.tasks.graphs.task import given_labels
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.tasks.sequences import draw_checked
from numdnc.tasks.targets import cross_entropy, errors, likeliest_choices

THREE = [
    Traversal(lesson=3, queries=3),
    ShortestPath(lesson=2, queries=3, planning=2),
    ShortestPath(lesson=2, queries=3, planning=2, valid_edges=True),
    Inference(lesson=4, queries=3, planning=2),
    Inference(lesson=4, queries=3, planning=2, few_labels=1),
]


def questions_of(batch: Batch, row: int) -> list[Read]:
    """A sequence taken apart: for each of its questions one with the graph and this question alone."""
    assert batch.mask is not None
    used = np.flatnonzero(batch.mask[:, row])[-1] + 1
    starts = [*np.flatnonzero(batch.inputs[:, row, -2]), used]
    found = []
    for begin, end in pairwise(starts):
        steps = [*range(starts[0]), *range(begin, end)]
        parts = (part[steps, row : row + 1] for part in (batch.inputs, batch.targets, batch.mask))
        inputs, targets, mask = parts
        found.append(Read(Batch(inputs, targets, mask=mask)))
    return found


def task_of(generator: Any, **settings: Any) -> SequenceTask:
    return SequenceTask("graphs", generator, SequenceSettings(**{"batch": 4, "evaluated": 40, **settings}), 0)


# Several questions


@pytest.mark.parametrize("task", THREE, ids=repr)
def test_each_question_is_one_about_the_same_graph(task: GraphTask) -> None:
    batch = draw_checked(task, np.random.default_rng(0), 30)
    different = 0
    for row in range(30):
        found = questions_of(batch, row)
        assert len(found) == 3
        different += len({tuple(read.asked) for read in found}) > 1
        for read in found:
            answers = [*read.answers]
            start = read.asked[0][0]
            assert start is not None
            if isinstance(task, Inference):
                at: int | None = start
                for edge in task.meanings[read.asked[0][1] or 0]:
                    assert at is not None
                    at = read.after(at, edge)
                assert answers == [(start, read.asked[0][1], at)]
            if isinstance(task, ShortestPath):
                assert answers.pop() == (0, 0, 0)
                assert len(answers) == read.distance(start, read.asked[0][2] or 0)
            if not isinstance(task, Inference):
                assert answers[0][0] == start
                assert all(answer in read.edges for answer in answers)
    assert different > 25


@pytest.mark.parametrize("task", THREE, ids=repr)
def test_a_model_that_knows_all_answers_has_no_error(task: GraphTask) -> None:
    scores = task_of(task).score(Knows())
    assert scores["sequence_error"] == scores["question_error"] == scores["bit_error"] == 0


def test_questions_and_sequences_are_scored() -> None:
    """Two of 3 questions about each of 70 graphs, in two batches, are answered wrongly at every step."""

    def forgets_two(inputs: Any, state: Any, lengths: Any = None) -> Any:
        outputs, whole = knows(inputs, state)
        later = whole[:, :, -2].cumsum(axis=0)[-len(inputs) :] >= 2
        outputs[later] = -outputs[later]
        return outputs, whole

    knows = Knows()
    scores = task_of(THREE[0], evaluated=70).score(forgets_two)
    assert scores["question_error"] == pytest.approx(2 / 3)
    assert scores["sequence_error"] == 1
    assert "question_error" not in task_of(Traversal(lesson=1)).score(Knows())


def test_a_lesson_is_passed_by_its_questions() -> None:
    task = task_of(Traversal(queries=2), grow="lesson", pass_at=0.1)
    task.on_scores({"level": 1.0, "sequence_error": 0.19, "question_error": 0.11})
    assert task.position()["level"] == 1
    task.on_scores({"level": 1.0, "sequence_error": 0.19, "question_error": 0.1})
    assert task.position()["level"] == 2


def test_a_named_graph_is_asked_about_several_times() -> None:
    ring = NamedGraph(Edge(f"town {n}", f"road {n}", f"town {(n + 1) % 6}", f"road {n}") for n in range(6))
    on = NamedGraphTask(Traversal(min_path=1, max_path=2, queries=4), ring)
    batch = on.draw(np.random.default_rng(0), 2)
    assert [len(questions_of(batch, row)) for row in range(2)] == [4, 4]
    assert "question_error" in task_of(on, evaluated=2).score(Knows())


def test_a_sequence_of_several_questions_in_words() -> None:
    task = Traversal(lesson=1, queries=2)
    batch = draw_checked(task, np.random.default_rng(0), 1)
    outputs = Knows()(batch.inputs, None)[0]
    _, first, right, second, also = task.describe(batch, outputs, 0).splitlines()
    for read, asked, answer in zip(questions_of(batch, 0), (first, second), (right, also), strict=True):
        source, edge, destination = read.answers[0]
        assert asked == f"asked: {source:03} {edge:03} -"
        assert answer == f"wanted {(w := f'{source:03} {edge:03} {destination:03}')}, got {w}"


# Choices among valid edges

DIAMOND = [
    Triple(1, 5, 2),
    Triple(1, 6, 3),
    Triple(1, 7, 4),
    Triple(2, 5, 9),
    Triple(3, 5, 9),
    Triple(4, 5, 1),
]
"""From 1 to 9 by 2 or by 3; 4 leads back."""


def on_the_diamond(says: Any) -> tuple[ShortestPath, Batch, Any]:
    """The rollout of a model on the question from 1 to 9; `says` maps step of the answer to digit outputs."""
    task, rng = ShortestPath(digits=1, lesson=1, planning=0, valid_edges=True), np.random.default_rng(0)
    batch = task.sequence(rng, DIAMOND, [task.between(rng, Graph(DIAMOND), 1, 9)])
    assert batch.mask is not None
    first = int(np.argmax(batch.mask[:, 0]))
    outputs = np.zeros((len(batch.inputs), 1, 30))
    for step, logits in says.items():
        for place, value in logits.items():
            outputs[first + step, 0, place] = value

    def forward(inputs: Any, state: Any) -> Any:
        begin = state or 0
        return outputs[begin : begin + len(inputs)], begin + len(inputs)

    return task, task.rollout(forward, batch, None), outputs


def test_a_choice_is_the_likeliest_edge_of_the_current_node() -> None:
    """Digits alone would say 8 8 8; of the edges of 1, the one to 3 has the largest sum, and 3 has one edge."""
    says = {0: {8: 9.0, 18: 9.0, 28: 9.0, 16: 1.5, 22: 1.0, 23: 0.9}}
    task, played, outputs = on_the_diamond(says)
    assert played.mask is not None
    assert played.choices is not None
    first = int(np.argmax(played.mask[:, 0]))
    assert sorted(played.choices[first, 0].tolist()) == [[1, 5, 2], [1, 6, 3], [1, 7, 4]]
    assert played.choices[first + 1, 0].tolist() == [[3, 5, 9], [-1] * 3, [-1] * 3]
    assert played.choices[first + 2, 0].tolist() == [[0, 0, 0], [-1] * 3, [-1] * 3]
    assert (played.choices[:first] == -1).all()
    assert played.targets[first:, 0].tolist() == [[1, 6, 3], [3, 5, 9], [0, 0, 0]]
    assert given_labels(played, outputs)[first:, 0].tolist() == [[1, 6, 3], [3, 5, 9], [0, 0, 0]]
    assert not errors(outputs, played.targets, played.choices)[first:].any()
    assert "wanted 1 6 3, got 1 6 3\n" in task.describe(played, outputs, 0)
    logits = np.array([1.0, 2.4, 0.0])
    nats, count, _ = cross_entropy(outputs, played.targets, played.mask, played.choices)
    assert count == 3
    assert nats == pytest.approx(np.log(np.exp(logits).sum()) / 3 - 2.4 / 3)


def test_a_detour_is_an_error_and_a_dead_end_is_not_trained_on() -> None:
    """From 1 to 4, then back: wrong once, and what the model has left to choose afterwards is trained on."""
    _, played, outputs = on_the_diamond({0: {17: 5.0}, 2: {15: 1.0}})
    assert played.mask is not None
    first = int(np.argmax(played.mask[:, 0]))
    assert errors(outputs, played.targets, played.choices)[first:, 0, 0].tolist() == [True, False, False]
    assert played.targets[first + 1 :, 0].tolist() == [[4, 5, 1], [1, 5, 2]]
    dead_end = [Triple(1, 5, 2), Triple(1, 6, 3), Triple(3, 6, 4), Triple(4, 5, 3), Triple(2, 5, 9)]
    task, rng = ShortestPath(digits=1, lesson=1, planning=0, valid_edges=True), np.random.default_rng(0)
    batch = task.sequence(rng, dead_end, [task.between(rng, Graph(dead_end), 1, 9)])
    says_three = np.zeros(30)
    says_three[[16, 23]] = 1
    played = task.rollout(lambda x, state: (np.tile(says_three, (len(x), 1, 1)), None), batch, None)
    assert played.choices is not None
    assert played.choices[-2:, 0, 0].tolist() == [[0, 0, 0]] * 2


def test_the_gradient_of_choices_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(3)
    outputs = rng.standard_normal((4, 2, 3 * 10))
    choices = rng.integers(10, size=(4, 2, 5, 3))
    choices[0, 0, 2:] = choices[3, 1, 1:] = -1
    choices[1, 1, 3, :2] = choices[1, 1, 0, :2]  # two of them share classes
    targets = choices[:, :, 0].copy()
    targets[2, 1] = choices[2, 1, 4]
    counts = np.ones((4, 2), bool)
    counts[2, 0] = False
    choices[2, 0] = -1
    nats, count, gradient = cross_entropy(outputs, targets, counts, choices)
    assert count == 7
    probabilities = np.exp(outputs.reshape(4, 2, 3, 10)) / np.exp(outputs.reshape(4, 2, 3, 10)).sum(
        -1, keepdims=True
    )
    by_hand = 0.0
    for t, b in zip(*np.nonzero(counts), strict=True):
        each = [
            np.prod([probabilities[t, b, g, c] for g, c in enumerate(choice)])
            for choice in choices[t, b]
            if choice[0] >= 0
        ]
        right = np.prod([probabilities[t, b, g, c] for g, c in enumerate(targets[t, b])])
        by_hand -= np.log(right / sum(each)) / 7
    assert nats == pytest.approx(by_hand, rel=1e-12)
    for place in np.ndindex(outputs.shape):
        step = np.zeros_like(outputs)
        step[place] = 1e-6
        up, down = (cross_entropy(outputs + d, targets, counts, choices)[0] for d in (step, -step))
        assert gradient[place] == pytest.approx((up - down) / 2e-6, abs=1e-8)
    best = likeliest_choices(outputs, choices)
    assert best[3, 1].tolist() == choices[3, 1, 0].tolist()


def test_in_training_choices_are_valid_edges_too() -> None:
    task = dataclasses.replace(THREE[2], optimal_share=0.0)
    assert isinstance(task, ShortestPath)
    batch = draw_checked(task, np.random.default_rng(0), 20)
    noise = np.random.default_rng(1)
    forward = lambda x, state: (noise.standard_normal((*x.shape[:2], 90)), None)  # noqa: E731
    played = task.rollout(forward, batch, np.random.default_rng(2))
    assert played.choices is not None
    for row in range(20):
        for read in questions_of(played, row):
            at = read.asked[0][0]
            for fed in read.fed[1:]:
                assert (fed in read.edges and fed[0] == at) or fed == (0, 0, 0)
                at = fed[2] if fed != (0, 0, 0) else at
    assert played.mask is not None
    among = played.choices[played.mask]
    targets = played.targets[played.mask]
    assert (among == targets[:, None]).all(axis=2).any(axis=1).all()
    nothing = to_digits([(0, 0, 0)], 3)[0]
    ends = (targets == nothing).all(axis=1)
    assert (among[ends, 1:] == -1).all()


# The paper's lessons


@pytest.mark.parametrize(
    ("kind", "lessons"), [(ShortestPath, PAPER_SHORTEST_PATH), (Inference, PAPER_INFERENCE)]
)
def test_the_papers_lessons_can_be_drawn(kind: Any, lessons: Any) -> None:
    assert len(lessons) == {ShortestPath: 15, Inference: 17}[kind]
    for number, sizes in enumerate(lessons, 1):
        task = kind(lessons="paper", lesson=number, queries=3)
        assert task.sizes == sizes
        batch = draw_checked(task, np.random.default_rng(number), 4)
        for row in range(4):
            for read in questions_of(batch, row):
                assert sizes.nodes[0] <= len(read.nodes) <= sizes.nodes[1]
    assert kind(lessons="paper").sizes == lessons[-1] == kind().sizes
    assert kind(lessons="paper").resolved_settings["lesson"] == len(lessons)


def test_the_last_lesson_is_the_last_level() -> None:
    for lessons, last in (("ours", 9), ("paper", 15)):
        task = task_of(ShortestPath(lessons=lessons), grow="lesson")  # type: ignore[arg-type]
        task.move_to({**task.position(), "level": last})
        assert task.solved({"level": float(last), "sequence_error": 0.0, "loss": 0.0})
        assert not task.solved({"level": float(last - 1), "sequence_error": 0.0, "loss": 0.0})


# Planning


@pytest.mark.parametrize("kind", [ShortestPath, Inference])
def test_planning_takes_as_many_steps_as_edges_or_a_random_number(kind: Any) -> None:
    task = kind(lesson=1, planning="edges", queries=2)
    for row in range(10):
        for read in questions_of(draw_checked(task, np.random.default_rng(row), 1), 0):
            assert len(read.asked) == 1 + len(read.edges)
    settings = SequenceSettings(batch=200, evaluated=10)
    batch = SequenceTask("graphs", task, settings, 0).next_batch()
    shares = []
    for row in range(200):
        for read in questions_of(batch, row):
            assert 2 <= len(read.asked) <= 1 + len(read.edges)
            shares.append((len(read.asked) - 2) / (len(read.edges) - 1))
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)
    assert (min(shares), max(shares)) == (0, 1)
    (held_out,) = SequenceTask("graphs", task, settings, 0).evaluation_batches()
    for row in range(10):
        for read in questions_of(held_out, row):
            assert len(read.asked) == 1 + len(read.edges)


def test_planning_takes_as_many_steps_as_the_path_has_edges() -> None:
    task = ShortestPath(lesson=9, planning="path", queries=3, hints=1.0, valid_edges=True)
    for drawn in (task, task.for_training):
        batch = draw_checked(drawn, np.random.default_rng(0), 20)
        lengths = set()
        for row in range(20):
            for read in questions_of(batch, row):
                (start, _, end), *planning = read.asked
                graph = Graph(Triple(*edge) for edge in read.edges)
                assert len(planning) == graph.distances_to(end)[start] == len(read.answers) - 1
                lengths.add(len(planning))
        assert lengths == {2, 3, 4, 5}
    assert draw_checked(task.for_training, np.random.default_rng(0), 1).hints is not None
