"""Read files that users name: regular files only, and only up to a limit of bytes.

A refused file raises `OSError` with its reason in `strerror`, as a missing file does; the caller adds what the file was
needed for.
"""

import csv
import errno
import io
import os
import stat
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from typing import BinaryIO

from numdnc.errors import UserError

MAX_CSV_BYTES = 1 << 23
"""Most bytes of a CSV file, some hundred thousand rows."""
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


def read_csv(path: Path, option: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of each row that is not empty; `option` is the option that named the file.

    Cells are separated by commas, semicolons or tabs, whichever the first line has most of; as spreadsheets write them,
    also in UTF-16 with a byte order mark.
    """
    try:
        data = read_file(path, MAX_CSV_BYTES)
        text = data.decode("utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")
        delimiter = max(",;\t", key=next(filter(str.strip, text.splitlines()), "").count)
        rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
        return [(rows.line_num, cells) for row in rows if any(cells := [cell.strip() for cell in row])]
    except OSError as error:
        raise UserError(
            f"{option} must name a CSV file that can be read, got {path}: {error.strerror}. Check its name."
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{option} must name a CSV file of UTF-8 or UTF-16 text, got {path} ({error}). Save it in that form."
        ) from None


def parse_whole_number(word: str) -> int | None:
    """The number written as at most MAX_DIGITS decimal digits; None for anything else."""
    return int(word) if word.isascii() and word.isdecimal() and len(word) <= MAX_DIGITS else None


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
