"""Signals: Ctrl-C and SIGTERM save first, SIGKILL loses nothing that was saved."""

import importlib.util
import io
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from commands import SMALL, TEXT, call, contents, done, finish, program, rewrite, train
from numdnc import console
from numdnc.cli import training as training_command
from numdnc.training.checkpoint import load_checkpoint
from patience import without_notice

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "kill_resume.py"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


@pytest.fixture(scope="module")
def kill_resume() -> ModuleType:
    """The script that gives the proof at length."""
    spec = importlib.util.spec_from_file_location("kill_resume", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_iteration_and_saves(number: signal.Signals) -> None:
    steps = ("--steps", 10**6, "--report-every", 20)
    process = program("train", "text", "-c", "text.txt", "-m", "rnn", *SMALL.split(), *steps, "--out", "run")
    assert process.stdout
    first = [process.stdout.readline() for _ in range(3)]
    assert b"iter     40, " in first[2]
    process.send_signal(number)
    result = finish(process)
    assert result.code == 130
    assert result.err == "\nfinishing this iteration, then saving; press Ctrl-C again to stop at once\n"
    match = re.search(r"^interrupted at iteration (\d+); .*; saved in run$", result.out, re.MULTILINE)
    assert match
    assert result.out.endswith(f" resume run --steps {10**6}\n")
    stopped = int(match[1])
    assert stopped >= 40
    assert load_checkpoint(Path("run/last.safetensors"))[1]["iteration"] == stopped
    out = done("resume", "run", "--steps", stopped + 1, "--sample-every", 0)
    assert f"resuming run at iteration {stopped}" in out
    # The schedule is that of a million steps, so a fresh run must be told the same to be comparable.
    shutil.move("run", "interrupted")
    new_run = training_command.new_run
    with mock.patch.object(training_command, "new_run", lambda *a, **k: aimed(new_run(*a, **k), stopped + 1)):
        done("train", "text", "-c", "text.txt", "-m", "rnn", *SMALL.split(), *steps, "--out", "run")
    assert contents(Path("interrupted")) == contents(Path("run"))


def aimed(run: Any, target: int) -> Any:
    run.target = target
    return run


def test_a_second_signal_stops_at_once() -> None:
    with console.stop_on_signals() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_stopped_at_once_is_said_without_a_traceback() -> None:
    with mock.patch.object(training_command, "train", side_effect=KeyboardInterrupt):
        result = call("train", "text", "-c", "text.txt", *SMALL.split(), "--out", "run")
    assert (result.code, result.err) == (130, "\nstopped at once; the last checkpoint is whole\n")
    done("sample", "run", "-n", 1)


def test_signals_mean_what_they_meant_before_once_training_is_over() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    with console.stop_on_signals():
        assert all(signal.getsignal(n) != handler for n, handler in zip(numbers, before, strict=True))
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_signal_that_comes_while_a_line_is_written_breaks_nothing() -> None:
    """A second write into a buffer that is being written raises; so the notice goes another way."""

    class Interrupted(io.RawIOBase):
        def __init__(self) -> None:
            self.written = b""

        def writable(self) -> bool:
            return True

        def write(self, given: Any) -> int:
            if not self.written:
                signal.raise_signal(signal.SIGINT)
            self.written += bytes(given)
            return len(given)

    raw = Interrupted()
    stream = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8")
    with mock.patch.object(sys, "stdout", stream), console.stop_on_signals() as interrupted:
        console.say("a progress line")
        assert interrupted()
    stream.flush()
    assert raw.written == b"a progress line\n"


def test_three_kills_lose_nothing(kill_resume: ModuleType) -> None:
    words = ("--kills", "3", "--model", "lstm", "--steps", "150", "--seed", "1")
    result = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False)
    assert (result.returncode, without_notice(result.stderr)) == (0, ""), result
    lines = result.stdout.splitlines()
    assert [line[:10] for line in lines if line.startswith("kill")] == [
        "kill   1: ",
        "kill   2: ",
        "kill   3: ",
    ]
    assert any(line.endswith("is the straight one, bit for bit") for line in lines)
    assert lines[-1].startswith("pass: 3 kills in ")


def test_the_proof_fails_a_resume_that_forgets(
    kill_resume: ModuleType, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Momentum lost in a checkpoint must show in the parameters."""

    def forget(plan: Any, folder: Path, moment: float, *, in_writing: bool) -> bool:
        train(folder)
        rewrite(folder / "last.safetensors", lambda arrays, _: arrays["moments.0.output.bias"].fill(0))
        rewrite(folder / "last.safetensors", lambda _, metadata: metadata.update(target=14))
        return True

    def straight(plan: Any, folder: Path) -> tuple[float, float]:
        if not folder.exists():
            train(folder)
            rewrite(folder / "last.safetensors", lambda _, metadata: metadata.update(target=14))
        done("resume", folder, "--sample-every", 0)
        return 1.0, 1.0

    plan = kill_resume.Plan(place / "text.txt", "rnn", 14)
    with mock.patch.multiple(kill_resume, kill_once=forget, run_to_end=straight):
        assert kill_resume.prove(plan, place, 1, 0) is False
    out = capsys.readouterr().out
    assert "DIFFERS from the straight one in " in out
    assert "last: params.output.bias" in out
    assert out.endswith("FAIL: 1 kills in 1 run\n")
