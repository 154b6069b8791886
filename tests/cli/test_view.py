"""`view`: the model that the page computes, and what is said where it does not."""

import base64
import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.commands import done, refused
from numdnc.cli import page_model
from numdnc.runs.kinds import load_run
from numdnc.tree import leaves

TINY = [
    "--hidden",
    "5",
    "-N",
    "4",
    "-W",
    "3",
    "-R",
    "2",
    "--sample-every",
    "0",
    "--steps",
    "4",
    "--report-every",
    "2",
]
SIZES = ["--evaluated", "4", "--batch", "4", "--width", "2", "--max-length", "3"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done("train", "copy", *TINY, *SIZES, "--average-decay", "0.9", "--out", "run")
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def element(page: Path, name: str) -> str:
    """What an element of the page holds."""
    found = re.search(rf'<script id="{name}"[^>]*>([^<]*)</script>', page.read_text("utf-8"))
    assert found is not None
    return found[1]


def about_of(page: Path) -> Any:
    return json.loads(element(page, "about"))


def test_the_page_has_the_averaged_parameters() -> None:
    assert "does not compute" not in done("view", "run", "--no-open")
    page, run = Path("run/trace.html"), load_run("run")
    assert about_of(page)["model"]["precision"] == "float32"
    held = np.frombuffer(zlib.decompress(base64.b64decode(element(page, "params"))), "<f4")
    averaged = np.concatenate([leaf.ravel() for leaf in leaves(run.checkpoint.average[0])])
    np.testing.assert_array_equal(held, averaged)
    done("view", "run/trace.safetensors", "--no-open", "--out", "again.html")
    assert element(Path("again.html"), "params") == element(page, "params")


NO_MODEL = "neither a run beside the trace nor a model that comes with numdnc makes its outputs"


def test_without_its_run_a_trace_stays_a_recording() -> None:
    done("trace", "run", "--out", "elsewhere.safetensors")
    said = done("view", "elsewhere.safetensors", "--no-open")
    assert f"the page does not compute this model: {NO_MODEL}" in said
    assert about_of(Path("elsewhere.html"))["model"] is None
    assert about_of(Path("elsewhere.html"))["why_not"] == NO_MODEL
    said = done("view", "run", "--no-open", "--no-compute")
    assert "compute" not in said
    assert (about_of(Path("run/trace.html"))["model"], about_of(Path("run/trace.html"))["why_not"]) == (
        None,
        "",
    )


def test_a_trace_beside_another_run_of_the_same_sizes_stays_a_recording() -> None:
    done("train", "copy", *TINY, *SIZES, "--seed", "1", "--out", "other")
    done("trace", "run", "--last", "--out", "other/last-of-run.safetensors")
    assert (
        load_run("other", last=True).checkpoint.iteration == load_run("run", last=True).checkpoint.iteration
    )
    assert NO_MODEL in done("view", "other/last-of-run.safetensors", "--no-open")
    done("trace", "other", "--last", "--out", "other/last.trace.safetensors")
    assert "does not compute" not in done("view", "other/last.trace.safetensors", "--no-open")


@pytest.mark.parametrize("slots", [(), ("--memory-size", "20")])
def test_a_trace_of_a_model_that_comes_with_numdnc_computes_wherever_it_lies(slots: tuple[str, ...]) -> None:
    done("trace", "model:copy", "--out", "here.safetensors", *slots)
    assert "does not compute" not in done("view", "here.safetensors", "--no-open")
    held = np.frombuffer(zlib.decompress(base64.b64decode(element(Path("here.html"), "params"))), "<f4")
    own = np.concatenate([leaf.ravel() for leaf in leaves(load_run("model:copy").params)])
    np.testing.assert_array_equal(held, own.astype(np.float32))


def test_a_model_that_is_too_large_stays_a_recording() -> None:
    done(
        "train", "copy", *TINY, *SIZES, "--hidden", "450", "--steps", "1", "--model", "lstm", "--out", "large"
    )
    said = done("view", "large", "--no-open")
    assert "its parameters take 1.6 MiB in float16, more than 1.0 MiB" in said
    assert "1.6 MiB in float16" in about_of(Path("large/trace.html"))["why_not"]


def test_a_learned_interface_stays_a_recording() -> None:
    done("train", "interface-copy", *TINY, "--batch", 2, "--evaluated", 2, "--out", "policy")
    assert "its inputs depend on its actions" in done("view", "policy", "--no-open")


def test_another_checkpoint_and_the_curves_are_on_the_page() -> None:
    done("view", "run", "--no-open", "--against", "run/last.safetensors")
    page = Path("run/trace.html")
    assert about_of(page)["other"] == "last.safetensors, iteration 4"
    assert about_of(page)["curves"]["iterations"] == [2, 4]
    held = np.frombuffer(zlib.decompress(base64.b64decode(element(page, "params"))), "<f4")
    half = len(held) // 2
    last = np.concatenate([leaf.ravel() for leaf in leaves(load_run("run", last=True).params)])
    np.testing.assert_array_equal(held[half:], last)


def test_what_cannot_be_compared() -> None:
    done("trace", "run")
    done("train", "copy", *TINY, *SIZES, "--hidden", "6", "--steps", "1", "--out", "wider")
    refused("view", "run", "--no-open", "--against", "wider", expect="must be a checkpoint of the same model")
    refused("view", "run", "--no-open", "--against", "nowhere", expect="nowhere")
    refused("view", "run", "--no-open", "--against", "wider", "--no-compute", expect="--no-compute")


def test_a_page_that_does_not_compute_compares_nothing_and_says_so() -> None:
    lstm = ("--hidden", "450", "--steps", "1", "--model", "lstm")
    done("train", "copy", *TINY, *SIZES, *lstm, "--out", "large")
    said = done("view", "large", "--no-open", "--against", "large/last.safetensors")
    assert "the page does not compute this model: its parameters take 1.6 MiB in float16" in said
    assert "the page does not compare it with large/last.safetensors: it computes neither" in said
    assert about_of(Path("large/trace.html"))["other"] is None


def test_a_checkpoint_that_the_page_does_not_compute_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    done("trace", "run")
    answers = iter([None, "some of its parameters are too large"])
    monkeypatch.setattr(page_model, "why_not_computed", lambda *_: next(answers))
    said = done("view", "run", "--no-open", "--against", "run/last.safetensors")
    assert "the page does not compute" not in said
    assert "does not compare it with run/last.safetensors: some of its parameters are too large" in said
    about = about_of(Path("run/trace.html"))
    assert about["model"] is not None
    assert about["other"] is None
