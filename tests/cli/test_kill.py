"""Signals: Ctrl-C and SIGTERM save first, SIGKILL loses nothing that was saved."""

import io
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from helpers.commands import SMALL, TEXT, call, contents, done, finish, program
from helpers.marks import thorough_but
from numdnc import console
from numdnc.cli import training as training_command
from numdnc.runs import creation
from numdnc.training.checkpoint import load_checkpoint


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


@pytest.mark.parametrize(
    "number", thorough_but([signal.SIGTERM], [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
)
def test_a_signal_stops_after_the_iteration_and_saves(number: signal.Signals) -> None:
    steps = ("--steps", 10**6, "--report-every", 20, "--engine", "reference")
    words = ("train", "text", "-c", "text.txt", "-m", "rnn", *SMALL.split(), *steps, "--out", "run")
    process = program(*words)
    assert process.stdout
    assert any(
        b"iter     40, " in line for line in process.stdout
    )  # lines that only tell the time may come before
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
    new_run = creation.new_run
    with mock.patch.object(creation, "new_run", lambda *a, **k: aimed(new_run(*a, **k), stopped + 1)):
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
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # the tests were started by nohup, which is heeded
        numbers.pop()
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


def test_ctrl_c_while_the_program_is_still_imported_ends_it_without_a_word() -> None:
    """Nothing is there to be saved yet; the shell is told that it was Ctrl-C."""
    slow = "import sys, time\nclass Slow:\n    def find_spec(self, name, path=None, target=None):\n"
    slow += "        if name == 'numdnc.cli.commands': print('now', flush=True); time.sleep(60)\n"
    process = program("data", "list", before=f"{slow}sys.meta_path.insert(0, Slow())")
    assert process.stdout
    assert process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGINT)
    assert finish(process) == (-signal.SIGINT, "", "", b"")


def test_importing_numdnc_does_nothing_to_signals_and_the_command_line_gives_them_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    call("data", "list")
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_of_what_trains_nothing_does_not_speak_of_checkpoints() -> None:
    with mock.patch("numdnc.data.fetch", side_effect=KeyboardInterrupt):
        result = call("data", "fetch", "alice29.txt")
    assert (result.code, result.err) == (130, "\nstopped at once\n")


def test_nohup_is_obeyed() -> None:
    steps = ("--steps", 10**6, "--report-every", 20, "--engine", "reference")
    words = ("train", "text", "-c", "text.txt", "-m", "rnn", *SMALL.split(), *steps, "--out", "run")
    process = program(*words, before="import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert [b"iter" in process.stdout.readline() for _ in range(3)] == [True] * 3
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 130
