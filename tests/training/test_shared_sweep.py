"""A sweep that several processes share: each takes its part of the runs, which train alone."""

import re
import signal
import subprocess
import time
from pathlib import Path
from unittest import mock

import pytest

from helpers.commands import WITH_STAND_IN, done, finish, program, refused
from helpers.launcher import enter
from helpers.patience import PATIENCE
from numdnc.training import sweep as sweeps


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)


def share(number: int, count: int, *words: object) -> "subprocess.Popen[bytes]":
    variables = {"RANK": str(number), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": "2"}
    before = f"import os; os.environ |= {variables}{WITH_STAND_IN}"
    return program("sweep", "all", *words, before=before)


def test_processes_share_a_sweep() -> None:
    words = ("--seeds", 3, "--vary", "hidden=3,4", "--", "easy")
    results = [finish(started) for started in [share(number, 2, *words) for number in range(2)]]
    assert [(result.code, result.err) for result in results] == [(0, "")] * 2
    for number, hidden in ((0, 3), (1, 4)):
        assert f"3 of 3 runs to do in share {number} of 2, " in results[number].out
        assert [f"hidden={hidden},seed={seed}  solved" in results[number].out for seed in range(3)] == [
            True
        ] * 3
        assert f"hidden={7 - hidden},seed=0  solved" not in results[number].out
    begun = [line for line in Path("journal.txt").read_text().splitlines() if line.startswith("begin ")]
    assert len(begun) == 6
    assert "0 of 6 runs to do\n" in done("sweep", "all")
    assert re.findall(r"^hidden=(\d) +3 +3 +0 ", done("sweep", "all", "--table"), re.MULTILINE) == ["3", "4"]


@pytest.mark.thorough
def test_a_share_of_a_sweep_is_left_to_one_process() -> None:
    started = [share(number, 2, "--seeds", 2, "--", "patient") for number in range(2)]
    try:
        until = time.monotonic() + PATIENCE
        while not Path("journal.txt").exists() or Path("journal.txt").read_text().count("ready") < 2:
            assert [process.poll() for process in started] == [None, None]
            assert time.monotonic() < until
            time.sleep(0.02)
        again = finish(share(1, 2))
        assert again.code == 2
        assert "error: share 1 of 2 of the runs of all must be run by one process, but process " in again.err
        assert f"process {started[1].pid} on " in again.err
        again = finish(share(2, 3))
        assert again.code == 2
        assert (
            "share the runs of all must have the same WORLD_SIZE, got 3 here and another one in process "
            in again.err
        )
        with mock.patch.object(sweeps, "PROGRAM", ()):
            refused("sweep", "all", expect="the runs of all must be run by one process, but process ")
    finally:
        for process in started:
            process.send_signal(signal.SIGINT)
        ended = [finish(process).code for process in started]
    assert ended == [130, 130]


def test_runs_of_a_sweep_train_alone() -> None:
    started = share(0, 2, "--seeds", 1, "--", "easy")
    assert finish(started).code == 0
    lines = Path("journal.txt").read_text().splitlines()
    assert "--seed 0" in lines[0]
    assert not [line for line in lines if line.startswith("beside ")]  # nothing says that it has others
