"""Progress of training: a line for each report, and another if none has come for half a minute."""

import math
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from numdnc import console
from numdnc.runs.progress import time_and_iteration, time_left
from numdnc.training.events import Event, Report, Tick

FIRST, LATER = 9.0, 29.0
"""Seconds without a line after which one is printed: at the start of training, and later."""


def fit_line(parts: Sequence[str], drop: Sequence[int] = ()) -> str:
    """Join the parts of a line with commas, leaving out those numbered in `drop`, in this order, until it fits.

    Every line fits if the output is not a terminal and COLUMNS is not set.
    """
    kept = dict(enumerate(parts))
    for number in drop:
        if len(", ".join(kept.values())) <= shutil.get_terminal_size((sys.maxsize, 0)).columns:
            break
        del kept[number]
    return ", ".join(kept.values())


@contextmanager
def training_progress(
    *, line: Callable[[Report], str], target: int, start: int, seconds: float
) -> Iterator[Callable[[Event], None]]:
    """Give a function that shows an event of training: a line for a report, a bar on a terminal.

    Training continues from iteration `start`, which took `seconds` so far.
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
    tick: Tick | None = None
    began = time.perf_counter()

    def between() -> str:
        """The line for the time between two reports."""
        iteration = start if tick is None else tick.iteration
        where = time_and_iteration(seconds + time.perf_counter() - began, iteration)
        if tick is None:
            return fit_line([*where, "first iteration, which may have to compile the model"], drop=(2,))
        loss = [] if math.isnan(tick.train) else [f"{tick.train:.4f} in training so far"]
        return fit_line([*where, *loss, time_left(tick.seconds_left)])

    with bar, _lines_between(between, wanted=not console.console.is_terminal) as line_was_printed:
        task = bar.add_task("", total=target, completed=start)

        def show(event: Event) -> None:
            nonlocal tick
            if isinstance(event, Tick):
                tick = event
                bar.update(task, completed=event.iteration)
            elif isinstance(event, Report):
                console.say(line(event))
                line_was_printed()

        yield show


@contextmanager
def _lines_between(text: Callable[[], str], *, wanted: bool) -> Iterator[Callable[[], None]]:
    """Print a line when none has come for a while; the function that this gives reports that one has come."""
    printed, over = threading.Event(), threading.Event()

    def watch() -> None:
        patience = FIRST
        while not over.is_set():
            if not printed.wait(patience):
                # If the output is closed, the next report notices.
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
