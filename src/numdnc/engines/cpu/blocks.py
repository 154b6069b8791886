"""Blocks of memory that are used again: a fresh one costs as much time as what is computed in it.

A processor's first touch of each page of new memory is slow, and a large block is new memory every time.
"""

import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from numdnc.params import Array

_SPARE: deque[Array] = deque()
_MOST_SPARE = 4
"""Blocks that are kept for later: those of a tape and of the gradients, each in two parts."""
_MOST_BYTES = 1 << 28
"""Bytes of a block that is kept for later."""


def take_block(count: int, dtype: DTypeLike) -> Array:
    """`count` numbers, unset. The memory may be given out again once no array shows it any more."""
    found = _spare_block(count, np.dtype(dtype))
    if found is None:
        found = np.empty(count, dtype)
    shown: Array = np.frombuffer(found.data, dtype)  # views of it refer to it, and not to `found`
    if found.nbytes <= _MOST_BYTES:
        weakref.finalize(shown, _give_back, found).atexit = False
    return shown[:count]


def _give_back(block: Array) -> None:
    _SPARE.append(block)
    while len(_SPARE) > _MOST_SPARE:
        _SPARE.popleft()


def _spare_block(count: int, dtype: np.dtype[Any]) -> Array | None:
    """A spare block of that many numbers or a little more, which is spare no longer."""
    for _ in range(len(_SPARE)):
        try:
            block = _SPARE.pop()
        except IndexError:  # another thread was faster
            return None
        if block.dtype == dtype and count <= block.size <= 1.25 * count + 1024:
            return block
        _SPARE.appendleft(block)
    return None
