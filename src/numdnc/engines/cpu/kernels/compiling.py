"""How kernels are compiled.

A kernel is a function of arrays and numbers that Numba turns into machine code for their types. It allocates nothing
and never holds Python's lock. Its array arguments must not overlap where one of them is written: the compiler is told
so, which is what lets it work on many numbers at once.

Numba says nothing of `noalias` in its manual, though its compiler flags have it: `_OPTIONS` makes it one to ask for.
"""

import gc
import logging
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import njit
from numba.core import event
from numba.core.cpu import CPUTargetOptions
from numba.core.options import TargetOptions

from numdnc import spec

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
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_FOLDER or before)
    try:
        compiled = njit(**_OPTIONS, fastmath=_ANY_ORDER, cache=_FOLDER is not None)(function)
    finally:
        numba.config.CACHE_DIR = before
    _ENTRIES.add(function)
    return compiled


_ENTRIES: set[Any] = set()


def _cache_folder() -> Path | None:
    """A folder for exactly this source: Numba alone would not see that a kernel in another file has changed.

    In $NUMBA_CACHE_DIR if that is set, else with other caches of this user; safe to delete. None where it cannot be
    written to; Numba would then take a folder of its own choice.
    """
    sources = [*sorted(Path(__file__).parent.glob("*.py")), Path(spec.__file__)]
    digest = sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    chosen = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    base = Path(chosen) if chosen and Path(chosen).is_absolute() else Path.home() / ".cache"
    folder = base / "numdnc" / f"kernels-{digest}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


_FOLDER = _cache_folder()


class _Compiling(event.Listener):
    """Says so when something is being compiled: for a DNC it takes half a minute.

    Compiling makes millions of objects, hardly any of them garbage before its end, so that looking for it among them
    all again and again takes a tenth of the time: that is left until the end.
    """

    said = False
    depth = 0
    collecting = False

    def on_start(self, event: event.Event) -> None:
        """Called by Numba before it compiles; kernels are compiled within others."""
        if event.data["dispatcher"].py_func in _ENTRIES and not self.said:
            self.said = True
            kept = (
                f"once (kept in {_FOLDER})"
                if _FOLDER
                else "every time (no folder for caches can be written to)"
            )
            _LOG.warning("engine cpu is compiled for this kind of model: up to half a minute, %s", kept)
        if self.depth == 0:
            self.collecting = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: event.Event) -> None:
        """Called by Numba after it has compiled."""
        self.depth -= 1
        if self.depth == 0 and self.collecting:
            gc.enable()


event.register("numba:compile", _Compiling())
