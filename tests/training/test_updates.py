"""The loop's arithmetic: its updates are those of a plain loop over the definition, its reports say what happened."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from numdnc import DNCSpec, initial_state, named_leaves, reference
from numdnc.data import Corpus
from numdnc.init import draw_bypass_mask, initial_state_backward
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.tasks.text import TextSettings, TextTask
from numdnc.training.events import Finished, Report
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import (
    OptimizerSettings,
    clip,
    first_moments,
    gradient_norm,
    learning_rate_at,
    update,
    with_noise,
)
from numdnc.training.run import Run, TrainingSettings, forward_with, new_run
from numdnc.tree import leaves, zeros_like

STEPS = 40
"""What the cosine is made for; runs here stop sooner."""
SEED = 3


class Step(NamedTuple):
    """What an update did."""

    fresh: bool
    nats: float
    count: int
    norm: float
    params: Any
    moments: Any


def task() -> TextTask:
    """Two streams in windows of 4 steps, an epoch is 8 of them and a shorter one; its score takes no time."""
    given = TextTask(Corpus("a test", b"abcab" * 16), TextSettings(batch=2, window=4), SEED)
    given.score = lambda forward: {"bpc": 1.0}  # type: ignore[method-assign]
    return given


def make_run(
    folder: Path, optimizer: OptimizerSettings, target: int, **training: Any
) -> tuple[Run, RunFolder]:
    given = task()
    spec = DNCSpec(
        input_size=given.input_size,
        output_size=given.output_size,
        hidden_sizes=(4,),
        memory_size=3,
        word_size=2,
        read_heads=1,
        learned_state=True,
        bypass_dropout=0.25,
    )
    settings = TrainingSettings(
        **{"steps": STEPS, "report_every": 1, "precision": "float64", "seed": SEED, **training}
    )
    run = new_run(spec, settings, optimizer, task={}, position=given.position(), batch=2, engine="reference")
    run.target = target
    place = RunFolder(folder / "run")
    place.create(run)
    return run, place


def plain_loop(run: Run) -> Iterator[Step]:
    """Updates as the documents say, one after the other, from the run as it is before the first."""
    spec, settings, given = run.spec, run.optimizer, task()
    params, moments, state = run.params, first_moments(settings, run.params), None
    for iteration in range(1, run.target + 1):
        batch = given.next_batch()
        noisy = with_noise(settings, params, SEED, iteration - 1)
        if batch.starts_sequence:
            state = initial_state(spec, noisy, 2)
        rng = np.random.default_rng([SEED, iteration - 1, 1])
        mask = draw_bypass_mask(spec, len(batch.inputs), 2, rng, np.float64)
        outputs, after, tape = reference.forward(
            spec, noisy, batch.inputs, state, keep_tape=True, bypass_mask=mask
        )
        nats, d_outputs = softmax_cross_entropy(outputs, batch.targets)
        gradient, _, d_start = reference.backward(spec, noisy, tape, d_outputs, zeros_like(after))
        if batch.starts_sequence:
            gradient = initial_state_backward(spec, gradient, d_start)
        norm = gradient_norm(gradient)
        rate = learning_rate_at(settings, iteration, STEPS)
        moved, kept = update(settings, params, clip(settings, gradient, norm), moments, rate, iteration)
        if not batch.starts_sequence:  # what is learned of the start, and what is remembered of it, stay
            moved = moved._replace(initial=params.initial)
            kept = tuple(b._replace(initial=a.initial) for a, b in zip(moments, kept, strict=True))
        params, moments, state = moved, kept, after
        yield Step(batch.starts_sequence, nats, batch.targets.size, norm, params, moments)


def reports(events: Any) -> list[Report]:
    return [event for event in events if isinstance(event, Report)]


def assert_same(found: Any, expected: Any) -> None:
    for (name, one), (_, other) in zip(named_leaves(found), named_leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "adagrad", "sgd"])
def test_updates_are_those_of_a_plain_loop(optimizer: Any, tmp_path: Path) -> None:
    """With noise, dropout, decay, clipping and a start that is learned, into the third epoch."""
    settings = OptimizerSettings(
        optimizer=optimizer, learning_rate=0.05, weight_noise=0.1, weight_decay=0.1, clip_norm=0.2, warmup=3
    )
    run, folder = make_run(tmp_path, settings, 22)
    expected = list(plain_loop(run))
    assert 2 < sum(step.fresh for step in expected) < len(expected)
    assert 0 < sum(step.norm > 0.2 for step in expected) < len(expected)
    lines = reports(train(run, task(), folder))
    assert_same(run.params, expected[-1].params)
    assert_same(run.moments, expected[-1].moments)
    for line, step in zip(lines, expected, strict=True):
        assert line.gradient_norm == pytest.approx(step.norm, rel=1e-9)
        assert line.train == pytest.approx(step.nats / math.log(2), rel=1e-9)
        assert line.learning_rate == learning_rate_at(settings, line.iteration, STEPS)


def test_a_progress_line_is_the_mean_over_predictions_not_over_windows(tmp_path: Path) -> None:
    run, folder = make_run(tmp_path, OptimizerSettings(), 10, report_every=4)
    expected = list(plain_loop(run))
    lines = reports(train(run, task(), folder))
    assert [line.iteration for line in lines] == [4, 8, 10]
    for line, first in zip(lines, (0, 4, 8), strict=True):
        steps = expected[first : line.iteration]
        mean = sum(step.nats * step.count for step in steps) / sum(step.count for step in steps)
        assert line.train == pytest.approx(mean / math.log(2), rel=1e-9)
    assert len({step.count for step in expected[8:]}) > 1


def test_an_equal_score_leaves_the_best_checkpoint_as_it_is(tmp_path: Path) -> None:
    run, folder = make_run(tmp_path, OptimizerSettings(), 3)
    reports(train(run, task(), folder))
    assert folder.load_best().iteration == 1


def test_a_model_is_scored_from_the_start_that_it_has_learned(tmp_path: Path) -> None:
    run, _ = make_run(tmp_path, OptimizerSettings(), 1)
    rng = np.random.default_rng(0)
    for leaf in leaves(run.params.initial):
        leaf[:] = rng.standard_normal(leaf.shape)
    inputs = rng.integers(run.spec.input_size, size=(5, 2))
    forward = forward_with(run.engine, run.spec, run.params)
    begun, _ = forward(inputs, None)
    expected, _ = forward(inputs, initial_state(run.spec, run.params, 2))
    np.testing.assert_array_equal(begun, expected)


@pytest.mark.parametrize("options", [{}, {"init_scheme": "store"}, {"input_scale": 5.0}, {"seed": 4}])
def test_a_run_starts_as_its_settings_say(options: dict[str, Any], tmp_path: Path) -> None:
    """Each of start, input_scale and seed makes other parameters; the model is told of all of them."""
    run, _ = make_run(tmp_path, OptimizerSettings(), 1, **options)
    plain, _ = make_run(tmp_path / "plain", OptimizerSettings(), 1)
    ratio = run.params.controller[0].weights[:3] / plain.params.controller[0].weights[:3]
    gate = run.params.interface.bias.max()
    assert np.allclose(ratio, options.get("input_scale", 1.0)) == ("seed" not in options)
    assert (gate == 6) == (options.get("init_scheme") == "store")


class Clock:
    """`time.perf_counter` of a machine on which each update takes as long as told, and nothing else any time."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 1000.0, seconds

    def __call__(self) -> float:
        return self.now

    def slow(self, given: TextTask) -> TextTask:
        next_batch = given.next_batch

        def slowly() -> Any:
            self.now += self.seconds
            return next_batch()

        given.next_batch = slowly  # type: ignore[method-assign]
        return given


def test_times_of_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 seconds an update, 8 predictions each (two in the last window of an epoch), after a minute before a resume."""
    clock = Clock(2.0)
    monkeypatch.setattr(time, "perf_counter", clock)
    run, folder = make_run(tmp_path, OptimizerSettings(), 8, report_every=4)
    run.seconds = 60.0
    first, last = reports(train(run, clock.slow(task()), folder))
    assert (first.seconds, last.seconds) == (68, 76)
    assert (first.seconds_left, last.seconds_left) == (8, 0)
    assert (first.per_second, last.per_second) == (4, 4)
    assert folder.load_last().seconds == 76


def test_minutes_are_the_least_that_is_left_and_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(15.0)
    monkeypatch.setattr(time, "perf_counter", clock)
    run, folder = make_run(tmp_path, OptimizerSettings(), 1000)
    *events, last = train(run, clock.slow(task()), folder, minutes=1.5)
    assert last == Finished("minutes", 6)
    assert [line.seconds_left for line in reports(events)] == [75, 60, 45, 30, 15, 0]


def test_what_looks_at_the_model_is_reported(tmp_path: Path) -> None:
    run, folder = make_run(tmp_path, OptimizerSettings(), 2)
    seen = iter([0.25, 0.5])
    lines = reports(train(run, task(), folder, health=lambda: {"gates": next(seen)}))
    assert [line.health for line in lines] == [{"gates": 0.25}, {"gates": 0.5}]


def test_a_run_ends_once_it_is_solved_and_goes_on_if_told_to(tmp_path: Path) -> None:
    run, folder = make_run(tmp_path, OptimizerSettings(), 6, report_every=2)
    easy = task()
    easy.solved = lambda scores: True  # type: ignore[method-assign]
    *_, last = train(run, easy, folder)
    assert last == Finished("solved", 2)
    again = folder.load_last()
    assert again.solved_iteration == 2
    *_, last = train(again, easy, folder)
    assert last == Finished("steps", 6)
    assert (again.solved_iteration, folder.load_last().solved_iteration) == (2, 2)


def test_a_score_on_a_later_level_is_the_better_one(tmp_path: Path) -> None:
    run, folder = make_run(tmp_path, OptimizerSettings(), 4)
    scores = iter([(0.1, 1), (0.7, 2), (0.8, 2), (0.05, 1)])
    growing = task()
    growing.score = lambda forward: dict(zip(("loss", "level"), next(scores), strict=True))  # type: ignore[method-assign]
    reports(train(run, growing, folder))
    assert (run.best_score, run.best_level, run.best_iteration) == (0.7, 2, 2)
    assert folder.load_best().iteration == 2


def test_what_a_task_makes_of_its_scores_is_saved(tmp_path: Path) -> None:
    run, folder = make_run(tmp_path, OptimizerSettings(), 1)
    moving = task()
    moving.on_scores = lambda scores: moving._begin_epoch(7)  # type: ignore[method-assign]
    reports(train(run, moving, folder))
    assert folder.load_last().position["epoch"] == 7
