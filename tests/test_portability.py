"""What is not the same on Windows and macOS, by simulation: neither was at hand."""

import ctypes
import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.commands import Output
from numdnc import console, errors
from numdnc.engines.cpu import teams
from numdnc.inspection.benchmark import PeakMemory
from numdnc.machine import count_processors, memory_bytes
from numdnc.models import model_name
from numdnc.tasks.custom import public_source, split_source
from numdnc.training import lock, sweep
from numdnc.training.lock import LockedError, file_lock, holder

SOURCES = sorted((Path(lock.__file__).parents[1]).rglob("*.py"))


class Bytes:
    """`msvcrt`: locks on bytes, each of one descriptor, released when that is closed."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        self.locked: dict[int, int] = {}

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        start = os.lseek(descriptor, 0, os.SEEK_CUR)
        wanted = range(start, start + count)
        if mode != self.LK_NBLCK or any(place in self.locked for place in wanted):
            raise OSError(errno.EACCES, "Permission denied")
        self.locked |= dict.fromkeys(wanted, descriptor)


@pytest.fixture
def windows_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Locks as on Windows, where a file that is open cannot be removed; where they are."""
    opened: set[int] = set()
    msvcrt, open_file, close, remove = Bytes(), os.open, os.close, Path.unlink

    def note(*given: Any, **options: Any) -> int:
        opened.add(found := open_file(*given, **options))
        return found

    def forget(descriptor: int) -> None:
        opened.discard(descriptor)
        msvcrt.locked = {place: owner for place, owner in msvcrt.locked.items() if owner != descriptor}
        close(descriptor)

    def unlink(path: Path) -> None:
        if opened:
            raise PermissionError(errno.EACCES, "it is open", str(path))
        remove(path)

    monkeypatch.setattr(lock, "import_module", {"msvcrt": msvcrt}.__getitem__)
    monkeypatch.setattr(
        lock, "os", SimpleNamespace(**{**vars(os), "name": "nt", "open": note, "close": forget})
    )
    monkeypatch.setattr(Path, "unlink", unlink)
    return tmp_path / "lock"


def test_a_lock_on_windows(windows_locks: Path) -> None:
    with file_lock(windows_locks):
        assert holder(windows_locks).startswith(f"process {os.getpid()} on ")
        with pytest.raises(LockedError, match=f"process {os.getpid()}"), file_lock(windows_locks):
            pass
        with pytest.raises(LockedError), file_lock(windows_locks, exclusive=False):
            pass
    assert not windows_locks.exists()
    shared = file_lock(windows_locks, exclusive=False), file_lock(windows_locks, exclusive=False)
    with shared[0], shared[1], pytest.raises(LockedError), file_lock(windows_locks):
        pass
    with file_lock(windows_locks):
        pass
    assert not windows_locks.exists()


def test_signals_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no SIGHUP, and Ctrl-Break, which a sweep sends to its runs."""
    monkeypatch.delattr(signal, "SIGHUP")
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    with console.stop_on_signals() as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stopped()
    assert sweep._STOP == signal.SIGTERM  # here


def test_a_run_of_a_sweep_is_started_as_windows_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, Any]] = []

    def popen(words: Any, **options: Any) -> Any:
        started.append(options)
        return SimpleNamespace()

    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(sweep, "os", SimpleNamespace(name="nt", environ={}))
    planned = SimpleNamespace(name="seed=0", setting={}, seed=0)
    begun: Any = SimpleNamespace(words=lambda setting, seed: ["copy"], custom_task=None)
    sweep._start(SimpleNamespace(path=tmp_path), begun, planned, (3,))  # type: ignore[arg-type]
    assert (started[0]["pass_fds"], started[0]["creationflags"]) == ((), 512)


def test_kernels_find_a_way_to_yield(monkeypatch: pytest.MonkeyPatch) -> None:
    symbols: dict[str, int] = {}
    yields = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 0)
    library = SimpleNamespace(kernel32=SimpleNamespace(SwitchToThread=yields))
    monkeypatch.setattr(ctypes, "windll", library, raising=False)
    monkeypatch.setattr(teams, "add_symbol", symbols.__setitem__)
    teams._define_yield()
    assert symbols == {"sched_yield": ctypes.cast(yields, ctypes.c_void_p).value}


def test_paths_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert split_source(r"C:\tasks\parity.py:Parity") == (r"C:\tasks\parity.py", "Parity")
    monkeypatch.setattr("numdnc.tasks.custom.PurePath", PureWindowsPath)
    assert public_source(r"C:\tasks\parity.py:Parity") == "parity.py:Parity"
    path: Any = PureWindowsPath("model:copy")
    assert model_name(path) == "copy"
    assert model_name(PureWindowsPath("m:copy")) is None  # type: ignore[arg-type]

    def other_drive(path: str) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", other_drive)
    monkeypatch.setattr(sys, "executable", "D:/python.exe")
    assert "`D:/python.exe -m pip install " in str(errors.missing_package("this", "torch"))


def test_a_machine_without_linux_has_processors_and_perhaps_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert count_processors() >= 1
    monkeypatch.delattr(os, "sysconf")
    assert memory_bytes() is None

    def no_library(name: None) -> None:
        raise TypeError("argument of type 'NoneType' is not iterable")

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    assert PeakMemory().peak() is None


def test_a_console_of_another_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Output()
    out.reconfigure(encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", out)
    console.prepare_output()
    print("naïve ω → ▁▃█")  # noqa: T201
    out.flush()
    written = out.buffer.getvalue()  # type: ignore[attr-defined]
    assert written.decode("cp1252").strip() == "naïve \\u03c9 \\u2192 \\u2581\\u2583\\u2588"


def test_silence_takes_every_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "text_encoding", lambda encoding, *_: "cp1252" if encoding is None else encoding)
    with console.silent(True):
        print("ω")  # noqa: T201


POSIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"}


def test_no_module_of_posix_is_imported_at_the_top() -> None:
    found = [
        f"{path}: {line}"
        for path in SOURCES
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith(("import ", "from ")) and line.split()[1] in POSIX_ONLY
    ]
    assert len(SOURCES) > 200
    assert not found
