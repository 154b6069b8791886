"""What people see in the terminal: progress, samples, tables. Plain lines where output is no terminal."""

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

from numdnc.inspection.gradcheck import SMALLEST, TOLERANCE, Row
from numdnc.schema import json_text


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command what to do then, where rich would end the program with exit code 1."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


console = _Console(highlight=False, soft_wrap=True, emoji=False)
_LONGEST_LINE = 2000
"""Characters of an error, which may quote a file."""
PATIENCE = 2.0
"""Seconds without a line after which people want to know what they are waiting for."""


def say(text: str = "") -> None:
    """A line without markup; whatever of it came from a file cannot drive the terminal."""
    console.print(terminal_text(text), markup=False)


def terminal_text(text: str) -> str:
    """Text with escapes for what could drive a terminal or disguise what stands in it, but for line breaks and tabs.

    These are control characters, escape sequences and the marks that turn the direction of writing.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def say_json(value: Any) -> None:
    """One JSON object; null stands for a number that is not finite."""
    print(json_text(value))  # noqa: T201


class Result(Protocol):
    """What a command has found out."""

    @property
    def warnings(self) -> Sequence[str]:
        """What the user should know of it."""
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
    """The one line of an error that the user can mend, and exit code 2."""
    line = terminal_text(text).replace("\n", "\\n").replace("\t", "\\t")
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE // 2]} .. {line[-_LONGEST_LINE // 2 :]}"
    warn(f"error: {line}")
    sys.exit(2)


def warn(text: str) -> None:
    """A line on standard error, if that is still there."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")


@contextmanager
def silent(wanted: bool) -> Iterator[None]:
    """Print nothing while this lasts, if that is wanted."""
    if not wanted:
        yield
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def prepare_output() -> None:
    """Have both outputs, also where one was closed; what an encoding lacks is written as an escape."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def end_output() -> None:
    """Write what is still to be written, unless nobody reads it any more."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()


def drop_output() -> None:
    """Send what cannot be written, and all that follows, nowhere; else Python would complain of it at exit."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Output:
    """Standard output of work that must be saved first if it cannot be written on: from then on it is dropped."""

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
"""Those in use, the last being the present one."""


@contextmanager
def outliving_output() -> Iterator[None]:
    """Go on where the output cannot be written any more, as when its reader or terminal is gone.

    `stop_on_signals` takes such a loss for a signal. Unless it is the reader that left, the error is raised at the end.
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
    """End what was told to stop and has saved: by 130, or by 141 where nobody read its output any more."""
    sys.exit(141 if isinstance(lost_output(), BrokenPipeError) else 130)


def lost_output() -> OSError | None:
    """Why the output of what goes on without one cannot be written."""
    return _outputs[-1].lost if _outputs else None


def wrapped(text: str, *, otherwise: int = 80) -> str:
    """Text whose paragraphs are broken to fit the terminal or COLUMNS, if there is either; else to `otherwise` columns.

    Paragraphs that are indented stay as they are.
    """
    width = min(max(100, otherwise), shutil.get_terminal_size((otherwise, 0)).columns)
    paragraphs = [
        paragraph if paragraph.startswith(" ") else textwrap.fill(paragraph, width, break_on_hyphens=False)
        for paragraph in text.split("\n\n")
    ]
    return "\n\n".join(paragraphs)


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


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C, SIGTERM or SIGHUP was given, or the output lost; a second one stops at once.

    Who has SIGHUP ignored, as `nohup` does, is obeyed.
    """
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

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, receive) for number in numbers}
    try:
        yield lambda: bool(received) or lost_output() is not None
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
