"""How kernels are compiled.

A kernel is a function of arrays and numbers that Numba turns into machine code for their types. It allocates nothing
and never holds Python's lock. Its array arguments must not overlap where one of them is written: the compiler is told
so, which is what lets it work on many numbers at once.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit
from numba.core.cpu import CPUTargetOptions
from numba.core.options import TargetOptions

Function = TypeVar("Function", bound=Callable[..., Any])

CPUTargetOptions.noalias = TargetOptions.Mapping("noalias")

_ANY_ORDER = {"reassoc", "contract", "nsz"}
_AS_WRITTEN = {"contract"}


def kernel(function: Function) -> Function:
    """Compile; sums may be taken in any order (always the same one for the same sizes)."""
    return _compile(function, _ANY_ORDER)


def exact_kernel(function: Function) -> Function:
    """Compile; every operation in the order written."""
    return _compile(function, _AS_WRITTEN)


def view(function: Function) -> Function:
    """A short function that gives a view of an array; it is written out wherever it is called."""
    return njit(inline="always")(function)


def _compile(function: Function, fastmath: set[str]) -> Function:
    options = {"nogil": True, "error_model": "numpy", "noalias": True, "_nrt": False}
    options |= {"cache": True} if function.__module__.endswith("sequence") else {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return njit(fastmath=fastmath, **options)(function)
