"""How a training goes: a line for each report, and a line at least every half minute between them."""

import math
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from numdnc import console
from numdnc.training.loop import Finished, Report, Tick

FIRST, LATER = 9.0, 29.0
"""After so many seconds without a line there is one: the first of a training, and every other."""


def text_line(report: Report, unit: str) -> str:
    """Seconds, iteration, score in training and on held-out data, speed, time left."""
    parts = [
        *_where(report.seconds, report.iteration),
        f"{report.train:.4f} {unit}",
        f"{report.held_out:.4f} held-out {unit}",
        f"{report.per_second:9.2f} char/s",
        _left(report.seconds_left),
    ]
    return fit_line(parts, drop=(4, 2, 5))


def episodes_line(report: Report, predictions: str, batch: int) -> str:
    """Seconds, iteration, sequences trained on, loss in training and on held-out sequences, errors, level if there are
    any, speed, time left.

    `predictions` are bits or classes, `batch` the sequences of an iteration.
    """
    scores = report.scores
    parts = [
        *_where(report.seconds, report.iteration),
        f"{report.iteration * batch:8,d} samples",
        f"loss {console.loss(report.train):>7}",
        f"held-out {console.loss(report.held_out):>7}",
        f"{100 * scores['bit_error']:5.2f} % {predictions} wrong",
        f"{100 * (1 - scores['sequence_error']):5.1f} % sequences right",
        *([f"level {scores['level']:.0f}"] if "level" in scores else []),
        f"{report.per_second:9.0f} {predictions}/s",
        _left(report.seconds_left),
    ]
    return fit_line(parts, drop=(len(parts) - 2, 2, 5, 3, 4))


def babi_line(report: Report, tasks: int) -> str:
    """Seconds, iteration, loss in training and on validating stories, mean error, failed tasks, speed, time left."""
    scores = report.scores
    parts = [
        *_where(report.seconds, report.iteration),
        f"loss {console.loss(report.train):>7}",
        f"held-out {console.loss(scores['loss']):>7}",
        f"mean error {100 * scores['mean_error']:5.2f} %",
        f"{scores['failed']:.0f} of {tasks} tasks failed",
        f"{report.per_second:6.0f} answers/s",
        _left(report.seconds_left),
    ]
    return fit_line(parts, drop=(6, 2, 3, 5))


def fit_line(parts: Sequence[str], drop: Sequence[int]) -> str:
    """The parts of a line with commas between; those numbered in `drop` go, in this order, until the line fits.

    Where output is no terminal and COLUMNS is not set, every line fits.
    """
    kept = dict(enumerate(parts))
    for number in drop:
        if len(", ".join(kept.values())) <= shutil.get_terminal_size((sys.maxsize, 0)).columns:
            break
        del kept[number]
    return ", ".join(kept.values())


def _where(seconds: float, iteration: int) -> tuple[str, str]:
    return f"{seconds:9.1f} s", f"iter {iteration:6d}"


def _left(seconds: float) -> str:
    return f"{console.duration(seconds)} left"


def show_training(
    events: Iterable[Tick | Report | Finished],
    *,
    line: Callable[[Report], str],
    target: int,
    start: int,
    seconds: float,
    on_report: Callable[[Report], None],
) -> Finished:
    """Print events as they come, with a bar on a terminal; `on_report` is called after each progress line.

    `start` is the iteration that training goes on from and `seconds` how long it took until there.
    """
    bar = Progress(
        TextColumn("      "),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console.console,
        transient=True,
        disable=not console.console.is_terminal,
    )
    finished, tick, began = None, None, time.perf_counter()

    def between() -> str:
        """What is known where no report has come for a while."""
        iteration = start if tick is None else tick.iteration
        where = _where(seconds + time.perf_counter() - began, iteration)
        if tick is None:
            return fit_line([*where, "first iteration, which may have to compile the model"], drop=(2,))
        loss = [] if math.isnan(tick.train) else [f"{tick.train:.4f} in training so far"]
        return fit_line([*where, *loss, _left(tick.seconds_left)], drop=())

    with bar, _lines_between(between, wanted=not console.console.is_terminal) as line_was_printed:
        task = bar.add_task("", total=target, completed=start)
        for event in events:
            if isinstance(event, Tick):
                tick = event
                bar.update(task, completed=event.iteration)
            elif isinstance(event, Report):
                console.say(line(event))
                on_report(event)
                line_was_printed()
            else:
                finished = event
    assert finished is not None
    return finished


@contextmanager
def _lines_between(text: Callable[[], str], *, wanted: bool) -> Iterator[Callable[[], None]]:
    """Print a line wherever none has come for so long; the function that this gives says that one has come."""
    printed, over = threading.Event(), threading.Event()

    def watch() -> None:
        patience = FIRST
        while not over.is_set():
            if not printed.wait(patience):
                # Where nobody reads any more, the next report notices.
                with suppress(OSError, ValueError):
                    sys.stdout.write(f"{text()}\n")
                    sys.stdout.flush()
            printed.clear()
            patience = LATER

    def line_was_printed() -> None:
        printed.set()

    watching = threading.Thread(target=watch, daemon=True)
    if wanted:
        watching.start()
    try:
        yield line_was_printed
    finally:
        over.set()
        printed.set()
        if wanted:
            watching.join()
