"""The first compilation of a model in two processes at once: a helper compiles backward while forward compiles here.

Numba compiles on one thread. The helper is another interpreter, silent, that leaves the kernel in the cache (cache.py),
where `backward` finds it. Whatever becomes of the helper, a kernel that is not in the cache is compiled when it is
first called.
"""

import atexit
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from numdnc.engines.cpu.cache import why_not_kept
from numdnc.engines.cpu.kernels.unpacking import signature
from numdnc.errors import UserError

_CODE = """
import sys
sys.path[:] = sys.argv[3:]
from numdnc.engines.cpu.compile_ahead import main
main(*sys.argv[1:3])
"""
_MAX_SECONDS = 300
"""A helper that takes longer is stopped."""

_Key = tuple[int, str, np.dtype[Any]]
_started: set[_Key] = set()
_helpers: dict[_Key, subprocess.Popen[bytes]] = {}
"""By this process (a fork has none of its parent's), kernel and dtype."""


def compile_meanwhile(kernel: Any, other: Any, dtype: np.dtype[Any]) -> None:
    """Let a helper compile `other` if neither kernel is cached, so that `kernel` is about to be compiled here."""
    key = _key(other, dtype)
    if key in _started or not hasattr(kernel, "overloads"):  # that is NUMBA_DISABLE_JIT
        return
    _started.add(key)
    if why_not_kept() is None and not any(_is_kept(each, dtype) for each in (kernel, other)):
        _start(key)


def await_compiled(kernel: Any, dtype: np.dtype[Any]) -> None:
    """Wait for the helper that compiles this kernel, if there is one."""
    helper = _helpers.pop(key := _key(kernel, dtype), None)
    if helper is None:
        return
    try:
        helper.wait(_MAX_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    except BaseException:  # interrupted: whoever calls again may wait again
        _helpers[key] = helper
        raise
    _stop(helper)


def compile_both(kernel: Any, other: Any, dtype: np.dtype[Any], *, helper: bool) -> bool:
    """Compile two kernels into the cache, the other one perhaps in a helper; whether any was not there yet."""
    if not hasattr(kernel, "overloads"):
        raise UserError("NUMBA_DISABLE_JIT must be 0 where kernels are compiled, got 1. Unset it.")
    kept = all(_is_kept(each, dtype) for each in (kernel, other))
    if helper:
        compile_meanwhile(kernel, other, dtype)
    kernel.compile(signature(dtype))
    await_compiled(other, dtype)
    other.compile(signature(dtype))
    return not kept


def _key(kernel: Any, dtype: np.dtype[Any]) -> _Key:
    return os.getpid(), f"{kernel.__module__}:{kernel.__name__}", dtype


def _is_kept(kernel: Any, dtype: np.dtype[Any]) -> bool:
    types = signature(dtype)
    kept: bool = types in kernel.overloads or kernel._cache.is_kept(types, kernel.targetctx.codegen())
    return kept


def _start(key: _Key) -> None:
    """Start a helper, unless this program is not an ordinary interpreter or no process can be started."""
    _, name, dtype = key
    if not Path(sys.executable or "").name.startswith("python") or getattr(sys, "frozen", False):
        return
    words = [sys.executable, "-c", _CODE, name, dtype.name, *map(str, sys.path)]
    try:
        _helpers[key] = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except (OSError, ValueError):
        return


def _stop(helper: subprocess.Popen[bytes]) -> None:
    """End a helper that may still be running."""
    helper.kill()
    helper.communicate()


@atexit.register
def _stop_all() -> None:
    for (process, _, _), helper in _helpers.items():
        if process == os.getpid():
            _stop(helper)


def main(name: str, dtype: str) -> None:
    """The helper's program: compile this kernel into the cache; end early if the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    module, _, name = name.partition(":")
    kernel = getattr(import_module(module), name)
    kernel.compile(signature(np.dtype(dtype)))


def _end_with_parent() -> None:
    """The parent never writes, so reading ends when the parent has ended."""
    sys.stdin.buffer.read()
    os._exit(1)
