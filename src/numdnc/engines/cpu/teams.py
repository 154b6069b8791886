"""How threads divide the work: each takes rows of its own, or all work together on all rows."""

import ctypes
import os
from typing import Any

import numpy as np
from llvmlite.binding import add_symbol

from numdnc.engines.cpu.kernels.teams import ABORTED, BARRIER_SIZE, TIMEOUT
from numdnc.engines.cpu.kernels.types import WorkShare
from numdnc.spec import GATES, Spec

_MIN_WORK = 2_000_000
"""Multiply-adds of a forward pass below which a second thread does not pay."""
_CACHE_BYTES = 1 << 20
"""Bytes of weights that a processor's own cache holds."""
_FEW_ROWS = 4
"""Rows a thread, up to which large weights are what takes time."""

_SLEEP_NANOSECONDS = 20_000_000
"""How long a thread sleeps at a barrier, at most, before it looks whether another one has failed."""


def _define_yield() -> None:
    """Give kernels what they call as sched_yield: on Windows it has another name."""
    libraries: Any = ctypes
    switch = ctypes.cast(libraries.windll.kernel32.SwitchToThread, ctypes.c_void_p)
    add_symbol("sched_yield", switch.value)


if os.name == "nt":
    _define_yield()


def useful_threads(spec: Spec, steps: int, batch: int, threads: int) -> int:
    """The number of threads to use: all, or one where the work is too little to share."""
    work = _weights(spec) + spec.hidden_total
    if spec.has_memory:
        N, R, V = spec.memory_size, spec.read_heads, spec.write_heads
        memory = N * spec.word_size * (2 * R + 2 * V + 1) + V * N * N * 2 * (R + 1) * spec.links
        work += spec.memories * memory
    return threads if steps * batch * work >= _MIN_WORK else 1


def share_work(
    spec: Spec, batch: int, threads: int, item_size: int, together: bool | None
) -> list[WorkShare]:
    """Each thread's share of the work.

    `together` None chooses: together where there are fewer rows than threads, or few rows and weights of which a
    processor's cache holds a thread's part, but not all.
    """
    if together is None:
        weights = _weights(spec) * item_size
        parts_fit = _CACHE_BYTES < weights <= _CACHE_BYTES * threads
        together = batch < threads or (parts_fit and batch <= _FEW_ROWS * threads)
    barrier = np.zeros(BARRIER_SIZE, np.int64)
    barrier[TIMEOUT + 1] = _SLEEP_NANOSECONDS
    return [
        _work_share(thread, batch, spec.memory_size, threads, together and threads > 1, barrier)
        for thread in range(threads)
    ]


def abort_barrier(shares: list[WorkShare]) -> None:
    """Let no thread wait for another any more."""
    shares[0].barrier[ABORTED] = 1


def _work_share(
    thread: int,
    batch: int,
    slots: int,
    threads: int,
    together: bool,
    barrier: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> WorkShare:
    first, last = batch * thread // threads, batch * (thread + 1) // threads
    own = {"own_first_row": first, "own_last_row": last, "link_first_row": first, "link_last_row": last}
    link = {"first_slot": 0, "last_slot": slots, "link_shares": 1, "link_share": 0}
    if not together:
        alone = {"leader": thread, "rank": 0, "team_size": 1, "first_row": first, "last_row": last}
        return WorkShare(thread=thread, **alone, **own, **link, barrier=barrier)
    if batch < threads:
        fours = slots // 4
        own |= {"link_first_row": 0, "link_last_row": batch}
        link = {
            "first_slot": 4 * (fours * thread // threads),
            "last_slot": slots if thread == threads - 1 else 4 * (fours * (thread + 1) // threads),
            "link_shares": threads,
            "link_share": thread,
        }
    team = {"leader": 0, "rank": thread, "team_size": threads, "first_row": 0, "last_row": batch}
    return WorkShare(thread=thread, **team, **own, **link, barrier=barrier)


def _weights(spec: Spec) -> int:
    """Number of weights that a step of the controller and the interface reads."""
    below, count = 0, 0
    for size in spec.hidden_sizes:
        own = 0 if spec.controller == "feedforward" else size
        count += GATES[spec.controller] * size * (spec.reads_size + own + below)
        below = size
    return count + spec.hidden_total * spec.interface_size
