"""Checkpoint files: arrays and JSON in one safetensors file, written whole or not at all, checked when read.

No pickle, so a checkpoint from a stranger can do nothing but be wrong. A SHA-256 over metadata and arrays lies in
the metadata, since safetensors itself would not notice a flipped bit.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from numdnc import __version__
from numdnc.errors import UserError
from numdnc.params import Array

FORMAT = 2
"""Raised whenever an older numdnc could not read the file."""


def save_checkpoint(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: a crash or a full disk leaves what was at `path` before."""
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = json.dumps({**metadata, "numdnc": __version__, "numpy": np.__version__}, sort_keys=True)
    header = {"format": str(FORMAT), "json": text, "sha256": _digest(text, arrays)}
    write_atomically(path, save(arrays, metadata=header))


def load_checkpoint(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays and metadata of a checkpoint; a UserError says what is wrong with it."""
    try:
        with path.open("rb"):  # safetensors takes every file that it cannot open for a missing one
            pass
    except FileNotFoundError:
        raise UserError(f"a checkpoint must exist at {path}, got none. Check the folder's name.") from None
    except OSError as error:
        raise UserError(
            f"{path} must be a file that can be read, got: {error.strerror}. Check its permissions."
        ) from None
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            _check_format(path, header)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path} must be a whole safetensors file, got one that cannot be read ({error}). "
            "It was cut short or damaged; use another checkpoint of the run."
        ) from None
    if header.get("sha256") != _digest(header["json"], arrays):
        raise UserError(
            f"{path} must match its checksum, got other contents: it was damaged or edited. "
            "Use another checkpoint of the run."
        )
    try:
        metadata = json.loads(header["json"])
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise UserError(
            f"{path} must describe itself by a JSON object, got none. Use another checkpoint of the run."
        )
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


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut, where the system lets folders be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _check_format(path: Path, header: Mapping[str, str]) -> None:
    if "format" not in header or "json" not in header:
        raise UserError(f"{path} must be a checkpoint of numdnc, got a safetensors file from elsewhere.")
    if int(header["format"]) > FORMAT:
        raise UserError(
            f"{path} must have checkpoint format {FORMAT} or older, got {header['format']}: "
            "it was written by a newer numdnc. Update numdnc."
        )


def _digest(text: str, arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
