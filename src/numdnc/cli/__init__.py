"""The command line: thin, prints.

Exit codes: 0 done, also for a reader who has had enough (`| head`); 1 a check failed; 2 something given cannot be used;
130 stopped by a signal; 141 training or a sweep stopped, and saved, since nobody read what it said any more.
"""

import atexit
import signal


def main() -> None:
    """Run a command. Where there is nothing to save, in its first second or its last, Ctrl-C ends it without a word."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from numdnc.cli.commands import run

    signal.signal(signal.SIGINT, handler)
    try:
        run()
    finally:
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)
