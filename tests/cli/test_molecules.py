"""Molecules from the command line: train, sample, eval, trace, and what users get wrong."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from helpers.commands import call, contents, done, error_line, interrupted_after, refused
from numdnc.inspection.trace_file import load_trace
from numdnc.runs.kinds import load_run
from numdnc.tasks.molecules import chemistry

EXAMPLE = Path(__file__).parents[2] / "examples" / "molecules.smi"
TINY = (
    *("-H", 5, "-N", 9, "-W", 3, "-R", 1, "--batch", 16, "--max-tokens", 60),
    *("--sample-every", 0, "--report-every", 2, "--engine", "reference"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, hardly trained."""
    folder = tmp_path_factory.mktemp("molecules")
    done("train", "molecules", "-c", EXAMPLE, *TINY, "--steps", 6, "--out", folder / "run")
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").symlink_to(trained / "run")
    shutil.copy(EXAMPLE, tmp_path)
    return tmp_path


def test_a_model_writes_molecules_one_a_line() -> None:
    lines = done("sample", "run", "--count", 4, "--engine", "reference").split("\n")
    assert len(lines) == 5
    assert lines[4] == ""
    run: Any = load_run("run", engine="reference")
    assert run.sample(count=4).split("\n") == lines[:4]
    assert len(run.sample(count=300, temperature=2.0).split("\n")) == 300
    begun = done(
        "sample", "run", "--count", 3, "--prime", "C[nH]", "--temperature", 0, "--engine", "reference"
    )
    assert all(line.startswith("C[nH]") for line in begun.split())


def test_a_run_is_scored_by_its_likelihoods_and_its_samples() -> None:
    words = done("eval", "run", "--sequences", 20, "--no-reads", "--engine", "reference")
    found = json.loads(done("eval", "run", "--sequences", 20, "--json", "--engine", "reference"))
    assert found["sampled"] == 20
    assert found["held_out_molecules"] == 9
    assert f"NLL {found['nll']:.3f} nats" in words
    assert f"20 sampled: NLL {found['sampled_nll']:.2f}, divergence {found['divergence']:.4f}" in words
    assert f"{100 * found['valid']:.2f} % valid" in words
    assert "with every read vector zeroed" in words


def test_without_rdkit_the_shares_are_left_out() -> None:
    chemistry._rdkit.cache_clear()
    with mock.patch.dict(sys.modules, {"rdkit": None}):
        result = call("eval", "run", "--sequences", 20, "--engine", "reference")
    chemistry._rdkit.cache_clear()
    assert result.code == 0
    assert "which samples are valid is not known: the package rdkit is not installed" in result.err
    assert "valid" not in result.out


def test_a_molecule_is_traced_token_by_token() -> None:
    done("trace", "run", "--input", "CCl", "--out", "t.safetensors")
    trace = load_trace(Path("t.safetensors"))
    names = trace.about.input_channels
    assert [names[number] for number in trace.arrays["inputs"]] == ["end", "C", "Cl"]
    assert [names[number] for number in trace.arrays["targets"]] == ["C", "Cl", "end"]
    done("view", "t.safetensors", "--no-open", "--out", "t.html")
    assert "a molecule given by hand, CCl" in Path("t.html").read_text(encoding="utf-8")
    assert "held-out molecule 3" in load_run("run", engine="reference").trace(number=3).about.sequence


def test_samples_are_shown_in_training() -> None:
    options = [*TINY, "--sample-every", 1, "--steps", 2, "--out", "shown"]
    assert " of 256 valid\n" in done("train", "molecules", "-c", EXAMPLE, *options)


def test_an_interrupted_run_continues_as_if_it_had_not_been() -> None:
    words = ("train", "molecules", "-c", EXAMPLE, *TINY, "--steps", 6, "--out")
    done(*words, "whole")
    with interrupted_after(3):
        assert call(*words, "stopped").code == 130
    done("resume", "stopped", "--sample-every", 0)
    assert contents(Path("stopped")) == contents(Path("whole"))


def test_a_file_that_has_moved_is_named() -> None:
    shutil.copy(EXAMPLE, "mine.smi")
    done("train", "molecules", "-c", "mine.smi", *TINY, "--steps", 2, "--out", "moved")
    shutil.move("mine.smi", "yours.smi")
    refused("eval", "moved", "--engine", "reference", expect="say with --corpus where it lies now")
    assert "valid" in done("eval", "moved", "--engine", "reference", "--corpus", "yours.smi")
    Path("other.smi").write_text("CC\n")
    refused("eval", "moved", "--corpus", "other.smi", expect="must be those the run was started with")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "molecules must come from a file with one a line as SMILES, got none"),
        (
            ("-c", "none.smi"),
            "--corpus must name a file with a molecule a line as SMILES, got 'none.smi', which is not there",
        ),
        (("-c", "empty.smi"), "empty file"),
        (("-c", "wrong.smi"), "line 2 of wrong.smi must be a molecule| 'x' as character 3"),
        (("-c", EXAMPLE, "--batch", 999), "must hold at least a batch of 999 different molecules"),
        (("-c", EXAMPLE, "--bidirectional"), "bidirectional must be left out with the task molecules"),
        (("-c", EXAMPLE, "--window", 9), "--window"),
    ],
)
def test_wrong_files_are_refused_in_a_line(words: tuple[Any, ...], message: str) -> None:
    Path("empty.smi").touch()
    Path("wrong.smi").write_text("CC\nCCxC C\n")
    refused("train", "molecules", *words, expect=message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("sample", "run", "--length", 9),
            "--length must be given for a run of a text, got one of molecules",
        ),
        (("sample", "run", "--count", 0), "count must be at least 1, got 0"),
        (("sample", "run", "--prime", "C?"), "--prime must be a molecule: SMILES must be"),
        (("sample", "run", "--prime", "[Xx]"), "must have tokens that the model was trained on| '[Xx]'"),
        (("sample", "run", "--prime", 61 * "C"), "the beginning must have at most 60 tokens"),
        (("trace", "run", "--input", "C C"), "' ' as character 2"),
        (("trace", "run", "--sample", 9), "the molecule must be one of 0..8"),
        (("ask", "run", "CC"), "ask must be given a run of"),
        (("eval", "run", "--sequences", 0), "sequences must be at least 1, got 0"),
        (("eval", "run", "--set", "batch=3"), "--set must be given for a run of"),
    ],
)
def test_mistakes_with_a_run_are_refused_in_a_line(words: tuple[Any, ...], message: str) -> None:
    refused(*words, "--engine", "reference", expect=message)


def test_a_text_has_no_molecules_to_count() -> None:
    Path("text.txt").write_text("a text, " * 30)
    done(
        "train",
        "text",
        "-c",
        "text.txt",
        "-H",
        3,
        "-m",
        "rnn",
        "--batch",
        2,
        "--window",
        4,
        "--steps",
        2,
        "--sample-every",
        0,
        "--out",
        "text",
    )
    line = error_line(call("sample", "text", "--count", 3))
    assert "--count must be given for a run of molecules, got one of text" in line
