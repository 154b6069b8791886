"""A sweep: the same training over several seeds and settings, each run in a process of its own."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from numdnc.errors import UserError
from numdnc.files import MAX_TEXT_BYTES, open_to_append, write_atomically
from numdnc.input_files import open_regular_file, read_file
from numdnc.training.distributed import ENVIRONMENT
from numdnc.training.folder import RUN_LOCK, RunFolder
from numdnc.training.lock import UNKNOWN_HOLDER, LockedError, file_lock, holder
from numdnc.training.sweep_plan import DEFAULT_SEEDS, PlannedRun, Sweep, as_typed, options, parse_sweep
from numdnc.training.sweep_results import RunResult, run_status

PROGRAM = (sys.executable, "-m", "numdnc")
"""The command that starts a run; `train ..` or `resume ..` follows."""
PASSED_TO_RESUME = ("data", "minutes", "sample-every")
"""Options of `train` that are not stored with the run: `resume` gets them again."""
POLL = 0.1
"""Seconds between checks of the processes."""
UNSHARED = (0, 1)
"""The share of the runs of a process that runs a sweep alone: its rank and the number of shares."""
_SHARE_LOCK = "share-{}-of-{}.lock"
_PATIENCE = 60.0
"""Seconds to wait for a lock that is held only briefly."""


LOG_TAIL_BYTES = 1 << 16
"""How much of the end of a log is read."""


class SweepFolder:
    """A sweep on disk: sweep.json describes it, each run has a folder of its own with a log.txt."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._description = path / "sweep.json"
        self._lock = path / "sweep.lock"
        self._settling = path / "sweep.json.lock"

    def load(self) -> Sweep:
        """The sweep of this folder."""
        try:
            return parse_sweep(read_file(self._description, MAX_TEXT_BYTES))
        except FileNotFoundError:
            raise UserError(
                f"{self.path} must hold a sweep, got none. Begin one by what follows `numdnc train`: "
                f"numdnc sweep {shlex.quote(str(self.path))} --seeds {DEFAULT_SEEDS} -- copy --steps 2000."
            ) from None
        except OSError as error:
            raise UserError(f"{self._description} must be readable, got: {error.strerror}.") from None
        except (ValueError, UserError) as error:
            raise UserError(
                f"{self._description} must describe a sweep, got something else ({error}). Use another folder."
            ) from None

    def plan(
        self,
        train: Sequence[str],
        vary: Mapping[str, tuple[str, ...]],
        seeds: int | None,
        *,
        shared: bool = False,
    ) -> Sweep:
        """The sweep to run: a new one, or that of the folder, to which only seeds may be added.

        A sweep of which no run has saved anything yet, perhaps because its options were wrong, may be replaced, unless
        it is `shared` with other processes that are running it.
        """
        new = bool(train) and not (self._description.exists() and (shared or self._has_runs()))
        if new:
            return Sweep(train=tuple(train), vary=vary, seeds=DEFAULT_SEEDS if seeds is None else seeds)
        begun = self.load()
        given = (tuple(train) or begun.train, vary if train or vary else begun.vary)
        if given != (begun.train, begun.vary):
            raise UserError(
                f"{self.path} must be gone on with as it was begun, with {as_typed(begun.train, begun.vary)}, "
                f"got {as_typed(*given)}. Give just the folder, or another one."
            )
        sweep = Sweep(train=begun.train, vary=begun.vary, seeds=begun.seeds if seeds is None else seeds)
        if sweep.seeds < begun.seeds:
            raise UserError(
                f"seeds must be at least {begun.seeds}, as many as {self.path} has, got {seeds}. Leave --seeds out."
            )
        return sweep

    def _has_runs(self) -> bool:
        return any(RunFolder(self.path / run.name).last.exists() for run in self.load().runs)

    @contextmanager
    def lock(
        self,
        train: Sequence[str],
        vary: Mapping[str, tuple[str, ...]],
        seeds: int | None,
        share: tuple[int, int] = UNSHARED,
    ) -> Iterator[tuple[Sweep, tuple[int, ...]]]:
        """Begin or continue a sweep and lock it, or this share of it; a context manager that gives sweep and locks.

        Runs inherit the locks, so that they last until these runs end if this process is killed.
        """
        self.plan(train, vary, seeds)  # errors come before any file is written
        with ExitStack() as holding:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                locks = [self._hold(holding, exclusive=share == UNSHARED)]
                with file_lock(
                    self._settling, timeout=_PATIENCE
                ):  # those that share it begin in the same moment
                    shared = share != UNSHARED and self._is_shared(share[1])
                    if share != UNSHARED:
                        locks.append(self._hold_share(holding, share))
                    sweep = self.plan(train, vary, seeds, shared=shared)
                    text = json.dumps(
                        {"train": sweep.train, "vary": sweep.vary, "seeds": sweep.seeds}, indent=1
                    )
                    write_atomically(self._description, text.encode() + b"\n")
            except OSError as error:
                raise UserError(
                    f"{self.path} must be a folder that can be made and written to, got: {error.strerror}. "
                    "Give another."
                ) from None
            yield sweep, tuple(locks)

    def _hold(self, holding: ExitStack, *, exclusive: bool) -> int:
        try:
            return holding.enter_context(file_lock(self._lock, exclusive=exclusive))
        except LockedError:
            raise UserError(
                f"the runs of {self.path} must be left to one process, but {self._holder()} runs them. Wait for it "
                "or stop it; --table shows how they stand."
            ) from None

    def _hold_share(self, holding: ExitStack, share: tuple[int, int]) -> int:
        lock = self.path / _SHARE_LOCK.format(*share)
        try:
            return holding.enter_context(file_lock(lock))
        except LockedError as who:
            raise UserError(
                f"share {share[0]} of {share[1]} of the runs of {self.path} must be left to one process, but {who} is "
                "at it. Wait for it or stop it; --table shows how they stand."
            ) from None

    def _is_shared(self, count: int) -> bool:
        """Whether other processes are running their shares; UserError if these are not `count` in all."""
        shared = False
        for lock in self._share_locks():
            try:
                with file_lock(lock):
                    pass
            except LockedError as who:
                if not lock.match(_SHARE_LOCK.format("*", count)):
                    raise UserError(
                        f"all processes that share the runs of {self.path} must have the same WORLD_SIZE, got {count} "
                        f"here and another of {who}. Give the same to all, or wait for it or stop it."
                    ) from None
                shared = True
        return shared

    def _share_locks(self) -> Iterator[Path]:
        return self.path.glob(_SHARE_LOCK.format("*", "*"))

    def _holder(self) -> str:
        """The process that holds a lock of the sweep, of a share of it, or of a run."""
        locks = (self._lock, *self._share_locks(), *self.path.glob(f"*/{RUN_LOCK}"))
        return next((who for who in map(holder, locks) if who != UNKNOWN_HOLDER), UNKNOWN_HOLDER)

    def result(self, run: PlannedRun) -> RunResult:
        """The present result of a run."""
        place = self.path / run.name
        found = run_status(RunFolder(place))
        failed = place / "failure.txt"
        failure = None if found is not None and found.done else _text(failed) or None
        return RunResult(run.name, run.setting, run.seed, found, failure)

    def run_all(
        self,
        sweep: Sweep,
        runs: Sequence[PlannedRun],
        *,
        jobs: int,
        locks: tuple[int, ...] = (),
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Iterator["SweepProgress | RunResult"]:
        """Start or continue these runs, at most `jobs` at a time; a RunResult as each ends, SweepProgress meanwhile.

        Once `interrupted()`, every run gets SIGTERM, saves and ends.
        """
        waiting, running, told = list(runs), dict[str, _Running](), False
        try:
            while waiting or running:
                if interrupted() and not told:
                    waiting, told = [], True
                    for run in running.values():
                        run.process.terminate()
                while waiting and len(running) < jobs:
                    planned = waiting.pop(0)
                    running[planned.name] = self._start(sweep, planned, locks)
                ended = [run for run in running.values() if run.process.poll() is not None]
                for run in ended:
                    del running[run.planned.name]
                    yield self._end(run, told)
                yield SweepProgress(len(running), len(waiting))
                if running and not ended:
                    time.sleep(POLL)
        finally:
            for run in running.values():
                run.process.kill()
                run.process.wait()

    def _start(self, sweep: Sweep, run: PlannedRun, locks: tuple[int, ...]) -> "_Running":
        place = self.path / run.name
        if RunFolder(place).last.exists():
            again = [
                word for name, option in options(sweep.train) if name in PASSED_TO_RESUME for word in option
            ]
            words = [
                "resume",
                str(place),
                *again,
                *(["--task", sweep.custom_task] if sweep.custom_task else []),
            ]
        else:
            words = ["train", *sweep.words(run.setting), "--seed", str(run.seed), "--out", str(place)]
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
                process_group=0,  # Ctrl-C is for the sweep, which tells its runs just once
                pass_fds=locks,
            )
            return _Running(run, process, log, file.tell())

    def _end(self, run: "_Running", told: bool) -> RunResult:
        """The result of a run whose process has ended; a failure is written to its folder."""
        result, code = self.result(run.planned), run.process.returncode
        finished = result.status is not None and (code == 0 or result.status.done)
        if finished or (told and code in (130, -signal.SIGTERM)):
            return result
        how = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
        failure = f"{how}: {_last_words(_text(run.log, run.log_start))}"
        write_atomically(self.path / run.planned.name / "failure.txt", failure.encode())
        return result._replace(failure=failure)


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


def _text(path: Path, start: int = 0) -> str:
    """The last LOG_TAIL_BYTES of a file from byte `start` on; empty if there is no file."""
    try:
        with open_regular_file(path) as file:
            file.seek(max(start, path.stat().st_size - LOG_TAIL_BYTES))
            return file.read(LOG_TAIL_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"({path.name} cannot be read: {error.strerror})"


def _last_words(log: str) -> str:
    """The last line of a log, or the first line of its last box, in which tyro reports wrong options."""
    lines = [line for line in log.splitlines() if line.strip()]
    boxes = [at for at, line in enumerate(lines) if line.startswith(("╭", "+-"))]
    line = lines[min(boxes[-1] + 1, len(lines) - 1)] if boxes else lines[-1] if lines else "it said nothing"
    return line.strip("│| ")
