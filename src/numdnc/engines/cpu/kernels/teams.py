"""Threads that work on the same rows: how they divide work and wait for each other inside a compiled call."""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from numdnc.engines.cpu.kernels.compiling import kernel

COUNT, ROUND, ABORTED = 0, 8, 16
"""Indices into a barrier, on separate cache lines: threads that wait, complete rounds, whether it is aborted."""
BARRIER_SIZE = 24
_MAX_SPINS = 2000
"""Checks of a barrier before the processor is yielded to others."""

_sched_yield = types.ExternalFunction("sched_yield", types.int32())


@intrinsic
def _fetch_add(typing_context, array, index, value):
    """array[index] += value, atomically; returns the value from before."""

    def generate(context, builder, signature, arguments):
        array_type = signature.args[0]
        made = context.make_array(array_type)(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(
            context, builder, array_type, made, [arguments[1]], wraparound=False
        )
        return builder.atomic_rmw("add", pointer, arguments[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), generate


@kernel
def wait_for_team(work):
    """Wait until every thread of the team has arrived here, or the barrier is aborted."""
    if work.team_size > 1:
        barrier = work.barrier
        turn = _fetch_add(barrier, ROUND, 0)
        if _fetch_add(barrier, COUNT, 1) == work.team_size - 1:
            _fetch_add(barrier, COUNT, -work.team_size)
            _fetch_add(barrier, ROUND, 1)
        else:
            spins = 0
            while _fetch_add(barrier, ROUND, 0) == turn and _fetch_add(barrier, ABORTED, 0) == 0:
                spins += 1
                if spins > _MAX_SPINS:
                    _sched_yield()


@kernel
def chunk_start(count, member, members):
    """Where the part of a thread begins, of `count` items; parts begin at multiples of 4."""
    if member == members:
        return count
    return (count // 4) * member // members * 4
