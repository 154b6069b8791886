"""Checkpoints of earlier versions still load and go on.

checkpoints/0.1 was written by version 0.1 before there were variations of the DNC: a run of 40 iterations on cats.txt,
and the same run resumed to 60. checkpoints/format-4 holds a file of each kind as they were before versions were under
the checksum: checkpoints of format 4, a trace of schema 1, a module of version 1, sweep.json and metrics.jsonl.
checkpoints/format-5 was written just before the parts of a memory were declared in one place, by a DNC with every
variation and by one without links: a run of 20 iterations on cats.txt, the same run resumed to 30, a trace, a module,
and a state that the module returned.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from helpers.commands import done
from numdnc import DNCSpec, LSTMSpec, named_leaves, nn
from numdnc.inspection.trace_file import load_trace
from numdnc.nn.files import run_from
from numdnc.training.checkpoint import load_run, rename_old_settings
from numdnc.training.folder import parse_metrics_line
from numdnc.training.sweep_folder import SweepFolder

OLD = Path(__file__).parent / "checkpoints" / "0.1"
FORMAT_4 = OLD.with_name("format-4")
FORMAT_5 = OLD.with_name("format-5")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder as that version left it."""
    shutil.copy(OLD / "last.safetensors", tmp_path / "last.safetensors")
    return tmp_path


def test_a_run_from_before_the_variations_is_the_papers_dnc() -> None:
    spec = load_run(OLD / "last.safetensors").spec
    assert spec == DNCSpec(
        input_size=18, output_size=18, hidden_sizes=(6,), memory_size=4, word_size=3, read_heads=2
    )


def test_its_limit_of_scores_has_moved_to_the_text() -> None:
    run = load_run(OLD / "last.safetensors")
    assert run.task["settings"]["score_limit"] == 50_000
    assert (run.solved_iteration, run.solved_seconds) == (None, None)


def test_it_goes_on_as_it_did(folder: Path) -> None:
    assert_resumes(folder, 60, OLD / "resumed.safetensors")


def assert_resumes(folder: Path, steps: int, expected: Path) -> None:
    """Resumed on cats.txt, the run in `folder` ends as the checkpoint `expected` says."""
    done("resume", folder, "--steps", steps, "--sample-every", 0, "--corpus", OLD / "cats.txt")
    now, then = load_run(folder / "last.safetensors"), load_run(expected)
    assert (now.iteration, now.position) == (then.iteration, then.position)
    assert now.best_score == pytest.approx(then.best_score, rel=1e-5)
    trees = (now.params, now.moments, now.state), (then.params, then.moments, then.state)
    for (name, array), (_, wanted) in zip(*map(named_leaves, trees), strict=True):
        assert_allclose(array, wanted, rtol=0, atol=1e-5 * max(1, np.abs(wanted).max()), err_msg=name)


def test_a_text_of_format_4_goes_on(tmp_path: Path) -> None:
    """It holds the path of its text, which is not kept when it is saved again."""
    shutil.copy(FORMAT_4 / "text.safetensors", tmp_path / "last.safetensors")
    assert load_run(tmp_path / "last.safetensors").task["corpus"] == "/home/somebody/cats.txt"
    done("resume", tmp_path, "--steps", 10, "--sample-every", 0, "--corpus", OLD / "cats.txt")
    run = load_run(tmp_path / "last.safetensors")
    assert (run.iteration, run.task["corpus"]) == (10, "cats.txt")
    assert run.spec == LSTMSpec(input_size=18, output_size=18, hidden_sizes=(5,))


def test_a_task_of_format_4_goes_on(tmp_path: Path) -> None:
    shutil.copy(FORMAT_4 / "copy.safetensors", tmp_path / "last.safetensors")
    shutil.copy(FORMAT_4 / "metrics.jsonl", tmp_path / "metrics.jsonl")
    done("resume", tmp_path, "--steps", 6, "--sample-every", 0, "--engine", "reference")
    lines = (tmp_path / "metrics.jsonl").read_bytes().splitlines()
    reports = [parse_metrics_line(line) for line in lines]
    assert [report.iteration for report in reports if report] == [2, 4, 6]


def test_a_trace_of_schema_1() -> None:
    trace = load_trace(FORMAT_4 / "trace.safetensors")
    assert (trace.about.task, trace.steps, trace.spec.kind) == ("copy", 6, "dnc")


def test_a_module_of_version_1() -> None:
    module = nn.load(FORMAT_4 / "model.pt")
    assert module.origin is not None
    run, before = run_from(module, module.origin), load_run(FORMAT_4 / "copy.safetensors")
    assert (run.spec, run.task, run.position.keys()) == (before.spec, before.task, before.position.keys())


def test_a_sweep_of_then() -> None:
    sweep = SweepFolder(FORMAT_4).load()
    assert (sweep.train[0], sweep.vary, sweep.seeds) == ("copy", {"hidden": ("3", "4")}, 2)


with_and_without_links = pytest.mark.parametrize("name", ["links", "no-links"])


@with_and_without_links
def test_a_run_of_format_5_goes_on_from_its_state(name: str, tmp_path: Path) -> None:
    shutil.copy(FORMAT_5 / f"{name}.safetensors", tmp_path / "last.safetensors")
    assert np.abs(load_run(tmp_path / "last.safetensors").state.memory).max() > 0
    assert_resumes(tmp_path, 30, FORMAT_5 / f"{name}-resumed.safetensors")


@with_and_without_links
def test_a_trace_of_schema_2(name: str) -> None:
    trace = load_trace(FORMAT_5 / f"{name}-trace.safetensors")
    assert ("link" in trace.arrays) == (name == "links")
    assert ("forward_sharpness" in trace.arrays) == (name == "links")


@with_and_without_links
def test_a_module_of_version_2_and_a_state_of_it(name: str) -> None:
    module = nn.load(FORMAT_5 / f"{name}.pt").eval()
    inputs = torch.zeros(3, 2, module.spec.input_size)
    state = torch.load(FORMAT_5 / f"{name}-state.pt", weights_only=True)
    _, after = module(inputs, state)
    assert [leaf for leaf, _ in named_leaves(after)] == [leaf for leaf, _ in named_leaves(state)]
    assert ("link" in dict(named_leaves(after))) == (name == "links")


def test_settings_that_were_stored_under_other_names() -> None:
    metadata = {"training": {"start": "store", "score_limit": 7}, "task": {"settings": {}}}
    rename_old_settings(metadata)
    assert metadata == {"training": {"init_scheme": "store"}, "task": {"settings": {"score_limit": 7}}}


def test_options_are_known_by_former_names(tmp_path: Path) -> None:
    words = ("train", "copy", "--engine", "reference", "--steps", 1, "--evaluated", 2, "--sample-every", 0)
    for number, option in enumerate((("--start", "store"), ("--start=store",))):
        done(*words, *option, "--out", tmp_path / str(number))
        assert load_run(tmp_path / str(number) / "last.safetensors").training.init_scheme == "store"
