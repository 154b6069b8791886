"""Every reader of users' data ends in a UserError or in a right result, within bounds of time and memory.

More cases of the same kinds: `PYTHONPATH=tests python tests/hardening/test_fuzz_data.py 5000`.
"""

import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from hardening.hostile_data import KINDS, attempt

ROOM = 1 << 30
"""Bytes that reading a few kilobytes may take, far more than it needs and far less than a file could claim."""
PATIENCE = 120
"""Seconds for a case, which takes milliseconds."""
SOME, THOUSANDS = 60, 625


@contextmanager
def bounded() -> Iterator[None]:
    """Less room than a claim of gigabytes would take, and a limit of time."""

    def too_long(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"a case took more than {PATIENCE} seconds")

    before, handler = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, too_long)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def run(kind: str, numbers: range, place: Path) -> tuple[int, int]:
    """How many of these cases gave a result, and how many were refused."""
    right = 0
    for number in numbers:
        folder = place / "case"
        folder.mkdir()
        try:
            with bounded():
                right += attempt(kind, number, folder)
        except BaseException as error:
            error.add_note(f"{kind}, case {number}")
            raise
        shutil.rmtree(folder)
    return right, len(numbers) - right


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")


@pytest.mark.parametrize("kind", KINDS)
def test_some(kind: str, tmp_path: Path) -> None:
    right, refused = run(kind, range(SOME), tmp_path)
    assert min(right, refused) >= 3  # else the cases would test one of the two alone


@pytest.mark.thorough
@pytest.mark.parametrize("kind", KINDS)
def test_thousands(kind: str, tmp_path: Path) -> None:
    run(kind, range(SOME, SOME + THOUSANDS), tmp_path)


if __name__ == "__main__":
    each = -(-int(sys.argv[1]) // len(KINDS))
    with tempfile.TemporaryDirectory() as place:
        for kind in KINDS:
            right, refused = run(kind, range(each), Path(place))
            print(f"{kind:12s} {right + refused:6d} cases: {right} right, {refused} refused, 0 failed")
