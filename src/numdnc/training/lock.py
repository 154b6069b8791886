"""A file lock: one process at a time holds it, and the text of the file says which.

The operating system releases it when its owner ends, in whatever way; if child processes inherited it, when the last of
them ends. It is `flock`, which also works between machines on a network folder whose server keeps locks (NFS, SMB); on
Windows, where no child inherits it, a lock on bytes far behind the text.

On a file system without locks, the text of the file is the lock. There, the lock of a process that has ended is ignored
if it was one of this machine; that of another machine stays until the file is removed; and two processes that start at
the same instant do not notice each other.
"""

import errno
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from numdnc.errors import UserError

UNKNOWN_HOLDER = "another process"
"""The holder of a lock whose file does not name one."""
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
"""Errors of `flock` on a file system without locks."""
_WINDOWS_LOCKS = (1 << 30, 64)
"""Place and number of the bytes that a lock takes on Windows: all of them, or one of them if it is shared."""
_POLL = 0.02
"""Seconds between two attempts."""
_LONGEST = 300
"""Maximum size of the text in bytes; a long command is cut."""


class LockedError(UserError):
    """Another process holds the lock; the message says which."""


@contextmanager
def file_lock(path: Path, *, exclusive: bool = True, timeout: float = 0) -> Iterator[int]:
    """Hold the lock at `path`; a context manager that gives its file descriptor, for child processes to inherit.

    LockedError if it is not free within `timeout` seconds. Several processes can hold a lock that is not `exclusive`.
    An exclusive lock leaves no file behind.
    """
    until = time.monotonic() + timeout
    while True:
        try:
            descriptor = _take(path, exclusive)
            break
        except LockedError:
            if time.monotonic() >= until:
                raise
            time.sleep(_POLL)
    try:
        yield descriptor
    finally:
        if exclusive:
            with suppress(OSError):
                path.unlink()  # before the release: who has opened it meanwhile tries again, see `_is_there`
        os.close(descriptor)
        if exclusive and os.name == "nt":
            with suppress(OSError):
                path.unlink()  # which fails as long as anybody has it open


def holder(path: Path) -> str:
    """The holder of the lock at `path`, by its text; `UNKNOWN_HOLDER` if it names no living process."""
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST).decode("utf-8", "replace")
        _, number, _, machine, _ = text.split(" ", 4)
    except (OSError, ValueError):
        return UNKNOWN_HOLDER
    return UNKNOWN_HOLDER if machine == socket.gethostname() and not _is_alive(number) else text


def _take(path: Path, exclusive: bool) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            free = _lock(descriptor, exclusive)
            if free is None and exclusive and holder(path) != UNKNOWN_HOLDER:
                raise LockedError(
                    f"{holder(path)} (if that is gone, remove {path}: this file system has no locks)"
                )
            if free is False:
                raise LockedError(holder(path))
            if _is_there(path, descriptor):
                if exclusive:
                    _say_who(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, exclusive: bool) -> bool | None:
    """Lock a file; False if another process holds the lock, None if the file system has no locks."""
    if os.name == "nt":
        return _lock_on_windows(descriptor, exclusive)
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        if error.errno != errno.ESTALE:  # removed on another machine, which `_is_there` finds out
            raise
    return True


def _lock_on_windows(descriptor: int, exclusive: bool) -> bool:
    msvcrt: Any = import_module("msvcrt")
    first, count = _WINDOWS_LOCKS
    for place in (first,) if exclusive else range(first, first + count):
        os.lseek(descriptor, place, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, count if exclusive else 1)
        except OSError:
            continue
        return True
    return False


def _is_there(path: Path, descriptor: int) -> bool:
    """Whether the descriptor is still that of the file at `path`; on network folders only opening it again can tell."""
    try:
        again = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return os.path.sameopenfile(descriptor, again)
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return False
    finally:
        os.close(again)


def _say_who(descriptor: int) -> None:
    """Write who holds the lock; a full disk is no reason to fail."""
    program = Path(sys.argv[0]).name.replace("__main__.py", "numdnc")
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    words = shlex.join([program, *sys.argv[1:]])
    text = f"process {os.getpid()} on {socket.gethostname()} (since {since}: {words}"
    shortened = text.encode("utf-8", "replace")[: _LONGEST - 1] + b")"
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, shortened)


def _is_alive(number: str) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
