"""The processors and the memory of this machine that this process may use."""

import os
from functools import cache

from numdnc.cgroups import cpu_quota, memory_limit


def count_processors() -> int:
    """Processors that this process may use, by its affinity and by the quota of its control groups; at least 1.

    Part of a processor's time counts as none: threads that wait for each other would all be stopped.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota()
    return affinity if quota is None else max(1, min(affinity, int(quota)))


def memory_bytes() -> int | None:
    """Bytes of memory that this process may use: the machine's, or those of its control groups; None if unknown."""
    if not hasattr(os, "sysconf"):
        return None
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _memory_limit()
    return machine if limit is None else min(machine, limit)


_cpu_quota, _memory_limit = cache(cpu_quota), cache(memory_limit)
