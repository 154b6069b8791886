"""Read arrays of sequences: three files .npy, or one of JSON lines. Nothing is unpickled.

Axes: S sequences, T steps.
"""

import hashlib
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.data import CorpusFile
from numdnc.errors import UserError
from numdnc.input_files import open_regular_file, read_stream
from numdnc.machine import memory_bytes
from numdnc.names import quoted
from numdnc.schema import parse_json

JSON_LINES = (".jsonl", ".ndjson")
MOST_JSON_BYTES = 1 << 28
"""Most bytes of a file of JSON lines, which takes some thirty times as much memory while it is read."""
_COPIES = 3
"""Copies of an array that are held while it is read and converted."""
_PIECE = 1 << 20
_KEYS = ("inputs", "targets", "mask")
_NUMBERS = "biuf"
"""Kinds of dtypes that hold numbers."""


class RawArrays(NamedTuple):
    """Arrays as the files hold them, checked to be numbers but not yet to fit together."""

    inputs: NDArray[Any]
    targets: NDArray[Any]
    mask: NDArray[Any] | None
    files: tuple[CorpusFile, ...]
    """In the order of the arrays; of JSON lines one."""


def read_arrays(inputs: Path | None, targets: Path | None, mask: Path | None) -> RawArrays:
    """Read --inputs, --targets and --mask; --inputs alone if it is a file of JSON lines."""
    if inputs is None:
        raise UserError(
            "--inputs must name a file .npy or .jsonl, got none. Name one, and its --targets if it is .npy."
        )
    if inputs.suffix.lower() in JSON_LINES:
        if targets is not None or mask is not None:
            raise UserError(
                f"--targets and --mask must be left out where --inputs is JSON lines, got {targets or mask}. "
                'Put them into the lines, as "targets" and "mask".'
            )
        return _read_json_lines(inputs)
    if targets is None:
        raise UserError(f"--targets must be given with --inputs {inputs}, got none. Name a file .npy.")
    named = {"--inputs": inputs, "--targets": targets, "--mask": mask}
    read = [_read_npy(path, option) for option, path in named.items() if path is not None]
    arrays = [array for array, _ in read]
    return RawArrays(arrays[0], arrays[1], arrays[2] if mask else None, tuple(file for _, file in read))


def _read_npy(path: Path, option: str) -> tuple[NDArray[Any], CorpusFile]:
    """The array of a file, which must be one of numbers, whole, and fit into memory."""
    try:
        with open_regular_file(path) as file:
            digest = hashlib.sha256()
            while piece := file.read(_PIECE):
                digest.update(piece)
            size = file.tell()
            file.seek(0)
            shape, dtype = _header(file)
            if dtype.kind not in _NUMBERS:
                got = "objects, which would have to be unpickled" if dtype.hasobject else str(dtype)
                raise UserError(
                    f"{option} must hold numbers, got {path} with {got}. Save an array of numbers with numpy.save."
                )
            wanted = file.tell() + math.prod(shape) * dtype.itemsize
            if wanted != size:
                raise ValueError(f"its shape {shape} takes {wanted:,} bytes, it has {size:,}")
            here = memory_bytes()
            if here is not None and _COPIES * size > here:
                raise UserError(
                    f"{option} must fit {_COPIES} times into the {here:,} bytes of memory, got {size:,} bytes in "
                    f"{path}. Give fewer sequences, or float32."
                )
            file.seek(0)
            array = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise UserError(
            f"{option} must name a file .npy that can be read, got {path}: {error.strerror}. Check its name."
        ) from None
    except (ValueError, EOFError) as error:
        raise UserError(
            f"{option} must name a file as numpy.save writes it, or .jsonl, got {path} ({error}). Save it again."
        ) from None
    return array, CorpusFile(path.name, size, digest.hexdigest())


def _header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if file.read(2) == b"PK":
        raise ValueError("it is an archive, such as .npz, of several arrays")
    file.seek(0)
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version[0]} of the format is for other data than numbers")
    try:
        shape, _, dtype = readers[version](file)
    except Exception as error:  # noqa: BLE001 - a header is parsed as Python, and a bad one may fail in any way
        raise ValueError(f"its header cannot be read: {type(error).__name__}") from None
    return shape, dtype


def _read_json_lines(path: Path) -> RawArrays:
    try:
        with open_regular_file(path) as file:
            data = read_stream(file, MOST_JSON_BYTES)
    except OSError as error:
        raise UserError(
            f"--inputs must name a file that can be read, got {path}: {error.strerror}. Check its name; arrays "
            "that are larger can be .npy."
        ) from None
    found: list[dict[str, NDArray[Any]]] = []
    for number, line in enumerate(io.BytesIO(data), 1):
        if line.strip():
            found.append(_sequence(line, number, path))
            for key in _KEYS[:2]:
                _check_alike(key, found[0], found[-1], number, path)
    if not found:
        raise UserError(f"{path} must hold a sequence a line, got none. Add some.")
    described = CorpusFile(path.name, len(data), hashlib.sha256(data).hexdigest())
    inputs, targets, mask = (_padded([one[key] for one in found]) for key in _KEYS)
    return RawArrays(inputs, targets, mask, (described,))


def _sequence(line: bytes, number: int, path: Path) -> dict[str, NDArray[Any]]:
    """Inputs (T, ..), targets (T, ..) and mask (T,) of a line."""
    example = 'such as {"inputs": [[0, 1], [1, 0]], "targets": [0, 2]}'
    try:
        value = parse_json(line)
    except ValueError as error:
        raise UserError(
            f"each line of {path} must be a JSON object, {example}, got line {number} ({error}). Fix it."
        ) from None
    if not isinstance(value, dict) or not {"inputs", "targets"} <= set(value) <= set(_KEYS):
        got = (
            f"the names {', '.join(map(quoted, list(value)[:6]))}"
            if isinstance(value, dict)
            else type(value).__name__
        )
        raise UserError(
            f"each line of {path} must be an object of inputs, targets and perhaps mask, {example}, got {got} in line "
            f"{number}. Fix it."
        )
    arrays = {key: _array(value[key], f'"{key}" of line {number} of {path}') for key in value}
    steps = {key: len(array) for key, array in arrays.items()}
    arrays.setdefault("mask", np.ones(len(arrays["inputs"]), bool))
    if len(set(steps.values())) > 1 or arrays["mask"].ndim != 1:
        raise UserError(
            f"inputs, targets and mask of a line must have a value for each step, got {_in_words(steps)} in line "
            f"{number} of {path}. Fix it."
        )
    return arrays


def _array(value: Any, what: str) -> NDArray[Any]:
    """A value of JSON as (T,) or (T, X) of numbers."""
    try:
        array = np.array(value)
    except (ValueError, OverflowError):  # lists of different lengths, or a number of too many digits
        array = np.array(None)
    if array.dtype.kind not in _NUMBERS or array.ndim not in (1, 2) or not array.size:
        raise UserError(
            f"{what} must be a list with a number, or a list of as many numbers, for each step, got "
            f"{quoted(str(value))}. Fix it."
        )
    return array


def _check_alike(
    key: str, first: Mapping[str, NDArray[Any]], this: Mapping[str, NDArray[Any]], number: int, path: Path
) -> None:
    if first[key].shape[1:] != this[key].shape[1:]:
        wanted, got = (
            f"{array.shape[1]} numbers a step" if array.ndim == 2 else "a number a step"
            for array in (first[key], this[key])
        )
        raise UserError(
            f"{key} of all lines of {path} must be alike, got {wanted} in the first and {got} in line {number}. Fix it."
        )


def _padded(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    """Sequences (T, ..) of different lengths as one array (S, T, ..), padded with zeros."""
    steps, dtype = max(map(len, arrays)), np.result_type(*arrays)
    whole = np.zeros((len(arrays), steps, *arrays[0].shape[1:]), dtype)
    for row, array in zip(whole, arrays, strict=True):
        row[: len(array)] = array
    return whole


def _in_words(steps: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {key}" for key, count in steps.items())
