"""Progress lines: how often they come, how wide they are, and the time left that they give."""

import io
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from helpers.patience import PATIENCE
from numdnc.cli import progress
from numdnc.runs.babi import BabiRun
from numdnc.runs.sequences import SequenceRun
from numdnc.runs.text import TextRun
from numdnc.training.events import Finished, Report, Tick
from numdnc.training.timer import Pace

REPORT = Report(48.3, 4800, 1.457, 1.773, {}, False, 48417.27, 61, 0.1, 0.2, {})
EPISODES = REPORT._replace(scores={"loss": 1.0, "bit_error": 0.01, "sequence_error": 0.25, "level": 3.0})
BABI = REPORT._replace(scores={"loss": 1.0, "mean_error": 0.15, "failed": 7.0})
TASK = SimpleNamespace(
    unit="BPC", target_kind="classes", settings=SimpleNamespace(batch=16), titles=range(20)
)
OPENED: Any = SimpleNamespace(task=TASK, score_name="mean error", score_key="mean_error")
LINES: dict[str, Callable[[], str]] = {
    "text": lambda: progress.fit_line(*TextRun.progress_line(OPENED, REPORT)),
    "episodes": lambda: progress.fit_line(*SequenceRun.progress_line(OPENED, EPISODES)),
    "babi": lambda: progress.fit_line(*BabiRun.progress_line(OPENED, BABI)),
}
KEPT = {
    "text": "1.7730 held-out BPC",
    "episodes": "75.0 % sequences right, level 3",
    "babi": "mean error 15.00 %",
}


def shown(events: Callable[[io.StringIO], Iterator[Any]], patience: float = 0.3, **options: Any) -> list[str]:
    """The lines that a training prints where output is a file; `events` see what is printed so far."""
    out = io.StringIO()
    with (
        redirect_stdout(out),
        mock.patch.multiple(progress, FIRST=patience, LATER=2 * patience),
        progress.training_progress(line=lambda report: "REPORT", target=50, **options) as show,
    ):
        for event in events(out):
            show(event)
    return out.getvalue().splitlines()


def wait_for(out: io.StringIO, text: str) -> None:
    until = time.monotonic() + PATIENCE
    while text not in out.getvalue():
        assert time.monotonic() < until, f"{text!r} must come"
        time.sleep(0.02)


def test_the_first_iteration_says_that_it_is_under_way() -> None:
    def events(out: io.StringIO) -> Iterator[Any]:
        wait_for(out, "\n")
        yield Finished("steps", 50)

    lines = shown(events, start=7, seconds=100.0)
    assert re.fullmatch(
        r" +1\d+\.\d s, iter      7, first iteration, which may have to compile the model", lines[0]
    )


def test_a_line_comes_between_reports_that_are_far_apart() -> None:
    def events(out: io.StringIO) -> Iterator[Any]:
        yield Tick(12, 0.6931, 61)
        wait_for(out, "iter     12")
        yield REPORT
        yield Tick(13, math.nan, 61)
        yield Finished("steps", 50)

    lines = shown(events, start=0, seconds=0.0)
    between = [line for line in lines if "iter     12" in line]
    assert re.fullmatch(r" +\d+\.\d s, iter     12, 0\.6931 in training so far, 1:01 left", between[0])
    assert lines.index(between[0]) < lines.index("REPORT")
    assert lines.count("REPORT") == 1


def test_no_line_comes_between_reports_that_are_near() -> None:
    def events(_: io.StringIO) -> Iterator[Any]:
        for iteration in range(1, 6):
            yield Tick(iteration, 0.5, 1)
            yield REPORT
        yield Finished("steps", 50)

    assert shown(events, 60, start=0, seconds=0.0) == ["REPORT"] * 5


@pytest.mark.parametrize("kind", LINES)
def test_lines_fit_the_columns_and_keep_what_matters(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    whole = LINES[kind]()
    assert "/s" in whole
    for columns in (120, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert len(LINES[kind]()) <= columns
        for kept in ("48.3 s", "iter   4800", KEPT[kind], "1:01 left" if columns > 70 else ""):
            assert kept in LINES[kind]()
    monkeypatch.setenv("COLUMNS", "200")
    assert LINES[kind]() == whole


def test_what_compiles_does_not_count_into_the_time_left() -> None:
    """30 s to compile, then 2 s an iteration."""
    pace = Pace(iteration=5, now=0)
    assert pace.seconds(10, 5, now=0) == math.inf
    assert pace.seconds(10, 6, now=32) == 320  # nothing better is known yet
    pace.restart(6, now=32)
    assert pace.seconds(10, 6, now=32) == 320
    assert pace.seconds(10, 8, now=36) == 20
