"""Save and load arrays and JSON in one safetensors file, written atomically and checked when read.

There is no pickle, so a file from elsewhere can hold wrong values but no code. The metadata hold a SHA-256 of version,
metadata and arrays, since safetensors itself would not notice a flipped bit.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from numdnc import __version__
from numdnc.errors import UserError
from numdnc.input_files import open_regular_file
from numdnc.names import quoted, shorten
from numdnc.schema import parse_json
from numdnc.spec import Spec
from numdnc.tree import from_named, named_leaves


class FileKind(NamedTuple):
    """A kind of file; its header has a version number under a name, `versions`, that no other kind has."""

    name: str
    versions: str
    """The name of the version number, ..."""
    version: int
    """... and the current version, which is increased whenever an older numdnc could not read the file."""
    checked: int
    """The first version whose checksum includes the version number."""
    missing: str
    """What to do if there is no file, ..."""
    damaged: str
    """... and if it is damaged."""


_KINDS = {"format": "a checkpoint", "schema": "a trace"}
"""Name of the version number -> kind of file."""
_DTYPES = {"F16", "F32", "F64", "I32", "U8"}
"""Names of our dtypes in safetensors; it has others that NumPy lacks."""
MAX_TEXT_BYTES = 1 << 28
"""Most bytes of a file of JSON or lines that is read."""


def save_arrays(
    path: Path, kind: FileKind, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]
) -> None:
    """Write a file atomically: after a crash or on a full disk, `path` is as it was before."""
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = json.dumps({**metadata, "numdnc": __version__, "numpy": np.__version__}, sort_keys=True)
    checked = digest(text, arrays, _under_checksum(kind, kind.version))
    header = {kind.versions: str(kind.version), "json": text, "sha256": checked}
    write_atomically(path, save(arrays, metadata=header))


def load_arrays(path: Path, kind: FileKind) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and metadata of a file; UserError if it is missing, unreadable or invalid."""
    try:
        open_regular_file(path).close()  # safetensors reports every file that it cannot open as missing
    except FileNotFoundError:
        raise UserError(f"a {kind.name} must exist at {path}, got none. {kind.missing}") from None
    except OSError as error:
        raise UserError(
            f"{path} must be a file that can be read, got: {error.strerror}. Check its permissions."
        ) from None
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            version = _checked_version(path, kind, header)
            names = list(file.keys())
            for name in names:
                if (dtype := file.get_slice(name).get_dtype()) not in _DTYPES:
                    raise ValueError(
                        f"{shorten(name)} is of {dtype}, not one of {', '.join(sorted(_DTYPES))}"
                    )
            arrays = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} must be a whole safetensors file, got one that cannot be read ({error}). "
            f"It was cut short or damaged. {kind.damaged}"
        ) from None
    if header.get("sha256") != digest(header["json"], arrays, _under_checksum(kind, version)):
        raise UserError(
            f"{path} must match its checksum, got other contents: it was damaged or edited. {kind.damaged}"
        )
    try:
        metadata = parse_json(header["json"])
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise UserError(f"{path} must describe itself by a JSON object, got none. {kind.damaged}")
    return arrays, metadata


def fill_shapes(shapes: Any, arrays: Mapping[str, Any], prefix: str, dtype: str) -> Any:
    """Replace each `Shape` of a tree by the array of its name; UserError if one is missing or has another shape.

    Nothing is allocated: a file that claims other sizes than those of its arrays is refused.
    """
    shape: Any
    for name, shape in named_leaves(shapes, prefix):
        got = arrays.get(name)
        if got is None:
            raise UserError(f"there is no array {name}")
        if tuple(got.shape) != shape.sizes or not str(got.dtype).endswith(dtype):
            raise UserError(f"{name} is {tuple(got.shape)} of {got.dtype}, not {shape.sizes} of {dtype}")
    return from_named(shapes, arrays, prefix)


def check_layers(spec: Spec, arrays: Mapping[str, Any]) -> None:
    """Refuse a spec with more layers than the file has arrays, before listing their shapes."""
    if len(spec.hidden_sizes) > len(arrays):
        raise UserError(
            f"hidden_sizes are {len(spec.hidden_sizes)} layers, but there are {len(arrays)} arrays"
        )


def write_atomically(path: Path, contents: bytes) -> None:
    """Replace the file at `path` by one with `contents`, or leave everything as it was and raise UserError."""
    # A process on another machine, or in a container, may have the same number and use the same folder.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:  # never through a link that somebody put there
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(
            f"{path} must be writable, got: {error.strerror}. What was there before is unchanged; "
            "free some space or choose another folder with --out."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def open_to_append(path: Path) -> IO[bytes]:
    """Open a file for appending, creating it if needed; OSError if it is a link, as in a folder from elsewhere."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, 0o666), "ab")


def file_name(text: str) -> str:
    """A name for a file or folder, made from `text`: at most 60 ASCII letters, digits and . _ + -, no path."""
    name = re.sub(r"[^A-Za-z0-9._+-]+", "-", text)[:60].strip(".-")
    return name or "run"


def digest(text: str, arrays: Mapping[str, NDArray[Any]], version: str = "") -> str:
    """The checksum of version, metadata and arrays; in the earliest files without the version."""
    found = hashlib.sha256((version + text).encode())
    for name in sorted(arrays):
        found.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        found.update(arrays[name].tobytes())
    return found.hexdigest()


def _under_checksum(kind: FileKind, version: int) -> str:
    return f"{kind.name} {kind.versions} {version}\n" if version >= kind.checked else ""


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the system lets folders be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _checked_version(path: Path, kind: FileKind, header: Mapping[str, str]) -> int:
    if kind.versions not in header or "json" not in header:
        found = next((name for versions, name in _KINDS.items() if {versions, "json"} <= header.keys()), None)
        raise UserError(
            f"{path} must be a {kind.name} of numdnc, got {found or 'a safetensors file from elsewhere'}. "
            f"{kind.missing}"
        )
    if not re.fullmatch(r"[1-9]\d{0,3}", header[kind.versions], re.ASCII):
        raise ValueError(f"{kind.versions} {quoted(header[kind.versions])}")
    version = int(header[kind.versions])
    if version > kind.version:
        raise UserError(
            f"{path} must have {kind.name} {kind.versions} {kind.version} or older, got {version}: "
            "it was written by a newer numdnc. Update numdnc."
        )
    return version
