"""What this machine remembers between calls, outside of runs, which may be given away.

A text or an archive lies where its checksum was seen last; a folder's own task is code that its user agreed to. One
small file each, under $XDG_STATE_HOME/numdnc. To forget is never a failure: without a home nothing is remembered.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from numdnc.errors import UserError
from numdnc.files import write_atomically
from numdnc.reading import read_bounded
from numdnc.schema import parse_json

_LARGEST = 1 << 16


def remember(what: str, key: str, value: Any) -> None:
    """Keep `value`, as JSON, under a key; what was there is replaced."""
    with suppress(OSError, RuntimeError, UserError):
        file = _file(what, key)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(file, json.dumps(value).encode())


def recall(what: str, key: str) -> Any:
    """What was kept last; None if nothing was."""
    with suppress(OSError, RuntimeError, ValueError):
        return parse_json(read_bounded(_file(what, key), _LARGEST))
    return None


def remember_place(checksum: str, path: Path) -> None:
    """Where data of this checksum lies."""
    remember("data", checksum, str(path.resolve()))


def recall_place(checksum: str, otherwise: str) -> str:
    """Where data of this checksum lay last, if there is anything now; else `otherwise`."""
    found = recall("data", checksum)
    return found if isinstance(found, str) and os.path.exists(found) else otherwise  # noqa: PTH110


def _file(what: str, key: str) -> Path:
    named = os.environ.get("XDG_STATE_HOME", "")
    base = Path(named) if Path(named).is_absolute() else Path.home() / ".local" / "state"
    return base / "numdnc" / what / f"{hashlib.sha256(key.encode(errors='replace')).hexdigest()}.json"
