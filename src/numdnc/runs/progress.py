"""Parts that the progress lines of all kinds share."""

from typing import NamedTuple

from numdnc.formatting import format_duration


class ProgressLine(NamedTuple):
    """A progress line in parts."""

    parts: list[str]
    drop: tuple[int, ...] = ()
    """Which parts to leave out, in this order, until the line fits the terminal."""


def time_and_iteration(seconds: float, iteration: int) -> list[str]:
    """How long the run has been trained, and how many iterations that was."""
    return [f"{seconds:9.1f} s", f"iter {iteration:6d}"]


def time_left(seconds: float) -> str:
    """How long training will take from here."""
    return f"{format_duration(seconds)} left"
