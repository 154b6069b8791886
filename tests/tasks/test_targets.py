"""Targets of all kinds: bits, one class per step, several classes per step; all that uses them reads them alike."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.examples import random_params
from helpers.traces import about, group_trace, with_arrays
from numdnc import DNCSpec, UserError
from numdnc.engines import select_engine
from numdnc.inspection.diagnose import diagnose
from numdnc.inspection.task_plot import plot_text
from numdnc.inspection.trace import record
from numdnc.inspection.trace_file import load_trace, save_trace
from numdnc.inspection.trace_plot import save_trace_plot
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.tasks import Batch
from numdnc.tasks import targets as of
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.tasks.sequences import draw_checked, pad_and_concat
from numdnc.training.run import forward_with

RNG = np.random.default_rng(0)
OUTPUTS = RNG.standard_normal((5, 4, 12))
GROUPED = RNG.integers(4, size=(5, 4, 3))
CLASSES = RNG.integers(12, size=(5, 4))
BITS = RNG.integers(2, size=(5, 4, 12)).astype(float)
COUNTS = RNG.random((5, 4)) < 0.6
EVERY = [GROUPED, CLASSES, BITS]
IDS = ["grouped", "classes", "bits"]


def test_several_classes_are_each_a_class_of_their_own_outputs() -> None:
    nats, count, d_outputs = of.cross_entropy(OUTPUTS, GROUPED, COUNTS)
    assert count == 3 * COUNTS.sum()
    losses = []
    for group in range(3):
        own = slice(4 * group, 4 * group + 4)
        loss, gradient = softmax_cross_entropy(OUTPUTS[..., own], GROUPED[..., group], COUNTS)
        losses.append(loss)
        np.testing.assert_allclose(d_outputs[..., own], gradient / 3, rtol=1e-12)
    assert nats == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("targets", EVERY, ids=IDS)
def test_the_gradient_is_that_of_the_loss(targets: Any) -> None:
    nats, _, d_outputs = of.cross_entropy(OUTPUTS, targets, COUNTS)
    direction, step = np.random.default_rng(1).standard_normal(OUTPUTS.shape), 1e-6
    higher, lower = (
        of.cross_entropy(OUTPUTS + sign * step * direction, targets, COUNTS)[0] for sign in (1, -1)
    )
    assert (higher - lower) / (2 * step) == pytest.approx((d_outputs * direction).sum(), rel=1e-7)
    assert nats > 0


@pytest.mark.parametrize("targets", EVERY, ids=IDS)
def test_loss_probabilities_errors_and_bits_say_the_same(targets: Any) -> None:
    whole = np.ones((5, 4), bool)
    likely, bits = of.probabilities(OUTPUTS, targets), of.as_bits(targets, OUTPUTS)
    each = of.predictions_per_step(targets, OUTPUTS)
    assert of.cross_entropy(OUTPUTS, targets, whole)[1] == each * 20
    if of.are_classes(targets):
        np.testing.assert_allclose(likely.reshape(5, 4, each, -1).sum(-1), 1)
        assert (bits.sum(-1) == each).all()
        nats = -np.log((likely * bits).reshape(5, 4, each, -1).sum(-1)).mean()
    else:
        nats = -np.log(np.where(bits > 0.5, likely, 1 - likely)).mean()
    assert of.cross_entropy(OUTPUTS, targets, whole)[0] == pytest.approx(nats)
    wrong = of.errors(OUTPUTS, targets)
    assert wrong.shape == (5, 4, each)
    said = of.predicted_bits(OUTPUTS, targets)
    per_prediction = (said != bits).reshape(5, 4, each, -1).any(-1)
    np.testing.assert_array_equal(wrong, per_prediction)
    assert wrong.any()
    assert not of.errors(2 * bits - 1, targets).any()


def test_chance_is_the_loss_of_who_knows_nothing() -> None:
    for targets, nats in zip(EVERY, (math.log(4), math.log(12), math.log(2)), strict=True):
        loss = of.cross_entropy(np.zeros_like(OUTPUTS), targets, COUNTS)[0]
        assert loss == pytest.approx(nats)


class Groups:
    """Name the two classes, of 3 and 3, that were shown."""

    input_size = output_size = 6
    targets: Any = None

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        classes = rng.integers(3, size=(4, batch, 2))
        inputs = np.eye(3, dtype=np.float32)[classes].reshape(4, batch, 6)
        return Batch(inputs, classes if self.targets is None else self.targets)


def test_a_task_of_several_classes_is_scored() -> None:
    task = SequenceTask("a test", Groups(), SequenceSettings(batch=5, evaluated=70), seed=0)
    assert task.target_kind == "classes"
    assert task.score(lambda inputs, state, lengths=None: (40 * inputs, None))["sequence_error"] == 0
    swapped = task.score(lambda inputs, state, lengths=None: (40 * np.roll(inputs, 3, axis=2), None))
    assert swapped["bit_error"] == pytest.approx(2 / 3, abs=0.1)

    def half(inputs: Any, state: Any, lengths: Any = None) -> Any:
        inputs = inputs.copy()
        inputs[:, :, 3:] = 0
        inputs[1:, :, 3:] = 0
        return 40 * inputs, None

    found = task.score(half)
    assert found["bit_error"] == pytest.approx(1 / 3, abs=0.05)
    both = pad_and_concat([task.example(2), task.example(3)])
    assert both.targets.shape == (4, 5, 2)
    assert of.are_classes(both.targets)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (np.full((4, 2, 2), 3), r"integer targets in 0..2, got 3..3"),
        (np.zeros((4, 2, 4), int), "targets of G integers a step, G a divisor of the 6 outputs, got 4"),
        (np.zeros((4, 2, 0), int), "G a divisor of the 6 outputs, got 0"),
        (
            np.zeros((4, 2, 2)),
            r"targets \(4, 2, 6\) of floats, or \(4, 2\) or \(4, 2, G\) of integers, got \(4, 2, 2\)",
        ),
        (np.zeros((4, 2, 2, 1), int), r"of integers, got \(4, 2, 2, 1\)"),
        (np.zeros((4, 2, 6), bool), "got .* of bool"),
        (np.zeros((4, 2, 6), complex), "got .* of complex"),
        ([1], "got a list"),
    ],
)
def test_targets_that_cannot_be_used(targets: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Groups, "targets", targets)
    with pytest.raises(UserError, match=f"Groups.draw must give .*{words}"):
        draw_checked(Groups(), np.random.default_rng(0), 2)


def test_a_picture_shows_every_group() -> None:
    inputs = np.zeros((3, 1, 1), np.float32)
    targets = np.array([[[0, 1]], [[1, 1]], [[0, 0]]])
    outputs = np.array([[[9, 0, 0, 9]], [[0, 9, 9, 0]], [[0, 9, 9, 0]]], float)  # 0 1, 1 0, 1 0
    lines = plot_text(
        Batch(inputs, targets), outputs, 0, ("in",), ("a0", "a1", "b0", "b1"), encoding="utf-8"
    ).splitlines()
    at = lines.index("target")
    assert [line[3:] for line in lines[at + 1 : at + 5]] == ["|█ █|", "| █ |", "|  █|", "|██ |"]
    at = lines.index("output")
    assert [line[3:] for line in lines[at + 1 : at + 5]] == ["|█  |", "| ██|", "| ██|", "|█  |"]
    at = lines.index("error (2 of 6 classes wrong)")
    assert [line[3:] for line in lines[at + 1 : at + 5]] == ["|  x|", "|  x|", "| x |", "| x |"]


def test_a_trace_of_several_classes_counts_saves_and_is_drawn(tmp_path: Path) -> None:
    trace = group_trace()
    counts = trace.arrays["mask"].astype(bool)
    groups = trace.arrays["outputs"].reshape(trace.steps, 2, 3)
    wrong = (groups.argmax(2) != trace.arrays["targets"])[counts]
    assert trace.errors == (wrong.sum(), wrong.size)
    assert (trace.unit, trace.groups) == ("classes", 2)
    np.testing.assert_allclose(trace.arrays["probabilities"].reshape(-1, 2, 3).sum(2), 1, rtol=1e-6)
    save_trace(tmp_path / "trace.safetensors", trace)
    loaded = load_trace(tmp_path / "trace.safetensors")
    np.testing.assert_array_equal(loaded.arrays["targets"], trace.arrays["targets"])
    assert loaded.arrays["targets"].shape == (trace.steps, 2)
    save_trace_plot(tmp_path / "figure.png", trace)
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.parametrize(
    "targets",
    [np.full((10, 2), 3), np.zeros((10, 4), int), np.zeros((10, 0), int), np.zeros((10, 2, 1), int)],
)
def test_a_trace_of_other_groups_is_refused(targets: Any, tmp_path: Path) -> None:
    save_trace(tmp_path / "trace.safetensors", with_arrays(group_trace(), targets=targets.astype(np.int32)))
    with pytest.raises(UserError, match="must hold a trace that this version knows"):
        load_trace(tmp_path / "trace.safetensors")


def test_a_model_of_several_classes_is_diagnosed() -> None:
    """Chance is log 3: a model that knows nothing gains nothing by its memory."""
    spec = DNCSpec(input_size=6, output_size=6, hidden_sizes=(4,), memory_size=3, word_size=2, read_heads=1)
    params = random_params(spec, np.random.default_rng(0), 0.1)
    task = SequenceTask("a test", Groups(), SequenceSettings(batch=5, evaluated=5), seed=0)
    engine = select_engine("reference", spec, "float64")
    found = diagnose(spec, params, engine, task, lambda p: task.score(forward_with(engine, spec, p)))
    assert found.scores["whole"]["loss"] == pytest.approx(math.log(3), rel=0.1)
    assert record(spec, params, task.example(), about(spec)).unit == "classes"
