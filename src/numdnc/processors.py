"""How many processors this process may use: those it may run on, as far as a container's quota of their time goes.

A container may see all processors of its machine and yet be given the time of two. Linux says so in the files of its
control groups (man 7 cgroups), version 1 or 2; every group above a process limits it too.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath


def count_processors() -> int:
    """At least 1. Part of a processor's time counts as none: threads that wait for each other would all be stopped."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = quota()
    return affinity if granted is None else max(1, min(affinity, int(granted)))


@cache
def quota(process: Path = Path("/proc/self")) -> float | None:
    """The processors whose time the control groups of this process grant it, such as 1.5; None without a limit."""
    with suppress(OSError, ValueError, ZeroDivisionError):  # no Linux, or files that say something else
        return min(_quotas(process), default=None)
    return None


def _quotas(process: Path) -> Iterator[float]:
    """The quota of each group that has one."""
    groups = [line.split(":", 2) for line in _lines(process / "cgroup")]
    for line in _lines(process / "mountinfo"):
        mount, _, source = line.partition(" - ")
        root, point = mount.split()[3:5]
        kind, _, options = source.split()[:3]
        for _, controllers, group in groups:
            second = kind == "cgroup2" and not controllers
            first = kind == "cgroup" and "cpu" in controllers.split(",") and "cpu" in options.split(",")
            if first or second:
                for folder in _folders(Path(point), PurePosixPath(root), PurePosixPath(group)):
                    with suppress(OSError):  # the topmost group has no limit
                        found = _second(folder) if second else _first(folder)
                        if found is not None:
                            yield found


def _folders(point: Path, root: PurePosixPath, group: PurePosixPath) -> Iterator[Path]:
    """The folders of a group and of all above it, as far as they can be seen where `root` is mounted."""
    below = group.relative_to(root) if group.is_relative_to(root) else PurePosixPath()
    yield from (point / part for part in (below, *below.parents))


def _second(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _first(folder: Path) -> float | None:
    quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    return quota / period if quota > 0 else None


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()
