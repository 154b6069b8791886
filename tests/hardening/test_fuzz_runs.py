"""Whatever a stranger's file says, it is read or refused: never another exception, never gigabytes, never without end.

`hostile.py` makes the files. Some hundred cases belong to `make test`, thousands to `make test-all`.
"""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from hardening.hostile import KINDS

FEW, MANY = 60, 840


def read_or_refused(name: str, numbers: range, folder: Path) -> None:
    """All these cases, of which some must be refused."""
    read = sum(KINDS[name].attempt(number, folder / "file") for number in numbers)
    assert read < len(numbers)


@pytest.mark.parametrize("name", KINDS)
def test_some_files(name: str, tmp_path: Path) -> None:
    read_or_refused(name, range(FEW), tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("name", KINDS)
def test_many_files(name: str, tmp_path: Path) -> None:
    read_or_refused(name, range(FEW, MANY), tmp_path)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_STATE_HOME"] = place
        os.chdir(place)
        total = int(sys.argv[1])
        for name, kind in KINDS.items():
            read = sum(kind.attempt(number, Path(place, "file")) for number in range(total))
            sys.stdout.write(f"{name}: {total} files, {read} read, {total - read} refused\n")
            sys.stdout.flush()
