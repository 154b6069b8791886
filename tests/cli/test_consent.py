"""Data never chooses code: a run's own task is loaded only where its user has named it or agreed to it."""

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from helpers.commands import call, done, error_line, refused
from numdnc.training.checkpoint import load_checkpoint

TASK = """
from pathlib import Path
from dataclasses import dataclass
import numpy as np
from numdnc.tasks import Batch

Path("ran").touch()

@dataclass(frozen=True)
class Next:
    length: int = 3
    input_size = output_size = 2

    def draw(self, rng, batch):
        vectors = np.zeros((self.length, batch, 2), "float32")
        return Batch(vectors, vectors)
"""
SMALL = (
    "-m rnn --hidden 3 --batch 2 --evaluated 2 --sample-every 0 --steps 2 --report-every 2 --engine reference"
)
COMMANDS = {
    "eval run": "",
    "trace run": "",
    "view run --no-open": "",
    "diagnose run": "",
    "resume run --steps 4": "--sample-every 0",
    "ask run question --graph graph.csv": "",
}


class Terminal(io.StringIO):
    """Somebody at a keyboard."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a task of one's own, of another name each time, since Python keeps what it has imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / module(tmp_path)).with_suffix(".py").write_text(TASK)
    return tmp_path


def module(folder: Path) -> str:
    return f"own_{abs(hash(folder))}"


def from_elsewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run of an own task that this machine knows nothing of; the task's name."""
    source = f"{module(place)}:Next"
    done("train", source, *SMALL.split(), "--out", "run")
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "another machine"))
    sys.modules.pop(module(place))
    Path("ran").unlink()
    return source


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_from_elsewhere_runs_nothing(
    command: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = from_elsewhere(place, monkeypatch)
    line = refused(*command.split(), expect="must be one of numdnc's own or be named by this call")
    assert line.endswith(f"numdnc {command} --task {source}.")
    assert not Path("ran").exists()
    assert module(place) not in sys.modules
    result = call(*command.split(), *COMMANDS[command].split(), "--task", source)
    assert Path("ran").exists()
    assert (result.code == 0) == (not command.startswith("ask")), result


def test_what_was_named_once_is_remembered_for_its_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = from_elsewhere(place, monkeypatch)
    done("eval", "run", "--task", source)
    done("eval", "run")
    shutil.copytree("run", "copied")
    refused("eval", "copied", expect="be named by this call")


def test_another_module_of_the_same_name_is_not_meant(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is a file, not a name that means something else in another folder."""
    from_elsewhere(place, monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))
    done("eval", "run", "--task", f"{module(place)}:Next")
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    sys.path.remove(str(place))
    (elsewhere / f"{module(place)}.py").write_text("raise SystemExit('another')")
    refused("eval", place / "run", expect="be named by this call")


@pytest.mark.parametrize("answer", ["y\n", "n\n", "\n", ""])
def test_a_question_on_a_terminal(answer: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, asked = from_elsewhere(place, monkeypatch), Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr("numdnc.cli.consent.sys.stderr", asked, raising=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.commands.io.StringIO", lambda: asked)
        result = call("eval", "run")
    assert f"not one of numdnc's own but {source}, in {place / module(place)}.py" in asked.getvalue()
    assert result.code == (0 if answer == "y\n" else 2)
    assert Path("ran").exists() == (answer == "y\n")


def test_sample_refuses_the_run_and_does_not_ask_for_its_code(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_elsewhere(place, monkeypatch)
    refused("sample", "run", expect="sample must be given a run of a text")
    assert not Path("ran").exists()


def test_a_sweep_from_elsewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = f"{module(place)}:Next"
    Path("sweep").mkdir()
    description = {"train": [source, *SMALL.split()], "vary": {}, "seeds": 1}
    Path("sweep/sweep.json").write_text(json.dumps(description))
    line = error_line(call("sweep", "sweep"))
    assert line.endswith(f"numdnc sweep sweep --task {source}.")
    assert not Path("ran").exists()
    assert call("sweep", "sweep", "--table").code == 0
    assert call("sweep", "sweep", "--task", source).code == 0
    assert Path("ran").exists()


def test_a_task_by_path(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint keeps the file's name alone; the folder is the user's own affair."""
    (place / "my").mkdir()
    (place / "my" / "task.py").write_text(TASK)
    source = place / "my" / "task.py"
    done("train", f"{source}:Next", *SMALL.split(), "--out", "run")
    _, metadata = load_checkpoint(Path("run/last.safetensors"))
    assert (metadata["task"]["source"], metadata["task"]["name"]) == ("task.py:Next", "task.py:Next")
    monkeypatch.chdir(place / "my")
    done("eval", place / "run")
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "another machine"))
    refused("eval", place / "run", expect="got task.py:Next: code")
    done("eval", place / "run", "--task", "task.py:Next")
    done("eval", place / "run")
    monkeypatch.chdir(place)
    done("train", "my/task.py:Next", *SMALL.split())
    assert Path("runs/next-rnn-1/last.safetensors").exists()
    assert "got 'my/none.py': there is none" in error_line(call("train", "my/none.py:Next"))


@pytest.mark.parametrize("source", ["a:b:c", "x y:Next", "\x1b[2J:Next", ":", "a:"])
def test_what_is_no_name_of_a_task(source: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_elsewhere(place, monkeypatch)
    refused("eval", "run", "--task", source, expect="must be MODULE:CLASS or FILE.py:CLASS, got ")


def test_a_task_of_numdnc_needs_no_name(place: Path) -> None:
    done("train", "copy", *SMALL.split(), "--width", 2, "--max-length", 2, "--out", "run")
    refused("eval", "run", "--task", "x:Y", expect="must be given for a run of a custom task, got x:Y")


def test_a_text_is_known_again_by_its_checksum(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "texts").mkdir()
    text = place / "texts" / "mine.txt"
    text.write_text("the cat sat on the mat. " * 40)
    done("train", "text", "-c", text, *SMALL.replace("--evaluated 2", "--window 8").split(), "--out", "run")
    _, metadata = load_checkpoint(Path("run/last.safetensors"))
    assert metadata["task"]["corpus"] == "mine.txt"
    assert str(place) not in json.dumps(metadata)
    done("eval", "run")
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "another machine"))
    refused("eval", "run", expect="got 'mine.txt', which is neither|say with --corpus where it lies now")
    monkeypatch.chdir(text.parent)
    done("eval", place / "run")
