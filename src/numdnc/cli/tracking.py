"""`--track`: hand the figures of training to a function of the user's own, such as one for trackio or Weights & Biases.

    @contextmanager
    def follow(run: TrackedRun) -> Iterator[Callable[[dict[str, float], int], None]]:
        ..  # begin to track
        yield log  # log(figures, iteration) is called for each report
        ..  # end it

`figures` are those of `--tensorboard`, under the same names. The function is code: only the command line names it,
never a run.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NamedTuple

from numdnc import console
from numdnc.cli.tensorboard import scalars
from numdnc.errors import UserError
from numdnc.tasks.custom import load_function
from numdnc.training.events import Report
from numdnc.training.folder import RunFolder
from numdnc.training.run import Run

Tracker = Callable[["TrackedRun"], Any]
"""A function that gives a context manager; see above."""
_WHAT = "--track must be MODULE:FUNCTION"


class TrackedRun(NamedTuple):
    """What a tracker is told before training begins or goes on."""

    name: str
    """The run's folder, as it was given."""
    iteration: int
    """Where training begins or goes on; a tracker may hold later iterations of a run that was killed."""
    settings: dict[str, Any]
    """Name -> value of task, model, training and optimizer, dictionaries but for the task's name."""


def load_tracker(source: str) -> Tracker | None:
    """Import the function that --track names; None for an empty name."""
    return load_function(source, _WHAT) if source else None


@contextmanager
def tracking(tracker: Tracker | None, run: Run, folder: RunFolder) -> Iterator[Callable[[Report], None]]:
    """Give a function that hands a report to a tracker; None: to nobody.

    A tracker that cannot begin is refused. One that fails later is warned of and left out: the run goes on, and
    metrics.jsonl has its figures.
    """
    if tracker is None:
        yield lambda report: None
        return
    about = TrackedRun(str(folder.path), run.iteration, _settings(run))
    try:
        opened = tracker(about)
        log: Callable[[dict[str, float], int], Any] | None = opened.__enter__()
        if not callable(log):
            raise TypeError("it gives no function to log with")
    except Exception as error:  # noqa: BLE001 - a third party's code may fail in any way
        raise UserError(
            "--track must name a context manager that begins to track a run and gives a function to log with, got "
            f"{type(error).__name__}: {error}. Fix it and go on with `numdnc resume {folder.path} --track ..`, or "
            "leave --track out."
        ) from None

    def write(report: Report) -> None:
        nonlocal log
        if log is not None:
            try:
                log(scalars(report), report.iteration)
            except Exception as error:  # noqa: BLE001
                log = None
                _warn(f"failed at iteration {report.iteration}", error)

    try:
        yield write
    finally:
        try:
            opened.__exit__(None, None, None)
        except Exception as error:  # noqa: BLE001
            _warn("failed at its end", error)


def _settings(run: Run) -> dict[str, Any]:
    return {
        "task": run.task.get("name"),
        "task_settings": run.task.get("settings", {}),
        "model": {"kind": run.spec.kind, **asdict(run.spec)},
        "training": asdict(run.training),
        "optimizer": asdict(run.optimizer),
    }


def _warn(what: str, error: Exception) -> None:
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    console.warn(
        f"warning: --track {what} ({console.terminal_text(text)}); the run goes on, and metrics.jsonl has its figures"
    )
