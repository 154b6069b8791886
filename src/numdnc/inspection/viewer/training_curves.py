"""The curves of a training for the page, from the lines of metrics.jsonl."""

import math
from collections.abc import Sequence
from typing import Any

from numdnc.names import shorten
from numdnc.schema import parse_json

MOST_POINTS = 400
MOST_CURVES = 60
_LONGEST_NAME = 60
_NO_CURVES = {"iteration", "seconds", "seconds_left", "per_second", "solved", "health"}


def training_curves(lines: Sequence[bytes]) -> dict[str, Any] | None:
    """Iterations and, by name, the numbers reported there, as JSON; None if there are fewer than two reports.

    Of many reports some are left out, evenly. A number that is missing or not finite is None.
    """
    reports = [report for line in lines if (report := _report(line)) is not None]
    if len(reports) < 2:
        return None
    every = math.ceil(len(reports) / MOST_POINTS)
    reports = reports[len(reports) - 1 :: -every][::-1]
    names = list(dict.fromkeys(name for report in reports for name in report if name not in _NO_CURVES))
    return {
        "iterations": [report["iteration"] for report in reports],
        "curves": {
            shorten(name, _LONGEST_NAME): [_number(report.get(name)) for report in reports]
            for name in names[:MOST_CURVES]
        },
    }


def _report(line: bytes) -> dict[str, Any] | None:
    """A line with the figures of its health as keys of their own; None if it is not a report."""
    try:
        stored = parse_json(line)
    except ValueError:
        return None
    if not isinstance(stored, dict) or _number(stored.get("iteration")) is None:
        return None
    health = stored.get("health")
    return {**stored, **health} if isinstance(health, dict) else stored


def _number(value: object) -> float | None:
    """A number with five digits; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        return None
    return float(f"{value:.5g}")
