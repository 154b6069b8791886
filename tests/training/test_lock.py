"""Locks: one owner at a time, who is named, and none after its death; also where a file system has no locks."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from numdnc.training.lock import UNKNOWN_HOLDER, LockedError, file_lock, holder

HOLD = """
import sys, time
from pathlib import Path
from numdnc.training.lock import file_lock
with file_lock(Path("lock"), exclusive="shared" not in sys.argv):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def other(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock until it is told a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def refused() -> str:
    with pytest.raises(LockedError) as error, file_lock(Path("lock")):
        pass
    return str(error.value)


def test_the_holder_is_named_and_nothing_is_left_behind() -> None:
    with other("resume", "a run") as process:
        who = refused()
        assert who.startswith(f"process {process.pid} on {socket.gethostname()} (since 20")
        assert who.endswith(": -c resume 'a run')")
        process.communicate("\n")
    assert not Path("lock").exists()
    with file_lock(Path("lock")):
        assert holder(Path("lock")).startswith(f"process {os.getpid()} on ")
    assert not Path("lock").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_lock_ends_with_its_owner(number: signal.Signals) -> None:
    with other() as process:
        process.send_signal(number)
        process.communicate()
    with file_lock(Path("lock")):
        pass
    assert not Path("lock").exists()


def test_a_child_that_inherited_it_holds_it_and_the_dead_are_not_named() -> None:
    with file_lock(Path("lock")) as descriptor:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(descriptor,))
        Path("lock").rename("kept")
    Path("kept").write_text(f"process {2**30} on {socket.gethostname()} (since then: numdnc)")
    Path("kept").rename("lock")
    try:
        assert refused() == UNKNOWN_HOLDER
    finally:
        child.communicate()
    with file_lock(Path("lock")):
        pass


def test_those_that_share_it_keep_out_those_that_do_not() -> None:
    with other("shared") as process, file_lock(Path("lock"), exclusive=False):
        assert refused() == UNKNOWN_HOLDER
        process.communicate("\n")
        assert refused() == UNKNOWN_HOLDER
    with file_lock(Path("lock")):
        pass


def test_patience_waits() -> None:
    with other() as process:
        with pytest.raises(LockedError), file_lock(Path("lock"), timeout=0.05):
            pass
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
        with file_lock(Path("lock"), timeout=60):
            pass


def test_a_lock_that_was_removed_after_it_was_opened_is_not_taken_for_it() -> None:
    """Else two would hold files of the same name: the owner removes it before it lets go."""
    flock, removed = fcntl.flock, []

    def late(descriptor: int, operation: int) -> None:
        if not removed:
            removed.append(Path("lock").unlink())
        flock(descriptor, operation)

    with mock.patch.object(fcntl, "flock", late), file_lock(Path("lock")):
        assert removed
        assert refused().startswith(f"process {os.getpid()} on ")


@pytest.fixture
def no_locks() -> Iterator[None]:
    with mock.patch.object(fcntl, "flock", side_effect=OSError(errno.ENOLCK, "No locks available")):
        yield


@pytest.mark.usefixtures("no_locks")
def test_without_locks_the_text_keeps_others_out() -> None:
    with file_lock(Path("lock")):
        who = refused()
        assert who.startswith(f"process {os.getpid()} on ")
        assert who.endswith(" (if that is gone, remove lock: this file system has no locks)")
    assert not Path("lock").exists()


@pytest.mark.usefixtures("no_locks")
def test_without_locks_the_dead_of_this_machine_are_in_nobodys_way() -> None:
    here = socket.gethostname()
    for text in (
        "",
        "half a te",
        f"process {2**30} on {here} (since then: x)",
        f"process x on {here} (since",
    ):
        Path("lock").write_text(text)
        with file_lock(Path("lock")):
            pass
    with other() as process:
        assert refused().startswith(f"process {process.pid} on ")
        process.kill()
        process.communicate()
        with file_lock(Path("lock")):
            pass
    Path("lock").write_text("process 1 on elsewhere (since then: numdnc resume run)")
    assert refused().startswith(
        "process 1 on elsewhere (since then: numdnc resume run) (if that is gone, remove"
    )


def test_a_disk_without_room_for_the_text_does_not_matter() -> None:
    with mock.patch.object(os, "write", side_effect=OSError(errno.ENOSPC, "full")), file_lock(Path("lock")):
        assert refused() == UNKNOWN_HOLDER


def test_other_troubles_are_not_taken_for_a_file_system_without_locks() -> None:
    with (
        mock.patch.object(fcntl, "flock", side_effect=OSError(errno.EIO, "broken")),
        pytest.raises(OSError, match="broken"),
        file_lock(Path("lock")),
    ):
        pass
