"""Read bAbI from the published archive or from its unpacked folder, without writing anything to disk."""

import errno
import gzip
import hashlib
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, cast

from numdnc.data import FOLDER_VARIABLE, default_folder
from numdnc.errors import UserError
from numdnc.input_files import open_regular_file, read_stream
from numdnc.names import quoted

ADDRESS = "https://www.thespermwhale.com/jaseweston/babi/tasks_1-20_v1-2.tar.gz"
FOLDER = "tasks_1-20_v1-2"
_NAMES = (FOLDER, f"{FOLDER}.tar.gz", f"babi_{FOLDER}.tar.gz")
_FILE = re.compile(r"qa([1-9][0-9]{0,3})(?:_(.+))?_(train|valid|test)\.txt")
"""In the folders en-valid and en-valid-10k names have no title, and there are validation files."""
_LARGEST, _LARGEST_SUBSET = 1 << 26, 1 << 27
"""Most bytes of a file, and of a subset's files; the published ones have a few million and some thirty million. ..."""
_LARGEST_ARCHIVE = 1 << 29
"""... and of the whole unpacked archive, some 200 million. Limits what a hostile archive can make us read."""
_CHUNK = 1 << 20

_Entry = tuple[PurePosixPath, Callable[[], bytes]]
"""A file's name, and a function that reads it."""


class BabiFiles(NamedTuple):
    """The text of each task, by its number."""

    train: dict[int, str]
    valid: dict[int, str]
    """Empty if the subset has no validation files."""
    test: dict[int, str]
    titles: dict[int, str]
    """Titles of the tasks in file names, such as "single-supporting-fact"; of another subset if this one has none."""
    sha256: str
    """Checksum of all these texts, the same for an archive and a folder."""


def find_babi(given: Path | None) -> Path:
    """Path of the archive or of the folder tasks_1-20_v1-2: `given`, or inside it, or inside the data folder."""
    place = default_folder() if given is None else given
    try:
        inside = [place / name for name in _NAMES if (place / name).exists()] if place.is_dir() else []
        if inside:
            return inside[0]
        if given is not None and given.exists():
            return given
    except OSError as error:
        raise UserError(
            f"{place} must be readable, got: {error.strerror}. Check the path and its permissions."
        ) from None
    raise UserError(
        f"bAbI must be on disk as {' or '.join(_NAMES[:2])}, got no such thing {'in' if given is None else 'at'} "
        f"{place}. Download {ADDRESS} and give it with --data, or put it into the folder that {FOLDER_VARIABLE} names."
    )


def read_babi(path: Path, subset: str, only: tuple[int, ...] = ()) -> BabiFiles:
    """The texts of a subset, such as en-10k; with `only`, of some tasks.

    Raises `UserError` for data that is damaged or incomplete, and for an archive with a path outside its own folder.
    """
    texts: dict[tuple[int, str], bytes] = {}
    titles: dict[int, str] = {}
    subsets: set[str] = set()
    everywhere: dict[int, str] = {}
    size = 0
    try:
        for name, contents in _folder(path) if path.is_dir() else _archive(path):
            match = _FILE.fullmatch(name.name)
            if match is None or len(name.parts) < 2:
                continue
            subsets.add(name.parts[-2])
            number, title, part = int(match[1]), match[2] or "", match[3]
            everywhere[number] = everywhere.get(number) or title
            if name.parts[-2] != subset or (only and number not in only):
                continue
            if (number, part) in texts:
                raise UserError(f"{path} must hold task {number}'s {part} file once, got also {name}.")
            texts[number, part], titles[number] = contents(), title
            size += len(texts[number, part])
            if size > _LARGEST_SUBSET:
                raise UserError(
                    f"the files of {subset} must have at most {_LARGEST_SUBSET:,} bytes together, got more in {path}. "
                    f"That is not bAbI; download {ADDRESS}."
                )
    # Which exception gzip and tarfile raise for damage depends on the byte that is wrong.
    except (
        *(gzip.BadGzipFile, tarfile.TarError, EOFError, zlib.error),
        *(ValueError, ArithmeticError, LookupError),
    ) as error:
        raise UserError(
            f"{path} must be a whole tar.gz archive or a folder, got one that cannot be read ({error}). "
            f"Download it again from {ADDRESS}."
        ) from None
    except OSError as error:
        raise UserError(
            f"{path} must be readable, got: {error.strerror}. Check the path and its permissions."
        ) from None
    if subset not in subsets:
        raise UserError(
            f"{path} must hold a folder {subset} of files such as qa1_single-supporting-fact_train.txt, "
            f"got {', '.join(sorted(subsets)) or 'none of the kind'}. Choose another with --subset or --data."
        )
    parts = ["train", "valid", "test"] if any(part == "valid" for _, part in texts) else ["train", "test"]
    for number in only or sorted(titles):
        for part in parts:
            if (number, part) not in texts:
                raise UserError(
                    f"{path} must hold {subset}/qa{number}_.._{part}.txt, got none. Leave it out of --only."
                )
    numbers = sorted(titles)
    return BabiFiles(
        train={number: _decoded(texts[number, "train"], path) for number in numbers},
        valid={number: _decoded(texts[number, "valid"], path) for number in numbers if "valid" in parts},
        test={number: _decoded(texts[number, "test"], path) for number in numbers},
        titles={number: titles[number] or everywhere[number] for number in numbers},
        sha256=_digest(texts),
    )


def _folder(path: Path) -> Iterator[_Entry]:
    for file in sorted(path.glob("*/qa*.txt")):
        yield PurePosixPath(file.parent.name, file.name), partial(_contents, path, file)


def _contents(path: Path, file: Path) -> bytes:
    with open_regular_file(file) as stream:
        _check_size(path, file.name, os.fstat(stream.fileno()).st_size)
        return read_stream(stream, _LARGEST)


def _archive(path: Path) -> Iterator[_Entry]:
    with open_regular_file(path) as packed, gzip.GzipFile(fileobj=packed) as unpacked:
        stream = _Bounded(unpacked)
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise UserError(
                        f"{path} must hold paths inside its own folder, got {quoted(member.name)}. "
                        f"Do not trust it; download {ADDRESS}."
                    )
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    _check_size(path, member.name, member.size)
                    yield name, file.read
        while stream.read(_CHUNK):  # up to the end, so that gzip verifies its checksum
            pass


class _Bounded:
    """A stream of unpacked bytes with an upper limit."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream, self._left = stream, _LARGEST_ARCHIVE

    def read(self, size: int) -> bytes:
        contents = self._stream.read(size)
        self._left -= len(contents)
        if self._left < 0:
            raise OSError(errno.EFBIG, f"it unpacks to more than {_LARGEST_ARCHIVE:,} bytes")
        return contents


def _check_size(path: Path, name: str, size: int) -> None:
    if size > _LARGEST:
        raise UserError(
            f"files of {path} must have at most {_LARGEST:,} bytes, got {size:,} in {quoted(name)}. "
            f"That is not bAbI; download {ADDRESS}."
        )


def _decoded(contents: bytes, path: Path) -> str:
    try:
        return contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"files of {path} must be UTF-8, got byte 0x{contents[error.start]:02x}. Download {ADDRESS} again."
        ) from None


def _digest(texts: dict[tuple[int, str], bytes]) -> str:
    found = hashlib.sha256()
    for (number, part), contents in sorted(texts.items()):
        found.update(f"{number} {part} {len(contents)}\n".encode())
        found.update(contents)
    return found.hexdigest()
