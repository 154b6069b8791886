"""Checkpoint files: arrays and JSON, see files.py."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numdnc.files import FileKind, load_arrays, save_arrays
from numdnc.params import Array

FORMAT = 6
"""Raised whenever an older numdnc could not read the file. There is no 3: with a bit flipped it would pass for a 2."""
_CHECKED = 5
"""The first format whose number is under the checksum."""


def save_checkpoint(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: a crash or a full disk leaves what was at `path` before."""
    save_arrays(path, _kind(), arrays, metadata)


def load_checkpoint(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays and metadata of a checkpoint; a UserError says what is wrong with it."""
    return load_arrays(path, _kind())


def _kind() -> FileKind:
    return FileKind(
        "checkpoint",
        "format",
        FORMAT,
        _CHECKED,
        missing="Check the folder's name.",
        damaged="Use another checkpoint of the run.",
    )
