"""The Numba types of a kernel's arguments, from the declarations in kernels/types.py."""

from typing import Any, get_type_hints

import numpy as np
from numba import from_dtype, types

from numdnc.engines.cpu.kernels.types import Axes
from numdnc.engines.cpu.layouts import declared

_NUMBERS = {int: types.int64, float: types.float64}


def signature(kernel: Any, dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """The types of this kernel's arguments for a model of this dtype."""
    hints = get_type_hints(kernel.py_func, include_extras=True)
    return tuple(
        _numba_type(getattr(hint, "__metadata__", (hint,))[0], dtype)
        for name, hint in hints.items()
        if name != "return"
    )


def _numba_type(declaration: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(declaration, Axes):
        item = np.dtype(declaration.dtype) if declaration.dtype else dtype
        return types.Array(from_dtype(item), len(declaration.names.split()), "C")
    if declaration in _NUMBERS:
        return _NUMBERS[declaration]
    fields = [_numba_type(each, dtype) for each in declared(declaration).values()]
    return types.BaseTuple.from_types(fields, declaration)
