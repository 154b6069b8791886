"""Training by several processes: they are started at once, and what comes of it is compared with another run."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from helpers.commands import LAUNCH_PROGRAM, SMALL, TEXT, metrics
from helpers.patience import PATIENCE, without_notice
from numdnc.training import distributed
from numdnc.training.checkpoint import load_checkpoint

TOLERANCE = 1e-13
"""Relative, in float64, between one process and several after 18 updates; measured 1.4e-14."""
PRECISE = ("--engine", "reference", "--precision", "float64", "--sample-every", 0)
LEARN_TEXT = ("train", "text", "-c", "text.txt", *SMALL.split(), *PRECISE, "--report-every", 9)
COPY_SIZES = "-H 6 -N 5 -W 4 -R 1 --batch 5 --evaluated 7"
LEARN_COPY = (
    *("train", "copy", "-m", "dnc", *COPY_SIZES.split(), *PRECISE),
    *("--max-length", 5, "--grow", "max_length", "--pass-at", 1, "--report-every", 9),
)


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a text, in an environment that names no other process."""
    monkeypatch.chdir(folder)
    for name in (*distributed.ENVIRONMENT, "NUMDNC_THREADS"):
        monkeypatch.delenv(name, raising=False)
    (folder / "text.txt").write_text(TEXT)


class Ended(NamedTuple):
    """How processes ended, each by its rank."""

    codes: list[int]
    out: list[str]
    err: list[str]

    @property
    def line(self) -> str:
        """The one line of an error in which they all ended, said by one of them."""
        (line,) = "".join(self.err).splitlines()
        assert line.startswith("error: "), line
        return line


class Launcher:
    """Starts several processes at a time, see launch_program.py."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, LAUNCH_PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "OPENBLAS_NUM_THREADS": "1",
                "TORCH_CPP_LOG_LEVEL": "ERROR",
            },  # as `join` has it
        )
        self.running: list[int] = []

    def _answer(self, line: str) -> list[int]:
        assert self._program.stdin
        assert self._program.stdout
        self._program.stdin.write(line + "\n")
        self._program.stdin.flush()
        late = threading.Timer(PATIENCE, self.kill)
        late.start()
        try:
            answer: list[int] = json.loads(self._program.stdout.readline())
        finally:
            late.cancel()
        return answer

    def start(self, count: int, *words: object) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        order = {"count": count, "words": [*map(str, words)], "folder": str(Path.cwd()), "port": port}
        self.running = self._answer(json.dumps(order))

    def wait(self) -> Ended:
        codes, self.running = self._answer(""), []
        out, err = (
            [without_notice(Path(f"{name}.{rank}").read_text()) for rank in range(len(codes))]
            for name in ("out", "err")
        )
        return Ended(codes, out, err)

    def run(self, count: int, *words: object) -> Ended:
        self.start(count, *words)
        return self.wait()

    def kill(self) -> None:
        for process in (*self.running, self._program.pid):
            os.kill(process, signal.SIGKILL)


def done_by(launcher: Launcher, count: int, *words: object) -> str:
    """What a command prints that must succeed in every process and is heard from the first alone."""
    ended = launcher.run(count, *words)
    assert ended == ([0] * count, [ended.out[0], *[""] * (count - 1)], [""] * count)
    return ended.out[0]


def wait_for_report(folder: Path, iteration: int) -> None:
    until = time.monotonic() + PATIENCE
    while (
        not (folder / "metrics.jsonl").exists()
        or f'"iteration": {iteration},' not in (folder / "metrics.jsonl").read_text()
    ):
        assert time.monotonic() < until, f"a report of iteration {iteration} must come"
        time.sleep(0.02)


def worst(one: Any, other: Any, name: str = "") -> float:
    """The largest relative difference between numbers that stand at the same place of JSON-like values."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), (name, one, other)
        return max((worst(one[key], other[key], f"{name}.{key}") for key in one), default=0.0)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) / max(abs(one), abs(other), 1e-3)
    assert one == other, (name, one, other)
    return 0.0


def difference(one: Path, other: Path) -> float:
    """The largest relative difference between two runs: reports, and every array and number of both checkpoints."""
    found = [worst(*pair) for pair in zip(metrics(one), metrics(other), strict=True)]
    assert sorted(file.name for file in one.iterdir()) == sorted(file.name for file in other.iterdir())
    for name in ("last", "best"):
        (arrays, plain), (others, others_plain) = (
            load_checkpoint(folder / f"{name}.safetensors") for folder in (one, other)
        )
        for numbers in (plain, others_plain):
            numbers.pop("seconds")
        found.append(worst(plain, others_plain, name))
        assert {key: (a.shape, a.dtype) for key, a in arrays.items()} == {
            key: (a.shape, a.dtype) for key, a in others.items()
        }
        found += [
            float(np.abs(array - others[key]).max() / max(1e-3, np.abs(array).max()))
            for key, array in arrays.items()
        ]
    return max(found)
