"""The command line: parse options, call the library, print results.

Exit codes: 0 success, also if the reader of a pipe has closed it (`| head`); 1 a check failed; 2 an option or a file
cannot be used; 130 stopped by a signal; 141 training or a sweep saved and stopped because its output pipe was closed.
"""

import atexit
import signal
from collections.abc import Iterator
from contextlib import contextmanager


def main() -> None:
    """Run a command. While there is nothing to save, at its start and its end, Ctrl-C ends it without a message."""
    with ended_by_ctrl_c():
        from numdnc.cli.commands import run
    try:
        run()
    finally:
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the process at once, also inside calls that keep Python from handling signals."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
