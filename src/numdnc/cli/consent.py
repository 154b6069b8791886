"""Ask the user at the terminal whether code that came with a run may be loaded."""

import shlex
import sys
from typing import Annotated

from tyro.conf import arg

from numdnc import console
from numdnc.errors import UserError

CustomTask = Annotated[str | None, arg(name="task", metavar="MODULE:CLASS")]


def confirm(reason: str, source: str, file: str) -> None:
    """Ask for a yes; a UserError with the command to type where there is nobody at a terminal, or the answer is no."""
    if sys.stdin.isatty() and sys.stderr.isatty():
        sys.stderr.write(
            console.terminal_text(
                f"The task here is not one of numdnc's own but {source}, in {file}:\n"
                "code that may have come with the run and does whatever it says.\n"
                "Load it, now and whenever this folder is used on this machine? [y/N] "
            )
        )
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    again = f"{console.command()} {shlex.join(sys.argv[1:])} --task {shlex.quote(source)}"
    raise UserError(f"{reason} If you have read it and trust it: {again}.")
