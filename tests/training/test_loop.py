"""The training loop: it learns, reports, stops in every way, and names what is not finite."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.marks import thorough_but
from numdnc import DNCSpec, LSTMSpec, RNNSpec, UserError, initial_state, map_leaves, named_leaves
from numdnc.data import Corpus
from numdnc.inspection.ablation import without_reads
from numdnc.tasks.text import TextSettings, TextTask
from numdnc.training.events import Finished, Report
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, forward_with, new_run

TEXT = "the quick brown fox jumps over the lazy dog. " * 25
"""An epoch is some 25 windows of 10."""
FAMILY = {
    "masking": True,
    "deallocation": True,
    "sharpness": True,
    "normalisation": True,
    "bypass_dropout": 0.1,
    "learned_state": True,
}
MODELS = {
    "rnn": (RNNSpec, {}),
    "lstm": (LSTMSpec, {}),
    "dnc": (DNCSpec, {"memory_size": 5, "word_size": 4, "read_heads": 2}),
    "dnc-family": (DNCSpec, {"memory_size": 5, "word_size": 4, "read_heads": 2, **FAMILY}),
}


def make_run(folder: Path, model: str = "lstm", **options: Any) -> tuple[Run, TextTask, RunFolder]:
    training = {"steps": 60, "report_every": 20, **options}
    optimizer = {
        name: training.pop(name)
        for name in ("optimizer", "learning_rate", "weight_noise", "weight_decay")
        if name in training
    }
    task = TextTask(Corpus("foxes", TEXT.encode()), TextSettings(batch=4, window=10), 0)
    kind, sizes = MODELS[model]
    spec = kind(input_size=task.input_size, output_size=task.output_size, hidden_sizes=(24,), **sizes)
    run = new_run(
        spec,
        TrainingSettings(**training),
        OptimizerSettings(**{"learning_rate": 0.02, **optimizer}),
        task={"name": "text"},
        position=task.position(),
        batch=4,
        engine="reference",
    )
    place = RunFolder(folder / "run")
    place.create(run)
    return run, task, place


def reports(events: Any) -> tuple[list[Report], Finished]:
    kept = list(events)
    assert isinstance(kept[-1], Finished)
    return [event for event in kept if isinstance(event, Report)], kept[-1]


@pytest.mark.parametrize("model", thorough_but(["rnn"], MODELS))
def test_every_model_learns_a_repeated_sentence(model: str, tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, model, steps=250, report_every=50)
    lines, finished = reports(train(run, task, folder))
    assert finished == Finished("steps", 250)
    assert [line.iteration for line in lines] == [50, 100, 150, 200, 250]
    assert lines[0].train > 1
    assert lines[-1].train < 0.4
    assert lines[-1].held_out < 0.4
    assert run.best_score == min(line.held_out for line in lines)


def test_metrics_repeat_the_reports(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path)
    lines, _ = reports(train(run, task, folder))
    stored = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert stored == [line.record() for line in lines]
    assert [line["bpc"] for line in stored] == [line.held_out for line in lines]
    assert all("scores" not in line for line in stored)


def test_the_training_score_is_the_mean_since_the_last_report(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, steps=20)
    losses = []
    loss = task.loss
    task.loss = lambda outputs, batch: (losses.append(loss(outputs, batch)[0]), loss(outputs, batch))[1]  # type: ignore[method-assign]
    (line,), _ = reports(train(run, task, folder))
    assert line.train == pytest.approx(np.mean(losses) / math.log(2))


def test_the_best_checkpoint_is_the_one_that_scored_best(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path)
    scores = iter([3.0, 1.0, 2.0])
    task.score = lambda forward: {"first": (score := next(scores)), "second": -score}  # type: ignore[method-assign]
    reports(train(run, task, folder))
    assert folder.load_best().iteration == 40
    assert folder.load_last().iteration == 60
    assert folder.load_last().best_score == 1.0


def test_early_stop_ends_a_run_after_so_many_reports_without_a_better_score(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, steps=400, early_stop=2)
    scores = itertools.chain([3.0, 2.0, 2.0, 1.5, 1.6, 1.5], itertools.repeat(4.0))
    task.score = lambda forward: {"first": next(scores)}  # type: ignore[method-assign]
    lines, finished = reports(train(run, task, folder))
    assert finished == Finished("early_stop", 120)
    assert len(lines) == 6
    assert (folder.load_best().iteration, folder.load_last().iteration) == (80, 120)
    _, finished = reports(train(folder.load_last(), task, folder))  # goes on for as many reports more
    assert finished == Finished("early_stop", 160)
    run = folder.load_last()
    run.target = 200
    _, finished = reports(train(run, task, folder))
    assert finished == Finished("steps", 200)


def test_an_early_stop_counts_no_report_before_the_first_best_and_none_by_default(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, early_stop=1)
    task.score = lambda forward, falling=iter([3.0, 2.0, 1.0]): {"first": next(falling)}  # type: ignore[method-assign, misc]
    assert reports(train(run, task, folder))[1] == Finished("steps", 60)
    run, task, folder = make_run(tmp_path / "other")
    task.score = lambda forward: {"first": 1.0}  # type: ignore[method-assign]
    assert reports(train(run, task, folder))[1] == Finished("steps", 60)


def test_an_interrupted_run_is_saved_where_it_stood(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path)
    asked = iter(range(100))
    _, finished = reports(train(run, task, folder, interrupted=lambda: next(asked) >= 33))
    assert finished == Finished("interrupted", 33)
    assert folder.load_last().iteration == 33


def test_minutes_stop_a_run(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, steps=100_000)
    _, finished = reports(train(run, task, folder, minutes=0.3 / 60))
    assert finished.reason == "minutes"
    assert 0 < folder.load_last().iteration == finished.iteration < 100_000


def test_state_is_carried_from_window_to_window_and_blank_at_each_epoch(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, "dnc", steps=60)
    engine, starts = run.engine, []
    forward = engine.forward

    def spy(spec: Any, params: Any, inputs: Any, state: Any, *, keep_tape: bool, **masks: Any) -> Any:
        result = forward(spec, params, inputs, state, keep_tape=keep_tape, **masks)
        if keep_tape:
            starts.append((state, result[1]))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(engine), "forward", staticmethod(spy))
        reports(train(run, task, folder))
    blank = [not any(leaf.any() for leaf in (s.memory, s.usage, s.link, s.reads)) for s, _ in starts]
    assert blank[0]
    assert 1 < sum(blank) < 5
    for i in range(1, len(starts)):
        if not blank[i]:
            assert starts[i][0] is starts[i - 1][1]


@pytest.mark.parametrize("name", ["memory", "usage"])
def test_a_bad_number_is_named_where_it_first_appears(name: str, tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, "dnc")
    run.state = run.state._replace(**{name: getattr(run.state, name) + np.float32(np.nan)})
    task.next_batch()
    run.position = task.position()
    with pytest.raises(UserError, match=rf"stay finite, but state.{name} is not, at iteration 1"):
        reports(train(run, task, folder))
    assert folder.load_last().iteration == 0


def test_a_number_that_goes_bad_inside_a_window_is_named_with_its_step(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, "dnc", precision="float32")
    bias = run.params.interface.bias.copy()
    sizes = run.spec.interface_sizes
    parts = dict(zip(sizes, np.split(bias, np.cumsum(list(sizes.values()))[:-1]), strict=True))
    # Every slot adds the same huge vector at each step and nothing is erased, until the memory overflows.
    parts["write_vector"][:] = 3e38
    parts["erase"][:] = parts["allocation_gate"][:] = -100
    parts["write_gate"][:] = 100
    run.params = run.params._replace(interface=run.params.interface._replace(bias=bias))
    with pytest.raises(UserError, match=r"but (state|outputs)\S* at step [1-9] of the window is not"):
        reports(train(run, task, folder))


def test_a_learning_rate_out_of_bounds_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, optimizer="sgd", learning_rate=1e38)
    with pytest.raises(UserError, match="must stay finite"):
        reports(train(run, task, folder))
    kept = folder.load_last()
    assert all(np.isfinite(leaf).all() for leaf in (kept.params.output.weights, kept.params.output.bias))


def test_noise_that_breaks_the_weights_is_named_although_the_weights_themselves_are_sound(
    tmp_path: Path,
) -> None:
    run, task, folder = make_run(tmp_path, weight_noise=3e38)
    with pytest.raises(UserError, match=r"but params\.controller\.0\.weights is not, at iteration 1"):
        reports(train(run, task, folder))


def starts_and_masks(run: Run, task: TextTask, folder: RunFolder) -> list[tuple[Any, Any]]:
    """The state before each update's window, and its bypass mask."""
    engine, seen = run.engine, []
    forward = engine.forward

    def spy(
        spec: Any,
        params: Any,
        inputs: Any,
        state: Any,
        *,
        keep_tape: bool,
        bypass_mask: Any = None,
        **more: Any,
    ) -> Any:
        if keep_tape:
            seen.append((state, bypass_mask))
        else:
            assert bypass_mask is None, "scores and samples take the whole model"
        return forward(spec, params, inputs, state, keep_tape=keep_tape, bypass_mask=bypass_mask)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(engine), "forward", staticmethod(spy))
        reports(train(run, task, folder))
    return seen


def test_dropout_is_drawn_anew_for_each_update_and_never_for_a_score(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, "dnc-family", steps=20)
    masks = [mask for _, mask in starts_and_masks(run, task, folder)]
    assert {mask.shape for mask in masks} == {(10, 4, 24)}
    assert not np.array_equal(masks[0], masks[1])
    assert np.mean([mask == 0 for mask in masks]) == pytest.approx(0.1, abs=0.02)


def test_sequences_begin_where_the_model_has_learned_to_begin(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, "dnc-family", steps=60)
    first = dict(named_leaves(initial_state(run.spec, run.params, 4)))
    learned = dict(named_leaves(run.params.initial))
    starts = [state for state, _ in starts_and_masks(run, task, folder)]
    begun = [state for state in starts if not state.usage.any()]
    assert 1 < len(begun) < 5
    for name, array in named_leaves(starts[0]):
        np.testing.assert_array_equal(array, first[name], err_msg=name)
    assert not np.array_equal(begun[-1].memory, begun[0].memory)
    for name, now in named_leaves(run.params.initial):
        assert not np.array_equal(now, learned[name]), f"{name} was not learned"


def test_momentum_moves_a_learned_start_only_where_sequences_begin(tmp_path: Path) -> None:
    run, task, folder = make_run(tmp_path, "dnc-family", steps=30, weight_decay=0.1)
    begins, moved = [], []
    next_batch = task.next_batch

    def spy() -> Any:
        batch = next_batch()
        begins.append(batch.starts_sequence)
        return batch

    task.next_batch = spy  # type: ignore[method-assign]
    before = run.params.initial
    for _ in train(run, task, folder):
        if len(begins) > len(moved):
            moved.append(not np.array_equal(run.params.initial.memory, before.memory))
            before = run.params.initial
    assert moved == begins
    assert 1 < sum(begins) < len(begins)


def test_a_lesion_takes_the_reads_and_nothing_else() -> None:
    spec = DNCSpec(input_size=3, output_size=4, hidden_sizes=(5, 6), memory_size=7, word_size=2, read_heads=3)
    run = new_run(
        spec,
        TrainingSettings(precision="float64"),
        OptimizerSettings(),
        task={},
        position={},
        batch=2,
        engine="auto",
    )
    inputs = np.random.default_rng(0).standard_normal((9, 2, 3))
    damaged = without_reads(spec, run.params)
    outputs, state = forward_with(run.engine, spec, damaged)(inputs, None)
    assert np.abs(state.reads).max() > 0
    poisoned = state._replace(reads=state.reads + 1e3)
    again, _ = forward_with(run.engine, spec, damaged)(inputs, poisoned)
    same, _ = forward_with(run.engine, spec, damaged)(inputs, state)
    np.testing.assert_array_equal(again, same)
    whole, _ = forward_with(run.engine, spec, run.params)(inputs, None)
    assert np.abs(whole - outputs).max() > 1e-3
    changed = map_leaves(lambda a, b: (a != b).sum(), run.params, damaged)
    assert [layer.weights for layer in changed.controller] == [6 * 20, 6 * 24]
    assert changed.output.weights == 6 * 4
    assert changed.interface.weights == changed.output.bias == 0
