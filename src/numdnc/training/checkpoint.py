"""Checkpoint files: arrays and JSON, see files.py."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numdnc.files import FileKind, load_arrays, save_arrays
from numdnc.params import Array

FORMAT = 6
"""Increased whenever an older numdnc could not read the file. 3 was left out: one flipped bit makes it a 2."""
_CHECKED = 5
"""The first format whose number is part of the checksum."""


def save_checkpoint(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: after a crash or on a full disk, the previous file at `path` is intact."""
    save_arrays(path, _kind(), arrays, metadata)


def load_checkpoint(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Load the arrays and metadata of a checkpoint; a UserError says what is wrong with it."""
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
