"""Files of arrays and JSON: one safetensors file, written whole or not at all, checked when read.

No pickle, so a file from a stranger can do nothing but be wrong. A SHA-256 over metadata and arrays lies in the
metadata, since safetensors itself would not notice a flipped bit.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from numdnc import __version__
from numdnc.errors import UserError


class FileKind(NamedTuple):
    """What a file is; its header holds `version` under the name `versions`, which no other kind has."""

    name: str
    versions: str
    """What its versions are called, ..."""
    version: int
    """... and the newest of them, which is raised whenever an older numdnc could not read the file."""
    missing: str
    """What to do where there is none, ..."""
    damaged: str
    """... and where it is damaged."""


_KINDS = {"format": "a checkpoint", "schema": "a trace"}
"""By what their versions are called."""


def save_arrays(
    path: Path, kind: FileKind, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]
) -> None:
    """Write a file atomically: a crash or a full disk leaves what was at `path` before."""
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = json.dumps({**metadata, "numdnc": __version__, "numpy": np.__version__}, sort_keys=True)
    header = {kind.versions: str(kind.version), "json": text, "sha256": digest(text, arrays)}
    write_atomically(path, save(arrays, metadata=header))


def load_arrays(path: Path, kind: FileKind) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and metadata of a file; a UserError says what is wrong with it."""
    try:
        with path.open("rb"):  # safetensors takes every file that it cannot open for a missing one
            pass
    except FileNotFoundError:
        raise UserError(f"a {kind.name} must exist at {path}, got none. {kind.missing}") from None
    except OSError as error:
        raise UserError(
            f"{path} must be a file that can be read, got: {error.strerror}. Check its permissions."
        ) from None
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            _check_version(path, kind, header)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} must be a whole safetensors file, got one that cannot be read ({error}). "
            f"It was cut short or damaged. {kind.damaged}"
        ) from None
    if header.get("sha256") != digest(header["json"], arrays):
        raise UserError(
            f"{path} must match its checksum, got other contents: it was damaged or edited. {kind.damaged}"
        )
    try:
        metadata = json.loads(header["json"])
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise UserError(f"{path} must describe itself by a JSON object, got none. {kind.damaged}")
    return arrays, metadata


def write_atomically(path: Path, contents: bytes) -> None:
    """Replace the file at `path` by one that holds `contents`, or leave everything as it was and raise UserError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(
            f"{path} must be writable, got: {error.strerror}. What was there before is untouched; "
            "make room or choose another folder with --out."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def digest(text: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """The checksum of metadata and arrays."""
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        found.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        found.update(arrays[name].tobytes())
    return found.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where the system lets folders be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check_version(path: Path, kind: FileKind, header: Mapping[str, str]) -> None:
    if kind.versions not in header or "json" not in header:
        found = next((name for versions, name in _KINDS.items() if {versions, "json"} <= header.keys()), None)
        raise UserError(
            f"{path} must be a {kind.name} of numdnc, got {found or 'a safetensors file from elsewhere'}. "
            f"{kind.missing}"
        )
    version = int(header[kind.versions])
    if version < 1:
        raise ValueError(f"{kind.versions} {version}")
    if version > kind.version:
        raise UserError(
            f"{path} must have {kind.name} {kind.versions} {kind.version} or older, got {version}: "
            "it was written by a newer numdnc. Update numdnc."
        )
