"""Full disks: no room left at a random moment of a run of any kind; with room again it is resumed to its end.

There are three ways to be short of room: a disk of memory that is as small as it may be (where one can be mounted), a
limit on the size of files, and an error planted in one of the calls that make a file last.
"""

import errno
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from hardening.kills import ends_well, left_alone
from hardening.runs import KINDS, LONGEST, Kind, Tally, chosen, damage, prepare

INSIDE = "NUMDNC_OWN_MOUNTS"
"""Set where this process may mount what nobody else sees and what is gone when it ends."""


def run(folder: Path, count: int, rng: random.Random, tally: Tally, only: set[str]) -> None:
    """So many full disks, in turn over the kinds."""
    can_mount = has_own_mounts()
    prepare(folder)
    names, straight = chosen(only, KINDS), {}
    for number in range(count):
        name = names[number % len(names)]
        kind, place = KINDS[name], folder / f"{name}-{number}"
        if name not in straight:
            straight[name] = left_alone(kind, folder / f"{name}-straight")
        alone = kind.runs(folder / f"{name}-straight")[0]
        sizes = [(alone / f"{part}.safetensors").stat().st_size for part in ("last", "best")]
        way = rng.choice(["small disk", "limit", "planted"] if can_mount else ["limit", "planted"])
        if way == "small disk":
            room = rng.randrange(4096, 3 * sum(sizes) * len(kind.runs(place)) // 2)
            place.mkdir()
            mount("-t", "tmpfs", "-o", f"size={room}", "none", str(place))
            wrong = in_trouble(kind, place)
            mount("-o", "remount,size=1g", str(place))
        elif way == "limit":
            room = rng.randrange(6 * sizes[0] // 5)
            wrong = in_trouble(kind, place, lambda room=room: limit(room))
        else:
            room = rng.randrange(5 * kind.steps // 10)
            wrong = in_trouble(kind, place, lambda room=room: plant(room))
        wrong += damage(kind, place)
        wrong += ends_well(kind, place, straight[name])
        if way == "small disk":
            subprocess.run(["umount", place], check=True)
        tally.add(name, f"{way}, {room}", wrong)


def in_trouble(kind: Kind, folder: Path, before: Callable[[], None] | None = None) -> list[str]:
    """Let a run go until there is no room left; what is wrong about how it ends."""
    wrong = []
    for process in kind.start(folder, before=before):
        said = process.communicate(timeout=LONGEST)[0].decode("utf-8", "replace")
        if "Traceback" in said:
            wrong.append(f"a traceback: {said[-2000:]}")
        if process.returncode not in ((0, 1, 2) if kind.sweep else (0, 2)):
            wrong.append(f"exit code {process.returncode}: {said[-500:]}")
        if process.returncode == 2 and kind.processes == 1 and said.count("error: ") != 1:
            wrong.append(f"not one line of what is wrong: {said[-500:]}")
    return wrong


def limit(room: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))


def plant(after: int) -> None:
    """Let the disk be full from the `after`th sync of this process on."""
    sync, left = os.fsync, iter(range(after))

    def fail(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    os.fsync = fail


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def has_own_mounts() -> bool:
    """Whether small disks can be mounted; where the system lets it, this program starts again so that they can."""
    if INSIDE in os.environ:
        return os.environ[INSIDE] == "yes"
    own = ["unshare", "--map-root-user", "--mount"]
    try:
        works = subprocess.run([*own, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        works = False
    if works:
        os.environ[INSIDE] = "yes"
        os.execvp("unshare", [*own, sys.executable, *sys.argv])
    return False
