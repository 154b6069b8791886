"""Results of a sweep: the status of each run, and means over the runs of a setting."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from numdnc.errors import UserError
from numdnc.training.folder import MetricsLine, RunFolder, parse_metrics_line

Z = 1.959964
"""The standard normal distribution has 95 % between -Z and Z."""


class RunStatus(NamedTuple):
    """Progress of a run at its last checkpoint."""

    iteration: int
    target: int
    seconds: float
    solved_iteration: int | None
    solved_seconds: float | None
    held_out: float | None
    """The score in its last report, ..."""
    sequence_error: float | None
    """... and its sequence error, if the task has one."""
    stopped_early: bool = False
    """Whether it has stopped early, as `early_stop` says."""

    @property
    def done(self) -> bool:
        """Whether the run has reached its target, is solved or has stopped early."""
        return self.solved_iteration is not None or self.iteration >= self.target or self.stopped_early


class RunResult(NamedTuple):
    """A run of a sweep and its result so far."""

    name: str
    setting: dict[str, str]
    seed: int
    status: RunStatus | None
    """None if there is no readable checkpoint yet."""
    failure: str | None
    """Why its last process failed, if it did."""

    @property
    def state(self) -> str:
        """One of solved, done, failed, begun, to come."""
        if self.failure is not None:
            return "failed"
        if self.status is None:
            return "to come"
        if self.status.solved_iteration is not None:
            return "solved"
        return "done" if self.status.done else "begun"

    @property
    def ended(self) -> bool:
        """Whether the run is over, successfully or not."""
        return self.state in ("solved", "done", "failed")


class MeanAndDeviation(NamedTuple):
    """Mean and sample standard deviation of some numbers; None if there are too few."""

    mean: float | None
    sd: float | None


class Summary(NamedTuple):
    """A summary of the runs of one setting."""

    setting: dict[str, str]
    planned: int
    runs: int
    """Number of runs that have ended; only these count below."""
    solved: int
    failed: int
    success_rate: float | None
    """solved / runs, in [0, 1]; a failed run counts as not solved."""
    success_interval: tuple[float, float] | None
    """Its 95 % interval, see `wilson`."""
    iterations_to_solve: MeanAndDeviation
    seconds_to_solve: MeanAndDeviation
    held_out: MeanAndDeviation
    """Over the last report of every run that did not fail."""
    sequence_error: MeanAndDeviation


def run_status(folder: RunFolder) -> RunStatus | None:
    """Status of the run in a folder; None if there is none or its checkpoint is damaged."""
    try:
        run = folder.load_last(finite=False)
    except UserError:
        return None
    report = _last_report(folder, run.iteration)
    return RunStatus(
        run.iteration,
        run.target,
        run.seconds,
        run.solved_iteration,
        run.solved_seconds,
        None if report is None else report.held_out,
        None if report is None else report.sequence_error,
        run.stagnates,
    )


def _last_report(folder: RunFolder, iteration: int) -> MetricsLine | None:
    """The last complete line of metrics.jsonl that is not later than this iteration."""
    for line in reversed(folder.report_lines()):
        report = parse_metrics_line(line)
        if report is not None and report.iteration <= iteration:
            return report
    return None


def summary(setting: dict[str, str], results: Sequence[RunResult]) -> Summary:
    """Summarize the runs of a setting."""
    ended = [result for result in results if result.ended]
    solved = [run.status for run in ended if run.state == "solved" and run.status]
    whole = [run.status for run in ended if run.state != "failed" and run.status]
    return Summary(
        setting,
        planned=len(results),
        runs=len(ended),
        solved=len(solved),
        failed=sum(result.state == "failed" for result in ended),
        success_rate=len(solved) / len(ended) if ended else None,
        success_interval=wilson(len(solved), len(ended)) if ended else None,
        iterations_to_solve=_spread([run.solved_iteration for run in solved]),
        seconds_to_solve=_spread([run.solved_seconds for run in solved]),
        held_out=_spread([run.held_out for run in whole]),
        sequence_error=_spread([run.sequence_error for run in whole]),
    )


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % confidence interval of a rate (Wilson 1927), in [0, 1].

    (p + z^2/2n -+ z sqrt(p (1 - p) / n + z^2/4n^2)) / (1 + z^2/n),   p = successes / trials, n = trials
    """
    p, n = successes / trials, trials
    centre, half = p + Z**2 / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _spread(numbers: Sequence[float | None]) -> MeanAndDeviation:
    known = [number for number in numbers if number is not None]
    return MeanAndDeviation(
        statistics.fmean(known) if known else None,
        statistics.stdev(known) if len(known) > 1 else None,
    )
