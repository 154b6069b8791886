"""Read files that users name: regular files only, and only up to a limit of bytes.

A refused file raises `OSError` with its reason in `strerror`, as a missing file does; the caller adds what the file was
needed for.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_DIGITS = 9
"""Most digits of a whole number in a text."""
_PIECE = 1 << 20


def open_regular_file(path: Path) -> BinaryIO:
    """Open a regular file for reading; a pipe or a device, which might block or never end, is refused."""
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller closes it
    except ValueError:
        raise OSError(errno.EINVAL, "its name holds a NUL") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a regular file")
    return file


def read_file(path: Path, most: int) -> bytes:
    """The contents of a regular file of at most `most` bytes."""
    with open_regular_file(path) as file:
        return read_stream(file, most)


def read_stream(stream: BinaryIO, most: int) -> bytes:
    """The contents of a stream, at most `most` bytes."""
    pieces, size = [], 0
    while piece := stream.read(_PIECE):
        size += len(piece)
        if size > most:
            raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def parse_whole_number(word: str) -> int | None:
    """The number written as at most MAX_DIGITS decimal digits; None for anything else."""
    return int(word) if word.isascii() and word.isdecimal() and len(word) <= MAX_DIGITS else None


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
