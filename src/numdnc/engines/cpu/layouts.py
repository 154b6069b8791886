"""From the declarations in kernels/types.py to arrays: shape, and position in one block of memory."""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, get_type_hints

import numpy as np

from numdnc.engines.cpu.kernels.types import Axes, Given
from numdnc.engines.cpu.memory_pool import CACHE_LINE, empty_block


class ArrayAt(NamedTuple):
    """Shape and position of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    first_byte: int


class Layout(NamedTuple):
    """Positions of the arrays of some named tuples in one block of memory."""

    bytes: int  # of the block
    kinds: tuple[tuple[Any, tuple[Any, ...]], ...]
    """Each kind with its fields in order: an `ArrayAt`, such a pair again, or None for what the caller supplies."""


@cache
def declared(kind: Any) -> dict[str, Any]:
    """The fields of a named tuple: an `Axes` for an array, the kind of a tuple within, or the type of a number."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: getattr(hints[name], "__metadata__", (hints[name],))[0] for name in kind._fields}


def lay_out(
    kinds: tuple[Any, ...], sizes: Mapping[str, int], flags: Mapping[str, bool], dtype: np.dtype[Any]
) -> Layout:
    """Place the arrays one after the other, each at the beginning of a cache line."""
    end = 0

    def arrays_of(kind: Any) -> tuple[Any, tuple[Any, ...]]:
        return kind, tuple(map(place, declared(kind).values()))

    def place(declaration: Any) -> Any:
        nonlocal end
        if not isinstance(declaration, Axes):
            return arrays_of(declaration) if hasattr(declaration, "_fields") else None
        if isinstance(declaration, Given):
            return None
        shape = [int(axis) if axis.isdigit() else sizes[axis] for axis in declaration.names.split()]
        if declaration.flag and not flags[declaration.flag]:
            shape[-1] = 0
        item = np.dtype(declaration.dtype) if declaration.dtype else dtype
        found = ArrayAt(tuple(shape), item, end)
        end += -(-math.prod(shape) * item.itemsize // CACHE_LINE) * CACHE_LINE
        return found

    found = tuple(map(arrays_of, kinds))
    return Layout(end, found)


def allocate(layout: Layout, dtype: np.dtype[Any]) -> list[Any]:
    """Allocate the tuples of a layout in one block, uninitialised; what the caller supplies is None."""
    block = empty_block(layout.bytes // dtype.itemsize, dtype)
    return [_build(kind, fields, block) for kind, fields in layout.kinds]


def _build(kind: Any, fields: tuple[Any, ...], block: Any) -> Any:
    """Build a tuple. Not a closure: one would hold the block until garbage is collected."""
    return kind(
        *[
            np.ndarray(field.shape, field.dtype, block, field.first_byte)
            if type(field) is ArrayAt
            else None
            if field is None
            else _build(field[0], field[1], block)
            for field in fields
        ]
    )
