"""What people see in the terminal: progress, samples, tables. Plain lines where output is no terminal."""

import io
import math
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from numdnc.inspection.gradcheck import SMALLEST, TOLERANCE, Row
from numdnc.tasks import Scores
from numdnc.training.loop import Finished, Report, Tick

console = Console(highlight=False, soft_wrap=True, emoji=False)
PATIENCE = 2.0
"""Seconds without a line after which people want to know what they are waiting for."""


def say(text: str = "") -> None:
    """A line as it is, without markup."""
    console.print(text, markup=False)


def fail(text: str) -> NoReturn:
    """The one line of an error that the user can mend, and exit code 2."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    sys.stderr.write(f"error: {line}\n")
    sys.exit(2)


@contextmanager
def silent(wanted: bool) -> Iterator[None]:
    """Print nothing while this lasts, if that is wanted."""
    if not wanted:
        yield
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def never_fail_to_encode() -> None:
    """What the output's encoding lacks is written as an escape."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Send what cannot be written, and all that follows, nowhere; else Python would complain of it at exit."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def without_nan(value: Any) -> Any:
    """The value with None for every number in it that JSON does not know."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def printable(text: str) -> str:
    """Text whose control characters (but line breaks and tabs) are shown as escapes, so that it cannot drive the
    terminal; nothing is changed where output goes to a file.
    """
    if not sys.stdout.isatty():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def byte_size(count: int) -> str:
    """512 B, 1.5 KiB, 12.0 MiB, .."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} B" if unit == "B" else f"{size:,.1f} {unit}"


def duration(seconds: float) -> str:
    """1:02:03, 2:03 or, if unknown, ?"""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def table_lines(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as lines, the first being the heads: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


@contextmanager
def waiting_for(text: str) -> Iterator[None]:
    """Say on standard error what is being done, if it takes long; standard output is for results."""
    late = threading.Timer(PATIENCE, lambda: sys.stderr.write(f"{text} ..\n"))
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()


def progress_line(report: Report, unit: str) -> str:
    """Seconds, iteration, score in training and on held-out data, speed, time left."""
    return (
        f"{report.seconds:9.1f} s, iter {report.iteration:6d}, {report.train:.4f} {unit}, "
        f"{report.held_out:.4f} held-out {unit}, {report.per_second:9.2f} char/s, {duration(report.seconds_left)} left"
    )


def episodes_line(report: Report, predictions: str, batch: int) -> str:
    """Seconds, iteration, sequences trained on, loss in training and on held-out sequences, errors, level if there are
    any, speed, time left.

    `predictions` are bits or classes, `batch` the sequences of an iteration.
    """
    scores = report.scores
    level = f"level {scores['level']:.0f}, " if "level" in scores else ""
    return (
        f"{report.seconds:9.1f} s, iter {report.iteration:6d}, {report.iteration * batch:8,d} samples, "
        f"loss {loss(report.train):>7}, "
        f"held-out {loss(report.held_out):>7}, {100 * scores['bit_error']:5.2f} % {predictions} wrong, "
        f"{100 * (1 - scores['sequence_error']):5.1f} % sequences right, {level}"
        f"{report.per_second:9.0f} {predictions}/s, {duration(report.seconds_left)} left"
    )


def babi_line(report: Report, tasks: int) -> str:
    """Seconds, iteration, loss in training and on validating stories, mean error, failed tasks, speed, time left."""
    scores = report.scores
    return (
        f"{report.seconds:9.1f} s, iter {report.iteration:6d}, loss {loss(report.train):>7}, "
        f"held-out {loss(scores['loss']):>7}, mean error {100 * scores['mean_error']:5.2f} %, "
        f"{scores['failed']:.0f} of {tasks} tasks failed, {report.per_second:6.0f} answers/s, "
        f"{duration(report.seconds_left)} left"
    )


def loss(nats: float) -> str:
    """0.6931, or 1.2e-05 where so many digits would say little."""
    return f"{nats:.4f}" if nats >= 0.01 else f"{nats:.1e}"


def scores_in_words(scores: Scores, predictions: str) -> str:
    """The scores of separate sequences; `predictions` are bits or classes."""
    return (
        f"loss {loss(scores['loss'])}, {100 * scores['bit_error']:.2f} % of {predictions} wrong, "
        f"{100 * (1 - scores['sequence_error']):.1f} % of sequences without error"
    )


def show_training(
    events: Iterable[Tick | Report | Finished],
    *,
    line: Callable[[Report], str],
    target: int,
    start: int,
    on_report: Callable[[Report], None],
) -> Finished:
    """Print events as they come, with a bar on a terminal; `on_report` is called after each progress line."""
    bar = Progress(
        TextColumn("      "),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    finished = None
    with bar:
        task = bar.add_task("", total=target, completed=start)
        for event in events:
            if isinstance(event, Tick):
                bar.update(task, completed=event.iteration)
            elif isinstance(event, Report):
                say(line(event))
                on_report(event)
            else:
                finished = event
    assert finished is not None
    return finished


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C (or SIGTERM) was given; a second Ctrl-C stops at once."""
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        # Not by `say`: the signal may have come while that was writing, which a second write cannot enter.
        with suppress(OSError):
            os.write(
                sys.stderr.fileno(),
                b"\nfinishing this iteration, then saving; press Ctrl-C again to stop at once\n",
            )

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def command() -> str:
    """How this program was called, so that the next command can be copied."""
    name = Path(sys.argv[0]).name
    if shutil.which(name) or not name.startswith("numdnc"):
        return "numdnc"
    return shlex.quote(os.path.relpath(sys.argv[0]))


def gradcheck_lines(row: Row) -> str:
    """Two lines for an array: ranges of both gradients, relative errors, valid checks of all."""
    n, a = row.numerical, row.analytical
    verdict = "" if row.passed else "   FAILED"
    return (
        f"{row.name + ':':32s} n = [{n[0]:13.6e}, {n[1]:13.6e}]    min {row.least:.3e}, max {row.worst:.3e}\n"
        f"{'':32s} a = [{a[0]:13.6e}, {a[1]:13.6e}]    mean {row.mean:.3e} # {row.valid}/{row.checked}{verdict}"
    )


GRADCHECK_LEGEND = (
    "n: range of the numerical gradients, a: of the analytical ones; then relative errors |a - n| / max(|a|, |n|),\n"
    f"and how many checks were valid (a gradient of at least {SMALLEST:g}, the slots' order steady around it).\n"
    f"Every error must be at most {TOLERANCE:g}."
)


@contextmanager
def download_bar() -> Iterator[Callable[[int, int | None], None]]:
    """A function that shows how much of a download has come."""
    bar = Progress(
        TextColumn("downloading"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None)
        yield lambda received, expected: bar.update(task, completed=received, total=expected)
