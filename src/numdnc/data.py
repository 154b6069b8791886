"""Corpora: one that comes with Python, four public ones by name, and any file by its path.

`load` returns the bytes of a text, `fetch` downloads one, `list_corpora` lists all. A registered corpus is always the
published one: its SHA-256 is verified at every load and every download, so that results can be compared. Bytes are
returned unchanged; decoding and newlines are left to the task.
Everything a user can cause is a `UserError` of one line.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from numdnc.corpora import CORPORA, EMBEDDED, Registered, SourceFile
from numdnc.corpus_files import read_path, reading
from numdnc.download import CHUNK_BYTES, Progress, download, reason
from numdnc.errors import UserError
from numdnc.input_files import open_regular_file
from numdnc.names import quoted

if TYPE_CHECKING:
    import zipfile

FOLDER_VARIABLE = "NUMDNC_DATA"
_BESIDES = 1 << 24
"""Most bytes by which an archive may exceed the file in it."""
_WORK = ".fetch-"
"""Prefix of the folders of downloads in progress."""
_NAMED = 4
"""Names of a corpus of several files that messages show."""
_LEFTOVER_SECONDS = 86_400
"""A folder of a download that is older was left behind by a process that was killed."""


@dataclass(frozen=True)
class CorpusFile:
    """A file of a corpus."""

    name: str
    """A registered name or that of the file, without the folders around what the user named."""
    size: int
    """In bytes, unpacked."""
    sha256: str
    """Checksum of these bytes."""


class Corpus(NamedTuple):
    """The bytes of a text and their origin."""

    name: str
    """Registered names and paths as given, for messages."""
    data: bytes
    """Never empty; the files one after the other."""
    files: tuple[CorpusFile, ...] = ()
    """Each is decoded by itself; none: the data is one file."""

    @property
    def sha256(self) -> str:
        """Checksum of the bytes, by which a run recognises its text."""
        return hashlib.sha256(self.data).hexdigest()


class CorpusStatus(NamedTuple):
    """An entry of the list of corpora."""

    name: str
    description: str
    size: int
    """In bytes, as loaded."""
    path: Path | None
    """The file, the archive, or the folder of several files; None if the corpus must be downloaded first."""


def load(corpus: str | Sequence[str], folder: Path | None = None) -> Corpus:
    """Load `corpus`: `python-topics`, a registered name, the path of any file, a folder, or several of these in order.

    A folder gives its files .txt and .txt.gz, and those of its folders, one after the other by their paths. Files of
    gzip are unpacked.

    A registered corpus is looked for in `folder`, in $NUMDNC_DATA and in the user's download folder, under the file's
    usual name or as the published .zip, and must have the published SHA-256. Give ./NAME for a file of your own with
    such a name; a file given by its path is used as it is.

    Raises `UserError` if it is unknown, missing, unreadable, empty or not the published text.
    """
    names = [corpus] if isinstance(corpus, str) else list(corpus)
    if not names:
        raise UserError(
            "--corpus must name a text, got nothing. Name a file, a folder or a text that is known."
        )
    files: list[tuple[str, bytes]] = []
    for name in names:
        files += _load_one(name, folder, sum(len(data) for _, data in files))
    described = tuple(CorpusFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in files)
    shown = names if len(names) <= _NAMED else [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
    return Corpus(", ".join(shown), b"".join(data for _, data in files), described)


def _load_one(corpus: str, folder: Path | None, before: int) -> list[tuple[str, bytes]]:
    """Names and contents of the files of one corpus, beside `before` bytes of others."""
    if corpus == EMBEDDED:
        return [(corpus, _python_topics())]
    if corpus not in CORPORA:
        return read_path(corpus, before)
    files = CORPORA[corpus].files
    if paths := _search(files, folder):
        read = (_read_checked(corpus, file, path) for file, path in zip(files, paths, strict=True))
        return [(corpus, b"".join(read))]
    looked = " or ".join(map(str, _places(folder)))
    needed = " + ".join(f"{file.name} (or {file.archive})" if file.archive else file.name for file in files)
    raise UserError(
        f"{corpus} must be on disk as {needed}, got it incomplete or not at all in {looked}. "
        f"Run `numdnc data fetch {corpus}`, or give the folder that holds it with --data or {FOLDER_VARIABLE} "
        f"(a file of yours with that name: ./{corpus})."
    )


def list_corpora(folder: Path | None = None) -> list[CorpusStatus]:
    """All registered corpora and where `load` would find them; checksums are only verified by `load`."""
    return [_status(name, registered, folder) for name, registered in CORPORA.items()]


def default_folder() -> Path:
    """The folder for downloads: $NUMDNC_DATA if set, else numdnc/corpora in the user's cache folder."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else _cache_folder()


def fetch(
    name: str, folder: Path | None = None, progress: Progress = lambda received, expected: None
) -> Path:
    """Download the corpus `name` into `folder` or `default_folder()`; return its file, or the folder of its files.

    Files with the right checksum are not downloaded again; a file with another one is replaced once the right one is
    complete, verified and on disk. Nothing incomplete is left behind.

    Raises `UserError` if the name cannot be fetched, the download fails or is not the published file, or the folder
    cannot be written.
    """
    files = CORPORA[name].files if name in CORPORA else ()
    if not files:
        known = ", ".join(key for key, registered in CORPORA.items() if registered.files)
        raise UserError(
            f"the corpus to fetch must be one of {known}, got {quoted(name)}. "
            f"Choose one of them; {EMBEDDED} and files of your own need no download."
        )
    target = folder or default_folder()
    for file in files:
        if not _is_right(file, target):
            _fetch_file(file, target, progress)
    return _file_or_folder(_find(files, target))


def _python_topics() -> bytes:
    """The texts of Python's help topics in the order of their names, separated by blank lines."""
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise UserError(
            f"{EMBEDDED} must come with Python, got an installation without pydoc_data. "
            "Install Python's full standard library, or choose another corpus."
        ) from error
    return ("\n\n".join(topics[key].strip("\n") for key in sorted(topics)) + "\n").encode()


def _status(name: str, registered: Registered, folder: Path | None) -> CorpusStatus:
    if name == EMBEDDED:
        size = len(_python_topics())
        from pydoc_data import topics

        return CorpusStatus(name, registered.description, size, Path(topics.__file__ or "pydoc_data.topics"))
    paths = _search(registered.files, folder)
    size = sum(file.size for file in registered.files)
    return CorpusStatus(name, registered.description, size, _file_or_folder(paths) if paths else None)


def _file_or_folder(paths: list[Path]) -> Path:
    return paths[0] if len(paths) == 1 else paths[0].parent


def _cache_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if Path(cache).is_absolute():  # the XDG specification says to ignore a relative path
        return Path(cache, "numdnc", "corpora")
    try:
        return Path.home() / ".cache" / "numdnc" / "corpora"
    except RuntimeError as error:
        raise UserError(
            "the data folder must be known, got a user without a home folder. "
            f"Give one with --data or {FOLDER_VARIABLE}."
        ) from error


def _places(folder: Path | None) -> list[Path]:
    """The folders in which a registered corpus is looked for, in order."""
    places = [folder or default_folder()]
    with contextlib.suppress(UserError):  # without a home folder only the given one is searched
        places.append(default_folder())
        places.append(_cache_folder())
    return list(dict.fromkeys(places))


def _search(files: tuple[SourceFile, ...], folder: Path | None) -> list[Path]:
    """The paths of all `files` in the first folder that has them, else []."""
    return next(filter(None, (_find(files, place) for place in _places(folder))), [])


def _find(files: tuple[SourceFile, ...], place: Path) -> list[Path]:
    """The paths of all `files` in `place`, each the file itself or its archive; [] unless all are there."""
    found = []
    with reading(place):
        for file in files:
            named = (place / name for name in (file.name, file.archive) if name)
            found += [path for path in named if path.is_file()][:1]
    return found if len(found) == len(files) else []


def _read_checked(corpus: str, file: SourceFile, path: Path) -> bytes:
    with reading(path):
        data = b"".join(_unpacked(file, path, str(path)))
    digest = hashlib.sha256(data).hexdigest()
    if digest != file.sha256:
        raise UserError(
            f"{path} must hold the published {file.name} ({file.size} bytes, SHA-256 {file.sha256}), "
            f"got {len(data) if len(data) <= file.size else 'more'} bytes, {digest}. "
            f"Remove it and run `numdnc data fetch {corpus}`, or use it as it is by its path."
        )
    return data


def _unpacked(file: SourceFile, path: Path, shown: str) -> Generator[bytes, None, None]:
    """The file piece by piece, unpacked if `path` is a zip; `shown` names the zip in an error.

    Of a file that is longer than the published one, only one byte more is read.
    """
    if path.name == file.name:
        with open_regular_file(path) as stream:
            yield from _pieces(stream, file.size + 1)
        return
    import zipfile
    import zlib

    try:
        # Only this member is read, by its exact name: no name in the archive is used as a path.
        with (
            open_regular_file(path) as packed,
            zipfile.ZipFile(packed) as archive,
            archive.open(_as_published(archive.getinfo(file.name))) as member,
        ):
            yield from _pieces(cast(BinaryIO, member), file.size + 1)
    except KeyError as error:
        raise UserError(
            f"{shown} must contain {file.name}, got an archive without it. "
            f"Put {file.name} itself into the data folder."
        ) from error
    # Damage raises any of these, depending on the byte that is wrong.
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
        LookupError,
    ) as error:
        raise UserError(
            f"{shown} must be a sound zip archive, got one that cannot be unpacked ({reason(error)}). "
            f"Fetch it again, or put {file.name} itself into the data folder."
        ) from error


def _as_published(member: "zipfile.ZipInfo") -> "zipfile.ZipInfo":
    """The member, if it is stored or deflated; other methods may take gigabytes of memory to unpack."""
    if member.compress_type not in (0, 8):
        raise ValueError("it is compressed by a method that no published archive uses")
    return member


def _pieces(stream: BinaryIO, most: int) -> Iterator[bytes]:
    """The first `most` bytes of a stream, in pieces."""
    while most and (piece := stream.read(min(most, CHUNK_BYTES))):
        most -= len(piece)
        yield piece


def _is_right(file: SourceFile, folder: Path) -> bool:
    digest = hashlib.sha256()
    try:
        for path in _find((file,), folder):
            with reading(path):
                for chunk in _unpacked(file, path, str(path)):
                    digest.update(chunk)
    except UserError:  # damaged or unreadable: it will be replaced, or the download will say why not
        return False
    return digest.hexdigest() == file.sha256


def _fetch_file(file: SourceFile, folder: Path, progress: Progress) -> None:
    import tempfile

    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(folder)
        # Beside the target, so that the last step is a rename in one file system; removed after any failure.
        with tempfile.TemporaryDirectory(dir=folder, prefix=_WORK) as work:
            received, ready = Path(work, file.archive or file.name), Path(work, file.name)
            most = file.size + _BESIDES if file.archive else file.size
            _store(received, download(file.url, most, folder, progress))
            if file.archive:
                _store(ready, _unpacked(file, received, file.url))
            with ready.open("r+b") as checked:
                digest = hashlib.file_digest(checked, "sha256").hexdigest()
                if digest != file.sha256:
                    raise UserError(
                        f"{file.url} must give {file.name} with SHA-256 {file.sha256}, "
                        f"got {digest}, which was not kept. "
                        f"Try again later, or put the published {file.name} into {folder} yourself."
                    )
                os.fsync(checked.fileno())
            ready.replace(folder / file.name)


def _clear_leftovers(folder: Path) -> None:
    """Remove folders of downloads whose process was killed."""
    import shutil

    for work in folder.glob(f"{_WORK}*"):
        with contextlib.suppress(FileNotFoundError):  # another process may clear them too
            if time.time() - work.stat().st_mtime > _LEFTOVER_SECONDS:
                shutil.rmtree(work, ignore_errors=True)


def _store(path: Path, chunks: Generator[bytes, None, None]) -> None:
    with path.open("xb") as out, contextlib.closing(chunks):
        out.writelines(chunks)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say in one line why `folder` cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder} must be a folder with room to write in, got: {reason(error)}. "
            "Free some space, or give another folder with --data."
        ) from error
