"""Limit BLAS to one thread while the engine computes: its threads would compete with the engine's for processors."""

import os
from functools import cache
from threading import Lock, get_ident
from typing import Any

from threadpoolctl import ThreadpoolController


class _SingleThreadedBLAS:
    """Limits BLAS to one thread while any Python thread is inside.

    The number of threads is a setting of the whole process. So the first thread that comes in remembers and sets it,
    and the last one out gives back what was there.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self._inside: set[int] = set()
        self._before: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self.lock:
            if not self._inside:
                for library in _libraries():
                    if (count := library.get_num_threads()) != 1:
                        self._before.append((library, count))
                        library.set_num_threads(1)
            self._inside.add(get_ident())

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self._inside.discard(get_ident())
            if not self._inside:
                self.release()

    def release(self) -> None:
        """Restore the number of threads from before."""
        while self._before:
            library, count = self._before.pop()
            library.set_num_threads(count)


_hold = _SingleThreadedBLAS()


def single_threaded_blas() -> _SingleThreadedBLAS:
    """A context in which BLAS uses one thread."""
    return _hold


def _before_fork() -> None:
    _hold.lock.acquire()


def _after_fork_in_parent() -> None:
    _hold.lock.release()


def _after_fork_in_child() -> None:
    """Restore the limit: the threads that were inside do not exist in the child and cannot do it."""
    global _hold
    _hold.release()
    _hold = _SingleThreadedBLAS()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


@cache
def _libraries() -> list[Any]:
    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found
