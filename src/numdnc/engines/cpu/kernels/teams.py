"""Threads that work on the same rows: how they divide work and wait for each other inside a compiled call."""

import platform
import sys

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from numdnc.engines.cpu.kernels.compiling import kernel, loop_entry, short_kernel

COUNT, ROUND, ABORTED, SLEEPERS, TIMEOUT = 0, 8, 16, 24, 32
"""Indices into a barrier, on separate cache lines: threads that have arrived, complete rounds, whether it is aborted,
threads asleep, and seconds and nanoseconds after which a sleeper looks whether it is aborted."""
BARRIER_SIZE = 40
_MAX_SPINS = 4000
"""Checks of a barrier, some 50 us, before the processor is left to others."""
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine(), 0) if sys.platform == "linux" else 0
"""Number of the system call futex (man 2 futex); 0: threads yield and look again instead of sleeping."""
_WAIT, _WAKE, _ALL = 128, 129, 1 << 30
"""Its private operations, and how many threads to wake."""

_sched_yield = types.ExternalFunction("sched_yield", types.int32())
_syscall = types.ExternalFunction("syscall", types.int64(*[types.int64] * 7))


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


@intrinsic
def _address(typing_context, array, index):
    """The address of array[index]."""

    def generate(context, builder, signature, arguments):
        array_type = signature.args[0]
        made = context.make_array(array_type)(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(
            context, builder, array_type, made, [arguments[1]], wraparound=False
        )
        return builder.ptrtoint(pointer, context.get_value_type(types.int64))

    return types.int64(array, types.int64), generate


if _FUTEX:

    @kernel
    def _pause(barrier, turn):
        """Sleep until this round is complete, or a while."""
        _fetch_add(barrier, SLEEPERS, 1)
        address, timeout = _address(barrier, ROUND), _address(barrier, TIMEOUT)
        _syscall(_FUTEX, address, _WAIT, turn, timeout, 0, 0)
        _fetch_add(barrier, SLEEPERS, -1)

    @kernel
    def _wake_sleepers(barrier):
        if _fetch_add(barrier, SLEEPERS, 0) > 0:
            _syscall(_FUTEX, _address(barrier, ROUND), _WAKE, _ALL, 0, 0, 0)

else:

    @kernel
    def _pause(barrier, turn):
        """Let other threads run."""
        _sched_yield()

    @kernel
    def _wake_sleepers(barrier):
        pass


@short_kernel
def wait_for_team(work):
    """Wait until every thread of the team has arrived here, or the barrier is aborted."""
    if work.team_size > 1:
        _meet(work.barrier, work.team_size)


@short_kernel
def _meet(barrier, members):
    turn = _fetch_add(barrier, ROUND, 0)
    if _fetch_add(barrier, COUNT, 1) == members - 1:
        _fetch_add(barrier, COUNT, -members)
        _fetch_add(barrier, ROUND, 1)
        _wake_sleepers(barrier)
    else:
        spins = 0
        while _fetch_add(barrier, ROUND, 0) == turn and _fetch_add(barrier, ABORTED, 0) == 0:
            spins += 1
            if spins > _MAX_SPINS:
                _pause(barrier, turn)


@loop_entry
def meet(barrier, members):
    """The same for so many threads, called from Python while no team uses the barrier."""
    _meet(barrier, members)


@kernel
def chunk_start(count, member, members):
    """Where the part of a thread begins, of `count` items; parts begin at multiples of 4."""
    if member == members:
        return count
    return (count // 4) * member // members * 4
