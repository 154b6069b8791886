"""The threads of the engine: all they do is call kernels and BLAS, without Python's lock."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from threading import Lock
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from numdnc.errors import UserError
from numdnc.params import Array

VARIABLE = "NUMDNC_THREADS"
"""The environment variable that says how many threads to use."""

_WORTH_SHARING = 8_000_000
"""Multiply-adds in fewer than which another thread is not worth waking."""

_turn = Lock()
"""Threads of a team wait for each other, so only one team may be at work."""


def _take_new_turns() -> None:
    """In a forked child, where nobody would ever give back a turn taken in its parent."""
    global _turn
    _turn = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_take_new_turns)


def count_threads() -> int:
    """As many as NUMDNC_THREADS says, or else one for each processor that this process may use.

    Where torchrun has started several processes on this machine, each takes its share of the processors.
    """
    given = os.environ.get(VARIABLE, "")
    if not given:
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        here = os.environ.get("LOCAL_WORLD_SIZE", "")
        return max(1, processors // int(here)) if here.isdecimal() and int(here) else processors
    if not given.isdecimal() or int(given) < 1:
        raise UserError(f"{VARIABLE} must be a whole number of at least 1, got {given!r}.")
    return int(given)


def on_each(calls: list[Callable[[], Any]], on_failure: Callable[[], None] = lambda: None) -> None:
    """Make these calls at the same time, the first of them here; if one fails, on_failure is called at once."""

    def guarded(call: Callable[[], Any]) -> None:
        try:
            call()
        except BaseException:
            on_failure()
            raise

    if len(calls) == 1:
        calls[0]()
        return
    with _turn:
        try:
            others = [_workers(os.getpid(), len(calls) - 1).submit(guarded, call) for call in calls[1:]]
            calls[0]()
        except BaseException:
            on_failure()
            raise
        for other in others:
            other.result()


def multiply(threads: int, *products: tuple[Array, Array, Array]) -> None:
    """out = a b of each (out, a, b), matrices all; every thread does its share of the rows of each."""
    work = sum(out.size * a.shape[1] for out, a, _ in products)
    if threads == 1 or work < _WORTH_SHARING:
        for out, a, b in products:
            np.matmul(a, b, out=out)
        return

    def rows(thread: int) -> None:
        for out, a, b in products:
            share = slice(len(out) * thread // threads, len(out) * (thread + 1) // threads)
            np.matmul(a[share], b, out=out[share])

    on_each([partial(rows, thread) for thread in range(threads)])


def blas_on_one_thread() -> AbstractContextManager[Any]:
    """BLAS adds no threads to these while it lasts: they would fight for the same processors."""
    blas = _blas()
    if all(library.get_num_threads() == 1 for library in blas.lib_controllers):
        return nullcontext()
    limited: AbstractContextManager[Any] = blas.limit(limits=1)
    return limited


@cache
def _workers(process: int, count: int) -> ThreadPoolExecutor:
    """Threads that wait for work; of this process, since a forked one has none."""
    return ThreadPoolExecutor(count, thread_name_prefix="numdnc")


@cache
def _blas() -> Any:
    return ThreadpoolController().select(user_api="blas")
