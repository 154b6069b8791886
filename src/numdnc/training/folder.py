"""A run's folder: last.safetensors, best.safetensors and metrics.jsonl."""

import json
import os
from pathlib import Path
from typing import Any

from numdnc.errors import UserError
from numdnc.training.checkpoint import write_atomically
from numdnc.training.run import Run, load_run, save_run


class RunFolder:
    """Where a run lives on disk. Every file in it is whole at every moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = path / "last.safetensors"
        """The run as of its last report; `resume` goes on from here."""
        self.best = path / "best.safetensors"
        """The run at its best held-out score; `eval` and `sample` take this."""
        self.metrics = path / "metrics.jsonl"
        """One JSON object a report."""

    def create(self) -> None:
        """Make the folder for a new run; one that holds a run already is refused."""
        if any(file.exists() for file in (self.last, self.best)):
            raise UserError(
                f"{self.path} must not hold a run yet, got one. "
                f"Continue it with `numdnc resume {self.path}`, or choose another folder with --out."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"the output folder {self.path} must be one that can be made, got: {error.strerror}. "
                "Choose another with --out."
            ) from None
        write_atomically(self.metrics, b"")

    def load_last(self) -> Run:
        """The run to resume; what a killed process left behind is cleared away."""
        self._check_present(self.last)
        run = load_run(self.last)
        for leftover in self.path.glob(".*.*"):
            leftover.unlink(missing_ok=True)
        kept = []
        for line in self.metrics.read_text().splitlines() if self.metrics.exists() else []:
            try:
                if json.loads(line)["iteration"] <= run.iteration:
                    kept.append(line + "\n")
            except ValueError:  # the line that was being written when the process was killed
                break
        write_atomically(self.metrics, "".join(kept).encode())
        return run

    def load_best(self) -> Run:
        """The run at its best; before the first report, as it started."""
        chosen = self.best if self.best.exists() else self.last
        self._check_present(chosen)
        return load_run(chosen)

    def save_last(self, run: Run) -> None:
        """Replace the checkpoint that `resume` goes on from."""
        save_run(self.last, run)

    def save_best(self, run: Run) -> None:
        """Replace the checkpoint that `eval` and `sample` take."""
        save_run(self.best, run)

    def append_metrics(self, record: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(
                f"{self.metrics} must be writable, got: {error.strerror}. Make room; "
                f"then continue with `numdnc resume {self.path}`."
            ) from None

    def _check_present(self, file: Path) -> None:
        if not file.exists():
            raise UserError(
                f"{self.path} must be the folder of a run, got one without {file.name}. "
                "Start a run with `numdnc train text --out DIR`."
            )
