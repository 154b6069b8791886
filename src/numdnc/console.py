"""Terminal output: progress, samples, tables. Plain lines if the output is not a terminal."""

import errno
import io
import os
import shlex
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from numdnc.errors import path_from_here
from numdnc.inspection.gradcheck import SMALLEST, TOLERANCE, Row
from numdnc.schema import json_text


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the command handle a broken pipe; rich would end the program with exit code 1."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


console = _Console(highlight=False, soft_wrap=True, emoji=False)
_LONGEST_LINE = 2000
"""Most characters of an error, which may quote a file."""
PATIENCE = 2.0
"""Seconds without output after which `waiting_for` says what the user is waiting for."""


def say(text: str = "") -> None:
    """Print a line without markup; text from a file cannot control the terminal."""
    console.print(terminal_text(text), markup=False)


def terminal_text(text: str) -> str:
    """Text in which everything but line breaks and tabs that could control a terminal or disguise text is escaped.

    These are control characters, escape sequences and marks that change the direction of writing.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


_results: list[TextIO] = []
"""Standard output of the commands that print JSON alone; the last one is current."""


def say_json(value: Any) -> None:
    """Print one JSON object; null stands for a number that is not finite."""
    print(json_text(value), file=_results[-1] if _results else None)


@contextmanager
def results_alone(wanted: bool) -> Iterator[None]:
    """Leave standard output to `say_json` if `wanted`: all else that is printed goes to standard error."""
    if not wanted:
        yield
        return
    _results.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _results.pop()


class Result(Protocol):
    """The result of a command."""

    @property
    def warnings(self) -> Sequence[str]:
        """What the user should know about the result."""
        ...

    def record(self) -> Any:
        """The result as JSON."""
        ...


def say_result(result: Result, *, as_json: bool) -> None:
    """Print a result as text, or as JSON; its warnings go to standard error."""
    for text in result.warnings:
        warn(f"warning: {text}")
    if as_json:
        say_json(result.record())
    else:
        say(str(result))


def fail(text: str) -> NoReturn:
    """Print an error that the user can fix as one line, and exit with 2."""
    line = terminal_text(text).replace("\n", "\\n").replace("\t", "\\t")
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE // 2]} .. {line[-_LONGEST_LINE // 2 :]}"
    warn(f"error: {line}")
    sys.exit(2)


def warn(text: str) -> None:
    """Print a line on standard error, if it is still open."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")


@contextmanager
def silent(wanted: bool) -> Iterator[None]:
    """Suppress all output in this context if `wanted`."""
    if not wanted:
        yield
        return
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        yield


def prepare_output() -> None:
    """Make both outputs usable, even if one was closed; characters that the encoding lacks are escaped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def end_output() -> None:
    """Flush the output, unless its reader is gone."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()


def drop_output() -> None:
    """Discard output that cannot be written, and all that follows; else Python would report it at exit."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Output:
    """Standard output of work that must be saved even if the output fails: from then on, output is discarded."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, call: Callable[[], object]) -> None:
        if self.lost is None:
            try:
                call()
            except OSError as error:
                self.lost = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_outputs: list[_Output] = []
"""The outputs in use; the last one is current."""


@contextmanager
def outliving_output() -> Iterator[None]:
    """Continue even if the output can no longer be written, for example because its reader or terminal is gone.

    `stop_on_signals` treats such a loss as a signal. The error is raised at the end, unless only the reader was gone.
    """
    output = _Output(sys.stdout)
    _outputs.append(output)
    try:
        with redirect_stdout(output):
            yield
    except SystemExit:
        if output.lost is None or isinstance(output.lost, BrokenPipeError):
            raise
    finally:
        _outputs.pop()
        if output.lost is not None:
            drop_output()
    if output.lost is not None and not isinstance(output.lost, BrokenPipeError):
        raise output.lost


def exit_stopped() -> NoReturn:
    """Exit after an interrupted command has saved: with 130, or with 141 if the reader of its output was gone."""
    sys.exit(141 if isinstance(lost_output(), BrokenPipeError) else 130)


def lost_output() -> OSError | None:
    """Why the output inside `outliving_output` can no longer be written; None if it can."""
    return _outputs[-1].lost if _outputs else None


def wrapped(text: str, *, otherwise: int = 80) -> str:
    """Text with its paragraphs wrapped to the width of the terminal or COLUMNS, or else to `otherwise` columns.

    Indented paragraphs are not wrapped.
    """
    width = min(max(100, otherwise), shutil.get_terminal_size((otherwise, 0)).columns)
    paragraphs = [
        paragraph if paragraph.startswith(" ") else textwrap.fill(paragraph, width, break_on_hyphens=False)
        for paragraph in text.split("\n\n")
    ]
    return "\n\n".join(paragraphs)


@contextmanager
def waiting_for(text: str) -> Iterator[None]:
    """Say on standard error what is being done if it takes long; standard output is for results."""
    late = threading.Timer(PATIENCE, lambda: sys.stderr.write(f"{text} ..\n"))
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C, SIGTERM or SIGHUP came, or the output was lost; a second one stops at once.

    SIGHUP stays ignored if it was, as under `nohup`.
    """
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        # Not by `say`: the signal may have come while it was writing, and writes cannot be nested.
        with suppress(OSError):
            os.write(
                sys.stderr.fileno(),
                b"\nfinishing this iteration, then saving; press Ctrl-C again to stop at once\n",
            )

    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last is Windows's, which has no SIGHUP
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)
    before = {number: signal.signal(number, receive) for number in numbers}
    try:
        yield lambda: bool(received) or lost_output() is not None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def command() -> str:
    """How this program was called, so that suggested commands can be copied."""
    name = Path(sys.argv[0]).name
    if shutil.which(name) or not name.startswith("numdnc"):
        return "numdnc"
    return shlex.quote(path_from_here(sys.argv[0]))


def gradcheck_lines(row: Row) -> str:
    """Two lines for an array: ranges of both gradients, relative errors, valid checks among all."""
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
    """A function that shows the progress of a download."""
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
