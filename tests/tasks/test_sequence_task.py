"""Tasks of separate sequences: what is drawn, what counts, how it is scored, and how a curriculum goes on."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numdnc import LSTMSpec, RNNSpec, UserError
from numdnc.tasks import Batch
from numdnc.tasks.bits import Copy, RepeatCopy
from numdnc.tasks.curriculum import Curriculum
from numdnc.tasks.graphs import Inference, ShortestPath, Traversal
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.tasks.sequences import draw_checked, pad_and_concat, single_sequence
from numdnc.training.events import Finished, Report
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, new_run

SMALL = Copy(width=2, max_length=3)


@dataclass(frozen=True)
class Classes:
    """Name the class that was shown, of 3; a step more shows nothing and asks for nothing."""

    lengths: int = 4
    input_size = 3
    output_size = 3

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        symbols = rng.integers(3, size=(self.lengths, batch))
        mask = np.ones(symbols.shape, bool)
        mask[-1] = False
        return Batch(symbols, symbols, mask=mask)


def task_of(episodes: Any = SMALL, seed: int = 0, **settings: Any) -> SequenceTask:
    return SequenceTask(
        "a test", episodes, SequenceSettings(**{"batch": 5, "evaluated": 70, **settings}), seed
    )


def same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def right(task: SequenceTask, wrong: Any = lambda batch: False, size: float = 40.0) -> Any:
    """A model that knows the answers, but for the predictions that `wrong` says, (T, B, Y) or (T, B)."""
    batches = iter([*task.evaluation_batches()] * 9)

    def forward(inputs: Any, state: Any, lengths: Any = None) -> Any:
        assert state is None
        batch = next(batches)
        np.testing.assert_array_equal(inputs, batch.inputs)
        targets = np.eye(3)[batch.targets] if batch.targets.ndim == 2 else batch.targets
        flips = wrong(batch)
        flipped = np.where(flips, 1 - targets, targets)
        return np.where(flipped > 0.5, size, -size), None

    return forward


def test_training_goes_on_from_a_position_as_if_it_had_never_stopped() -> None:
    task = task_of(seed=3)
    task.next_batch()
    place = json.loads(json.dumps(task.position()))
    expected = [task.next_batch() for _ in range(3)]
    again = task_of(seed=3)
    again.move_to(place)
    assert all(map(same, expected, [again.next_batch() for _ in range(3)]))
    assert not same(expected[0], expected[1])
    assert not same(task_of(seed=4).next_batch(), task_of(seed=3).next_batch())


def sequences_of(batches: Iterable[Batch]) -> list[bytes]:
    """The inputs of every sequence, without padding."""
    return [
        single_sequence(batch, row).inputs.tobytes()
        for batch in batches
        for row in range(batch.inputs.shape[1])
    ]


@pytest.mark.parametrize("grow", ["", "max_length"])
def test_none_of_the_sequences_scored_on_is_trained_on(grow: str) -> None:
    """On no level, though short ones are drawn on all of them; what else is drawn stays as it was."""
    episodes = Copy(width=10, max_length=4)
    task = task_of(episodes, grow=grow, grow_by=2, batch=40, easier=0.5)
    levels = [Copy(width=10, max_length=length) for length in ((1, 3, 4) if grow else (4,))]
    scored = {one for level in levels for one in sequences_of(task.evaluation_batches(level))}
    batches = []
    for level in levels:
        if grow:
            task.move_to({**task.position(), "level": level.max_length})
        batches += [task.next_batch() for _ in range(30)]
    assert not scored & set(sequences_of(batches))
    assert {len(one) for one in sequences_of(batches)} == {len(one) for one in scored}
    assert task.overlap == 0
    if not grow:
        rng = np.random.default_rng([0, 0])
        free = [draw_checked(episodes, rng, 40) for _ in range(30)]
        assert scored & set(sequences_of(free))
        first = next(number for number, batch in enumerate(free) if scored & set(sequences_of([batch])))
        assert all(map(same, batches[:first], free[:first]))
        before, after = sequences_of([free[first]]), sequences_of([batches[first]])
        assert [old == new for old, new in zip(before, after, strict=True)] == [
            old not in scored for old in before
        ]


def test_where_few_sequences_exist_all_are_trained_on_and_the_share_is_known() -> None:
    task, again = (task_of(RepeatCopy(), evaluated=256, batch=400) for _ in range(2))
    assert 0.5 < task.overlap < 0.8  # 0.61 of 10^6
    scored = set(sequences_of(task.evaluation_batches()))
    trained = sequences_of([task.next_batch()])
    assert 0.5 < sum(one in scored for one in trained) / len(trained) < 0.75
    assert same(again.next_batch(), draw_checked(RepeatCopy(), np.random.default_rng([0, 0]), 400))


def test_labels_tell_whether_graphs_can_come_twice() -> None:
    assert not any(graphs(lesson=1).repeats for graphs in (Traversal, ShortestPath, Inference))
    small = Traversal(lesson=1, digits=1, max_nodes=3, max_degree=2)
    assert small.repeats
    task = task_of(small, evaluated=30, batch=20)
    assert not set(sequences_of(task.evaluation_batches())) & set(
        sequences_of(task.next_batch() for _ in range(5))
    )


def test_the_sequences_to_be_scored_on_stay_the_same_and_are_not_those_trained_on() -> None:
    task = task_of(batch=64)
    first = list(task.evaluation_batches())
    assert [batch.inputs.shape[1] for batch in first] == [64, 6]
    trained = task.next_batch()
    assert all(map(same, first, task.evaluation_batches()))
    assert not same(trained, first[0])
    assert not same(first[0], next(task_of(seed=1).evaluation_batches()))


def test_a_single_sequence_is_the_one_of_its_number() -> None:
    task = task_of()
    whole = pad_and_concat(list(task.evaluation_batches()))
    for number in (0, 5, 63, 64, 69):
        one = task.sequence(number)
        steps = len(one.inputs)
        np.testing.assert_array_equal(one.inputs[:, 0], whole.inputs[:steps, number])
        np.testing.assert_array_equal(one.targets[:, 0], whole.targets[:steps, number])
        assert not whole.inputs[steps:, number].any()
    with pytest.raises(UserError, match=r"must be one of 0\.\.69, the held-out ones, got 70"):
        task.sequence(70)


def test_a_loss_counts_the_bits_of_the_mask_alone() -> None:
    task = task_of()
    batch = task.next_batch()
    assert batch.mask is not None
    outputs = np.where(batch.mask[:, :, None], [0.0, 0.0], 50.0)
    nats, count, d_outputs = task.loss(outputs, batch)
    assert nats == pytest.approx(math.log(2))
    assert count == 2 * batch.mask.sum()
    assert not d_outputs[~batch.mask].any()
    np.testing.assert_allclose(d_outputs[batch.mask], (0.5 - batch.targets[batch.mask]) / count, rtol=1e-6)


def test_a_loss_of_classes_is_the_softmax_cross_entropy() -> None:
    task = task_of(Classes())
    batch = task.next_batch()
    nats, count, d_outputs = task.loss(np.zeros((4, 5, 3)), batch)
    assert (nats, count) == (pytest.approx(math.log(3)), 3 * 5)
    assert d_outputs[-1].any() == 0
    assert task.target_kind == "classes"
    assert task_of().target_kind == "bits"


@pytest.mark.parametrize("episodes", [SMALL, Classes()], ids=["bits", "classes"])
def test_who_knows_every_answer_has_no_error(episodes: Any) -> None:
    task = task_of(episodes)
    scores = task.score(right(task))
    assert list(scores) == ["loss", "bit_error", "sequence_error"]
    assert scores == {"loss": pytest.approx(0, abs=1e-12), "bit_error": 0, "sequence_error": 0}
    assert task.solved(scores)
    assert task.score(right(task, size=0.1))["bit_error"] == 0


def test_errors_are_shares_of_bits_and_of_sequences() -> None:
    """One sequence is all wrong where it counts, and every one is wrong where it does not."""
    task = task_of(Copy(width=2, min_length=3, max_length=3))

    def wrong(batch: Batch) -> Any:
        assert batch.mask is not None
        counts = batch.mask[:, :, None]
        return ~counts | (counts & (np.arange(batch.mask.shape[1]) == 5)[None, :, None])

    scores = task.score(right(task, wrong))
    assert scores["bit_error"] == pytest.approx(2 / 70)  # the sixth of both batches
    assert scores["sequence_error"] == pytest.approx(2 / 70)
    assert scores["loss"] == pytest.approx(40 * 2 / 70)

    one_bit = lambda batch: (np.arange(8)[:, None, None] == 5) & (np.arange(2) == 1)  # noqa: E731
    scores = task.score(right(task, one_bit))
    assert (scores["bit_error"], scores["sequence_error"]) == (pytest.approx(1 / 6), 1)


def test_a_wrong_class_is_one_error() -> None:
    task = task_of(Classes())
    scores = task.score(right(task, lambda batch: np.arange(4)[:, None, None] == 1))
    assert (scores["bit_error"], scores["sequence_error"]) == (pytest.approx(1 / 3, abs=0.2), 1)


def test_a_run_is_solved_without_errors_or_at_a_loss() -> None:
    scores = {"loss": 1e-4, "bit_error": 0.0, "sequence_error": 0.0}
    assert task_of().solved(scores)
    assert not task_of().solved(scores | {"sequence_error": 1 / 70})
    assert task_of(solved_at=1e-4).solved(scores | {"sequence_error": 1.0})
    assert not task_of(solved_at=9e-5).solved(scores)


GROWING = {"grow": "max_length", "grow_from": 1, "grow_by": 2, "pass_at": 0.25}
LONG = Copy(width=2, max_length=6)


def lengths(batch: Batch) -> Any:
    """How many vectors each sequence of a copy has."""
    assert batch.mask is not None
    return batch.mask.sum(axis=0)


def unsure(inputs: Any, state: Any, lengths: Any = None) -> Any:
    return np.zeros((*inputs.shape[:2], 2)), None


def test_a_level_is_passed_at_its_error_and_the_last_is_the_task() -> None:
    task, levels = task_of(LONG, **GROWING), []
    for error in (0.3, 0.25, 0.26, 0.0, 0.1, 0.0):
        scores = task.score(unsure)
        assert list(scores) == ["loss", "bit_error", "sequence_error", "level"]
        levels.append(scores["level"])
        task.on_scores(scores | {"sequence_error": error})
    assert levels == [1, 1, 3, 3, 5, 6]  # the next would be 7, but the task ends at 6
    assert task.position()["level"] == 6
    assert "level" not in task_of(LONG, **GROWING).score(unsure, whole=True)


def test_levels_can_double() -> None:
    task = task_of(replace(LONG, max_length=20), **GROWING | {"grow_from": 3}, double=True, fall_at=0.5)
    levels = []
    for error in (0.0, 0.0, 0.2, 0.4, 0.6, 0.0, 0.0):
        levels.append(task.position()["level"])
        task.on_scores(task.score(unsure) | {"sequence_error": error})
    assert levels == [3, 6, 12, 20, 20, 12, 20]
    assert [level.max_length for level in task_of(LONG, **GROWING, double=True)._curriculum.levels] == [
        1,
        2,
        4,
        6,
    ]  # type: ignore[union-attr]


def test_levels_that_double_from_nothing_end_too() -> None:
    with pytest.raises(UserError, match="max_length must be at least 1, got 0"):
        task_of(LONG, **GROWING | {"grow_from": 0}, double=True)


def test_a_level_is_lost_where_its_error_rises_after_it_was_low() -> None:
    task, levels = task_of(LONG, **GROWING, fall_at=0.5), []
    errors = (
        *(0.9, 0.2),  # new to level 1, then passed
        *(0.9, 0.6, 0.4, 0.6),  # new to 3: no fall until it was at most .5
        *(0.7, 0.7, 0.2),  # back on 1, which must first be held again
        *(0.1, 0.1),  # 3 and 5 are passed
        *(0.8, 0.5, 0.51),  # 6, the last, is lost to 5 in the same way
        *(0.5, 0.6),  # and so is 5
    )
    for error in errors:
        levels.append(task.position()["level"])
        place = json.loads(json.dumps(task.position()))  # all that this needs is saved
        task = task_of(LONG, **GROWING, fall_at=0.5)
        task.move_to(place)
        task.on_scores({"level": float(levels[-1]), "sequence_error": error})
    assert levels == [1, 1, 3, 3, 3, 3, 1, 1, 1, 3, 5, 6, 6, 6, 5, 5]
    assert task.position()["level"] == 3
    never = task_of(LONG, **GROWING)
    never.move_to(task.position() | {"level": 5})
    never.on_scores({"level": 5.0, "sequence_error": 1.0})
    assert never.position()["level"] == 5


def test_the_first_level_is_never_lost() -> None:
    task = task_of(LONG, **GROWING, fall_at=0.5)
    for error in (0.4, 0.9, 0.9):
        task.on_scores({"level": 1.0, "sequence_error": error})
    assert task.position()["level"] == 1


def test_a_position_of_before_there_was_falling_is_understood() -> None:
    task = task_of(LONG, **GROWING, fall_at=0.5)
    old = task.position()
    del old["held"]
    task.move_to(old | {"level": 5})
    task.on_scores({"level": 5.0, "sequence_error": 0.9})
    assert task.position()["level"] == 5


def test_who_knows_all_levels_is_done_on_the_first() -> None:
    """Both the level and the whole task are scored, and both without error."""
    task = task_of(LONG, **GROWING)
    all_of = *task.evaluation_batches(), *task.evaluation_batches(Copy(width=2, max_length=1))
    knows = {batch.inputs.tobytes(): batch for batch in all_of}

    def forward(inputs: Any, state: Any, lengths: Any = None) -> Any:
        return np.where(knows[inputs.tobytes()].targets > 0.5, 40.0, -40.0), None

    scores = task.score(forward)
    assert (scores["level"], scores["sequence_error"]) == (6, 0)
    assert task.solved(scores)
    task.on_scores(scores)
    assert task.position()["level"] == 6
    assert not task_of(LONG, **GROWING).solved(scores | {"level": 5.0})


def test_the_best_score_is_that_of_the_latest_level(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, task_of(LONG, **GROWING), steps=12)
    given = iter([(1.0, 1.0), (3.0, 2.0), (3.0, 3.0), (1.0, 0.5)])

    def score(forward: Any, whole: bool = False) -> dict[str, float]:
        level, loss = next(given)
        return {"loss": loss, "bit_error": 1.0, "sequence_error": 1.0, "level": level}

    task.score = score  # type: ignore[method-assign, assignment]
    reports(train(run, task, folder))
    assert (run.best_iteration, run.best_score, run.best_level) == (6, 2.0, 3.0)
    assert folder.load_best().best_level == 3.0


def test_sequences_are_those_of_the_level_and_a_share_of_earlier_ones() -> None:
    task = task_of(LONG, **GROWING, batch=4000, easier=0.4)
    assert set(lengths(task.next_batch())) == {1}
    task.move_to(task.position() | {"level": 5})
    found = np.bincount(lengths(task.next_batch()), minlength=7) / 4000
    # .6 of the level, 1 to 5; .2 of lengths 1 to 3; .2 of length 1
    expected = np.array([0, 0.12 + 0.2 / 3 + 0.2, 0.12 + 0.2 / 3, 0.12 + 0.2 / 3, 0.12, 0.12, 0])
    np.testing.assert_allclose(found, expected, atol=0.03)
    single_sequence = task_of(LONG, **GROWING, batch=4000, easier=0)
    single_sequence.move_to(task.position())
    assert np.bincount(lengths(single_sequence.next_batch()))[1:] == pytest.approx([800] * 5, abs=120)


def test_a_position_holds_the_level() -> None:
    task = task_of(LONG, **GROWING)
    task.on_scores({"level": 1.0, "sequence_error": 0.0})
    place = json.loads(json.dumps(task.position()))
    again = task_of(LONG, **GROWING)
    again.move_to(place)
    assert again.position()["level"] == 3
    assert same(task.next_batch(), again.next_batch())


def test_the_level_is_scored_on_its_own_sequences() -> None:
    task, seen = task_of(LONG, **GROWING), []

    def forward(inputs: Any, state: Any, lengths: Any = None) -> Any:
        seen.append(len(inputs))
        return np.full((*inputs.shape[:2], 2), -1.0), None

    scores = task.score(forward)
    assert [steps <= 4 for steps in seen] == [True, True]
    assert len(task.example().inputs) <= 4
    assert 0 < scores["sequence_error"] < task.score(forward, whole=True)["sequence_error"]


def test_sequences_of_two_lengths_are_joined_by_padding() -> None:
    rng = np.random.default_rng(0)
    short, long = (Copy(width=2, min_length=n, max_length=n).draw(rng, n) for n in (1, 3))
    both = pad_and_concat([short, long])
    assert both.inputs.shape == (8, 4, 4)
    assert both.mask is not None
    for part, one, other in zip(
        both[:2] + both[3:4], short[:2] + short[3:4], long[:2] + long[3:4], strict=True
    ):
        np.testing.assert_array_equal(part[:4, :1], one)
        assert not part[4:, :1].any()
        np.testing.assert_array_equal(part[:, 1:], other)
    assert pad_and_concat([short._replace(mask=None), long]).mask[:, 0].tolist() == [True] * 4 + [False] * 4  # type: ignore[index]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"evaluated": 0}, "evaluated must be at least 1, got 0"),
        ({"grow_by": 0}, "grow_by must be at least 1, got 0"),
        ({"solved_at": -1.0}, "solved_at must be at least 0, got -1.0"),
        ({"solved_at": math.nan}, "solved_at must be at least 0, got nan"),
        ({"pass_at": 1.5}, r"pass_at must lie in \[0, 1\], got 1.5"),
        ({"fall_at": 1.5}, r"fall_at must lie in \[0, 1\], got 1.5"),
        ({"fall_at": 0.05}, "fall_at must be at least pass_at, 0.1, got 0.05"),
        ({"easier": math.nan}, r"easier must lie in \[0, 1\], got nan"),
        (
            {"grow": "colour"},
            "grow must be one of max_copies, max_length, min_copies, min_length, width, got",
        ),
        ({"grow": "end_marker"}, "grow must be one of .*, got 'end_marker'"),
        ({"grow": "max_length", "grow_from": 0}, "max_length must be at least 1, got 0"),
        ({"grow": "width"}, "grow must leave the sizes of inputs and outputs as they are, got 'width'"),
    ],
)
def test_settings_that_cannot_be_used(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        task_of(**settings)


GOOD = Classes().draw(np.random.default_rng(0), 2)
BITS = SMALL.draw(np.random.default_rng(0), 2)
NEVER = np.array([[True, False]] * 4)
FAULTS = {
    "no batch": (tuple(GOOD), "a Batch, got a tuple"),
    "too few": (BITS._replace(inputs=BITS.inputs[:, :1]), r"inputs \(T, 2, 4\) of floats"),
    "too wide": (BITS._replace(inputs=np.zeros((3, 2, 5))), r"inputs \(T, 2, 4\) .*, got \(3, 2, 5\) of float64"),
    "whole numbers": (BITS._replace(inputs=BITS.inputs.astype(int)), r"inputs .*, got \(.*\) of int64"),
    "a list": (BITS._replace(inputs=[[1]]), r"inputs .*, got a list"),
    "no steps": (BITS._replace(inputs=np.zeros((0, 2, 4))), r"inputs .* T from 1, got \(0, 2, 4\)"),
    "not finite": (BITS._replace(inputs=BITS.inputs * np.nan), "inputs that are finite"),
    "other steps": (BITS._replace(targets=BITS.targets[1:]), r"targets \(\d, 2, 2\) of floats, .*, got"),
    "too large": (BITS._replace(targets=BITS.targets + 0.5), r"targets in \[0, 1\], got 0.5..1.5"),
    "not a number": (BITS._replace(targets=BITS.targets * np.nan), r"targets in \[0, 1\], got nan"),
    "a float mask": (BITS._replace(mask=np.ones(BITS.targets.shape[:2])), "a mask .* of booleans, .* float64"),
    "a mask of bits": (BITS._replace(mask=np.ones(BITS.targets.shape, bool)), "a mask .* of booleans"),
    "never": (BITS._replace(mask=np.zeros(BITS.targets.shape[:2], bool)), "a mask that is True somewhere"),
}  # fmt: skip
OF_CLASSES = {
    "a strange symbol": (GOOD._replace(inputs=GOOD.inputs + 1), r"integer inputs in 0..2, got 1..3"),
    "a strange class": (GOOD._replace(targets=GOOD.targets - 1), r"integer targets in 0..2, got -1..1"),
    "one without an answer": (GOOD._replace(mask=NEVER), "a mask that is True somewhere in every sequence"),
}


@pytest.mark.parametrize("case", FAULTS | OF_CLASSES)
def test_sequences_that_cannot_be_used(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, words = (FAULTS | OF_CLASSES)[case]
    kind = Classes if case in OF_CLASSES else Copy
    monkeypatch.setattr(kind, "draw", lambda self, rng, count: batch)
    with pytest.raises(UserError, match=f"{kind.__name__}.draw must give {words}.* Fix it"):
        draw_checked(Classes() if kind is Classes else SMALL, np.random.default_rng(0), 2)


def test_a_draw_that_fails_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classes, "draw", lambda self, rng, batch: 1 / 0)
    with pytest.raises(UserError, match=r"got ZeroDivisionError: division by zero \(line \d+ of .*\.py\)"):
        draw_checked(Classes(), np.random.default_rng(0), 2)


def make_run(folder: Path, task: SequenceTask, **training: Any) -> tuple[Run, SequenceTask, RunFolder]:
    kind = RNNSpec if training.get("precision") else LSTMSpec
    run = new_run(
        kind(input_size=task.input_size, output_size=task.output_size, hidden_sizes=(6,)),
        TrainingSettings(**{"steps": 12, "report_every": 3, **training}),
        OptimizerSettings(learning_rate=0.02),
        task={"name": "a test"},
        position=task.position(),
        batch=task.settings.batch,
        engine="reference",
    )
    place = RunFolder(folder / "run")
    place.create(run)
    return run, task, place


def reports(events: Any) -> tuple[list[Report], Finished]:
    kept = list(events)
    return [event for event in kept if isinstance(event, Report)], kept[-1]


def test_losses_are_shown_in_nats_and_the_first_score_is_held_out(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, task_of(), steps=3)
    (line,), _ = reports(train(run, task, folder))
    assert line.train == pytest.approx(math.log(2), rel=0.05)
    assert line.held_out == line.scores["loss"] == run.best_score
    (stored,) = map(json.loads, folder.metrics.read_text().splitlines())
    assert stored["bit_error"] == line.scores["bit_error"]
    assert stored["solved"] is False


def test_vectors_are_given_in_the_precision_of_the_model(tmp_path: Path) -> None:
    """A task draws float32 or float64 as it likes."""
    for precision in ("float32", "float64"):
        run, task, folder = make_run(tmp_path / precision, task_of(), precision=precision, steps=3)
        assert reports(train(run, task, folder))[1] == Finished("steps", 3)


def test_a_run_stops_where_it_is_solved_but_only_once(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, task_of(solved_at=100.0))
    lines, finished = reports(train(run, task, folder))
    assert ([line.solved for line in lines], finished) == ([True], Finished("solved", 3))
    saved = folder.load_last()
    assert (saved.iteration, saved.solved_iteration) == (3, 3)
    assert saved.solved_seconds == pytest.approx(lines[0].seconds, abs=1e-3)
    lines, finished = reports(train(saved, task_of(solved_at=100.0), folder))
    assert ([line.iteration for line in lines], finished) == ([6, 9, 12], Finished("steps", 12))
    assert folder.load_last().solved_iteration == 3


def test_a_run_that_is_solved_at_its_end_is_solved(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, task_of(), steps=6)
    solved = iter([False, True])
    task.solved = lambda scores: next(solved)  # type: ignore[method-assign]
    assert reports(train(run, task, folder))[1] == Finished("solved", 6)


def test_a_curriculum_goes_on_at_reports_and_is_saved(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, task_of(LONG, **GROWING | {"pass_at": 1.0}), steps=6)
    lines, _ = reports(train(run, task, folder))
    assert [line.scores["level"] for line in lines] == [1, 3]
    assert folder.load_last().position["level"] == 5
    assert folder.load_best().position["level"] in (3, 5)


def test_a_curriculum_that_would_begin_above_the_task_is_the_task_alone() -> None:
    curriculum = Curriculum(LONG, "max_length", LONG.max_length + 1, 1, 0.1)
    assert (curriculum.level, curriculum.on_last_level, curriculum.generator) == (LONG.max_length, True, LONG)


def test_levels_leave_everything_else_as_it_is() -> None:
    curriculum = Curriculum(replace(LONG, end_marker=True), "max_length", 2, 1, 0.1)
    assert curriculum.generator == Copy(width=2, max_length=2, end_marker=True)


def test_names_before_0_2_still_work() -> None:
    from numdnc.tasks import episodes, sequences

    @dataclass(frozen=True)
    class Old(Classes):
        most_held: int = 7

        def play(self, forward: Any, batch: Batch, rng: Any) -> Batch:
            return batch._replace(targets=batch.targets + 1)

    batch = task_of(Old()).next_batch()
    assert np.array_equal(
        task_of(Old()).rollout(forward=lambda *_: 1 / 0, batch=batch).targets, batch.targets + 1
    )
    assert sequences.optional_attribute(Old(), "slots_needed") == 7
    assert sequences.optional_attribute(Classes(), "describe") is None
    assert sequences.Episodes is sequences.SequenceGenerator
    assert (episodes.EpisodeTask, episodes.EpisodeSettings) == (SequenceTask, SequenceSettings)
