"""The limits that Linux control groups (man 7 cgroups, version 1 and 2) set on a process, as containers do.

A container may see all processors and all memory of its machine and yet be granted a part of them. Each group limits
the processes in all groups below it too.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

PROCESS = Path("/proc/self")
"""The process itself; tests put a folder of files in its place."""


def cpu_quota(process: Path = PROCESS) -> float | None:
    """Processors whose time the control groups grant, such as 1.5; None without a limit."""
    return min(_limits("cpu", process), default=None)


def memory_limit(process: Path = PROCESS) -> int | None:
    """Bytes of memory that the control groups grant; None without a limit."""
    smallest = min(_limits("memory", process), default=None)
    return None if smallest is None else int(smallest)


def _limits(controller: str, process: Path) -> Iterator[float]:
    """The limit of each group that sets one; none where the system is not Linux or its files are not as documented."""
    with suppress(OSError, ValueError):
        for version, folder in _groups(controller, process):
            with suppress(OSError, ValueError, ZeroDivisionError):  # the topmost group has no files of limits
                limit = _READERS[controller, version](folder)
                if limit is not None:
                    yield limit


def _groups(controller: str, process: Path) -> Iterator[tuple[int, Path]]:
    """Version and folder of the control group of a process, and of every group above it, as far as they are mounted."""
    groups = [line.split(":", 2) for line in _lines(process / "cgroup")]
    for line in _lines(process / "mountinfo"):
        mount, _, source = line.partition(" - ")
        root, point = mount.split()[3:5]
        kind, _, options = source.split()[:3]
        for _, controllers, group in groups:
            if kind == "cgroup2" and not controllers:
                version = 2
            elif (
                kind == "cgroup" and controller in controllers.split(",") and controller in options.split(",")
            ):
                version = 1
            else:
                continue
            for folder in _folders(Path(point), PurePosixPath(root), PurePosixPath(group)):
                yield version, folder


def _folders(point: Path, root: PurePosixPath, group: PurePosixPath) -> Iterator[Path]:
    """The folders of a group and of all groups above it, up to the one mounted as `root`."""
    below = group.relative_to(root) if group.is_relative_to(root) else PurePosixPath()
    yield from (point / part for part in (below, *below.parents))


def _cpu_1(folder: Path) -> float | None:
    quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    return quota / period if quota > 0 else None


def _cpu_2(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _memory_1(folder: Path) -> float | None:
    return int((folder / "memory.limit_in_bytes").read_text())  # without a limit, more than any machine has


def _memory_2(folder: Path) -> float | None:
    text = (folder / "memory.max").read_text().strip()
    return None if text == "max" else int(text)


_READERS = {("cpu", 1): _cpu_1, ("cpu", 2): _cpu_2, ("memory", 1): _memory_1, ("memory", 2): _memory_2}


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()
