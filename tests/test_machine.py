"""The processors and the memory a process may use: by affinity and by control groups, version 1 and 2."""

import os
from pathlib import Path

import pytest

from numdnc import machine
from numdnc.cgroups import cpu_quota, memory_limit
from numdnc.machine import count_processors, memory_bytes


def control_groups(
    folder: Path, group: str, mount: str, limits: dict[str, dict[str, str]], kind: str = "0::"
) -> Path:
    """A stand-in for /proc/self: its control group, where groups are mounted, and the files of some of them."""
    point = folder / "groups"
    for name, files in limits.items():
        (point / name).mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (point / name / file).write_text(text + "\n")
    (folder / "cgroup").write_text(f"9:memory:/else\n{kind}{group}\n")
    other = "25 1 0:22 / /proc rw,nosuid - proc proc rw\n"
    (folder / "mountinfo").write_text(other + mount.format(point=point) + "\n")
    return folder


def second(folder: Path, group: str, limits: dict[str, str], root: str = "/") -> float | None:
    files = {name: {"cpu.max": text} for name, text in limits.items()}
    mount = f"30 24 0:26 {root} {{point}} rw,nosuid shared:4 - cgroup2 cgroup2 rw"
    return cpu_quota(control_groups(folder, group, mount, files))


def first(folder: Path, group: str, limits: dict[str, int], root: str = "/") -> float | None:
    files = {
        name: {"cpu.cfs_quota_us": str(quota), "cpu.cfs_period_us": "100000"}
        for name, quota in limits.items()
    }
    mount = f"30 24 0:26 {root} {{point}} rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
    return cpu_quota(control_groups(folder, group, mount, files, "4:cpu,cpuacct:"))


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [("200000 100000", 2), ("150000 100000", 1.5), ("50000 100000", 0.5), ("max 100000", None)],
)
def test_the_second_version(limit: str, wanted: float | None, tmp_path: Path) -> None:
    assert second(tmp_path, "/job/step", {"job/step": limit}) == wanted


@pytest.mark.parametrize(("limit", "wanted"), [(200000, 2), (150000, 1.5), (-1, None)])
def test_the_first_version(limit: int, wanted: float | None, tmp_path: Path) -> None:
    assert first(tmp_path, "/docker/abc", {"docker/abc": limit}) == wanted


def test_a_group_above_limits_too(tmp_path: Path) -> None:
    assert (
        second(tmp_path, "/a/b/c", {"a": "100000 100000", "a/b": "300000 100000", "a/b/c": "max 100000"}) == 1
    )


def test_a_group_above_limits_too_in_the_first_version(tmp_path: Path) -> None:
    assert first(tmp_path, "/a/b", {".": -1, "a": 100000, "a/b": 400000}) == 1


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    assert second(tmp_path, "/", {".": "300000 100000"}) == 3


def test_a_container_that_sees_the_names_of_its_machine(tmp_path: Path) -> None:
    """Without a namespace of its own: the group is mounted, and named as the machine names it."""
    assert first(tmp_path, "/docker/abc", {".": 250000}, root="/docker/abc") == 2.5


def test_a_group_out_of_sight(tmp_path: Path) -> None:
    assert first(tmp_path, "/../other", {".": 250000}, root="/docker/abc") == 2.5


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    assert second(tmp_path, "/job", {}) is None


@pytest.mark.parametrize("text", ["", "nonsense", "1 2 3", "100000 0"])
def test_files_that_say_something_else_are_no_quota(text: str, tmp_path: Path) -> None:
    assert second(tmp_path, "/", {".": text}) is None


@pytest.mark.parametrize(
    ("affinity", "granted", "wanted"), [(8, None, 8), (8, 2.0, 2), (8, 2.9, 2), (8, 0.5, 1), (2, 16.0, 2)]
)
def test_the_count(
    affinity: int, granted: float | None, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    monkeypatch.setattr(machine, "_cpu_quota", lambda: granted)
    assert count_processors() == wanted


def test_without_affinity_every_processor_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(machine, "_cpu_quota", lambda: None)
    assert count_processors() == 6


def second_memory(folder: Path, group: str, limits: dict[str, str]) -> int | None:
    files = {name: {"memory.max": text} for name, text in limits.items()}
    mount = "30 24 0:26 / {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw"
    return memory_limit(control_groups(folder, group, mount, files))


def test_memory_of_the_smallest_group_in_the_second_version(tmp_path: Path) -> None:
    assert second_memory(tmp_path, "/a/b", {"a": "4096", "a/b": "max"}) == 4096


def test_memory_of_the_smallest_group_in_the_first_version(tmp_path: Path) -> None:
    files = {
        name: {"memory.limit_in_bytes": text}
        for name, text in {"a": "9000", "a/b": str(2**63 - 4096)}.items()
    }
    mount = "30 24 0:26 / {point} rw - cgroup cgroup rw,memory"
    groups = control_groups(tmp_path, "/a/b", mount, files, "4:memory:")
    (groups / "cgroup").write_text("4:memory:/a/b\n")
    assert memory_limit(groups) == 9000


@pytest.mark.parametrize("text", ["", "nonsense", "1 2"])
def test_a_group_whose_file_is_damaged_does_not_hide_the_others(text: str, tmp_path: Path) -> None:
    assert second_memory(tmp_path, "/a/b", {"a": "4096", "a/b": text}) == 4096


@pytest.mark.parametrize(("limit", "wanted"), [(None, 2**20 * 4096), (2**30, 2**30), (2**60, 2**20 * 4096)])
def test_the_memory(limit: int | None, wanted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 2**20, "SC_PAGE_SIZE": 4096}.__getitem__)
    monkeypatch.setattr(machine, "_memory_limit", lambda: limit)
    assert memory_bytes() == wanted
