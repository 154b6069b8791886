"""Run a sweep: the same training over several seeds and settings, each run in a process of its own."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from numdnc.files import open_to_append, write_atomically
from numdnc.training.distributed import ENVIRONMENT
from numdnc.training.folder import RunFolder
from numdnc.training.sweep_folder import SweepFolder, read_tail
from numdnc.training.sweep_plan import PlannedRun, Sweep, options
from numdnc.training.sweep_results import RunResult

PROGRAM = (sys.executable, "-m", "numdnc")
"""The command that starts a run; `train ..` or `resume ..` follows."""
PASSED_TO_RESUME = {"data": 2, "minutes": 2, "sample-every": 2, "track": 2, "tensorboard": 1}
"""Options of `train` that are not stored with the run, so that `resume` gets them again, and the words of each."""
_STOP = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)
"""What ends a run that may save first: Windows lets no process handle SIGTERM."""
POLL = 0.1
"""Seconds between checks of the processes."""


class SweepProgress(NamedTuple):
    """How many runs are running, and how many are waiting to start."""

    running: int
    waiting: int


class _Running(NamedTuple):
    planned: PlannedRun
    process: "subprocess.Popen[bytes]"
    log: Path
    log_start: int
    """Size of the log when the process started."""


def run_all(
    folder: SweepFolder,
    sweep: Sweep,
    runs: Sequence[PlannedRun],
    *,
    jobs: int,
    locks: tuple[int, ...] = (),
    interrupted: Callable[[], bool] = lambda: False,
) -> Iterator[SweepProgress | RunResult]:
    """Start or continue these runs, at most `jobs` at a time; a RunResult as each ends, SweepProgress meanwhile.

    Once `interrupted()`, every run gets SIGTERM, on Windows Ctrl-Break, saves and ends.
    """
    waiting, running, stopping = list(runs), dict[str, _Running](), False
    try:
        while waiting or running:
            if interrupted() and not stopping:
                waiting, stopping = [], True
                for run in running.values():
                    run.process.send_signal(_STOP)
            while waiting and len(running) < jobs:
                planned = waiting.pop(0)
                running[planned.name] = _start(folder, sweep, planned, locks)
            ended = [run for run in running.values() if run.process.poll() is not None]
            for run in ended:
                del running[run.planned.name]
                yield _end(folder, run, stopping)
            yield SweepProgress(len(running), len(waiting))
            if running and not ended:
                time.sleep(POLL)
    finally:
        for run in running.values():
            run.process.kill()
            run.process.wait()


def _start(folder: SweepFolder, sweep: Sweep, run: PlannedRun, locks: tuple[int, ...]) -> _Running:
    place = folder.path / run.name
    if RunFolder(place).last.exists():
        again = [
            word for name, option in options(sweep.train) for word in option[: PASSED_TO_RESUME.get(name, 0)]
        ]
        words = [
            "resume",
            str(place),
            *again,
            *(["--task", sweep.custom_task] if sweep.custom_task else []),
        ]
    else:
        words = ["train", *sweep.words(run.setting, run.seed), "--seed", str(run.seed), "--out", str(place)]
    place.mkdir(exist_ok=True)
    (place / "failure.txt").unlink(missing_ok=True)
    log = place / "log.txt"
    inherited = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    with open_to_append(log) as file:
        file.write(f"$ numdnc {shlex.join(words)}\n".encode())
        file.flush()
        process = subprocess.Popen(
            [*PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={"NUMDNC_THREADS": "1", **inherited},
            # Ctrl-C is for the sweep, which tells its runs just once.
            process_group=0,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            pass_fds=() if os.name == "nt" else locks,
        )
        return _Running(run, process, log, file.tell())


def _end(folder: SweepFolder, run: _Running, stopping: bool) -> RunResult:
    """The result of a run whose process has ended; a failure is written to its folder."""
    result, code = folder.result(run.planned), run.process.returncode
    finished = result.status is not None and (code == 0 or result.status.done)
    if finished or (stopping and code in (130, -signal.SIGTERM)):
        return result
    how = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
    failure = f"{how}: {_last_words(read_tail(run.log, run.log_start))}"
    write_atomically(folder.path / run.planned.name / "failure.txt", failure.encode())
    return result._replace(failure=failure)


def _last_words(log: str) -> str:
    """The last line of a log, or the first line of its last box, in which tyro reports wrong options."""
    lines = [line for line in log.splitlines() if line.strip()]
    boxes = [at for at, line in enumerate(lines) if line.startswith(("╭", "+-"))]
    line = lines[min(boxes[-1] + 1, len(lines) - 1)] if boxes else lines[-1] if lines else "it said nothing"
    return line.strip("│| ")
