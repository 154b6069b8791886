"""The command line as the tests call it: in this process (fast), or as the program that users start."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from helpers.patience import PATIENCE, without_notice
from numdnc import cli, console
from numdnc.training.checkpoint import load_checkpoint, save_checkpoint

TEXT = "".join(
    f"{who} {verb} on the {what}.\n"
    for who in ("the cat", "a dog", "no one", "the mouse")
    for verb in ("sat", "slept", "ran")
    for what in ("mat", "hill", "moon")
)
"""Enough for 6 streams of 17 windows of 8 (the last one shorter): an epoch is 17 iterations."""

SMALL = "--hidden 5 -N 4 -W 3 -R 2 --batch 6 --window 8 --score-limit 60 --sample-every 0"
"""Sizes that train in no time."""
TIMES = ("seconds", "per_second", "seconds_left")
"""What a progress report holds that differs from run to run."""


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str
    raw: bytes  # `out` before decoding


class Output(io.TextIOWrapper):
    """Standard output in memory, as a file or, if `terminal`, as if people watched it."""

    def __init__(self, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def call(*words: object, terminal: bool = False) -> Result:
    """`numdnc WORDS` in this process."""
    out, err, code = Output(terminal), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["numdnc", *map(str, words)]),
        mock.patch.object(
            console, "PATIENCE", PATIENCE
        ),  # nothing is said of what takes long on a busy machine
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 0
    out.flush()
    raw = out.buffer.getvalue()  # type: ignore[attr-defined]
    return Result(code, raw.decode("utf-8", "replace"), err.getvalue(), raw)


def done(*words: object, **options: Any) -> str:
    """What a command prints that must succeed."""
    result = call(*words, **options)
    assert (result.code, result.err) == (0, ""), result
    return result.out


def train(folder: object, *words: object, model: str = "rnn", corpus: str = "text.txt") -> str:
    """Train a small model on text.txt, 12 steps unless told otherwise."""
    settings: Sequence[object] = ("--steps", 12, "--report-every", 4, *words)
    return done("train", "text", "-c", corpus, "-m", model, *SMALL.split(), "--out", folder, *settings)


def on_disk(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below, with its contents, but for what Python keeps of the modules that it loads."""
    assert not (folder / "pyproject.toml").exists(), (
        "this would read the whole project: change to a folder of the test"
    )
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


def error_line(result: Result) -> str:
    """The one line of an error that users can mend, checked to be just that."""
    assert result.code == 2, result
    (line,) = result.err.splitlines()
    assert line.startswith("error: "), line
    assert " must " in line, line
    assert line.endswith("."), line
    return line


def refused(*words: object, expect: str = "") -> str:
    """The error of a command that must fail and leave all in the working folder as it was.

    `expect`: fragments of the line, separated by "|".
    """
    before = on_disk(Path())
    line = error_line(call(*words))
    for fragment in expect.split("|"):
        assert fragment in line, (fragment, line)
    assert on_disk(Path()) == before
    return line


HELPERS = Path(__file__).parent
LAUNCH_PROGRAM = HELPERS / "launch_program.py"
"""Starts several processes at a time."""
STAND_IN = (sys.executable, str(HELPERS / "sweep_program.py"))
"""What begins the runs of a sweep in its place, and learns nothing."""
EVAL_STAND_IN = (sys.executable, "-S", str(HELPERS / "eval_program.py"))
"""What scores the runs of a recipe in its place."""
WITH_STAND_IN = f"""
import numdnc.cli.sweep, numdnc.training.sweep
numdnc.training.sweep.PROGRAM = {STAND_IN!r}
numdnc.cli.sweep.check_settings = lambda *_: None
"""
"""For `program`: a sweep by that, whose tasks numdnc does not know."""


def program(*words: object, before: str = "", **options: Any) -> "subprocess.Popen[bytes]":
    """`numdnc WORDS` as a process of its own, with pipes; `before`: Python to run in it first."""
    # Tests that a shell runs in the background, or by nohup, hand down signals that are ignored.
    hears = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    hears += "; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    code = f"{hears}\n{before}\nfrom numdnc.cli import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        **options,
    )


def finish(process: "subprocess.Popen[bytes]") -> Result:
    """How a process ended, after all it printed was read, but for the notice that kernels are compiled."""
    out, err = process.communicate(timeout=PATIENCE)
    return Result(process.returncode, out.decode("utf-8", "replace"), without_notice(err.decode()), out)


def rewrite(path: Path, change: Any) -> None:
    """Change a checkpoint by `change(arrays, metadata)` and give it a valid checksum again."""
    arrays, metadata = load_checkpoint(path)
    change(arrays, metadata)
    save_checkpoint(path, arrays, metadata)


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The reports of a run without what depends on the clock."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def contents(folder: Path) -> dict[str, Any]:
    """All that a run is, to be compared bit for bit: both checkpoints and the reports, without times."""
    result: dict[str, Any] = {"files": sorted(file.name for file in folder.iterdir())}
    for name in ("last", "best"):
        arrays, metadata = load_checkpoint(folder / f"{name}.safetensors")
        metadata.pop("seconds")
        result |= {f"{name} {key}": (a.dtype.str, a.shape, a.tobytes()) for key, a in arrays.items()}
        result |= {f"{name} {key}": value for key, value in metadata.items()}
    return {**result, "metrics": metrics(folder)}


@contextmanager
def interrupted_after(iterations: int) -> Iterator[None]:
    """As if Ctrl-C were pressed when so many iterations of this process are done."""

    @contextmanager
    def stop() -> Iterator[Callable[[], bool]]:
        asked = iter(range(10**6))
        yield lambda: next(asked) >= iterations

    with mock.patch.object(console, "stop_on_signals", stop):
        yield


COPY = "copy --hidden 6 -N 5 -W 3 -R 2 --width 3 --max-length 2 --batch 4 --evaluated 8 --sample-every 0"


def train_copy(folder: str, *words: object) -> None:
    """A few updates of a small DNC."""
    done("train", *COPY.split(), "--steps", 6, "--report-every", 3, "--out", folder, *words)
