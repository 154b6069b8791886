"""Hints: in training, planning steps may be told what to output; scores never are."""

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest

from numdnc.errors import UserError
from numdnc.tasks import Batch
from numdnc.tasks.graphs import Inference, ShortestPath
from numdnc.tasks.graphs.encoding import ANSWER, PHASE, decode, one_hot
from numdnc.tasks.graphs.graph import Graph, Triple
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.tasks.sequences import draw_checked, pad_and_concat, single_sequence
from numdnc.tasks.targets import divergence_from_hints

TWO_WAYS = [
    Triple(1, 5, 2),
    Triple(1, 6, 3),
    Triple(2, 5, 9),
    Triple(3, 7, 9),
    Triple(9, 5, 1),
    Triple(8, 4, 9),
]
"""From 1 to 9 by 2 or by 3; 8 leads to 9 too, and a search from 9 finds it, though nothing leads to 8."""


def hinted(task: Any, count: int) -> list[list[tuple[Graph, list[int], Any, int]]]:
    """Sequences for training; for each its questions: graph, question, hints (steps, Y), number of planning steps."""
    batch = draw_checked(task.for_training, np.random.default_rng(0), count)
    hints = np.zeros((*batch.targets.shape[:2], task.output_size)) if batch.hints is None else batch.hints
    assert batch.mask is not None
    np.testing.assert_array_equal(batch.mask, batch.inputs[..., ANSWER] > 0)
    found = []
    for row in range(count):
        inputs = batch.inputs[:, row]
        labels, starts = decode(inputs), np.flatnonzero(inputs[:, PHASE])
        graph = Graph(Triple(*triple) for triple in labels[: starts[0]].tolist())
        questions, seen = [], 0
        for begin in starts:
            answer = begin + int(np.argmax(inputs[begin:, ANSWER]))
            due = begin + 1 + np.flatnonzero(hints[begin + 1 : answer, row].any(axis=1))
            assert due.tolist() == list(range(begin + 1, begin + 1 + len(due)))
            questions.append((graph, labels[begin].tolist(), hints[due, row], int(answer - begin - 1)))
            seen += len(due)
        assert seen == hints[:, row].any(axis=1).sum()
        found.append(questions)
    return found


def test_hints_of_inference_are_the_edges_that_the_relation_stands_for() -> None:
    task = Inference(lesson=4, queries=3, hints=1.0)
    lengths = Counter[int]()
    for graph, (start, relation, _), hints, planning in chain(*hinted(task, 30)):
        path = graph.walk(start, task.meanings[relation])
        assert path is not None
        np.testing.assert_array_equal(hints, one_hot(path, 3))
        assert planning == 10
        lengths[len(hints)] += 1
    assert sorted(lengths) == [2, 3, 4, 5]


def test_hints_of_shortest_path_are_a_search_from_the_end() -> None:
    task = ShortestPath(lesson=6, queries=2, hints=1.0, valid_edges=True)
    lengths = Counter[int]()
    for graph, (start, _, end), hints, _ in chain(*hinted(task, 40)):
        to_end = graph.distances_to(end)
        assert len(hints) == to_end[start]
        for level, hint in enumerate(hints, 1):
            edges = [
                edge
                for edge in graph.triples
                if (to_end.get(edge.source), to_end.get(edge.destination)) == (level, level - 1)
                and (level < len(hints) or edge.source == start)
            ]
            np.testing.assert_allclose(hint, np.mean(one_hot(edges, 3), axis=0), rtol=1e-6)
        lengths[len(hints)] += 1
    assert sorted(lengths) == [2, 3, 4]


def test_a_level_of_the_search_has_all_its_edges() -> None:
    task, graph = ShortestPath(lesson=1, digits=1), Graph(TWO_WAYS)
    first, second = task.hints_of(graph, task.between(np.random.default_rng(0), graph, 1, 9))
    assert set(first) == {Triple(2, 5, 9), Triple(3, 7, 9), Triple(8, 4, 9)}
    assert set(second) == {Triple(1, 5, 2), Triple(1, 6, 3)}


@pytest.mark.parametrize("kind", [ShortestPath, Inference])
def test_a_share_of_the_graphs_has_hints(kind: Any) -> None:
    found = hinted(kind(lesson=2, queries=2, hints=0.25), 400)
    shares = [[len(hints) > 0 for _, _, hints, _ in questions] for questions in found]
    assert all(first == second for first, second in shares)
    assert np.mean(shares) == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize("kind", [ShortestPath, Inference])
def test_what_is_held_out_has_no_hints(kind: Any) -> None:
    settings = SequenceSettings(batch=4, evaluated=40)
    plain, told = (SequenceTask("graphs", kind(lesson=2, hints=hints), settings, 0) for hints in (0.0, 1.0))
    for expected, got in zip(plain.evaluation_batches(), told.evaluation_batches(), strict=True):
        for before, after in zip(expected, got, strict=True):
            np.testing.assert_array_equal(before, after)
        assert after is None  # the last field: hints
    assert told.next_batch().hints is not None


@pytest.mark.parametrize("kind", [ShortestPath, Inference])
def test_hints_that_do_not_fit_are_left_out(kind: Any) -> None:
    for planning in (1, 2, "edges"):
        lengths = Counter[int]()
        for _, _, hints, steps in chain(*hinted(kind(lesson=3, hints=1.0, planning=planning), 60)):
            assert len(hints) <= steps
            lengths[steps - len(hints)] += 1
        assert lengths[0] > 0
        if planning == 1:
            assert set(lengths) == {0}


def test_the_divergence_is_that_of_each_group_from_its_hint() -> None:
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((3, 2, 2 * 4))
    hints = rng.dirichlet([1.0] * 4, size=(3, 2, 2)).reshape(3, 2, 8)
    hints[1] = 0
    hints[2, 0, :4] = [0, 1, 0, 0]
    nats = []
    for step, row in ((0, 0), (0, 1), (2, 0), (2, 1)):
        for group in (slice(0, 4), slice(4, 8)):
            wanted, logits = hints[step, row, group], outputs[step, row, group]
            said = np.exp(logits) / np.exp(logits).sum()
            nats.append(sum(p * np.log(p / q) for p, q in zip(wanted, said, strict=True) if p > 0))
    got, number, gradient = divergence_from_hints(outputs, hints, 2)
    assert number == 4
    assert got == pytest.approx(np.mean(nats))
    for at in np.ndindex(outputs.shape):
        shifted = [outputs.copy() for _ in range(2)]
        shifted[0][at] -= 1e-5
        shifted[1][at] += 1e-5
        low, high = (divergence_from_hints(each, hints, 2)[0] for each in shifted)
        assert gradient[at] == pytest.approx((high - low) / 2e-5, abs=1e-9)


def test_what_outputs_the_hints_diverges_from_none() -> None:
    hints = np.array([[[0.5, 0.5, 0, 0.25, 0.75, 0]]])
    nats, _, gradient = divergence_from_hints(np.log(np.maximum(hints, 1e-12)), hints, 2)
    assert nats == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(gradient, 0, atol=1e-9)
    far = np.array([[[-200.0, 200, 0, 0, 0, 0]]])
    nats, _, gradient = divergence_from_hints(far, hints, 2)
    assert np.isfinite(nats)
    assert np.isfinite(gradient).all()
    nats, number, gradient = divergence_from_hints(far, np.zeros_like(hints), 2)
    assert (nats, number) == (0, 0)
    assert not gradient.any()


@pytest.mark.parametrize("valid_edges", [False, True])
def test_the_loss_is_the_mean_over_answers_and_hints(valid_edges: bool) -> None:
    """A rollout changes the answers alone; a hint counts as much as a step of an answer, one choice or nine digits."""
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
    assert played.hints is not None
    np.testing.assert_array_equal(played.hints, batch.hints)
    nats, number, gradient = task.loss(outputs, played)
    of_answers, answers, d_answers = task.loss(outputs, played._replace(hints=None))
    of_hints, hints, d_hints = divergence_from_hints(outputs, played.hints, 9)
    assert answers == batch.mask.sum() * (1 if valid_edges else 9)
    assert hints == played.hints.any(axis=2).sum()
    hints *= 1 if valid_edges else 9
    assert number == answers + hints
    assert nats == pytest.approx((of_answers * answers + of_hints * hints) / number)
    np.testing.assert_allclose(gradient, (d_answers * answers + d_hints * hints) / number, rtol=1e-12)


def test_hints_stay_beside_their_sequences() -> None:
    """Where a held-out sequence is drawn again, and where batches of several lengths are put side by side."""
    task = ShortestPath(lesson=2, hints=0.5)
    batch = draw_checked(task.for_training, np.random.default_rng(0), 8)
    assert batch.hints is not None
    rows = [single_sequence(batch, row) for row in range(8)]
    assert 0 < sum(bool(row.hints is not None and row.hints.any()) for row in rows) < 8
    again = pad_and_concat(
        [row if row.hints is not None and row.hints.any() else row._replace(hints=None) for row in rows]
    )
    np.testing.assert_array_equal(again.hints, batch.hints[: len(again.inputs)])
    np.testing.assert_array_equal(batch.rows(slice(2, 5)).hints, batch.hints[:, 2:5])


@pytest.mark.parametrize("kind", [ShortestPath, Inference])
def test_settings_of_hints_are_checked(kind: Any) -> None:
    for share in (-0.1, 1.1):
        with pytest.raises(UserError, match=rf"hints must lie in \[0, 1\], got {share}"):
            kind(hints=share)
    with pytest.raises(UserError, match=r"planning must be at least 1 with hints of 0\.5"):
        kind(hints=0.5, planning=0)


HALVES = np.full((1, 1, 4), 0.5)


@pytest.mark.parametrize(
    ("hints", "targets", "problem"),
    [
        (HALVES[..., :3], np.zeros((1, 1, 2), int), r"hints \(1, 1, 4\) of floats, or None, got \(1, 1, 3\)"),
        (HALVES.astype(int), np.zeros((1, 1, 2), int), "hints .* of floats"),
        ([[0.5] * 4], np.zeros((1, 1, 2), int), "hints .* of floats, or None, got list"),
        (HALVES, np.zeros((1, 1, 4)), "hints only where targets are integers"),
        (HALVES, np.zeros((1, 1), int), "hints that are probabilities, which add up to 1 in each group"),
        (HALVES * [1, 1, 1, 0], np.zeros((1, 1, 2), int), "hints that are probabilities"),
        (HALVES * [3, -1, 1, 1], np.zeros((1, 1, 2), int), "hints that are probabilities"),
        (HALVES * [np.nan, 1, 1, 1], np.zeros((1, 1, 2), int), "hints that are probabilities"),
    ],
)
def test_hints_of_a_task_of_ones_own_are_checked(hints: Any, targets: Any, problem: str) -> None:
    class Own:
        input_size, output_size = 1, 4

        def draw(self, rng: np.random.Generator, batch: int) -> Batch:
            return Batch(np.zeros((1, 1, 1), np.float32), targets, hints=hints)

    with pytest.raises(UserError, match=problem):
        draw_checked(Own(), np.random.default_rng(0), 1)


def test_right_hints_of_a_task_of_ones_own_are_taken() -> None:
    class Own:
        input_size, output_size = 1, 4

        def draw(self, rng: np.random.Generator, batch: int) -> Batch:
            hints = np.stack([HALVES[0], 0 * HALVES[0]])
            return Batch(np.zeros((2, 1, 1), np.float32), np.zeros((2, 1, 2), int), hints=hints)

    assert draw_checked(Own(), np.random.default_rng(0), 1).hints is not None


@pytest.mark.parametrize("kind", [ShortestPath, Inference])
def test_held_out_sequences_need_not_be_looked_for(kind: Any) -> None:
    """Graphs of three digits never repeat, with hints or without."""
    task = kind(lesson=1, hints=1.0)
    assert task.for_training.repeats is task.repeats is False


def test_held_out_sequences_are_looked_for_where_they_may_repeat() -> None:
    assert ShortestPath(lesson=1, digits=1, hints=1.0).for_training.repeats  # type: ignore[attr-defined]
