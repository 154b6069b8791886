"""Threads: who does what, and waiting for each other inside a compiled call."""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from numdnc.engines.cpu.compiling import kernel
from numdnc.engines.cpu.layout import Place

_COUNT, _ROUND = 0, 8
"""Two numbers of a barrier, on cache lines of their own."""
BARRIER_SIZE = 16
_PATIENCE = 2000

_sched_yield = types.ExternalFunction("sched_yield", types.int32())


@intrinsic
def _fetch_add(typing_context, array, index, value):
    """array[index] += value in one step that no thread sees halfway; gives what was there before."""

    def generate(context, builder, signature, arguments):
        array_type = signature.args[0]
        made = context.make_array(array_type)(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(context, builder, array_type, made, [arguments[1]], wraparound=False)
        return builder.atomic_rmw("add", pointer, arguments[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), generate


@kernel
def wait(place):
    """Go on when every member of the team has come here."""
    if place.members > 1:
        barrier = place.barrier
        turn = _fetch_add(barrier, _ROUND, 0)
        if _fetch_add(barrier, _COUNT, 1) == place.members - 1:
            _fetch_add(barrier, _COUNT, -place.members)
            _fetch_add(barrier, _ROUND, 1)
        else:
            spins = 0
            while _fetch_add(barrier, _ROUND, 0) == turn:
                spins += 1
                if spins > _PATIENCE:
                    _sched_yield()


@kernel
def share(count, member, members):
    """Where a member's part of `count` things begins; parts begin at multiples of 4."""
    if member == members:
        return count
    return (count // 4) * member // members * 4


def places(batch, slots, threads, together, barrier):
    """A `Place` for every thread: rows shared out, or all threads together on all rows."""
    found = []
    for thread in range(threads):
        first, last = batch * thread // threads, batch * (thread + 1) // threads
        if not together:
            found.append(Place(thread, thread, 0, 1, first, last, first, last, first, last, 0, slots, 1, 0, barrier))
            continue
        rows = (first, last, 0, slots, 1, 0)
        if batch < threads:
            rows = (
                0,
                batch,
                (slots // 4) * thread // threads * 4,
                slots if thread == threads - 1 else (slots // 4) * (thread + 1) // threads * 4,
                threads,
                thread,
            )
        found.append(Place(thread, 0, thread, threads, 0, batch, first, last, *rows, barrier))
    return found
