"""Blocks of memory that are used again: a fresh one costs as much time as what is computed in it.

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
"""Blocks that are in use, each with what tells when it is no longer."""
_MAX_FREE = 4
"""Blocks that are kept for later: those of a tape, of the gradients and of scratch, and one more."""
_MAX_BYTES = 1 << 28
"""Bytes of a block that is kept for later."""


def empty_block(count: int, dtype: np.dtype[Any]) -> Array:
    """`count` numbers, unset, at the beginning of a line of 64 bytes.

    The memory may be given out again once no array shows it any more.
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
    """A spare block of that many numbers or a little more, which is spare no longer."""
    for _ in range(len(_FREE)):
        try:
            block = _FREE.pop()
        except IndexError:  # another thread was faster
            return None
        if block.dtype == dtype and count <= block.size <= 1.25 * count + 1024:
            return block
        _FREE.appendleft(block)
    return None
