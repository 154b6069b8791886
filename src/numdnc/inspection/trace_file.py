"""Save and load traces as safetensors files, with JSON that describes the arrays.

Axes: T steps, X input, Y output, N slots, S slots kept of a large sparse memory, K links kept of a row.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numdnc.errors import UserError
from numdnc.files import FileKind, load_arrays, save_arrays
from numdnc.inspection.trace import About, Trace, array_shapes
from numdnc.schema import validated, validated_spec
from numdnc.spec import Spec
from numdnc.tasks.graphs.encoding import channel_counts

SCHEMA = 2
"""Increased whenever an older numdnc could not read the file."""
_CHECKED = 2
"""The first schema whose number is under the checksum."""
_SLOTS = "slots"
"""Name of the array that lists the slots kept, in a trace that does not keep all."""


def save_trace(path: Path, trace: Trace) -> None:
    """Write a trace atomically."""
    metadata = {
        **dataclasses.asdict(trace.about),
        "schema": SCHEMA,
        "kind": trace.spec.kind,
        "spec": dataclasses.asdict(trace.spec),
        "unit": trace.unit,
        "note": trace.note,
    }
    kept = {} if trace.slots is None else {_SLOTS: trace.slots}
    save_arrays(path, _kind(), trace.arrays | kept, metadata)


@dataclass(frozen=True, kw_only=True)
class _Described(About):
    """The JSON of a trace."""

    schema: int
    kind: str
    spec: dict[str, Any]
    unit: str
    note: str
    numdnc: str
    numpy: str


def load_trace(path: Path) -> Trace:
    """Load a trace; UserError if the file is not a valid one."""
    arrays, metadata = load_arrays(path, _kind())
    try:
        stored = validated(_Described, metadata)
        spec = validated_spec({"kind": stored.kind, **stored.spec})
        about = About(**{field.name: getattr(stored, field.name) for field in dataclasses.fields(About)})
        _check_about(spec, about)
        slots = _kept_slots(spec, arrays)
        return Trace(spec, about, _checked(spec, about, arrays, slots), slots)
    except UserError as error:
        raise UserError(
            f"{path} must hold a trace that this version knows, got something else ({error}). "
            "Make it again with `numdnc trace DIR`."
        ) from None


def _kind() -> FileKind:
    return FileKind(
        "trace",
        "schema",
        SCHEMA,
        _CHECKED,
        missing="Make one with `numdnc trace DIR`.",
        damaged="Make it again with `numdnc trace DIR`.",
    )


def _check_about(spec: Spec, about: About) -> None:
    for side, names, size in (
        ("input", about.input_channels, spec.input_size),
        ("output", about.output_channels, spec.output_size),
    ):
        if len(names) != size:
            raise UserError(f"{side}_channels are {len(names)} names, not {size}")
    if about.symbols is not None and not len(about.symbols) == spec.input_size == spec.output_size:
        raise UserError(f"symbols are not {spec.input_size} characters")
    if about.digits is not None and channel_counts(about.digits) != (spec.input_size, spec.output_size):
        raise UserError(f"labels of {about.digits} digits do not fit {spec.input_size} inputs")


def _kept_slots(spec: Spec, arrays: dict[str, NDArray[Any]]) -> NDArray[np.int32] | None:
    """The slots that a trace of a sparse model keeps, checked; None if it keeps all."""
    if spec.sparsity is None or _SLOTS not in arrays:
        return None
    slots = arrays[_SLOTS]
    if slots.dtype != np.int32 or slots.ndim != 1 or not slots.size:
        raise UserError(f"slots is {slots.shape} of {slots.dtype}, not a list of int32")
    if slots[0] < 0 or slots[-1] >= spec.memory_size or (slots[1:] <= slots[:-1]).any():
        raise UserError(f"slots do not rise within 0..{spec.memory_size - 1}")
    return slots


def _checked(
    spec: Spec, about: About, arrays: dict[str, NDArray[Any]], slots: NDArray[np.int32] | None
) -> dict[str, NDArray[Any]]:
    """The arrays that a trace of this model must hold, checked for dtype, shape and range."""
    _check_there(("outputs", "inputs", "targets", "mask"), arrays)
    T = len(arrays["outputs"]) if arrays["outputs"].ndim else 0
    if not T:
        raise UserError("outputs have no steps")
    count = spec.memory_size if slots is None else len(slots)
    wanted: dict[str, tuple[tuple[int, ...], DTypeLike]] = {
        name: (shape, np.float32) for name, shape in array_shapes(spec, T, count).items()
    }
    wanted["mask"] = (T,), np.uint8
    most = {"mask": 1}
    for name, size in (("inputs", spec.input_size), ("targets", spec.output_size)):
        whole = arrays[name].dtype == np.int32
        if about.symbols is not None and not whole:
            raise UserError(f"{name} of a text are not symbols")
        groups = arrays[name].shape[1:] if whole and name == "targets" and about.symbols is None else ()
        if about.digits is not None and (
            whole != (name == "targets") or (whole and groups != (3 * about.digits,))
        ):
            raise UserError(f"{name} of a graph are not triples")
        if len(groups) > 1 or any(not group or size % group for group in groups):
            raise UserError(f"targets are not one or several classes of {size} outputs")
        wanted[name] = ((T, *groups), np.int32) if whole else ((T, size), np.float32)
        if whole:
            most[name] = size // (groups[0] if groups else 1) - 1
    if "link_values" in wanted:
        wanted["link_slots"] = wanted["link_values"][0], np.int32
        most["link_slots"] = count - 1
    _check_there(wanted, arrays)
    for name, (shape, dtype) in wanted.items():
        got = arrays[name]
        if got.shape != shape or got.dtype != dtype:
            raise UserError(f"{name} is {got.shape} of {got.dtype}, not {shape} of {np.dtype(dtype)}")
    for name, largest in most.items():
        if arrays[name].min() < 0 or arrays[name].max() > largest:
            raise UserError(f"{name} leaves 0..{largest}")
    return {name: arrays[name] for name in wanted}


def _check_there(names: Iterable[str], arrays: Mapping[str, Any]) -> None:
    for name in names:
        if name not in arrays:
            raise UserError(f"there is no array {name}")
