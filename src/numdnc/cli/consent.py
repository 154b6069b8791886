"""Whose code runs: a run from elsewhere may name a task of its own, and data must never choose code.

Such a task is loaded where this call names it, where its user has agreed to it before for this folder on this machine,
or agrees now; else there is a refusal with the command to type.
"""

import re
import shlex
import sys
from importlib.machinery import PathFinder
from pathlib import Path, PurePath
from typing import Annotated

from tyro.conf import arg

from numdnc import console
from numdnc.cli.user_state import load_value, save_value
from numdnc.errors import UserError

CustomTask = Annotated[str | None, arg(name="task", metavar="MODULE:CLASS")]
_SOURCE = re.compile(r"(?P<module>[\w.]+|[^:\0]+\.py):(?P<name>\w+)")


def split_source(source: str) -> tuple[str, str]:
    """Module, or path of a file that ends in .py, and class of MODULE:CLASS."""
    found = _SOURCE.fullmatch(source)
    if found is None:
        raise UserError(
            f"a task of your own must be MODULE:CLASS or FILE.py:CLASS, got {source[:200]!r}. Name it so."
        )
    return found["module"], found["name"]


def public_source(source: str) -> str:
    """The source as a checkpoint says it: of a file without its folder, which nobody else need know."""
    module, name = split_source(source)
    return f"{PurePath(module).name}:{name}" if module.endswith(".py") else source


def allowed_source(folder: Path, told: str, named: str | None) -> str:
    """What to load for the task that a run or a sweep in `folder` says it is of; UserError where nobody agreed.

    `named`: what this call names, which may be another place of the same code.
    """
    if named is None:
        split_source(told)
        kept = load_value("tasks", str(folder.resolve()))
        same = isinstance(kept, list) and len(kept) == 3 and kept[0] == told
        if same and _file_of(kept[1]) in (kept[2], None):  # where there is none, loading it will say so
            return str(kept[1])
        if not _agreed(told):
            raise UserError(
                f"the task of {folder} must be one of numdnc's own or be named by this call, got {told}: code that may "
                "have come with the run and would do whatever it says. If you have read it and trust it: "
                f"{console.command()} {shlex.join(sys.argv[1:])} --task {shlex.quote(told)}."
            )
        named = told
    remember_source(folder, told, named)
    return named


def remember_source(folder: Path, told: str, named: str) -> None:
    """That the user named or agreed to this code for the run or sweep in `folder`, which says `told`."""
    if split_source(named)[0].endswith(".py"):
        module, name = split_source(named)
        named = f"{Path(module).resolve()}:{name}"
    save_value("tasks", str(folder.resolve()), [told, named, _file_of(named)])


def _agreed(source: str) -> bool:
    """Whether somebody at a terminal says yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    where = _file_of(source) or "a file that is not here"
    sys.stderr.write(
        console.terminal_text(
            f"The task here is not one of numdnc's own but {source}, in {where}:\n"
            "code that may have come with the run and does whatever it says.\n"
            "Load it, now and whenever this folder is used on this machine? [y/N] "
        )
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _file_of(source: str) -> str | None:
    """The file that a source would be loaded from, of a package the package's; None where there is nothing.

    Nothing is imported to find out.
    """
    module = split_source(source)[0]
    if module.endswith(".py"):
        return str(Path(module).resolve())
    here = str(Path.cwd())
    try:
        found = PathFinder.find_spec(module.partition(".")[0], [here, *sys.path])
    except (ImportError, ValueError):
        return None
    if found is None:
        return None
    places = [found.origin, *(found.submodule_search_locations or [])]
    return next((str(Path(place).resolve()) for place in places if place), "")
