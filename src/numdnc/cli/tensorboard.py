"""`--tensorboard`: write reports of training for TensorBoard, by its own package."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from numdnc.errors import missing_package
from numdnc.training.events import Report

FOLDER = "tensorboard"
"""Folder of the events within that of the run."""


def check_tensorboard(wanted: bool) -> None:
    """Refuse --tensorboard if its package is not installed."""
    if not wanted:
        return
    try:
        import tensorboard.summary.writer.event_file_writer  # noqa: F401
    except ImportError:
        raise missing_package("--tensorboard", "tensorboard") from None


@contextmanager
def event_file(folder: Path | None, iteration: int) -> Iterator[Callable[[Report], None]]:
    """Open a new event file in `folder` and give a function that writes a report to it; None: write nothing.

    TensorBoard no longer shows what earlier files hold of iterations after `iteration`, where the run continues.
    """
    if folder is None:
        yield lambda report: None
        return
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))

    def write(report: Report) -> None:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars(report).items()]
        writer.add_event(Event(wall_time=time.time(), step=report.iteration, summary=Summary(value=values)))
        writer.flush()

    try:
        start = SessionLog(status=SessionLog.START)
        writer.add_event(Event(wall_time=time.time(), step=iteration + 1, session_log=start))
        yield write
    finally:
        writer.close()


def scalars(report: Report) -> dict[str, float]:
    """Tag -> number; TensorBoard shows tags with the same first word side by side."""
    plain = {
        "loss/train": report.train,
        "loss/held_out": report.scores.get("loss", report.held_out),
        "training/learning_rate": report.learning_rate,
        "training/gradient_norm": report.gradient_norm,
        "training/per_second": report.per_second,
    }
    scores = {f"scores/{name}": score for name, score in report.scores.items()}
    return plain | scores | {f"health/{name}": figure for name, figure in report.health.items()}
