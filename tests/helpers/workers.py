"""Workers that are threads of one process, which meet at every collective."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from helpers.patience import PATIENCE
from numdnc.training.workers import Workers


class Threads(Workers):
    """One of several threads that meet at every sum."""

    def __init__(self, rank: int, parts: list[Any], meeting: threading.Barrier) -> None:
        self.rank, self.world_size = rank, len(parts)
        self._parts, self._meeting = parts, meeting

    def all_reduce(self, numbers: Any) -> Any:
        self._parts[self.rank] = numbers.copy()
        self._meeting.wait(PATIENCE)
        total = sum(self._parts[1:], self._parts[0])
        self._meeting.wait(PATIENCE)
        return total


def in_each(count: int, call: Callable[[Workers], Any]) -> list[Any]:
    """What a call gives in each of so many distributed."""
    parts, meeting = [None] * count, threading.Barrier(count)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, [Threads(rank, parts, meeting) for rank in range(count)]))
