"""What a launch is given, as declared in kernels/model.cuh: its structs for ctypes, and the shapes of arrays."""

import ctypes
import re
from collections.abc import Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

KERNELS = Path(__file__).parent / "kernels"
_TEXT = (KERNELS / "model.cuh").read_text(encoding="utf-8")
_CONSTANTS = {name: int(value) for name, value in re.findall(r"constexpr int (\w+) = (\d+);", _TEXT)}


class Field(NamedTuple):
    """A field of a struct."""

    name: str
    kind: str
    """`int`, or what a pointer points to: `real`, `int`, `unsigned`."""
    axes: tuple[str, ...] | None
    """Axes of the array that a pointer points to: names of sizes, or sums of such; None for a number."""
    length: int
    """How many numbers the struct holds there."""

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Shape of the array."""
        terms = (axis.split("+") for axis in self.axes or ())
        return tuple(sum(_size(term.strip(), sizes) for term in axis) for axis in terms)

    def numbers(self, sizes: Mapping[str, int]) -> int:
        """Numbers in the array."""
        return prod(self.shape(sizes))


def _size(term: str, sizes: Mapping[str, int]) -> int:
    return int(term) if term.isdigit() else sizes[term]


@cache
def fields(struct: str) -> tuple[Field, ...]:
    """The fields of a struct that holds numbers or pointers."""
    found = re.search(rf"^struct {struct} {{\n(.*?)^}};", _TEXT, re.MULTILINE | re.DOTALL)
    assert found
    pattern = r"^    (\w+) (\*?)(\w+)(?:\[(\w+)\])?;(?: *// \(([^)]*)\))?"
    return tuple(
        Field(name, kind, tuple(axes.split(", ")) if star else None, _CONSTANTS[count] if count else 1)
        for kind, star, name, count, axes in re.findall(pattern, found[1], re.MULTILINE)
    )


@cache
def struct(name: str) -> Any:
    """The class of ctypes for a struct of numbers or pointers."""

    def kind(field: Field) -> Any:
        if field.axes is not None:
            return ctypes.c_void_p
        return ctypes.c_int * field.length if field.length > 1 else ctypes.c_int

    return type(
        name, (ctypes.Structure,), {"_fields_": [(field.name, kind(field)) for field in fields(name)]}
    )


class Problem(ctypes.Structure):
    """What a launch is given."""

    _fields_ = tuple(
        (name, struct(kind))
        for kind, name in re.findall(
            r"^    (\w+) (\w+);", _TEXT.split("struct Problem {")[1].split("};")[0], re.MULTILINE
        )
    )
