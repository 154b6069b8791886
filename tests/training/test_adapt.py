"""What a run makes of its scores: the learning rate of the schedule plateau, and restarts from the best checkpoint."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numdnc
from helpers.workers import in_each
from numdnc import DNCSpec, UserError, map_leaves, named_leaves
from numdnc.runs.sequences import SequenceRun
from numdnc.tasks.bits import Copy
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.training.adapt import restart_from_best
from numdnc.training.events import Report, Tick
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, forward_with, new_run
from numdnc.tree import leaves

PLATEAU = OptimizerSettings(learning_rate=0.016, schedule="plateau", patience=2)


def copies(**settings: Any) -> SequenceTask:
    generator = Copy(width=2, max_length=3)
    return SequenceTask("copy", generator, SequenceSettings(**{"batch": 2, "evaluated": 4, **settings}), 0)


def make_run(
    path: Path, optimizer: OptimizerSettings = PLATEAU, grow: str = "", **training: Any
) -> tuple[Run, RunFolder, SequenceTask]:
    task = copies(grow=grow, pass_at=0.1, fall_at=0.5)
    spec = DNCSpec(
        input_size=task.input_size,
        output_size=task.output_size,
        hidden_sizes=(6,),
        memory_size=4,
        word_size=3,
        read_heads=1,
    )
    settings = TrainingSettings(**{"steps": 18, "report_every": 2, **training})
    run = new_run(
        spec,
        settings,
        optimizer,
        task=SequenceRun.prepare("copy", task.generator, task.settings, seed=0).metadata,
        position=task.position(),
        batch=2,
        engine="reference",
    )
    folder = RunFolder(path)
    folder.create(run)
    return run, folder, task


def scripted(task: SequenceTask, scores: Any) -> SequenceTask:
    """The task with these scores, loss or (level, loss), one a report."""
    each = iter(scores)

    def score(forward: Any, *, whole: bool = False) -> dict[str, float]:
        level, loss = found if isinstance(found := next(each), tuple) else (0, found)
        return {
            "loss": loss,
            "sequence_error": 1.0,
            "bit_error": 1.0,
            **({"level": float(level)} if level else {}),
        }

    task.score = score  # type: ignore[method-assign]
    return task


def reports(events: Any) -> list[Report]:
    return [event for event in events if isinstance(event, Report)]


def rates(path: Path, scores: Any, optimizer: OptimizerSettings = PLATEAU, **settings: Any) -> list[float]:
    """Learning rates, in thousandths, of the updates after each report."""
    run, folder, task = make_run(path, optimizer, **settings)
    found = []
    for event in train(run, scripted(task, scores), folder):
        if isinstance(event, Report):
            found.append(1000 * run.learning_rate)
    return found


def test_the_rate_halves_where_scores_are_no_better_for_so_many_reports_and_again(tmp_path: Path) -> None:
    scores = [3.0, 2.0, 2.0, 2.1, 2.0, 2.5, 1.0, 1.5, 1.1]
    assert rates(tmp_path / "run", scores) == [16, 16, 16, 8, 8, 4, 4, 4, 2]


def test_the_rate_is_at_its_peak_again_at_a_later_level_and_never_falls_below_a_64th(tmp_path: Path) -> None:
    scores = [(1, 2.0), (1, 2.0), (1, 2.0), (1, 2.0), (1, 2.0), (2, 9.0), (3, 9.0), (4, 9.0), (4, 8.0)]
    assert rates(tmp_path / "run", scores, grow="max_length") == [16, 16, 8, 8, 4, 16, 16, 16, 16]
    impatient = dataclasses.replace(PLATEAU, patience=1)
    falling = rates(tmp_path / "other", itertools.repeat(1.0), impatient)
    assert falling == [16, 8, 4, 2, 1, 0.5, 0.25, 0.25, 0.25]


def test_a_level_lost_is_no_level_passed(tmp_path: Path) -> None:
    scores = [(2, 2.0), (1, 1.0), (1, 1.0), (2, 1.9), (2, 1.9), (2, 1.9), (2, 1.9), (2, 1.9), (2, 1.9)]
    assert rates(tmp_path / "run", scores, grow="max_length") == [16, 16, 8, 8, 8, 4, 4, 2, 2]


def test_updates_and_reports_use_the_rate(tmp_path: Path) -> None:
    run, folder, task = make_run(tmp_path / "run", dataclasses.replace(PLATEAU, optimizer="sgd", momentum=0))
    lines, steps, before = [], [], leaves(run.params)
    for event in train(run, scripted(task, itertools.repeat(1.0)), folder):
        if isinstance(event, Report):
            lines.append(event)
        elif isinstance(event, Tick):
            moved = np.sqrt(
                sum(float(((a - b) ** 2).sum()) for a, b in zip(before, leaves(run.params), strict=True))
            )
            steps.append(moved)
            before = leaves(run.params)
    assert [line.learning_rate for line in lines][:5] == [0.016, 0.016, 0.016, 0.008, 0.008]
    for line in lines:  # plain descent: the last step was rate * gradient
        assert steps[line.iteration - 1] == pytest.approx(line.learning_rate * line.gradient_norm, rel=1e-3)


def test_other_schedules_do_not_follow_scores(tmp_path: Path) -> None:
    constant = OptimizerSettings(learning_rate=0.016, schedule="constant", patience=1)
    assert set(rates(tmp_path / "run", itertools.repeat(1.0), constant)) == {16}


def test_after_a_collapse_a_run_goes_on_from_its_best_at_a_lower_rate(tmp_path: Path) -> None:
    run, folder, task = make_run(tmp_path / "run", restart_above=3.0, average_decay=0.7)
    heard: list[Any] = []
    task.on_scores = heard.append  # type: ignore[method-assign]
    after = []
    for event in train(run, scripted(task, [2.0, 1.0, 3.0, 3.1, 2.9, 0.9, 3.0, 1.0, 1.0]), folder):
        if isinstance(event, Report):
            best = folder.load_best()
            kept = [
                same(getattr(run, tree), getattr(best, tree)) for tree in ("params", "moments", "average")
            ]
            assert len(set(kept)) == 1
            after.append([all(kept), run.rate_scale])
    assert [kept for kept, _ in after] == [True, True, False, True, False, True, True, False, False]
    assert [scale for _, scale in after] == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert [scores["loss"] for scores in heard] == [2.0, 1.0, 3.0, 2.9, 0.9, 1.0, 1.0]
    assert (run.restarts, run.best_iteration, folder.load_last().restarts) == (2, 12, 2)


def test_a_later_level_or_an_earlier_one_is_no_collapse(tmp_path: Path) -> None:
    run, folder, task = make_run(tmp_path / "run", grow="max_length", restart_above=2.0)
    scores = [(2, 1.0), (3, 9.0), (2, 99.0), (3, 18.0), (3, 9.0), (3, 9.0), (3, 9.0), (3, 9.0), (3, 18.1)]
    reports(train(run, scripted(task, scores), folder))
    assert run.restarts == 1


def test_every_worker_restarts_from_the_first_ones_checkpoint(tmp_path: Path) -> None:
    run, folder, _ = make_run(tmp_path / "run")
    folder.save_best(run)
    other = dataclasses.replace(
        run, params=map_leaves(np.zeros_like, run.params), moments=map_leaves(np.zeros_like, run.moments)
    )

    def restart(workers: Any) -> Run:
        mine = dataclasses.replace(other)
        restart_from_best(mine, folder if workers.rank == 0 else RunFolder(tmp_path / "missing"), workers)
        return mine

    for found in in_each(3, restart):
        assert same(found.params, run.params)
        assert same(found.moments, run.moments)


def test_the_memory_grows_with_the_level_and_a_resumed_run_keeps_it(tmp_path: Path) -> None:
    """Copies of 1, 2 and 3 vectors, with 1.7 slots for each: 2, 4 and 6 slots, where 4 are there at first."""
    sizes, states = [], []
    run, folder, task = make_run(tmp_path / "run", grow="max_length", slots_per_vector=1.7)
    passed = {"loss": 1.0, "sequence_error": 0.0, "bit_error": 0.0}
    levels = itertools.chain([1, 2], itertools.repeat(3))
    task.score = lambda forward: {**passed, "level": float(next(levels)), "sequence_error": 0.05}  # type: ignore[method-assign]
    events = train(run, task, folder)
    next(events)
    assert run.spec.memory_size == 4  # type: ignore[union-attr]
    for event in events:
        if isinstance(event, Report):
            sizes.append(run.spec.memory_size)  # type: ignore[union-attr]
            states.append(run.state.usage.shape)
    assert sizes[:4] == [4, 6, 6, 6]
    assert states[0] == (2, 4)
    assert states[2] == (2, 6)
    assert folder.load_last().spec.memory_size == 6  # type: ignore[union-attr]
    begun, folder, task = make_run(tmp_path / "whole", slots_per_vector=1.7)
    next(iter(train(begun, task, folder)))
    assert begun.state.usage.shape == (2, 6)


def test_an_average_of_the_parameters_is_scored_saved_and_used(tmp_path: Path) -> None:
    """By hand: a += (1 - d) (p - a), d = min(0.6, (1 + t) / (10 + t)), after each update t."""
    run, folder, task = make_run(tmp_path / "run", average_decay=0.6)
    average, expected, scored = leaves(run.params), [], list[Any]()
    score = task.score

    def noted(forward: Any, **options: Any) -> Any:
        scored.append(forward(task.example(1).inputs, None)[0])
        return score(forward, **options)

    task.score = noted  # type: ignore[method-assign]
    for event in train(run, task, folder):
        if isinstance(event, Report):
            expected.append(evaluate(run, average, task))
        elif isinstance(event, Tick):
            decay = min(0.6, (1 + event.iteration) / (10 + event.iteration))
            average = [a + (1 - decay) * (p - a) for a, p in zip(average, leaves(run.params), strict=True)]
    assert len(scored) == 9
    for found, wanted in zip(scored, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
    last = folder.load_last()
    assert same(last.average, run.average)
    assert not same(last.evaluated, last.params)
    opened = numdnc.load_run(tmp_path / "run", last=True, engine="reference")
    np.testing.assert_array_equal(opened.forward(task.example(1).inputs, None)[0], scored[-1])
    assert make_run(tmp_path / "other")[0].average == ()


def evaluate(run: Run, parameters: list[Any], task: SequenceTask) -> Any:
    each = iter(parameters)
    tree = map_leaves(lambda _: next(each), run.params)
    return forward_with(run.engine, run.spec, tree)(task.example(1).inputs, None)[0]


@pytest.mark.parametrize("stop", [5, 8, 13])
def test_a_resumed_run_goes_on_bit_for_bit(stop: int, tmp_path: Path) -> None:
    """With a level passed, falls of the rate and collapses, before and after the stop."""
    scores = [(1, 2.0), (2, 4.0), (2, 4.0), (2, 8.1), (2, 4.0), (2, 4.0), (2, 9.0), (3, 9.0), (3, 8.0)]
    whole, folder, task = make_run(
        tmp_path / "whole", grow="max_length", restart_above=2.0, average_decay=0.7
    )
    expected = reports(train(whole, scripted(task, scores), folder))
    run, folder, task = make_run(tmp_path / "parts", grow="max_length", restart_above=2.0, average_decay=0.7)
    ticks = itertools.count()
    first = reports(train(run, scripted(task, scores), folder, interrupted=lambda: next(ticks) >= stop))
    run = folder.load_last()
    assert run.iteration == stop
    task = scripted(copies(grow="max_length", pass_at=0.1, fall_at=0.5), scores[len(first) :])
    second = reports(train(run, task, folder))
    assert whole.restarts == run.restarts == 2
    for one, other in zip(expected, first + second, strict=True):
        assert (one.iteration, one.train, one.learning_rate) == (
            other.iteration,
            other.train,
            other.learning_rate,
        )
    for tree in ("params", "moments", "state", "average"):
        assert same(getattr(run, tree), getattr(whole, tree))
    for name in ("rate_scale", "rate_iteration", "best_iteration", "position"):
        assert getattr(run, name) == getattr(whole, name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OptimizerSettings(patience=0), "patience must be at least 1, got 0"),
        (
            lambda: OptimizerSettings(schedule="steps"),
            "schedule must be one of constant, cosine, plateau, got 'steps'",
        ),  # type: ignore[arg-type]
        (
            lambda: TrainingSettings(slots_per_vector=-1.0),
            "slots_per_vector must be at least 0 and finite, got -1.0",
        ),
        (lambda: TrainingSettings(average_decay=1.0), r"average_decay must lie in \[0, 1\), got 1.0"),
        (lambda: TrainingSettings(restart_above=1.0), "restart_above must be 0 or above 1, got 1.0"),
        (lambda: TrainingSettings(restart_above=float("nan")), "restart_above must be 0 or above 1, got nan"),
        (lambda: TrainingSettings(restart_above=float("inf")), "restart_above must be 0 or above 1, got inf"),
    ],
)
def test_settings_that_cannot_be_used(make: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        make()


def same(one: Any, other: Any) -> bool:
    """Whether two trees hold the same bits."""
    return all(
        np.array_equal(a, b) for (_, a), (_, b) in zip(named_leaves(one), named_leaves(other), strict=True)
    )
