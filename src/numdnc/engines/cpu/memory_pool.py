"""A pool of memory blocks: the first use of new memory takes as long as the computation in it.

A processor's first touch of each page of new memory is slow, and a large block is new memory every time.
"""

import weakref
from collections import deque
from functools import partial
from typing import Any

import numpy as np

from numdnc.params import Array

CACHE_LINE = 64
"""Bytes that a processor moves at once; every array begins at a multiple of them."""

_FREE: deque[Array] = deque()
_IN_USE: dict[int, Any] = {}
"""Blocks in use, each with a weak reference that returns it to the pool."""
_MAX_FREE = 4
"""Free blocks kept at most: those of a tape, of the gradients and of scratch, and one more."""
_MAX_BYTES = 1 << 28
"""The largest block that is kept, in bytes."""


def empty_block(count: int, dtype: np.dtype[Any]) -> Array:
    """A block of `count` uninitialised numbers, aligned to 64 bytes.

    The memory returns to the pool once no array refers to it.
    """
    block = _free_block(count, dtype)
    if block is None:
        block = np.empty(count + CACHE_LINE // dtype.itemsize, dtype)
        block = block[-block.ctypes.data % CACHE_LINE // dtype.itemsize :][:count]
    shown: Array = np.frombuffer(block.data, dtype, count)  # views of it refer to it, and not to `block`
    if block.nbytes <= _MAX_BYTES:
        _IN_USE[id(block)] = block, weakref.ref(shown, partial(_release, id(block), _IN_USE, _FREE))
    return shown


def _release(name: int, lent: dict[int, Any], spare: deque[Array], _: Any) -> None:
    spare.append(lent.pop(name)[0])
    while len(spare) > _MAX_FREE:
        spare.popleft()


def _free_block(count: int, dtype: np.dtype[Any]) -> Array | None:
    """Take a free block of that many numbers or a little more out of the pool; None if there is none."""
    for _ in range(len(_FREE)):
        try:
            block = _FREE.pop()
        except IndexError:  # another thread was faster
            return None
        if block.dtype == dtype and count <= block.size <= 1.25 * count + 1024:
            return block
        _FREE.appendleft(block)
    return None
