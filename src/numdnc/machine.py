"""What this machine has."""

import os
from contextlib import suppress
from pathlib import Path

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container's limit stands, by version of cgroups."""


def memory_bytes() -> int | None:
    """Bytes of memory that this process may use: the machine's, or those of its container; None if nobody says."""
    if not hasattr(os, "sysconf"):
        return None
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in _LIMITS:
        with suppress(OSError, ValueError):
            found.append(int(Path(name).read_text()))
    return min(found)
