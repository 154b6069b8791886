"""`--json`: every command prints one JSON value on standard output, with the figures that it shows without."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from helpers.commands import TEXT, call, done, interrupted_after, train, train_copy
from numdnc.cli.commands import NUMDNC
from numdnc.cli.groups import Command, Group
from numdnc.cli.training import SessionOptions


def all_commands(group: Group, name: str = "") -> dict[str, Command]:
    found: dict[str, Command] = {}
    for titled in group.titled.values():
        for key, entry in titled.items():
            full = f"{name} {key}".strip()
            found |= all_commands(entry, full) if isinstance(entry, Group) else {full: entry}
    return found


def test_every_command_has_it() -> None:
    for name, found in all_commands(NUMDNC).items():
        parameters = inspect.signature(found.function).parameters
        session = isinstance(getattr(parameters.get("session"), "default", None), SessionOptions)
        assert "as_json" in parameters or session, name


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("text.txt").write_text(TEXT)
        train("text")
        train_copy("copy")
    return folder


@pytest.fixture(autouse=True)
def place(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


COMMANDS = {
    "eval text": ["held_out_bpc"],
    "eval copy --no-reads": ["loss"],
    "diagnose copy": ["iteration"],
    "trace copy": ["steps", "wrong", "answers", "iteration"],
    "view copy --no-open": [],
    "info copy": ["parameter_count"],
    "gradcheck --steps 2 --samples 1": ["worst"],
    "models": [],
    "sample text --length 20 --seed 3": ["text"],
    "data list": [],
    "reproduce --list": [],
}


def figures(value: Any) -> list[str]:
    """How a figure may be written for people."""
    if isinstance(value, str):
        return [value]
    forms = [f"{value:,}", f"{value}", f"{value:.4f}", f"{value:.4g}", f"{value:.3e}"]
    return forms + [f"{value:.{digits}f}" for digits in (2, 5)]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_figures_are_those_that_people_see(command: str) -> None:
    text, result = done(*command.split()), call(*command.split(), "--json")
    assert result.code == 0
    (line,) = result.out.splitlines()
    record = json.loads(line)
    for key in COMMANDS[command]:
        assert any(form in text for form in figures(record[key])), (key, record[key], text)
    if command in ("models", "data list"):
        assert all(name in text for name in record)


def test_training_says_how_it_has_ended(place: Path) -> None:
    sizes = "--hidden 5 -N 4 -W 3 -R 1 --width 2 --max-length 2 --batch 4 --evaluated 8 --steps 6 --report-every 3"
    result = call("train", "copy", *sizes.split(), "--out", "new", "--json", "--sample-every", 1)
    assert result.code == 0
    record = json.loads(result.out)
    last = json.loads(Path("new/metrics.jsonl").read_text().splitlines()[-1])
    assert record["report"] == last
    assert (record["folder"], record["reason"], record["iteration"], record["steps"]) == (
        "new",
        "steps",
        6,
        6,
    )
    assert (record["score"], record["seconds"]) == ("loss", pytest.approx(last["seconds"], abs=5))
    assert f"{last['bit_error'] * 100:5.2f} % bits wrong" in result.err
    assert "next: " in result.err
    found = re.search(r"best held-out loss (\S+) at iteration (\d+)", result.err)
    assert found is not None
    assert (float(found[1]), int(found[2])) == (
        pytest.approx(record["best"], rel=1e-3),
        record["best_iteration"],
    )
    with interrupted_after(2):
        result = call("resume", "new", "--steps", 12, "--json")
    record = json.loads(result.out)
    assert (result.code, record["reason"], record["iteration"], record["steps"]) == (
        130,
        "interrupted",
        8,
        12,
    )
    assert record["report"] is None
    assert "interrupted at iteration 8" in result.err


def test_a_solved_run_says_so_and_trains_no_further(place: Path) -> None:
    train_copy("solved", "--solved-at", 9)
    result = call("resume", "solved", "--json")
    record = json.loads(result.out)
    assert (result.code, record["reason"], record["iteration"]) == (0, "solved", 3)
    assert record["best"] == pytest.approx(json.loads(Path("solved/metrics.jsonl").read_text())["held_out"])
    assert "is solved, at iteration 3" in result.err


def test_an_error_prints_nothing_on_standard_output() -> None:
    for words in (
        ["resume", "copy", "--steps", 1],
        ["eval", "gone"],
        ["view", "gone"],
        ["train", "copy", "--steps", -1],
    ):
        result = call(*words, "--json")
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("error: ")


def test_what_is_written_is_named(place: Path) -> None:
    view = json.loads(call("view", "copy", "--no-open", "--json", "--out", "page.html").out)
    assert (view["out"], view["bytes"], view["computes"]) == (
        "page.html",
        Path("page.html").stat().st_size,
        True,
    )
    result = call("export", "copy", "--to", "model", "--out", "small", "--json")
    record = json.loads(result.out)
    assert (record["to"], record["out"]) == ("model", "small")
    assert record["bytes"] == Path("small/best.safetensors").stat().st_size
    assert json.loads(call("sample", "text", "--length", 5, "--json").out)["text"] == done(
        "sample", "text", "--length", 5
    ).removesuffix("\n")
