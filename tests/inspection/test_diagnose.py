"""Health and the diagnosis: every planted problem is reported."""

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from helpers.commands import TEXT, call, contents, done, metrics, refused, rewrite
from helpers.commands import train as train_text
from helpers.examples import MODELS, VARIATIONS, random_inputs, random_params
from numdnc import DNCSpec, NTMSpec, initial_state, map_leaves
from numdnc.data import Corpus
from numdnc.engines import get_engine, select_engine
from numdnc.inspection.ablation import ablations, interface_columns, of_memory, without_head
from numdnc.inspection.diagnose import SEQUENCES, Diagnosis, diagnose
from numdnc.inspection.gates import gates
from numdnc.inspection.health import health
from numdnc.inspection.importance import Finding, Losses, judge_parts, loss_of_each, sampling_error
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.runs.results import CAVEAT
from numdnc.tasks import Batch
from numdnc.tasks.bits import Copy
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.tasks.text import TextSettings, TextTask
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, forward_with, new_run

EPISODES = SequenceSettings(batch=16, evaluated=64)
COPY = "copy --hidden 5 -N 4 -W 3 -R 2 --evaluated 20 --batch 4 --width 2 --max-length 3 --sample-every 0"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def begun(spec: Any, task: SequenceTask, steps: int) -> Run:
    return new_run(
        spec,
        TrainingSettings(steps=steps, report_every=100),
        OptimizerSettings(learning_rate=0.01, schedule="constant"),
        task={},
        position=task.position(),
        batch=16,
        engine="cpu",
    )


def trained(run: Run, task: SequenceTask, folder: Path) -> Run:
    place = RunFolder(folder / "run")
    place.create(run)
    for _ in train(run, task, place):
        pass
    return run


@pytest.fixture(scope="module")
def copying(tmp_path_factory: pytest.TempPathFactory) -> tuple[SequenceTask, Run]:
    """A DNC that has learned to copy two vectors. Its controller remembers nothing: the memory must."""
    task = SequenceTask("copy", Copy(width=4, max_length=2), EPISODES, seed=0)
    spec = DNCSpec(
        input_size=task.input_size,
        output_size=task.output_size,
        hidden_sizes=(16,),
        controller="feedforward",
        memory_size=6,
        word_size=8,
        read_heads=2,
    )
    run = trained(begun(spec, task, 600), task, tmp_path_factory.mktemp("copy"))
    assert run.best_score is not None and run.best_score < 0.1
    return task, run


def examined(task: SequenceTask, run: Run, params: Any = None) -> Diagnosis:
    return diagnose(
        run.spec,
        run.params if params is None else params,
        run.engine,
        task,
        lambda params: task.score(forward_with(run.engine, run.spec, params)),
    )


def about(found: Diagnosis, topic: str) -> list[Finding]:
    return [finding for finding in found.findings if finding.about == topic]


def with_bias(spec: DNCSpec, params: Any, part: str, value: float) -> Any:
    bias = params.interface.bias.copy()
    bias[interface_columns(spec)[part]] = value
    return params._replace(interface=params.interface._replace(bias=bias))


def test_a_copy_model_is_said_to_need_its_memory(copying: tuple[SequenceTask, Run]) -> None:
    task, run = copying
    found = examined(task, run)
    (memory,) = about(found, "memory")
    whole, without = found.scores["whole"]["loss"], found.scores["reads"]["loss"]
    assert memory.fine
    assert memory.words.startswith("The memory carries the task: without its reads the loss rises from ")
    assert memory.words.endswith(f" to {without:.4f}.")
    assert whole < 0.1 < math.log(2) / 2 < without
    assert found.scores["whole"] == task.score(run.forward)
    assert found.scores["writing"] == found.scores["reads"]  # a blank memory reads as zero
    assert all(about(found, part)[0].fine for part in ("content", "head 0", "head 1"))
    (training,) = about(found, "training")
    assert training.fine
    usage, *_ = about(found, "usage")
    assert 1 <= 6 * usage.numbers["most"] <= 6
    modes = [finding.numbers for finding in about(found, "modes")]
    assert [sum(shares.values()) for shares in modes] == pytest.approx([1, 1])
    assert all(finding.words.endswith(".") and finding.numbers for finding in found.findings)


def test_the_same_is_found_with_the_definition(copying: tuple[SequenceTask, Run]) -> None:
    task, run = copying
    position = task.position()
    fast = examined(task, run)
    run.engine_name = "reference"
    task.move_to(position)
    slow = examined(task, run)
    run.engine_name = "cpu"
    for one, other in zip(fast.findings, slow.findings, strict=True):
        assert (one.about, one.fine) == (other.about, other.fine)
        assert one.numbers == pytest.approx(other.numbers, rel=1e-4, abs=1e-6)  # float32: 5e-7 seen


def test_a_write_gate_stuck_at_0_means_that_the_memory_is_not_used(copying: tuple[SequenceTask, Run]) -> None:
    task, run = copying
    assert isinstance(run.spec, DNCSpec)
    weights = run.params.interface.weights.copy()
    weights[:, interface_columns(run.spec)["write_gate"]] = 0
    stuck = run.params._replace(interface=run.params.interface._replace(weights=weights))
    stuck = with_bias(run.spec, stuck, "write_gate", -50)
    found = examined(task, run, stuck)
    (memory,) = about(found, "memory")
    assert not memory.fine
    assert memory.words.startswith("This model does not use its memory: without its reads the loss stays at ")
    assert next(f.words for f in about(found, "gates") if not f.fine) == (
        "The write gate is stuck at 0 (0.0000 to 0.0000): nothing is ever written."
    )
    (usage,) = about(found, "usage")
    assert not usage.fine
    assert usage.words.startswith(
        "At its fullest, usage adds up to 0.0 of 6 slots; 0.0 are more than half in use."
    )
    (training,) = about(found, "training")
    assert "output.weights (reads of head 0)" in training.numbers
    assert "interface.bias (write_gate)" in training.numbers
    assert about(found, "sharpness")[0].words.startswith("Writing has next to no weight on any slot (")


def test_a_model_that_learned_with_its_write_gate_shut_is_no_more_than_an_lstm(tmp_path: Path) -> None:
    """It copies, and yet its memory does nothing."""
    task = SequenceTask("copy", Copy(width=2, max_length=1), EPISODES, seed=0)
    sizes = {"input_size": task.input_size, "output_size": task.output_size, "hidden_sizes": (16,)}
    spec = DNCSpec(**sizes, memory_size=4, word_size=6)
    run = begun(spec, task, 600)
    run.params = with_bias(spec, run.params, "write_gate", -50)
    found = examined(task, trained(run, task, tmp_path))
    assert found.scores["whole"]["loss"] < 0.1
    (memory,) = about(found, "memory")
    assert not memory.fine
    assert memory.words.startswith("This model does not use its memory: without its reads the loss stays at ")
    assert any(f.words.startswith("The write gate is stuck at 0") for f in about(found, "gates"))


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("write_gate", 1e4, "The write gate is stuck at 1 (1.0000 to 1.0000): every step writes."),
        ("write_gate", -1e4, "The write gate is stuck at 0 (0.0000 to 0.0000): nothing is ever written."),
        (
            "allocation_gate",
            1e4,
            "The allocation gate is stuck at 1 (1.0000 to 1.0000): it writes to free slots alone.",
        ),
        (
            "allocation_gate",
            -1e4,
            "The allocation gate is stuck at 0 (0.0000 to 0.0000): it writes by content alone.",
        ),
        (
            "free_gates",
            1e4,
            "The free 1 gate is stuck at 1 (1.0000 to 1.0000): what the head has read is always freed.",
        ),
        (
            "free_gates",
            -1e4,
            "The free 1 gate is stuck at 0 (0.0000 to 0.0000): what the head has read is never freed.",
        ),
    ],
)
def test_a_dead_gate_is_named(copying: tuple[SequenceTask, Run], part: str, value: float, words: str) -> None:
    task, run = copying
    assert isinstance(run.spec, DNCSpec)
    assert words not in [finding.words for finding in examined(task, run).findings]
    found = examined(task, run, with_bias(run.spec, run.params, part, value))
    assert words in [finding.words for finding in about(found, "gates") if not finding.fine]


def test_a_gate_that_moves_is_not_called_dead(copying: tuple[SequenceTask, Run]) -> None:
    """Even if it goes all the way from 0 to 1; padding does not count."""
    task, run = copying
    assert isinstance(run.spec, DNCSpec)
    columns = interface_columns(run.spec)
    weights = run.params.interface.weights.copy()
    weights[:, columns["allocation_gate"]] *= 100
    weights[:, columns["free_gates"]] = 0
    params = run.params._replace(interface=run.params.interface._replace(weights=weights))
    findings = about(examined(task, run, params), "gates")
    example = task.example(SEQUENCES)
    assert example.mask is not None
    real = example.mask[::-1].cumsum(axis=0)[::-1] > 0
    moving = {}
    for name, gate in gates(run.spec, params, run.engine, example).items():
        moving |= {f"{name} least": gate[real].min(), f"{name} most": gate[real].max()}
    assert moving["allocation least"] < 0.001
    assert moving["allocation most"] > 0.999
    (finding,) = findings
    assert finding.fine
    assert finding.numbers == pytest.approx(moving, rel=1e-4, abs=1e-5)  # float32: 5e-7 seen


def test_a_full_memory_and_blurred_weightings_are_named(copying: tuple[SequenceTask, Run]) -> None:
    task, run = copying
    assert isinstance(run.spec, DNCSpec)
    assert about(examined(task, run), "usage")[0].fine
    params = with_bias(run.spec, with_bias(run.spec, run.params, "write_gate", 1e4), "free_gates", -1e4)
    run.spec = dataclasses.replace(run.spec, memory_size=2)
    full = examined(task, run, with_bias(run.spec, params, "allocation_gate", 1e4))
    blurred = examined(task, run, ablations(run.spec, params)["content"])
    run.spec = dataclasses.replace(run.spec, memory_size=6)
    (usage,) = about(full, "usage")
    assert usage.words.startswith(
        "At its fullest, usage adds up to 2.0 of 2 slots; 2.0 are more than half in use."
    )
    assert "It is full" in usage.words and not usage.fine
    one, even = about(full, "sharpness")[0], about(blurred, "sharpness")
    assert one.words == "Writing has 1.00 of its weight on one slot (spread evenly: 0.50)." and one.fine
    for finding in even[1:]:
        assert 0.5 <= finding.numbers["largest"] <= 1
        assert finding.fine is (finding.numbers["largest"] > 0.55)


def test_a_dead_head_is_named(copying: tuple[SequenceTask, Run]) -> None:
    task, run = copying
    assert isinstance(run.spec, DNCSpec)
    found = examined(task, run, without_head(run.spec, run.params, 1))
    (dead,) = about(found, "head 1")
    assert not dead.fine
    assert dead.words.startswith("Head 1 is dead: without it the loss stays at ")
    assert not about(found, "head 0")[0].words.startswith("Head 0 is dead")


def test_a_dead_parameter_is_named(copying: tuple[SequenceTask, Run]) -> None:
    """A hidden unit that nothing listens to, and a mode that is shut."""
    task, run = copying
    assert isinstance(run.spec, DNCSpec)
    mute = map_leaves(np.copy, run.params)
    mute.interface.weights[5] = 0
    mute.output.weights[5] = 0
    (training,) = about(examined(task, run, mute), "training")
    assert not training.fine
    assert (
        training.words
        == "No gradient to speak of reaches 1 of the parameters' parts: unit 5 of controller.0."
    )
    shut = with_bias(run.spec, run.params, "allocation_gate", 1e4)
    (training,) = about(examined(task, run, shut), "training")
    assert {"interface.weights (allocation_gate)", "interface.bias (allocation_gate)"} <= set(
        training.numbers
    )
    nothing = run.params._replace(output=map_leaves(np.zeros_like, run.params.output))
    (training,) = about(examined(task, run, nothing), "training")
    assert "controller.0.bias" in training.numbers
    assert "output.bias" not in training.numbers


@pytest.mark.parametrize(
    ("part", "value", "named"),
    [
        ("write_vector", 1e16, ["Largest parameter (interface.bias)", "Largest number in memory"]),
        ("read_strengths", 200, ["Largest strength: 20"]),
        ("read_keys", 1e15, ["Largest key"]),
        ("write_key", 1e30, ["Largest key"]),
        ("write_vector", 1e38, ["Largest number in memory"]),
    ],
)
def test_a_model_near_overflow_is_named(
    copying: tuple[SequenceTask, Run], part: str, value: float, named: list[str]
) -> None:
    task, run = copying
    assert isinstance(run.spec, DNCSpec)
    assert all(finding.fine for finding in about(examined(task, run), "numbers"))
    found = examined(task, run, with_bias(run.spec, run.params, part, value))
    near = [finding.words for finding in about(found, "numbers") if not finding.fine]
    for words in named:
        assert any(line.startswith(words) for line in near), near


def test_a_model_that_is_not_finite_is_named(copying: tuple[SequenceTask, Run]) -> None:
    task, run = copying
    assert isinstance(run.spec, DNCSpec)
    found = examined(task, run, with_bias(run.spec, run.params, "write_vector", np.inf))
    (memory,) = about(found, "memory")
    assert memory.words == "The loss is nan: no part can be judged."
    assert not about(found, "links") and not about(found, "content")
    assert not about(found, "training")[0].fine
    assert "Largest parameter (interface.bias): inf" in " ".join(finding.words for finding in found.findings)


NO_USE = "This model does not use its memory: without its reads the loss "
CONSTANT = "This model reads, but nothing that it writes: without its reads the loss "


@pytest.mark.parametrize(
    ("whole", "reads", "writing", "words"),
    [
        (
            0.01,
            0.7,
            0.7,
            "The memory carries the task: without its reads the loss rises from 0.0100 to 0.7000.",
        ),
        (0.3, 0.4, 0.4, "The memory helps: without its reads the loss rises from 0.3000 to 0.4000."),
        (0.8, 1.4, 1.4, "The memory helps: without its reads the loss rises from 0.8000 to 1.4000."),
        (
            *(0.5, 0.504, 0.504),
            "This model hardly uses its memory: without its reads the loss rises from 0.5000 to 0.5040.",
        ),
        (1e-5, 5e-4, 5e-4, f"{NO_USE}rises from 1.0e-05 to 5.0e-04."),
        (0.5, 0.5, 0.5, f"{NO_USE}stays at 0.5000."),
        (0.5, 0.4, 0.4, "The memory does harm: without its reads the loss falls from 0.5000 to 0.4000."),
        (
            *(0.1, 0.7, 0.1),
            f"{CONSTANT}rises from 0.1000 to 0.7000, without writing to 0.1000. Its memory is a constant.",
        ),
    ],
)
def test_the_verdict_on_the_memory(
    copying: tuple[SequenceTask, Run], whole: float, reads: float, writing: float, words: str
) -> None:
    task, run = copying
    losses: Iterator[float] = iter([whole, reads, writing, whole, whole, whole, whole])
    with mock.patch("numdnc.inspection.diagnose.sampling_error", lambda *_: dict.fromkeys(PARTS, 0.0)):
        found = diagnose(run.spec, run.params, run.engine, task, lambda params: {"loss": next(losses)})
    (memory,) = about(found, "memory")
    assert memory.words == words
    assert memory.fine is words.startswith(("The memory carries", "The memory helps"))
    for part in PARTS[2:]:
        (finding,) = about(found, part)
        assert not finding.fine
        assert " dead: without " in finding.words and " stays at " in finding.words


PARTS = ("reads", "writing", "links", "content", "head 0", "head 1")


def compared(
    part: float, *, reads: float, whole: float, sampling_error: float = 0.0, nats: float = 1.0
) -> Finding:
    """What is said of links, by the losses whole, without links and without any reads."""
    without = {"reads": reads, "writing": reads, "links": part}
    losses = Losses(whole, without, dict.fromkeys(without, sampling_error), "BPC", nats, math.log(2))
    *_, links = judge_parts(losses)
    assert links.about == "links"
    return links


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (
            compared(2.5, whole=2.2283, reads=2.61),
            "Links are needed: without them BPC rises from 2.2283 to 2.5000.",
        ),
        (
            compared(9.84, whole=2.2283, reads=2.61),
            "The model depends on links: without them BPC rises from 2.2283 to 9.8400, further than without any "
            "reads (2.6100). Reads unlike any in training mislead it, so that rise is no measure; links are worth at "
            "most what all reads are, 0.3817.",
        ),
        (
            compared(2.22831, whole=2.2283, reads=2.61),
            "Links are not needed: without them BPC stays at 2.2283.",
        ),
        (compared(2.2283, whole=2.2283, reads=2.61), "Links are dead: without them BPC stays at 2.2283."),
        (
            compared(2.24, whole=2.2283, reads=2.61, nats=math.log(2)),
            "Links are not needed: without them BPC rises from 2.2283 to 2.2400.",
        ),
        (
            compared(2.3, whole=2.2283, reads=2.61, sampling_error=0.1),
            "Links are not needed: without them BPC rises from 2.2283 to 2.3000, no more than from sequence to "
            "sequence (± 0.1000).",
        ),
        (
            compared(2.1, whole=2.2283, reads=2.61),
            "Links do harm: without them BPC falls from 2.2283 to 2.1000.",
        ),
        (
            compared(math.nan, whole=2.2283, reads=2.61),
            "Links are needed: without them BPC goes from 2.2283 to nan.",
        ),
    ],
)
def test_what_a_loss_without_a_part_can_tell_is_said(losses: Finding, words: str) -> None:
    assert losses.words == words
    assert losses.fine is words.startswith(("Links are needed", "The model depends"))


def test_a_part_that_only_misleads_a_model_without_use_for_its_memory_is_to_be_looked_at() -> None:
    links = compared(9.84, whole=2.2283, reads=2.2283)
    assert not links.fine
    assert links.words.endswith("worth at most what all reads are, 0.0000.")


def test_noise_is_two_standard_errors_of_the_rise_over_sequences(copying: tuple[SequenceTask, Run]) -> None:
    """By the textbook where all sequences have as many predictions; 0 where the model is one and the same."""
    task, run = copying
    batch = SequenceTask("copy", Copy(width=4, min_length=2, max_length=2), EPISODES, seed=3).example(20)
    found = sampling_error(run.spec, run.params, loss_of_each(run.spec, run.engine, batch, task.loss))
    assert list(found) == list(PARTS)
    each = []
    for params in (run.params, ablations(run.spec, run.params)["head 1"]):
        outputs, _ = forward_with(run.engine, run.spec, params)(batch.inputs, None)
        each.append([task.loss(outputs[:, [b]], batch.rows(slice(b, b + 1)))[0] for b in range(20)])
    rises = np.array(each[1]) - np.array(each[0])
    assert found["head 1"] == pytest.approx(2 * rises.std(ddof=1) / math.sqrt(20), rel=1e-4)
    silent = run.params._replace(output=map_leaves(np.zeros_like, run.params.output))
    assert set(
        sampling_error(run.spec, silent, loss_of_each(run.spec, run.engine, batch, task.loss)).values()
    ) == {0.0}


@pytest.mark.parametrize("name", [*MODELS, *VARIATIONS])
def test_every_kind_of_model_can_be_examined(name: str) -> None:
    """With random parameters: whatever the flags, each mechanism it has is spoken of."""
    spec = (MODELS | VARIATIONS)[name]
    rng = np.random.default_rng(0)
    params = map_leaves(lambda leaf: leaf.astype(np.float32), random_params(spec, rng))
    inputs, targets = random_inputs(spec, rng, 6, 3), rng.integers(spec.output_size, size=(6, 3))

    def entropy(outputs: Any, batch: Batch) -> tuple[float, float, Any]:
        nats, d_outputs = softmax_cross_entropy(outputs, batch.targets)
        return nats, batch.targets.size, d_outputs

    task = mock.Mock(nats_per_unit=math.log(2), unit="BPC", loss=entropy)
    task.example.return_value = task.next_batch.return_value = Batch(inputs, targets)
    task.rollout.side_effect = lambda forward, batch: batch
    del task.returns  # no policy
    engine = select_engine("auto", spec)

    def score(params: Any) -> dict[str, float]:
        outputs, _, _ = engine.forward(
            spec, params, inputs.astype(np.float32), initial_state(spec, params, 3), keep_tape=False
        )
        return {"bpc": task.loss(outputs, Batch(inputs, targets))[0] / task.nats_per_unit}

    found = diagnose(spec, params, engine, task, score)
    topics = {finding.about for finding in found.findings}
    assert {"memory", "controller", "training", "numbers"} <= topics
    if isinstance(spec, DNCSpec):
        heads = {f"head {head}{of}" for head in range(2) for of in of_memory(spec)}
        assert {"usage", "modes", "sharpness", "gates", "content", *heads} <= topics
        assert ("links" in topics) == spec.links
        assert len(about(found, "usage")) == spec.memories
        assert len(about(found, "sharpness")) == spec.memories * (spec.read_heads + spec.write_heads)
        assert ("write head 1" in topics) == (spec.write_heads > 1)
        assert "BPC" in about(found, "memory")[0].words
    elif isinstance(spec, NTMSpec):
        assert {"shifts", "sharpness", "gates", "content", "head 0", "head 1"} <= topics
        assert len(about(found, "sharpness")) == spec.read_heads + spec.write_heads
        assert "BPC" in about(found, "memory")[0].words
    else:
        (memory,) = about(found, "memory")
        assert memory.words == f"This model has none (it is an {spec.kind})."
    figures = health(spec, params, engine, Batch(inputs, targets), task.loss)
    assert all(map(math.isfinite, figures.values()))
    assert ("usage" in figures) == (isinstance(spec, DNCSpec) and spec.usage_writing)
    assert ("slots_accessed" in figures) == (isinstance(spec, DNCSpec) and spec.recency)
    assert ("read_interpolation" in figures) == isinstance(spec, NTMSpec)
    assert ("gradient_interface" in figures) == spec.has_memory
    assert ("mode_content" in figures) == (isinstance(spec, DNCSpec) and spec.links)


def test_health_says_what_the_biases_make_of_it() -> None:
    """Weights of 0 leave the biases: every gate is the sigmoid of its own, at every step."""
    spec = DNCSpec(input_size=3, output_size=2, hidden_sizes=(4,), memory_size=5, word_size=3, read_heads=2)
    params = map_leaves(np.zeros_like, random_params(spec, np.random.default_rng(0)))
    for part, value in {"write_gate": 1, "allocation_gate": 50, "free_gates": -50, "write_vector": 2}.items():
        params = with_bias(spec, params, part, value)
    params.interface.bias[interface_columns(spec)["read_modes"][:, 1]] = np.log(2)
    batch = Batch(np.ones((6, 4, 3)), np.ones((6, 4, 2)))
    loss = SequenceTask("copy", Copy(width=2), EPISODES, seed=0).loss
    found = health(spec, params, get_engine("reference"), batch, loss)
    gate = 1 / (1 + np.exp(-1))
    assert found["write_gate"] == pytest.approx(gate)
    assert found["allocation_gate"] == pytest.approx(1)
    assert found["free_gates"] == pytest.approx(0)
    assert [found[f"mode_{way}"] for way in ("backward", "content", "forward")] == pytest.approx(
        [0.25, 0.5, 0.25]
    )
    # Usage grows by a write of the step before, to the freest slot first; each slot that was is in use by a gate.
    usage, freest = np.zeros(5), []
    for _ in range(6):
        freest.append(usage.copy())
        order = np.argsort(usage, kind="stable")
        weights = np.zeros(5)
        for rank, slot in enumerate(order):
            weights[slot] = gate * (1 - usage[slot]) * np.prod(usage[order[:rank]])
        usage = usage + weights - usage * weights
    assert found["usage"] == pytest.approx(np.mean(freest))
    assert found["slots_in_use"] == pytest.approx((np.array(freest) > 0.5).mean())
    assert found["hidden_saturated"] == 0
    assert found["largest_parameter"] == 50
    assert found["gradient_controller"] == found["gradient_interface"] == 0
    assert found["gradient_output"] > 0.1


def test_health_goes_to_the_metrics_and_changes_nothing() -> None:
    done("train", *COPY.split(), "--steps", 12, "--report-every", 4, "--out", "run")
    watched = contents(Path("run"))
    lines = [line.pop("health") for line in watched["metrics"]]
    assert len(lines) == 3
    assert {"usage", "write_gate", "mode_content", "read_sharpness", "gradient_interface"} <= set(lines[0])
    assert all(math.isfinite(figure) for line in lines for figure in line.values())
    assert lines[0] != lines[2]
    with mock.patch("numdnc.cli.training.health", lambda *_: {}):
        done("train", *COPY.split(), "--steps", 12, "--report-every", 4, "--out", "blind")
    assert "health" not in metrics(Path("blind"))[0]
    assert contents(Path("blind")) == watched


def test_health_of_a_text_without_a_memory() -> None:
    train_text("run", model="lstm")
    assert set(metrics(Path("run"))[0]["health"]) == {
        "hidden_saturated",
        "largest_parameter",
        "gradient_controller",
        "gradient_output",
    }


@pytest.mark.parametrize(
    ("held_out", "steps", "starts"), [(0.5, 8, [449, 596, 743, 890]), (0.01, 2, [889, 891, 893, 896])]
)
def test_the_windows_looked_at_are_held_out(held_out: float, steps: int, starts: list[int]) -> None:
    text = TEXT[:898]
    task = TextTask(Corpus("cats", text.encode()), TextSettings(batch=2, window=8, held_out=held_out), 0)
    example = task.example(4)
    assert example.targets.shape == example.inputs.shape == (steps, 4)
    symbols = task.vocabulary.symbols
    for column, start in enumerate(starts):
        assert "".join(symbols[i] for i in example.inputs[:, column]) == text[start - 1 : start - 1 + steps]
        assert "".join(symbols[i] for i in example.targets[:, column]) == text[start : start + steps]
    assert starts[0] == task.characters[0]


def test_diagnose_a_run_of_sequences() -> None:
    done("train", *COPY.split(), "--steps", 12, "--report-every", 4, "--out", "run")
    text = done("diagnose", "run", "--last")
    first, *lines = text.splitlines()
    assert first == "copy, dnc at iteration 12, engine cpu"
    assert lines[1].split() == ["loss", "bit_error", "sequence_error"]
    assert CAVEAT in lines
    titles = [
        "whole",
        *(f"without {part}" for part in ("reads", "writing", "links", "content", "head 0", "head 1")),
    ]
    assert [line[: len(title)] for line, title in zip(lines[2:], titles, strict=False)] == titles
    found = json.loads(done("diagnose", "run", "--last", "--json"))
    assert found["scores"]["whole"]["loss"] == metrics(Path("run"))[-1]["loss"]
    shown = [line for line in lines if line.startswith(("ok ", "LOOK "))]
    assert [line.split(maxsplit=1)[0].lower() for line in shown] == [f["verdict"] for f in found["findings"]]
    assert all(
        line.endswith(finding["words"]) for line, finding in zip(shown, found["findings"], strict=True)
    )
    to_look = sum(finding["verdict"] == "look" for finding in found["findings"])
    assert lines[-1] == f"{to_look} of {len(shown)} findings to look at"
    assert found.keys() == {"task", "kind", "iteration", "engine", "unit", "sequences", "scores", "findings"}
    assert "engine reference" in done("diagnose", "run", "--engine", "reference")
    best = json.loads(done("diagnose", "run", "--json"))
    assert best["iteration"] == min(metrics(Path("run")), key=lambda line: line["loss"])["iteration"]


@pytest.mark.parametrize("model", ["rnn", "lstm", "dnc"])
def test_diagnose_a_run_of_a_text(model: str) -> None:
    train_text("run", model=model)
    found = json.loads(done("diagnose", "run", "--last", "--json"))
    assert (found["kind"], found["unit"]) == (model, "BPC")
    assert found["scores"]["whole"] == {"bpc": metrics(Path("run"))[-1]["bpc"]}
    assert list(found["scores"])[1:] == (
        ["reads", "writing", "links", "content", "head 0", "head 1"] if model == "dnc" else []
    )
    memory = found["findings"][0]["words"]
    assert (
        ("without its reads BPC" in memory)
        if model == "dnc"
        else (memory == f"This model has none (it is an {model}).")
    )


def test_numbers_that_are_not_finite_are_null_in_json() -> None:
    train_text("run", model="dnc")

    def poison(arrays: Any, metadata: Any) -> None:
        arrays["params.interface.bias"][:] = np.inf

    rewrite(Path("run/last.safetensors"), poison)
    result = call("diagnose", "run", "--last", "--json")
    assert result.err == "warning: parameters hold NaN or infinity, the first of them interface.bias\n"
    found = json.loads(result.out)
    assert found["scores"]["whole"] == {"bpc": None}
    assert found["findings"][0]["words"] == "BPC is nan: no part can be judged."


def test_what_cannot_be_diagnosed_is_refused() -> None:
    refused("diagnose", "nowhere", expect="nowhere must be the folder of a run, got no such folder")
    done("train", *COPY.split(), "--steps", 1, "--report-every", 1, "--out", "run")
    refused(
        "diagnose",
        "run",
        "--corpus",
        "text.txt",
        expect="--corpus must be given for a run of a text or molecules, got one of copy",
    )
    refused(
        "diagnose",
        "run",
        "--engine",
        "abacus",
        expect="engine must be one of auto, cpu, reference, torch, gpu, got 'abacus'",
    )
    train_text("text", model="rnn")
    Path("text.txt").write_text("gone " * 200)
    refused("diagnose", "text", expect="the corpus must be the one the run was started with")
