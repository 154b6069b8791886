"""Who does what: every thread on rows of its own, or all threads together on all rows."""

import numpy as np

from numdnc.engines.cpu.kernels.layout import Place
from numdnc.engines.cpu.kernels.teams import BARRIER_SIZE, GIVEN_UP
from numdnc.spec import GATES, DNCSpec, Spec

_WORTH_A_THREAD = 2_000_000
"""Multiply-adds of a sequence, forward, below which a second thread costs more than it brings."""
_CACHE = 1 << 20
"""Bytes of weights that a processor's own cache holds; what is larger is better read in parts."""
_ROWS_TOGETHER = 4
"""Rows a thread, up to which large weights are what takes time."""


def threads_worth(spec: Spec, steps: int, batch: int, threads: int) -> int:
    """All the threads, or one where the work is too little to share."""
    work = _weights(spec) + spec.hidden_total
    if isinstance(spec, DNCSpec):
        N, R = spec.memory_size, spec.read_heads
        work += N * spec.word_size * (2 * R + 3) + N * N * 2 * (R + 1) * spec.links
    return threads if steps * batch * work >= _WORTH_A_THREAD else 1


def places(spec: Spec, batch: int, threads: int, item_size: int, together: bool | None) -> list[Place]:
    """A `Place` for every thread.

    `together` None chooses: together where there are fewer rows than threads, or few rows and weights so large that
    reading them takes longer than using them.
    """
    if together is None:
        large = _weights(spec) * item_size > _CACHE
        together = batch < threads or (large and batch <= _ROWS_TOGETHER * threads)
    slots = spec.memory_size if isinstance(spec, DNCSpec) else 0
    barrier = np.zeros(BARRIER_SIZE, np.int64)
    return [
        _place(thread, batch, slots, threads, together and threads > 1, barrier) for thread in range(threads)
    ]


def give_up(found: list[Place]) -> None:
    """Let no thread wait for another any more."""
    found[0].barrier[GIVEN_UP] = 1


def _place(
    thread: int,
    batch: int,
    slots: int,
    threads: int,
    together: bool,
    barrier: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> Place:
    first, last = batch * thread // threads, batch * (thread + 1) // threads
    own = {"own_first": first, "own_last": last, "link_first": first, "link_last": last}
    whole = {"slot_first": 0, "slot_last": slots, "link_parts": 1, "link_part": 0}
    if not together:
        alone = {"team": thread, "member": 0, "members": 1, "first": first, "last": last}
        return Place(thread=thread, **alone, **own, **whole, barrier=barrier)
    if batch < threads:
        four = slots // 4
        own |= {"link_first": 0, "link_last": batch}
        whole = {
            "slot_first": 4 * (four * thread // threads),
            "slot_last": slots if thread == threads - 1 else 4 * (four * (thread + 1) // threads),
            "link_parts": threads,
            "link_part": thread,
        }
    member = {"team": 0, "member": thread, "members": threads, "first": 0, "last": batch}
    return Place(thread=thread, **member, **own, **whole, barrier=barrier)


def _weights(spec: Spec) -> int:
    """How many weights a step of the controller and the interface reads."""
    below, count = 0, 0
    for size in spec.hidden_sizes:
        own = 0 if spec.controller == "feedforward" else size
        count += GATES[spec.controller] * size * (spec.reads_size + own + below)
        below = size
    return count + spec.hidden_total * (spec.interface_size if isinstance(spec, DNCSpec) else 0)
