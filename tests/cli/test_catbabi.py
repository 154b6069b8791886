"""`train catbabi`, and what resume, eval, ask, trace and diagnose do with its runs."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.babi_stories import FOLDER, TITLES, files, save_archive
from helpers.commands import contents, done, metrics, refused
from numdnc import load_run
from numdnc.inspection.trace_file import load_trace
from numdnc.tasks.babi.asking import stream_batch
from numdnc.training.checkpoint import load_checkpoint

TINY = "--hidden 5 -N 4 -W 3 -R 1 --batch 4 --window 9 --evaluated 3 --validation 0.2"
STORY = "Ann ran to the porch. Where is Ann? How does one go there?"


def words(out: object, *more: object) -> tuple[object, ...]:
    return ("train", "catbabi", *TINY.split(), "--steps", 26, "--report-every", 4, "--out", out, *more)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive and a run on it, to be copied."""
    folder = tmp_path_factory.mktemp("catbabi")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        save_archive(folder / f"{FOLDER}.tar.gz", files())
        out = done(*words("run", "--sample-every", 2, "--data", f"{FOLDER}.tar.gz"))
        Path("printed.txt").write_text(out)
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMDNC_DATA", str(tmp_path))


def test_train_prints_errors_of_all_answers() -> None:
    printed = Path("printed.txt").read_text()
    assert "; 3 tasks of en-10k, " in printed
    assert " 72 stories to train on, 18 to validate, 15 to test; " in " ".join(printed.split())
    stored = metrics(Path("run"))
    assert [record["iteration"] for record in stored] == [4, 8, 12, 16, 20, 24, 26]
    assert all(record["held_out"] == record["error"] for record in stored)
    assert f"error of answers {100 * stored[-1]['error']:5.2f} %, " in printed
    shown = [line for line in printed.splitlines() if "? " in line and " %" in line and line.endswith(")")]
    assert shown, "a story with answers"


def test_an_interrupted_run_ends_with_the_same_bits() -> None:
    constant = ("--schedule", "constant", "--sample-every", 0)
    done(*words("whole", *constant))
    done(*words("parts", *constant, "--steps", 11))
    done("resume", "parts", "--steps", 26)
    arrays, _ = load_checkpoint(Path("parts/last.safetensors"))
    assert any(name.startswith("state") for name in arrays), "the state goes on from window to window"
    whole, parts = (contents(Path(name)) for name in ("whole", "parts"))
    for name in arrays:
        assert whole[f"last {name}"] == parts[f"last {name}"], name
    assert whole["last position"] == parts["last position"]


def test_eval_ask_trace_and_diagnose() -> None:
    found = json.loads(done("eval", "run", "--json"))
    assert found["stories"] == 15
    assert {f"error_{task}" for task in TITLES} <= found.keys()
    assert 0 <= found["error"] <= 1
    (first, second) = json.loads(done("ask", "run", STORY, "--json"))
    assert (first["question"], second["question"]) == ("where is ann ?", "how does one go there ?")
    assert len(first["answer"]) == 1
    done("trace", "run", "--input", STORY, "--out", "t.npz")
    trace = load_trace(Path("t.npz"))
    answer = next(iter(first["answer"][0]))
    channels = trace.about.input_channels
    shown = [channels[number] for number in trace.arrays["inputs"]]
    assert shown[:11] == [*["<story>", "ann", "ran", "to", "the", "porch", ".", "where", "is", "ann", "?"]]
    assert shown[11] == answer
    assert "findings" in done("diagnose", "run")


def test_a_story_is_traced_whatever_the_model_answers() -> None:
    """Also with the sign between stories, which is no word."""
    vocabulary = load_run("run").task.vocabulary
    end = vocabulary.symbols.index("<story>")

    def forward(inputs: Any, state: Any, lengths: Any = None) -> Any:
        return np.eye(len(vocabulary.symbols))[np.full(inputs.shape, end)], state

    batch = stream_batch(forward, vocabulary, STORY)
    assert list(np.flatnonzero(batch.inputs[:, 0] == end)) == [0, 11, 18]


@pytest.mark.parametrize(
    ("command", "expect"),
    [
        (("ask", "run", STORY, "--words", 2), "--words must be given for a run of bAbI, got one of catbabi"),
        (("ask", "run", STORY, "--shown", 0), "shown must be at least 1"),
        (("trace", "run", "--sample", 99), "the story must be one of 0.."),
        (("train", "catbabi", "--bidirectional"), "a stream of stories is read window by window"),
        (("train", "catbabi", "--batch", 500), "batch must be at most the 81 stories"),
        (("train", "catbabi", "--window", 0), "window must be at least 1"),
    ],
)
def test_what_users_get_wrong(command: tuple[object, ...], expect: str) -> None:
    refused(*command, expect=expect)
