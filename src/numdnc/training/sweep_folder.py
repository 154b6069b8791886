"""The folder of a sweep: its description, its locks, and the results of its runs."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from numdnc.errors import UserError
from numdnc.files import MAX_TEXT_BYTES, write_atomically
from numdnc.input_files import open_regular_file, read_file
from numdnc.training.folder import RUN_LOCK, RunFolder
from numdnc.training.lock import UNKNOWN_HOLDER, LockedError, file_lock, holder
from numdnc.training.sweep_plan import DEFAULT_SEEDS, PlannedRun, Sweep, as_typed, parse_sweep
from numdnc.training.sweep_results import RunResult, run_status

UNSHARED = (0, 1)
"""The share of the runs of a process that runs a sweep alone: its rank and the number of shares."""
_SHARE_LOCK = "share-{}-of-{}.lock"
_LOCK_TIMEOUT = 60.0
"""Seconds to wait for a lock that is held only briefly."""
TAIL_BYTES = 1 << 16
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
                f"{self.path} must hold a sweep, got none. Start one with the words after `numdnc train`: "
                f"numdnc sweep {shlex.quote(str(self.path))} --seeds {DEFAULT_SEEDS} -- copy --steps 2000."
            ) from None
        except OSError as error:
            raise UserError(f"{self._description} must be readable, got: {error.strerror}.") from None
        except (ValueError, UserError) as error:
            raise UserError(
                f"{self._description} must describe a sweep, got something else ({error}). Delete it and give the "
                "command that began the sweep again: runs that are done stay so. Or use another folder."
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
        new = bool(train) and not (self._description.exists() and (shared or self.begun))
        if new:
            return Sweep(train=tuple(train), vary=vary, seeds=DEFAULT_SEEDS if seeds is None else seeds)
        begun = self.load()
        given = (tuple(train) or begun.train, vary if train or vary else begun.vary)
        if given != (begun.train, begun.vary):
            raise UserError(
                f"{self.path} must be continued as it was started, with {as_typed(begun.train, begun.vary)}, "
                f"got {as_typed(*given)}. Give only the folder, or another one."
            )
        sweep = Sweep(train=begun.train, vary=begun.vary, seeds=begun.seeds if seeds is None else seeds)
        if sweep.seeds < begun.seeds:
            raise UserError(
                f"seeds must be at least {begun.seeds}, as many as {self.path} has, got {seeds}. Leave --seeds out."
            )
        return sweep

    @property
    def begun(self) -> bool:
        """Whether a run of the sweep has saved something."""
        if not self._description.exists():
            return False
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
                    self._settling, timeout=_LOCK_TIMEOUT
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
                f"the runs of {self.path} must be run by one process, but {self._holder()} runs them. Wait for it "
                "or stop it; --table shows how they stand."
            ) from None

    def _hold_share(self, holding: ExitStack, share: tuple[int, int]) -> int:
        lock = self.path / _SHARE_LOCK.format(*share)
        try:
            return holding.enter_context(file_lock(lock))
        except LockedError as who:
            raise UserError(
                f"share {share[0]} of {share[1]} of the runs of {self.path} must be run by one process, but {who} "
                "runs it. Wait for it or stop it; --table shows how they stand."
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
                        f"here and another one in {who}. Set the same in all, or wait for the other or stop it."
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
        failure = None if found is not None and found.done else read_tail(failed) or None
        return RunResult(run.name, run.setting, run.seed, found, failure)


def read_tail(path: Path, start: int = 0) -> str:
    """The last TAIL_BYTES of a file from byte `start` on; empty if there is no file."""
    try:
        with open_regular_file(path) as file:
            file.seek(max(start, path.stat().st_size - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"({path.name} cannot be read: {error.strerror})"
