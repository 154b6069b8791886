"""How long the rest of a training takes."""

import math


class Pace:
    """Seconds an iteration takes, from where it was last measured anew: what compiles is not to count."""

    def __init__(self, iteration: int, now: float) -> None:
        self._start = self._settled = (iteration, now)

    def settle(self, iteration: int, now: float) -> None:
        """Measure from here on: what is done only once has been done."""
        self._settled = (iteration, now)

    def seconds(self, iterations: int, iteration: int, now: float) -> float:
        """How long so many iterations take, as seen at this one; infinite before any was done."""
        for before, then in (self._settled, self._start):
            if iteration > before:
                return iterations * (now - then) / (iteration - before)
        return math.inf
