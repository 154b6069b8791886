"""How kernels are compiled.

A kernel is a function of arrays and numbers that Numba turns into machine code for their types. It allocates nothing
and never holds Python's lock. Its array arguments must not overlap where one of them is written: the compiler is told
so, which is what lets it work on many numbers at once.

Numba says nothing of `noalias` in its manual, though its compiler flags have it: `_OPTIONS` makes it one to ask for.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit
from numba.core import event
from numba.core.cpu import CPUTargetOptions
from numba.core.options import TargetOptions

from numdnc.engines.cpu.cache import KernelCache, cache_folder, why_not_kept

Function = TypeVar("Function", bound=Callable[..., Any])

_LOG = logging.getLogger("numdnc")

CPUTargetOptions.noalias = TargetOptions.Mapping("noalias")

_OPTIONS = {"nogil": True, "error_model": "numpy", "noalias": True, "_nrt": False}
_ANY_ORDER = {"reassoc", "contract", "nsz"}
_AS_WRITTEN = {"contract"}
_NOT_FROM_PYTHON = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def kernel(function: Function) -> Function:
    """For calls from other kernels; sums may be taken in any order (always the same one for the same sizes)."""
    return njit(**_OPTIONS, **_NOT_FROM_PYTHON, fastmath=_ANY_ORDER)(function)


def exact_kernel(function: Function) -> Function:
    """The same, with every operation in the order written."""
    return njit(**_OPTIONS, **_NOT_FROM_PYTHON, fastmath=_AS_WRITTEN)(function)


def inlined(function: Function) -> Function:
    """A part of a kernel, written out wherever it is called: what gives a view, or what one place alone calls."""
    return njit(inline="always")(function)


def entry(function: Function) -> Function:
    """A kernel to be called from Python. Its machine code is kept on disk."""
    compiled = njit(**_OPTIONS, fastmath=_ANY_ORDER)(function)
    compiled._cache = KernelCache(function.__name__)
    _ENTRIES.add(function)
    return compiled


_ENTRIES: set[Any] = set()


class _Compiling(event.Listener):
    """Says so, once, when a kernel is being compiled: for a DNC it takes half a minute."""

    said = False

    def on_start(self, event: event.Event) -> None:
        """Called by Numba before it compiles anything."""
        if event.data["dispatcher"].py_func in _ENTRIES and not self.said:
            self.said = True
            hindered = why_not_kept()
            kept = f"once (kept in {cache_folder()})" if hindered is None else f"every time ({hindered})"
            _LOG.warning("engine cpu is compiled for this kind of model: up to half a minute, %s", kept)

    def on_end(self, event: event.Event) -> None:
        """Called by Numba after it has compiled."""


event.register("numba:compile", _Compiling())
