"""Hints: in training, planning steps may be told what to output; scores never are."""

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest

from numdnc.errors import UserError
from numdnc.tasks import Batch
from numdnc.tasks.graphs import Inference, ShortestPath
from numdnc.tasks.graphs.encoding import ANSWER, PHASE, decode, to_labels
from numdnc.tasks.graphs.graph import Graph, Triple
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.tasks.sequences import draw_checked
from numdnc.tasks.targets import cross_entropy

TWO_WAYS = [
    Triple(1, 5, 2),
    Triple(1, 6, 3),
    Triple(2, 5, 9),
    Triple(3, 7, 9),
    Triple(9, 5, 1),
    Triple(8, 4, 9),
]
"""From 1 to 9 by 2 or by 3; 8 leads to 9 too, and a search from 9 finds it, though nothing leads to 8."""

Hint = tuple[int, tuple[int, ...], tuple[int, ...]]


def hinted(task: Any, count: int) -> tuple[Batch, list[list[tuple[Graph, list[int], list[list[int]], int]]]]:
    """Sequences for training; for each its questions: graph, question, hints, number of planning steps."""
    batch = draw_checked(task.for_training, np.random.default_rng(0), count)
    assert batch.mask is not None
    found = []
    for row in range(count):
        inputs, mask = batch.inputs[:, row], batch.mask[:, row]
        labels, starts = decode(inputs), np.flatnonzero(inputs[:, PHASE])
        graph = Graph(Triple(*triple) for triple in labels[: starts[0]].tolist())
        questions = []
        for begin in starts:
            answer = begin + int(np.argmax(inputs[begin:, ANSWER]))
            due = begin + 1 + np.flatnonzero(mask[begin + 1 : answer])
            assert due.tolist() == list(range(begin + 1, begin + 1 + len(due)))
            hints = [to_labels(step).tolist() for step in batch.targets[due, row]]
            questions.append((graph, labels[begin].tolist(), hints, int(answer - begin - 1)))
        found.append(questions)
    return batch, found


def test_hints_of_inference_are_the_edges_that_the_relation_stands_for() -> None:
    task = Inference(lesson=4, queries=3, hints=1.0)
    _, found = hinted(task, 30)
    lengths = Counter[int]()
    for graph, (start, relation, _), hints, planning in chain(*found):
        path = graph.walk(start, task.meanings[relation])
        assert path is not None
        assert hints == [list(edge) for edge in path]
        assert planning == 10
        lengths[len(hints)] += 1
    assert sorted(lengths) == [2, 3, 4, 5]


def test_hints_of_shortest_path_are_a_search_from_the_end() -> None:
    task = ShortestPath(lesson=6, queries=2, hints=1.0, valid_edges=True)
    _, found = hinted(task, 40)
    lengths = Counter[int]()
    for graph, (start, _, end), hints, _ in chain(*found):
        to_end = graph.distances_to(end)
        assert len(hints) == to_end[start]
        for level, hint in enumerate(hints, 1):
            edge = Triple(*hint)
            assert edge in graph.triples
            assert (to_end[edge.source], to_end[edge.destination]) == (level, level - 1)
        assert hints[-1][0] == start
        lengths[len(hints)] += 1
    assert sorted(lengths) == [2, 3, 4]


def test_every_edge_of_a_level_is_a_hint_as_often() -> None:
    task, rng = ShortestPath(lesson=1, digits=1), np.random.default_rng(0)
    graph = Graph(TWO_WAYS)
    question = task.between(rng, graph, 1, 9)
    seen = Counter(tuple(task.hints_of(rng, graph, question)) for _ in range(600))
    first, second = Counter[Triple](), Counter[Triple]()
    for (near, far), count in seen.items():
        first[near] += count
        second[far] += count
    assert set(first) == {Triple(2, 5, 9), Triple(3, 7, 9), Triple(8, 4, 9)}
    assert set(second) == {Triple(1, 5, 2), Triple(1, 6, 3)}
    for level in (first, second):
        for count in level.values():
            assert count / 600 == pytest.approx(1 / len(level), abs=0.08)


@pytest.mark.parametrize("kind", [ShortestPath, Inference])
def test_a_share_of_the_graphs_has_hints(kind: Any) -> None:
    _, found = hinted(kind(lesson=2, queries=2, hints=0.25), 400)
    shares = [[bool(hints) for _, _, hints, _ in questions] for questions in found]
    assert all(first == second for first, second in shares)
    assert np.mean(shares) == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize("kind", [ShortestPath, Inference])
def test_what_is_held_out_has_no_hints(kind: Any) -> None:
    settings = SequenceSettings(batch=4, evaluated=40)
    plain, told = (SequenceTask("graphs", kind(lesson=2, hints=hints), settings, 0) for hints in (0.0, 1.0))
    for expected, got in zip(plain.evaluation_batches(), told.evaluation_batches(), strict=True):
        for before, after in zip(expected, got, strict=True):
            np.testing.assert_array_equal(before, after)
    batch = told.next_batch()
    assert batch.mask is not None
    assert (batch.mask & (batch.inputs[..., ANSWER] == 0)).any()


@pytest.mark.parametrize("kind", [ShortestPath, Inference])
def test_hints_that_do_not_fit_are_left_out(kind: Any) -> None:
    for planning in (1, 2, "edges"):
        lengths = Counter[int]()
        _, found = hinted(kind(lesson=3, hints=1.0, planning=planning), 60)
        for _, _, hints, steps in chain(*found):
            assert len(hints) <= steps
            lengths[steps - len(hints)] += 1
        assert lengths[0] > 0
        if planning == 1:
            assert set(lengths) == {0}


def test_a_step_without_choices_is_as_many_predictions_as_it_has_classes() -> None:
    """The first step is a choice between two, the second has three classes: the mean of four predictions."""
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((2, 1, 3 * 10))
    targets = np.array([[[4, 0, 7]], [[1, 2, 3]]])
    choices = np.full((2, 1, 2, 3), -1)
    choices[0, 0] = [[4, 0, 7], [4, 1, 9]]
    counts = np.ones((2, 1), bool)
    logits = outputs.reshape(2, 3, 10)
    right, other = (sum(logits[0, place, digit] for place, digit in enumerate(c)) for c in choices[0, 0])
    nats = [np.log1p(np.exp(other - right))]
    for place, digit in enumerate(targets[1, 0]):
        nats.append(np.log(np.exp(logits[1, place]).sum()) - logits[1, place, digit])
    got, number, gradient = cross_entropy(outputs, targets, counts, choices)
    assert number == 4
    assert got == pytest.approx(np.mean(nats))
    for at in np.ndindex(outputs.shape):
        shifted = [outputs.copy() for _ in range(2)]
        shifted[0][at] -= 1e-5
        shifted[1][at] += 1e-5
        low, high = (cross_entropy(each, targets, counts, choices)[0] for each in shifted)
        assert gradient[at] == pytest.approx((high - low) / 2e-5, abs=1e-9)


@pytest.mark.parametrize("valid_edges", [False, True])
def test_choices_leave_hints_as_they_are(valid_edges: bool) -> None:
    """A rollout changes the answers alone, and the loss of both is what the parts have."""
    settings = SequenceSettings(batch=3, evaluated=10)
    task = SequenceTask("paths", ShortestPath(lesson=2, hints=1.0, valid_edges=valid_edges), settings, 0)
    batch = task.next_batch()
    rng = np.random.default_rng(1)
    outputs = rng.standard_normal((*batch.targets.shape[:2], task.output_size))

    def forward(inputs: Any, state: Any, lengths: Any = None) -> Any:
        begin = state or 0
        return outputs[begin : begin + len(inputs)], begin + len(inputs)

    played = task.rollout(forward, batch)
    assert batch.mask is not None
    hints = batch.mask & (batch.inputs[..., ANSWER] == 0)
    np.testing.assert_array_equal(played.targets[hints], batch.targets[hints])
    np.testing.assert_array_equal(played.inputs[hints], batch.inputs[hints])
    nats, number, _ = task.loss(outputs, played)
    parts = [task.loss(outputs, played._replace(mask=mask)) for mask in (hints, batch.mask & ~hints)]
    assert number == sum(count for _, count, _ in parts)
    assert nats == pytest.approx(sum(loss * count for loss, count, _ in parts) / number)


@pytest.mark.parametrize("kind", [ShortestPath, Inference])
def test_settings_of_hints_are_checked(kind: Any) -> None:
    for share in (-0.1, 1.1):
        with pytest.raises(UserError, match=rf"hints must lie in \[0, 1\], got {share}"):
            kind(hints=share)
    with pytest.raises(UserError, match="planning must be at least 1 where hints are given"):
        kind(hints=0.5, planning=0)
