"""What numdnc keeps on this machine between calls, outside of run folders, which may be given away.

Where a text or an archive was seen last, by its checksum; and which custom task its user has agreed to load for a
folder. One small file each, under $XDG_STATE_HOME/numdnc. Nothing fails where none can be kept, as without a home.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from numdnc.errors import UserError
from numdnc.files import write_atomically
from numdnc.input_files import read_file
from numdnc.schema import parse_json

_LARGEST = 1 << 16


def save_value(what: str, key: str, value: Any) -> None:
    """Keep `value`, as JSON, under a key, in place of an earlier one."""
    with suppress(OSError, RuntimeError, UserError):
        file = _file(what, key)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(file, json.dumps(value).encode())


def load_value(what: str, key: str) -> Any:
    """The value kept under a key; None if there is none."""
    with suppress(OSError, RuntimeError, ValueError):
        return parse_json(read_file(_file(what, key), _LARGEST))
    return None


def save_data_path(checksum: str, path: Path) -> None:
    """Keep where data of this checksum lies."""
    save_value("data", checksum, str(path.resolve()))


def find_data_path(checksum: str, otherwise: str) -> str:
    """Where data of this checksum was seen last, if something is there now; else `otherwise`."""
    places = find_data_places(checksum)
    return places[0] if len(places) == 1 and os.path.exists(places[0]) else otherwise  # noqa: PTH110


def save_data_places(checksum: str, places: Sequence[str]) -> None:
    """Keep where the parts of data of this checksum lie, absolute paths or other names."""
    save_value("data", checksum, list(places))


def find_data_places(checksum: str) -> list[str]:
    """Where the parts of data of this checksum were seen last; [] if that is unknown."""
    found = load_value("data", checksum)
    places = found if isinstance(found, list) else [found]  # earlier versions kept a single path
    return [place for place in places if isinstance(place, str)]


def _file(what: str, key: str) -> Path:
    named = os.environ.get("XDG_STATE_HOME", "")
    base = Path(named) if Path(named).is_absolute() else Path.home() / ".local" / "state"
    return base / "numdnc" / what / f"{hashlib.sha256(key.encode(errors='replace')).hexdigest()}.json"
