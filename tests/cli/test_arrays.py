"""`train arrays`: every command on a run of NumPy files or JSON lines, and the example of the documentation."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from helpers.commands import contents, done, refused
from numdnc import load_run
from numdnc.training.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
SIZES = "--hidden 5 -N 4 -W 3 -R 1 --batch 4"
SMALL = [*SIZES.split(), "--schedule", "constant", "--sample-every", 0]
FILES = ["--inputs", "data/x.npy", "--targets", "data/y.npy", "--mask", "data/m.npy"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path.parent / f"{tmp_path.name}-state"))
    rng = np.random.default_rng(0)
    mask = np.arange(6) < rng.integers(2, 7, 40)[:, None]
    inputs = rng.normal(size=(40, 6, 2)) * mask[..., None]
    (tmp_path / "data").mkdir()
    np.save("data/x.npy", inputs)
    np.save("data/y.npy", (inputs[..., 0] > 0).astype(int) + (inputs[..., 1] > 0))
    np.save("data/m.npy", mask)
    return tmp_path


def train(folder: str, steps: int = 8, files: list[str] = FILES) -> str:
    return done("train", "arrays", *files, *SMALL, "--steps", steps, "--report-every", 4, "--out", folder)


def test_a_run_is_trained_resumed_and_looked_into(place: Path) -> None:
    out = train("run")
    assert (
        "x.npy, y.npy, m.npy: 36 sequences of up to 6 steps to train on, 4 held out; 2 inputs, 3 outputs"
        in out
    )
    assert "targets are classes" in out
    files = load_checkpoint(Path("run/last.safetensors"))[1]["task"]["files"]
    assert [file["name"] for file in files] == ["x.npy", "y.npy", "m.npy"]
    train("whole", steps=12)
    done("resume", "run", "--steps", 12, "--sample-every", 0)
    run, whole = contents(Path("run")), contents(Path("whole"))
    assert {name: run[name] for name in run if "training" not in name} == {
        name: whole[name] for name in whole if "training" not in name
    }
    scores = json.loads(done("eval", "run", "--json", "--no-reads"))
    assert (scores["task"], scores["sequences"], scores["iteration"]) == ("arrays", 4, 12)
    assert scores == load_run("run").evaluate(no_reads=True).record()
    assert 0 < scores["loss"] < 2
    assert json.loads(done("eval", "run", "--json", "--sequences", 2))["sequences"] == 2
    assert "classes wrong" in done("eval", "run", "--show")
    assert "held-out sequence 1: " in done("trace", "run", "--sample", 1)
    Path("one.csv").write_text("0.5,1\n-1,2\n")
    assert "2 steps, no targets" in done("trace", "run", "--input", "one.csv")
    done("view", "run", "--no-open")
    assert "findings to look at" in done("diagnose", "run")
    for words, expect in (
        ("eval run --sequences 5", "sequences must be from 1 to 4, those held out, got 5"),
        ("eval run --set a=3", "--set must be given for a run of separate sequences"),
        ("trace run --sample 4", "one of 0..3, the held-out ones, got 4"),
        ("trace run --input 101", "each row of --input must be 2 digits 0 or 1"),
        ("ask run x", "ask must be given a run of"),
    ):
        refused(*words.split(), expect=expect)


def test_files_that_have_moved_are_found_or_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train("run")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    done("eval", "../run")
    (place / "data").rename(place / "moved")
    refused("eval", "../run", expect="x.npy: No such file|say with --data in which folder")
    done("eval", "../run", "--data", "../moved")
    done("eval", "../run")
    np.save(place / "moved/y.npy", np.zeros((40, 6), int))
    refused("eval", "../run", expect="y.npy must be the file that the run was started with")


def test_wrong_files_are_refused_before_anything_is_made() -> None:
    for words, expect in (
        ([], "--inputs must name a file .npy or .jsonl, got none"),
        (["--inputs", "data/x.npy"], "--targets must be given"),
        (
            ["--inputs", "data/x.npy", "--targets", "data/m.npy", "--mask", "data/x.npy"],
            "must have the shape",
        ),
        ([*FILES, "--batch", 50], "at least a batch of 50 sequences to train on, got 36 of 40"),
        ([*FILES, "--targets-as", "bits"], "targets must be bits"),
        ([*FILES, "--held-out", 1], "held_out must lie between 0 and 1"),
    ):
        refused("train", "arrays", *words, "--out", "run", expect=expect)


def test_the_example_of_the_documentation_runs(place: Path) -> None:
    text = (ROOT / "docs/howto/data.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(code, {})
    train_line, eval_line, view_line = (
        line.split()[1:] for line in re.findall(r"^numdnc .*$", text, re.MULTILINE)
    )
    small = ["--hidden", 4, "--steps", 4, "--report-every", 2, "--sample-every", 0]
    assert "450 sequences of up to 8 steps" in done(*train_line, *small)
    done(*eval_line)
    done(*view_line, "--no-open")
    (json_line,) = re.findall(r"^    numdnc (train arrays .*)$", text, re.MULTILINE)
    words = [ROOT / word if word.startswith("examples/") else word for word in json_line.split()]
    assert "58 sequences of up to 8 steps to train on, 6 held out; 1 inputs, 2 outputs" in done(
        *words, *small
    )
