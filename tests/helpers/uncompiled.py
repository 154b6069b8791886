"""The kernels of the engine `cpu` as plain functions of Python, for the test files that mutations of them are seen by.

To be imported with Numba switched off (NUMBA_DISABLE_JIT=1), before any kernel runs.
"""

import ctypes
import math
import sys
import threading
from typing import Any

import numba
import numpy as np

from numdnc.engines.cpu import engine as engine
from numdnc.engines.cpu.kernels import activations, arrays, unpacking

assert numba.config.DISABLE_JIT
_PATIENCE = 20
"""Seconds that a thread waits for the others, of which one may have failed."""
_barriers: dict[Any, threading.Barrier] = {}


def _wait_for_team(work: Any) -> None:
    if work.team_size > 1:
        _meet(work.barrier, work.team_size)


def _meet(barrier: Any, members: int) -> None:
    key = barrier.ctypes.data, members
    _barriers.setdefault(key, threading.Barrier(members, timeout=_PATIENCE)).wait()


def _array_at(numbers: Any, at: int, like: Any, axes: int) -> Any:
    shape = tuple(numbers[at + 1 : at + 1 + axes])
    item = like.dtype if isinstance(like, np.ndarray) else np.dtype(like)
    size = math.prod(map(int, shape)) * item.itemsize
    memory = (ctypes.c_char * size).from_address(int(numbers[at]))
    found: Any = np.frombuffer(memory, item).reshape(shape) if size else np.empty(shape, item)
    return found


_IN_PYTHON = {"constant": lambda value, like: like.dtype.type(value), "wait_for_team": _wait_for_team}
"""Functions that Numba alone can run, and what they compute."""
for name, module in list(sys.modules.items()):
    for function in _IN_PYTHON.keys() & vars(module).keys():
        if name.startswith("numdnc.engines.cpu.kernels."):
            setattr(module, function, _IN_PYTHON[function])
unpacking._NAMES["array_at"] = _array_at
engine.meet = _meet
arrays._matrix_view = lambda flat, rows, columns: flat.reshape(rows, columns)
activations.split_exp = lambda x: (
    activations._split_exp_float32(x) if x.dtype == np.float32 else activations._split_exp_float64(x)
)
