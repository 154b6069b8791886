"""A run's folder: last.safetensors, best.safetensors and metrics.jsonl."""

import dataclasses
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numdnc.errors import UserError
from numdnc.files import MAX_TEXT_BYTES, open_to_append, write_atomically
from numdnc.input_files import read_file
from numdnc.names import closest_names
from numdnc.schema import Count, Finite, json_text, parse_json, validated
from numdnc.training.checkpoint import load_run, save_run
from numdnc.training.lock import LockedError, file_lock
from numdnc.training.run import Run

RUN_LOCK = "run.lock"
_ATTEMPTS = 100
"""How often to try to make a folder that other processes remove meanwhile."""


@dataclass(frozen=True)
class MetricsLine:
    """The fields of a line of metrics.jsonl that are read again."""

    iteration: Count
    held_out: Finite | None = None
    sequence_error: Finite | None = None


def parse_metrics_line(line: bytes) -> MetricsLine | None:
    """Parse a line of metrics.jsonl; None if it is not one."""
    try:
        stored = parse_json(line)
        names = (field.name for field in dataclasses.fields(MetricsLine))
        return validated(MetricsLine, {name: stored[name] for name in names if name in stored})
    except (ValueError, TypeError, UserError):
        return None


class RunFolder:
    """A run on disk. Both checkpoints are complete at every moment; metrics.jsonl may lose its last line in a crash.

    Write any of the files only within `create_locked` or `lock`, which one process at a time can enter.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = path / "last.safetensors"
        """The run at its last report or stop; `resume` continues from here."""
        self.best = path / "best.safetensors"
        """The run at its best held-out score; `eval` and `sample` use this one."""
        self.metrics = path / "metrics.jsonl"
        """One JSON object per report."""
        self._lock = path / RUN_LOCK
        """The file that the writing process locks."""

    @contextmanager
    def create_locked(self, run: Run) -> Iterator[None]:
        """Make the folder, save a new run in it and lock it, as a context manager.

        UserError if the folder holds a run already. If anything fails, no new file or folder is left behind; only the
        empty folder of a process that was refused because this one had the lock in it stays.
        """
        self._check_free()
        with self._usable():
            missing = [path for path in (self.path, *self.path.parents) if not path.exists()]
        with ExitStack() as holding:
            try:
                self._make(holding)
                self._check_free()
                self._save_first(run)
            except BaseException:
                holding.close()
                for folder in missing:
                    with suppress(OSError):
                        folder.rmdir()
                raise
            yield

    def create(self, run: Run) -> None:
        """Make the folder and save a new run in it, without keeping the lock; see `create_locked`."""
        with self.create_locked(run):
            pass

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder of a run, as a context manager; UserError if another process holds the lock."""
        self._check_present(self.last)
        with ExitStack() as holding:
            with self._usable():
                self._hold(holding)
            yield

    def _make(self, holding: ExitStack) -> None:
        """Make the folder and lock it. Another process that started at the same moment and failed may remove it."""
        attempts = 0
        while True:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                self._hold(holding)
                return
            except OSError as error:
                attempts += 1
                if not isinstance(error, FileNotFoundError) or attempts == _ATTEMPTS:
                    raise UserError(
                        f"the output folder {self.path} must be one that can be created, got: {error.strerror}. "
                        "Choose another with --out."
                    ) from None

    def _hold(self, holding: ExitStack) -> None:
        try:
            holding.enter_context(file_lock(self._lock))
        except LockedError as who:
            raise UserError(
                f"{self.path} must be written by one process at a time, but {who} holds its lock. "
                "Wait until it has ended, or stop it with Ctrl-C or `kill`: it saves first."
            ) from None

    def _save_first(self, run: Run) -> None:
        try:
            self._clear_leftovers()
            write_atomically(self.metrics, b"")
            self.save_last(run)
        except BaseException:
            for file in (self.last, self.metrics):
                with suppress(OSError):
                    file.unlink()
            raise

    def load_last(self, *, finite: bool = True) -> Run:
        """Load the last checkpoint, see `load_run`. Nothing on disk is changed: the run may be training meanwhile."""
        self._check_present(self.last)
        run = load_run(self.last, finite=finite)
        if run.trained_model is not None:
            raise UserError(
                f"{self.last} must hold a run that can be trained further, got a trained model without its optimizer. "
                f"Rename it to {self.best.name} to use it as it is."
            )
        return run

    def load_best(self, *, finite: bool = True) -> Run:
        """Load the best checkpoint; before the first report, the last one."""
        with self._usable():
            chosen = self.best if self.best.exists() else self.last
        self._check_present(chosen)
        return load_run(chosen, finite=finite)

    def load_newest(self, *, finite: bool = True) -> Run:
        """Load the last checkpoint; of a trained model, which has only its best, that."""
        with self._usable():
            only_best = self.best.exists() and not self.last.exists()
        return self.load_best(finite=finite) if only_best else self.load_last(finite=finite)

    def clean_up(self, run: Run) -> None:
        """Remove what a killed process left behind, before `run`, as loaded by `load_last`, is continued.

        That is temporary files, and lines of metrics.jsonl that are incomplete or later than `run`.
        """
        self._clear_leftovers()
        reports = ((line, parse_metrics_line(line)) for line in self.report_lines() if line.endswith(b"\n"))
        kept = [line for line, report in reports if report is not None and report.iteration <= run.iteration]
        write_atomically(self.metrics, b"".join(kept))

    def report_lines(self) -> list[bytes]:
        """The lines of metrics.jsonl; the last one is incomplete if a process was killed while it wrote it."""
        with self._usable():
            if not self.metrics.exists():
                return []
            return read_file(self.metrics, MAX_TEXT_BYTES).splitlines(keepends=True)

    def save_last(self, run: Run) -> None:
        """Replace the checkpoint that `resume` continues from."""
        save_run(self.last, run)

    def save_best(self, run: Run) -> None:
        """Replace the checkpoint that `eval` and `sample` use."""
        save_run(self.best, run)

    def append_metrics(self, record: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        try:
            with open_to_append(self.metrics) as file:
                file.write(json_text(record).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(
                f"{self.metrics} must be writable, got: {error.strerror}. Make room; "
                f"then continue with `numdnc resume {self.path}`."
            ) from None

    def _check_free(self) -> None:
        with self._usable():
            used = any(file.exists() for file in (self.last, self.best))
            used = used or (self.metrics.exists() and self.metrics.stat().st_size > 0)
        if used:
            raise UserError(
                f"{self.path} must not hold a run yet, got one. "
                f"Continue it with `numdnc resume {self.path}`, or choose another folder with --out."
            )

    def _check_present(self, file: Path) -> None:
        with self._usable():
            present = file.exists()
        if not present:
            got = f"one without {file.name}" if self.path.exists() else "no such folder"
            raise UserError(f"{self.path} must be the folder of a run, got {got}. {self._meant()}")

    def _meant(self) -> str:
        """Suggest the run beside this folder with the most similar name; without one, say how to start a run."""
        with self._usable():
            runs = [path.parent.name for path in self.path.parent.glob(f"*/{self.last.name}")]
        near = closest_names(self.path.name, runs, 1, 0.6)
        if near:
            return f"Perhaps {self.path.parent / near[0]} is meant."
        return "Start a run with `numdnc train text --out DIR`."

    def _clear_leftovers(self) -> None:
        """Remove the temporary files of `write_atomically`, and nothing else."""
        with self._usable():
            for file in (self.last, self.best, self.metrics):
                for leftover in self.path.glob(f".{file.name}.*"):
                    leftover.unlink(missing_ok=True)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Turn an OSError into a UserError that says why the folder cannot be used."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self.path} must be a folder that can be used, got: {error.strerror}. "
                "Check its name and permissions, or give another."
            ) from None
