"""The command line: thin, prints.

Exit codes: 0 done, also for a reader who has had enough (`| head`); 1 a check failed; 2 something given cannot be used;
130 stopped by a signal; 141 training or a sweep stopped, and saved, since nobody read what it said any more.
"""

import atexit
import signal
from collections.abc import Iterator
from contextlib import contextmanager


def main() -> None:
    """Run a command. Where there is nothing to save, in its first second or its last, Ctrl-C ends it without a word."""
    with ended_by_ctrl_c():
        from numdnc.cli.commands import run
    try:
        run()
    finally:
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the process at once, also where Python would hear of it late or not at all."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
