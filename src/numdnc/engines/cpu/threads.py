"""The threads of the engine, which call kernels and BLAS without holding Python's lock."""

import logging
import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

import numpy as np

from numdnc.errors import UserError
from numdnc.input_files import parse_whole_number
from numdnc.machine import count_processors
from numdnc.names import quoted
from numdnc.params import Array

Product = tuple[Array, Array, Array]
"""(out, a, b): out = a b."""

VARIABLE = "NUMDNC_THREADS"
"""The environment variable that says how many threads to use."""

_LOG = logging.getLogger("numdnc")

_MIN_SHARED_WORK = 8_000_000
"""Multiply-adds below which waking another thread does not pay."""


class _Worker:
    """A thread that makes one call after the other.

    A daemon, because it must neither keep the process alive nor end with the main thread: other threads, and functions
    registered with atexit, may go on to compute.
    """

    def __init__(self, number: int) -> None:
        self._calls: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        Thread(target=self._work, name=f"numdnc-{number}", daemon=True).start()

    def submit(self, call: Callable[[], Any]) -> None:
        """Schedule a call, which must not raise."""
        self._calls.put(call)

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            call()
            del call  # or its arrays would be kept until the next one


class _Team:
    """The workers of this process."""

    def __init__(self) -> None:
        self.turn = Lock()
        """Threads of a team wait for each other, so only one team may be at work."""
        self._starting = Lock()
        self._workers: list[_Worker] = []

    def workers(self, count: int) -> list[_Worker]:
        """That many workers, or fewer if the system does not allow more threads."""
        if len(self._workers) < count:
            with self._starting:
                try:
                    while len(self._workers) < count:
                        self._workers.append(_Worker(len(self._workers) + 1))
                except RuntimeError as error:  # too many already, or Python is about to end
                    _warn_fewer(str(error))
        return self._workers[:count]


_team = _Team()


@cache
def _warn_fewer(reason: str) -> None:
    _LOG.warning("engine cpu works on fewer threads than it should: %s", reason)


def _reset_team() -> None:
    """Start without workers in a forked child, which has none of its parent's threads."""
    global _team
    _team = _Team()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_team)


def count_threads() -> int:
    """The value of NUMDNC_THREADS, or else the number of processors; never more than that.

    Where torchrun has started several processes on this machine, each takes its share of the processors.
    """
    given, processors = os.environ.get(VARIABLE, ""), count_processors()
    if not given:
        here = parse_whole_number(os.environ.get("LOCAL_WORLD_SIZE", "")) or 1
        return max(1, processors // here)
    threads = parse_whole_number(given)
    if not threads:
        raise UserError(f"{VARIABLE} must be a whole number of at least 1, got {quoted(given)}.")
    if threads > processors:
        warn_too_many(VARIABLE, threads, processors, f"using {processors}")
    return min(threads, processors)


@cache
def warn_too_many(name: str, given: int, processors: int, consequence: str) -> None:
    """Warn, once, about more threads than processors."""
    noun = "processor" if processors == 1 else "processors"
    _LOG.warning("%s is %d, but this process may use %d %s: %s", name, given, processors, noun, consequence)


def available_threads(count: int) -> int:
    """How many calls `run_in_parallel` can make at the same time, up to `count`."""
    return 1 + len(_team.workers(count - 1))


def run_in_parallel(calls: list[Callable[[], Any]], on_failure: Callable[[], None] = lambda: None) -> None:
    """Make these calls at the same time, the first of them in this thread; call on_failure at once if one fails."""
    first, *others = calls
    if not others:
        first()
        return
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def guarded(call: Callable[[], Any]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            on_failure()
            ended.put(error)
        else:
            ended.put(None)

    with _team.turn:
        try:
            for worker, call in zip(_team.workers(len(others)), others, strict=True):
                worker.submit(partial(guarded, call))
            first()
        except BaseException:
            on_failure()
            raise
        failures = [error for _ in others if (error := ended.get()) is not None]
    if failures:
        raise failures.pop()


def multiply_part(products: Sequence[Product], thread: int, threads: int) -> None:
    """Compute this thread's share of the rows of each product."""
    for out, a, b in products:
        share = slice(len(out) * thread // threads, len(out) * (thread + 1) // threads)
        np.matmul(a[share], b, out=out[share])


def matmul(threads: int, *products: Product) -> None:
    """Compute products on so many threads, if that pays."""
    work = sum(out.size * a.shape[1] for out, a, _ in products)
    threads = available_threads(threads) if work >= _MIN_SHARED_WORK else 1
    run_in_parallel([partial(multiply_part, products, thread, threads) for thread in range(threads)])
