"""From the declarations in kernels/types.py to arrays: shape, and position in one block of memory."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines.cpu.kernels.types import Axes, declared
from numdnc.engines.cpu.memory_pool import CACHE_LINE, empty_block


class ArrayAt(NamedTuple):
    """Shape and position of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    first_byte: int


class Layout(NamedTuple):
    """Positions of the arrays of some named tuples in one block of memory."""

    bytes: int  # of the block
    kinds: tuple[dict[str, Any], ...]
    """The fields of each kind: an `ArrayAt`, or the fields of a tuple within."""
    numbers: NDArray[np.int64]
    """Of each array its first byte and its shape, as kernels/unpacking.py reads them; .."""
    addresses: NDArray[np.int64]
    """.. 1 for a first byte, to which the block's address is added, and 0 for a size."""


class Arrays:
    """The arrays of a named tuple, each made when it is first asked for: Python uses a few of them, kernels all."""

    def __init__(self, places: dict[str, Any], block: Any) -> None:
        self._places = places
        self._block = block

    def __getattr__(self, name: str) -> Any:
        try:
            place = self._places[name]
        except KeyError:
            raise AttributeError(name) from None
        if isinstance(place, ArrayAt):
            found: Any = np.ndarray(place.shape, place.dtype, self._block, place.first_byte)
        else:
            found = Arrays(place, self._block)
        setattr(self, name, found)
        return found


def lay_out(
    kinds: tuple[Any, ...], sizes: Mapping[str, int], flags: Mapping[str, bool], dtype: np.dtype[Any]
) -> Layout:
    """Place the arrays one after the other, each at the beginning of a cache line."""
    end = 0
    numbers: list[int] = []
    addresses: list[int] = []

    def place(declaration: Any) -> Any:
        nonlocal end
        if not isinstance(declaration, Axes):
            return {name: place(each) for name, each in declared(declaration).items()}
        shape = [int(axis) if axis.isdigit() else sizes[axis] for axis in declaration.names.split()]
        if declaration.flag and not flags[declaration.flag]:
            shape[-1] = 0
        item = np.dtype(declaration.dtype) if declaration.dtype else dtype
        found = ArrayAt(tuple(shape), item, end)
        numbers.extend((end, *shape))
        addresses.extend((1, *[0] * len(shape)))
        end += -(-math.prod(shape) * item.itemsize // CACHE_LINE) * CACHE_LINE
        return found

    found = tuple(map(place, kinds))
    return Layout(end, found, np.array(numbers, np.int64), np.array(addresses, np.int64))


def allocate(layout: Layout, dtype: np.dtype[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    """Allocate the tuples of a layout in one block, uninitialised: what kernels are told of them, and `Arrays`."""
    block = empty_block(layout.bytes // dtype.itemsize, dtype)
    address = block.__array_interface__["data"][0]
    return layout.numbers + address * layout.addresses, [Arrays(places, block) for places in layout.kinds]
