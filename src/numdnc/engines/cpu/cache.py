"""The machine code of kernels on disk, so that later processes need not compile them.

One file per kernel and types of its arguments. The file's name depends on everything that the machine code depends on,
and its first bytes are a checksum of the rest. A file that cannot be used is made anew, and without a folder everything
works as well, only slower: nothing that is wrong with the cache is ever an error.
"""

import logging
import os
import pickle
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import uuid4

import numba
from numba.core import config
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

_LOG = logging.getLogger("numdnc")

_SOURCES = {
    "numdnc.engines.cpu.kernels": None,
    "numdnc.engines.cpu.kernels.sparse": None,
    "numdnc": ("parts", "spec"),
}
"""Packages whose modules kernels are made of: all of them, or those named."""
_SETTINGS = ("BOUNDSCHECK", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "OPT", "SLP_VECTORIZE")
"""Settings of Numba that change the machine code; the processor is part of the codegen's own key."""
_CHECKSUM = sha256().digest_size


class KernelCache(_Cache):
    """The cache of one kernel: Numba reads it before compiling and writes it afterwards."""

    def __init__(self, kernel: str) -> None:
        self._kernel = kernel

    @property
    def cache_path(self) -> str | None:
        """The folder, for tools that inspect kernels."""
        folder = cache_folder()
        return None if folder is None else str(folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel for these types; None if it must be compiled."""
        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        if path is None:
            return None
        try:
            contents = path.read_bytes()
        except OSError:
            return None
        if contents[:_CHECKSUM] != sha256(contents[_CHECKSUM:]).digest():
            return None
        try:
            return CompileResult._rebuild(target_context, *pickle.loads(contents[_CHECKSUM:]))
        except Exception:  # noqa: BLE001 - whatever cannot be used is compiled anew, which is announced
            return None

    def is_kept(self, sig: Any, codegen: Any) -> bool:
        """Whether the cache has a file for these types."""
        path = self._path(sig, codegen)
        return path is not None and path.is_file()

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write a compiled kernel, completely or not at all."""
        path = self._path(sig, data.codegen)
        if path is None or why_not_kept() is not None:
            return
        code = dumps(data._reduce())
        unfinished = path.with_name(f"{path.name}.{uuid4().hex}")
        try:
            try:
                unfinished.write_bytes(sha256(code).digest() + code)
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
        except OSError as error:
            _warn_once(f"{path.parent}: {error.strerror or error}")

    def enable(self) -> None:
        """Part of Numba's interface; does nothing."""

    def disable(self) -> None:
        """Part of Numba's interface; does nothing."""

    def flush(self) -> None:
        """Part of Numba's interface; outdated files are never found, so there is nothing to remove."""

    def _path(self, sig: Any, codegen: Any) -> Path | None:
        folder = cache_folder()
        if folder is None:
            return None
        versions = (sys.implementation.cache_tag, sys.abiflags, numba.__version__)
        settings = [getattr(config, name) for name in _SETTINGS]
        key = repr((str(sig), codegen.magic_tuple(), versions, settings))
        return folder / f"{self._kernel}-{sha256(key.encode()).hexdigest()[:16]}.nbc"


@cache
def _warn_once(reason: str) -> None:
    _LOG.warning("compiled kernels cannot be kept in %s; each process will compile them again", reason)


def why_not_kept() -> str | None:
    """Why the cache cannot be written; None if it can. Creates its folder."""
    folder = cache_folder()
    if folder is None:
        return "no folder for caches is known"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return f"{folder} cannot be made"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} cannot be written to"


@cache
def cache_folder() -> Path | None:
    """The folder for this source of the kernels, which is safe to delete; None if there is no place for one.

    In $NUMBA_CACHE_DIR if that is set, else with other caches of this user.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    try:
        base = Path(chosen) if chosen and Path(chosen).is_absolute() else Path.home() / ".cache"
        source = b"".join(_contents())
    except (OSError, RuntimeError):  # a user without a home folder, a package that cannot be read
        return None
    return base / "numdnc" / f"kernels-{sha256(source).hexdigest()[:12]}" if source else None


def _contents() -> Iterator[bytes]:
    """The contents of all modules that define kernels: sources, or compiled files where only these are installed."""
    for package, names in _SOURCES.items():
        for file in sorted(files(package).iterdir(), key=lambda file: file.name):
            name, _, suffix = file.name.rpartition(".")
            if suffix in ("py", "pyc") and (names is None or name in names):
                yield file.read_bytes()
