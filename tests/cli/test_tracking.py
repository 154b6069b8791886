"""`--track`: a function of the user's own follows a run; the examples are tried on stand-ins of their packages."""

import contextlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from helpers.commands import call, done, metrics, on_disk, refused

ROOT = Path(__file__).parents[2]
SIZES = "--hidden 5 -N 4 -W 3 -R 1 --evaluated 20 --batch 4 --width 2 --max-length 3"
COPY = ["copy", *SIZES.split(), "--sample-every", 0]
FOLLOW = """
import contextlib, json
@contextlib.contextmanager
def follow(run):
    with open("log.jsonl", "a") as file:
        file.write(json.dumps(["begin", run.name, run.iteration, run.settings]) + "\\n")
        yield lambda figures, iteration: file.write(json.dumps([iteration, figures]) + "\\n")
        file.write('"end"\\n')

@contextlib.contextmanager
def fails_later(run):
    def log(figures, iteration):
        if iteration > 4:
            raise OSError("no network\\nat all")
        print("logged", iteration)
    yield log
    raise RuntimeError("cannot end")

def fails(run):
    raise ImportError("no such tracker")

def no_manager(run):
    return print

@contextlib.contextmanager
def no_function(run):
    yield
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tracker.py").write_text(FOLLOW)
    return tmp_path


def train(*words: object) -> str:
    return done("train", *COPY, "--steps", 8, "--report-every", 4, "--out", "run", *words)


def test_a_function_gets_the_figures_of_every_report(place: Path) -> None:
    import json

    train("--track", "tracker.py:follow")
    done("resume", "run", "--steps", 12, "--sample-every", 0, "--track", "tracker:follow")
    lines = [json.loads(line) for line in (place / "log.jsonl").read_text().splitlines()]
    assert [line if line == "end" else line[0] for line in lines] == [
        "begin",
        4,
        8,
        "end",
        "begin",
        12,
        "end",
    ]
    (_, name, iteration, settings), again = lines[0], lines[4]
    assert (name, iteration, again[1:3]) == ("run", 0, ["run", 8])
    assert (settings["task"], settings["task_settings"]["width"]) == ("copy", 2)
    assert (settings["model"]["memory_size"], settings["training"]["steps"]) == (4, 8)
    for line, report in zip([lines[1], lines[2], lines[5]], metrics(Path("run")), strict=True):
        figures = line[1]
        assert line[0] == report["iteration"]
        assert figures["loss/train"] == report["train"]
        assert figures["scores/bit_error"] == report["bit_error"]
        assert figures["training/gradient_norm"] == report["gradient_norm"]
        assert {name: figures[f"health/{name}"] for name in report["health"]} == report["health"]


def test_a_tracker_that_fails_later_is_warned_of_and_the_run_goes_on() -> None:
    result = call(
        "train", *COPY, "--steps", 8, "--report-every", 2, "--out", "run", "--track", "tracker.py:fails_later"
    )
    assert result.code == 0
    assert [line["iteration"] for line in metrics(Path("run"))] == [2, 4, 6, 8]
    first, second = result.err.splitlines()
    assert first.startswith(
        "warning: --track failed at iteration 6 (OSError: no network at all); the run goes on"
    )
    assert second.startswith("warning: --track failed at its end (RuntimeError: cannot end)")
    assert "logged 4" in result.out
    assert "logged 6" not in result.out


@pytest.mark.parametrize(
    ("source", "expect"),
    [
        ("tracker.py", "--track must be MODULE:FUNCTION or FILE.py:FUNCTION, got 'tracker.py'"),
        ("gone.py:follow", "--track must be MODULE:FUNCTION|there is none"),
        ("tracker.py:gone", "must hold a function 'gone'"),
        (
            "tracker.py:fails",
            "got ImportError: no such tracker. Fix it and go on with `numdnc resume run --track ..`",
        ),
        ("tracker.py:no_manager", "--track must name a context manager"),
        ("tracker.py:no_function", "got TypeError: it gives no function to log with"),
    ],
)
def test_what_cannot_track_is_refused(source: str, expect: str) -> None:
    if "tracker.py:" in source and "gone" not in source:
        result = call("train", *COPY, "--steps", 4, "--out", "run", "--track", source)
        assert result.code == 2
        assert all(fragment in result.err for fragment in expect.split("|")), result.err
        assert len(result.err.splitlines()) == 1
        done("resume", "run", "--sample-every", 0)
    else:
        refused("train", *COPY, "--out", "run", "--track", source, expect=expect)
    train("--out", "other")
    before = on_disk(Path("other"))
    assert call("resume", "other", "--steps", 12, "--track", source).code == 2
    assert {name: on_disk(Path("other"))[name] for name in before if name.endswith(".jsonl")} == {
        name: before[name] for name in before if name.endswith(".jsonl")
    }


class Fake(ModuleType):
    """Stands in for trackio or wandb: what both are called with."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[Any] = []

    def init(self, **settings: Any) -> Any:
        self.calls.append(("init", settings))
        return contextlib.nullcontext(self)

    def log(self, figures: dict[str, float], *, step: int) -> None:
        self.calls.append((step, figures))

    def finish(self) -> None:
        self.calls.append("finish")


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_the_examples_track(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(name)
    monkeypatch.setitem(sys.modules, name, fake)
    train("--track", ROOT / f"examples/track_{name}.py:follow")
    (_, settings), *logged = fake.calls
    assert settings["project"] == "numdnc"
    assert settings["config"]["task"] == "copy"
    assert [call[0] for call in logged if call != "finish"] == [4, 8]
    assert logged[0][1]["loss/train"] == metrics(Path("run"))[0]["train"]
    if name == "wandb":
        assert settings["mode"] == "offline"
    else:
        assert logged[-1] == "finish"


def test_the_document_shows_the_example() -> None:
    text = (ROOT / "docs/howto/follow.md").read_text(encoding="utf-8")
    shown = text.partition("```python\n")[2].partition("```")[0]
    example = (ROOT / "examples/track_trackio.py").read_text(encoding="utf-8")
    code = [line for line in example.splitlines() if '"""' not in line]
    assert [line for line in shown.splitlines() if line] == [line for line in code if line]
