"""`numdnc` in a process that is forked from this one, which has imported and compiled all it needs: started at once."""

import atexit
import io
import os
import selectors
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

from numdnc import cli


class Forked:
    """A forked `numdnc WORDS`, to be used as a `subprocess.Popen` whose outputs share a pipe."""

    def __init__(
        self,
        words: list[str],
        folder: Path,
        environment: dict[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        self.returncode: int | None = None
        self._output, theirs = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(theirs)
            return
        code = 99
        try:
            atexit._clear()  # what the parent has to do at its end is not for this process
            for number in (1, 2):
                os.dup2(theirs, number)
            os.close(theirs)
            os.chdir(folder)
            os.environ.update(environment or {})
            sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
            sys.argv = ["numdnc", *words]
            if before is not None:
                before()
            code = exit_code(cli.main)
            atexit._run_exitfuncs()
            sys.stdout.flush()
        except BaseException:  # noqa: BLE001
            with suppress(OSError):
                traceback.print_exc()
        finally:
            os._exit(code)

    def poll(self) -> int | None:
        return self._ended(os.WNOHANG)

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 600.0) -> tuple[bytes, None]:
        """All it said, once it has ended."""
        said, until = [], time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while selector.select(until - time.monotonic()):
                if not (part := os.read(self._output, 1 << 16)):
                    break
                said.append(part)
            else:
                raise subprocess.TimeoutExpired(sys.argv, timeout)
        os.close(self._output)
        self._ended(0)
        return b"".join(said), None

    def _ended(self, options: int) -> int | None:
        if self.returncode is None:
            process, status = os.waitpid(self.pid, options)
            if process:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def exit_code(call: Callable[[], None]) -> int:
    try:
        call()
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    return 0


def in_this_process(words: list[str], folder: Path) -> None:
    """`numdnc WORDS` here, so that what is forked later has its kernels already."""
    before, arguments, said = Path.cwd(), sys.argv, io.StringIO()
    try:
        os.chdir(folder)
        sys.argv = ["numdnc", *words]
        with redirect_stdout(said), redirect_stderr(said):
            code = exit_code(cli.main)
    finally:
        os.chdir(before)
        sys.argv = arguments
    assert code == 0, said.getvalue()
