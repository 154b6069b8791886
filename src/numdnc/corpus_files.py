"""Files of a user's own as a corpus: a file, or all texts of a folder, unpacked where they are gzip."""

import contextlib
import glob
import gzip
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from numdnc.corpora import CORPORA
from numdnc.download import CHUNK_BYTES, reason
from numdnc.errors import UserError
from numdnc.input_files import open_regular_file
from numdnc.machine import memory_bytes
from numdnc.names import quoted

BYTES_A_CHARACTER = 3
"""Most bytes of memory for a character while a text is encoded: its own byte and two for its symbol number."""
_TEXTS = (".txt", ".txt.gz")
"""Ends of the names of the texts in a folder."""
_GZIP = b"\x1f\x8b\x08"
"""What a file of gzip begins with."""


@contextlib.contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Say in one line why `path` cannot be read."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} must be readable, got: {reason(error)}. Check the path and its permissions, or give another."
        ) from error


def read_path(given: str, before: int = 0) -> list[tuple[str, bytes]]:
    """Name and bytes of a file, or of all texts in a folder by the order of their paths.

    The memory must hold them beside `before` bytes of other texts. Names have the folder that was given, but no other.
    """
    path = Path(given)
    with reading(given):
        if not path.is_dir():
            files = [path]
        elif not (files := sorted(file for file in path.rglob("*") if file.name.endswith(_TEXTS))):
            raise UserError(
                f"a folder of a corpus must hold files {' or '.join(_TEXTS)}, got none in {quoted(given)}. "
                "Give a file, or rename those in it."
            )
        found: list[tuple[str, bytes]] = []
        for file in files:
            name = str(file.relative_to(path.parent))
            found.append((name, _read_text(file, name if path.is_dir() else given, _room(before))))
            before += len(found[-1][1])
    if not any(data for _, data in found):
        raise UserError(f"the corpus must hold some text, got the empty file {given}. Give another file.")
    return found


def expand(names: Sequence[str]) -> list[str]:
    """The same names, but a pattern such as books/*.txt becomes the files that it matches, in the order of their paths.

    A shell does this too, unless the pattern is quoted.
    """
    found = []
    for name in names:
        pattern = glob.has_magic(name) and "\0" not in name and not os.path.exists(name)  # noqa: PTH110
        matched = sorted(glob.glob(name)) if pattern else [name]  # noqa: PTH207 - of any path, as a shell does it
        if not matched:
            raise UserError(
                f"a pattern must match some file, got {quoted(name)}, which matches none. Check it."
            )
        found += matched
    return found


def _room(before: int) -> int | None:
    """Bytes of memory beside a text of `before` bytes; None if the machine does not say."""
    here = memory_bytes()
    return None if here is None else here - BYTES_A_CHARACTER * before


def _read_text(path: Path, given: str, room: int | None) -> bytes:
    """Bytes of a file, unpacked if it is one of gzip; `room` is the memory that the rest of the corpus leaves."""
    if path.exists() and not path.is_file():
        raise UserError(
            f"the corpus must be an ordinary file, which `resume` can read again, got {quoted(given)}, "
            "a pipe or device. Write its contents to a file first."
        )
    try:
        with open_regular_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            _check_fits(given, size, room)
            data = file.read(size)
    except FileNotFoundError as error:
        raise UserError(
            f"the corpus must be one of {', '.join(CORPORA)} or the path of a file, got {quoted(given)}, "
            "which is neither. Check the spelling, or give a path such as ./my-text.txt."
        ) from error
    return _unpacked_gzip(data, given, room) if data.startswith(_GZIP) else data


def _unpacked_gzip(data: bytes, given: str, room: int | None) -> bytes:
    unpacked = bytearray()
    try:
        with gzip.open(io.BytesIO(data)) as file:
            while piece := file.read(CHUNK_BYTES):
                unpacked += piece
                _check_fits(given, len(unpacked), room)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{given} must be a whole file of gzip, got one that cannot be unpacked ({error}). Pack it again."
        ) from None
    return bytes(unpacked)


def _check_fits(given: str, size: int, room: int | None) -> None:
    needed = BYTES_A_CHARACTER * size
    if room is not None and needed > room:
        raise UserError(
            f"the corpus must fit into the {room:,} bytes of this machine's memory, got {size:,} bytes in "
            f"{quoted(given)}, which may take {needed:,}. Give a part of it."
        )
