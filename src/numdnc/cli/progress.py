"""How a training goes: a line for each report, and a line at least every half minute between them."""

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
"""After so many seconds without a line there is one: the first of a training, and every other."""


def fit_line(parts: Sequence[str], drop: Sequence[int] = ()) -> str:
    """The parts of a line with commas between; those numbered in `drop` go, in this order, until the line fits.

    Where output is no terminal and COLUMNS is not set, every line fits.
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
    """A function that shows an event of a training: a line for a report, a bar on a terminal.

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
    tick: Tick | None = None
    began = time.perf_counter()

    def between() -> str:
        """What is known where no report has come for a while."""
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
