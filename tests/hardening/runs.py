"""The kinds of runs that get into trouble, how they are started and resumed, and what must come of them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hardening.forked import Forked
from helpers.babi_stories import files, save_folder
from helpers.commands import contents
from helpers.patience import PATIENCE
from numdnc.errors import UserError
from numdnc.training.checkpoint import load_checkpoint

TEXT = "".join(f"{a} times {b} is {a * b}; {a} and {b} is {a + b}.\n" for a in range(12) for b in range(12))
SMALL = "--hidden 8 -N 6 -W 5 -R 2 --batch 4 --report-every 10 --sample-every 0"
EPISODES = f"{SMALL} --evaluated 6"
Process = Forked | subprocess.Popen[bytes]
LONGEST = PATIENCE
"""Seconds after which a process that should have ended is a failure."""


@dataclass(frozen=True)
class Kind:
    """A kind of run: what is trained, by how many processes that know of each other, or by a sweep."""

    train: str
    steps: int
    processes: int = 1
    sweep: bool = False

    def words(self, folder: Path) -> list[str]:
        """The command that begins it in `folder`, or goes on with it there."""
        train = [*self.train.split(), "--steps", str(self.steps)]
        if self.sweep:
            begun = (folder / "sweep.json").exists()
            return ["sweep", str(folder), *([] if begun else ["--seeds", "2", "--jobs", "2", "--", *train])]
        if (folder / "last.safetensors").exists():
            return ["resume", str(folder), "--sample-every", "0"]
        return ["train", *train, "--out", str(folder)]

    def start(
        self, folder: Path, *, program: bool = False, before: Callable[[], None] | None = None
    ) -> list[Process]:
        """Its processes, begun or resumed: forked from this one, or as the `program` that users start.

        Each has standard output and error in one pipe, and calls `before` first.
        """
        words = self.words(folder)
        more: list[dict[str, str]] = [{}]
        if self.processes > 1:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
            count = {"WORLD_SIZE": str(self.processes), **address}
            more = [{"RANK": str(rank), **count} for rank in range(self.processes)]
        if program:
            return [started(words, folder.parent, environment, before) for environment in more]
        return [Forked(words, folder.parent, environment, before) for environment in more]

    def runs(self, folder: Path) -> list[Path]:
        """The folders of its runs."""
        return [folder / f"seed={seed}" for seed in range(2)] if self.sweep else [folder]

    def is_done(self, folder: Path) -> bool:
        return all(iteration(run) == self.steps for run in self.runs(folder))

    def outcome(self, folder: Path) -> dict[str, Any]:
        """All that must not depend on what befell it."""
        return {
            f"{run.name if self.sweep else 'run'}: {key}": value
            for run in self.runs(folder)
            for key, value in contents(run).items()
            if key != "files"
        } | {"files": sorted(file.name for run in self.runs(folder) for file in run.iterdir())}


KINDS = {
    "text": Kind(f"text -c text.txt -m dnc {SMALL} --window 12 --score-limit 200", 200),
    "text-lstm": Kind(f"text -c text.txt -m lstm {SMALL} --window 12 --score-limit 200", 400),
    "copy": Kind(f"copy -m dnc {EPISODES} --max-length 5 --grow max_length --pass-at 1", 200),
    "graph": Kind(f"traversal -m dnc {EPISODES} --no-links --lesson 1", 40),
    "babi": Kind(f"babi --data stories/tasks_1-20_v1-2 -m dnc {SMALL} --evaluated 3 --validation 0.2", 60),
    "catbabi": Kind(
        f"catbabi --data stories/tasks_1-20_v1-2 -m dnc {SMALL} --evaluated 3 --validation 0.2 --window 9", 60
    ),
    "processes": Kind(f"copy -m rnn {EPISODES} --max-length 5", 400, processes=2),
    "sweep": Kind(f"copy -m rnn {EPISODES} --max-length 5", 400, sweep=True),
}


def chosen(only: Iterable[str], among: dict[str, Any]) -> list[str]:
    """The names in `only`, or all."""
    unknown = set(only) - set(among)
    if unknown:
        sys.exit(f"--only must be among {', '.join(among)}, got {', '.join(sorted(unknown))}.")
    return [name for name in among if not only or name in only]


@dataclass
class Tally:
    """What was tried and what failed."""

    name: str
    tried: int = 0
    failed: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, what: str, wrong: list[str]) -> None:
        """Count one, and print it."""
        self.tried += 1
        self.failed += bool(wrong)
        self.kinds[kind] += 1
        verdict = f"FAILED: {'; '.join(wrong)}" if wrong else "ok"
        print(f"{self.name} {self.tried}: {kind}, {what}: {verdict}", flush=True)

    def say(self) -> None:
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.kinds.items()))
        print(f"{self.name}: tried {self.tried}, failed {self.failed} ({kinds})", flush=True)


def prepare(folder: Path) -> Path:
    """A folder with the data that the kinds train on."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.txt").write_text(TEXT)
    save_folder(folder / "stories", files())
    return folder


def started(
    words: list[str], folder: Path, environment: dict[str, str], before: Callable[[], None] | None
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "numdnc", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
        preexec_fn=before,
    )


def run_to_end(kind: Kind, folder: Path, *, program: bool = False) -> str:
    """Begin or go on, undisturbed; what it printed. Where others are still at it, wait for them."""
    until = time.monotonic() + LONGEST
    while True:
        processes = kind.start(folder, program=program)
        said = [process.communicate()[0].decode() for process in processes]
        if all(process.returncode == 0 for process in processes):
            return said[0]
        if "must be run by one process" not in said[0] or time.monotonic() > until:
            codes = [process.returncode for process in processes]
            raise AssertionError(f"it ended with {codes}: {' | '.join(said)}")
        time.sleep(0.2)


def iteration(run: Path) -> int:
    """Of the last checkpoint, which must be whole; -1 where there is none."""
    try:
        return int(load_checkpoint(run / "last.safetensors")[1]["iteration"])
    except UserError:
        if (run / "last.safetensors").exists():
            raise
        return -1


def damage(kind: Kind, folder: Path) -> list[str]:
    """What is not whole of what lies on disk."""
    wrong = []
    for run in kind.runs(folder):
        for name in ("last", "best"):
            path = run / f"{name}.safetensors"
            if path.exists():
                try:
                    load_checkpoint(path)
                except UserError as error:
                    wrong.append(str(error))
    return wrong


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What is not the same in both."""
    return [
        key
        for key in {**one, **other}
        if key not in one or key not in other or not same(one[key], other[key])
    ]


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def stop(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


def wait_for(come: Callable[[], bool]) -> bool:
    """Whether something came to be before patience ended."""
    until = time.monotonic() + LONGEST
    while not come():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
