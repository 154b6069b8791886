"""How long a training takes: seconds so far, speed, and seconds left."""

import math
import time

from numdnc.training.run import Run


class Timer:
    """Times a run from one `read` to the next, at the start of each iteration.

    What compiles, the first iteration and the first report, counts as little as possible in speed and time left.
    """

    def __init__(self, run: Run, minutes: float) -> None:
        self._began = self._now = time.perf_counter()
        self._seconds_before, self._limit = run.seconds, 60 * minutes
        self._pace = Pace(run.iteration, self._began)
        self._compiled_before = [run.iteration + 1]
        """Iterations by which something has compiled: the first and, once there is one, that after the first report."""
        self._last_report, self._counted = self._began, run.recent_count
        self.seconds_left = math.inf
        """Until the target or the end of the minutes."""

    def read(self, run: Run, *, report_due: bool) -> None:
        """Read the clock; `run.seconds` becomes the time trained so far."""
        self._now = now = time.perf_counter()
        run.seconds = self._seconds_before + now - self._began
        if run.iteration in self._compiled_before:
            self._pace.restart(run.iteration, now)
            if not report_due and len(self._compiled_before) == 1:
                self._last_report, self._counted = now, run.recent_count
        remaining = self._pace.seconds(run.target - run.iteration, run.iteration, now)
        self.seconds_left = max(0.0, min(remaining, self._limit - (now - self._began)))

    @property
    def is_over(self) -> bool:
        """Whether the minutes are over."""
        return self._now - self._began >= self._limit

    def predictions_per_second(self, run: Run) -> float:
        """Speed since the last report, before `run.recent_count` is reset."""
        return (run.recent_count - self._counted) / (self._now - self._last_report)

    def reported(self, run: Run) -> None:
        """Measure speed from here on: a report is done."""
        self._last_report, self._counted = self._now, 0.0
        if len(self._compiled_before) == 1:
            self._compiled_before.append(run.iteration + 1)


class Pace:
    """Seconds per iteration, since the last `restart`, or since the beginning if no iteration is done since."""

    def __init__(self, iteration: int, now: float) -> None:
        self._beginning = self._restarted = (iteration, now)

    def restart(self, iteration: int, now: float) -> None:
        """Measure from here on: something is done that is done only once."""
        self._restarted = (iteration, now)

    def seconds(self, iterations: int, iteration: int, now: float) -> float:
        """How long so many iterations take, as seen at this one; infinite before any was done."""
        for before, then in (self._restarted, self._beginning):
            if iteration > before:
                return iterations * (now - then) / (iteration - before)
        return math.inf
