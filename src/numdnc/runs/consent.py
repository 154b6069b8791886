"""Whose code runs: data must never choose code, but a run from elsewhere may be of a custom task.

Such a task is loaded where the caller names it, where its user has agreed to it before for this folder on this machine,
or agrees now; else it is refused.
"""

import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path

from numdnc.errors import UserError
from numdnc.runs.user_state import load_value, save_value
from numdnc.tasks.custom import split_source

Confirm = Callable[[str, str, str], None]
"""(why it is refused, source, the file it would be loaded from); raises a UserError unless the user agrees now."""


def refuse(reason: str, source: str, file: str) -> None:
    """`Confirm` where nobody can be asked."""
    raise UserError(f"{reason} If you have read it and trust it, name it: custom_task={source!r}.")


def allowed_source(folder: Path, stored: str, named: str | None, confirm: Confirm = refuse) -> str:
    """What to load for the custom task that a run or a sweep in `folder` stores; UserError where nobody agreed to it.

    `named`: what the caller names, which may be another place of the same code.
    """
    if named is None:
        split_source(stored)
        kept = load_value("tasks", str(folder.resolve()))
        same = isinstance(kept, list) and len(kept) == 3 and kept[0] == stored
        if same and _file_of(kept[1]) in (kept[2], None):  # where there is none, loading it will say so
            return str(kept[1])
        reason = (
            f"the task of {folder} must be one of numdnc's own or be named by this call, got {stored}: code that may "
            "have come with the run and would do whatever it says."
        )
        confirm(reason, stored, _file_of(stored) or "a file that is not here")
        named = stored
    save_source(folder, stored, named)
    return named


def save_source(folder: Path, stored: str, named: str) -> None:
    """Keep that the user named or agreed to this code for the run or sweep in `folder`, which stores `stored`."""
    if split_source(named)[0].endswith(".py"):
        module, name = split_source(named)
        named = f"{Path(module).resolve()}:{name}"
    save_value("tasks", str(folder.resolve()), [stored, named, _file_of(named)])


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
