"""Consent to load the code of a custom task: data from elsewhere, such as a run, must never choose code.

The task is loaded if the caller names it, or if the user has agreed to it for this folder on this machine, before or
now; otherwise it is refused.
"""

import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path

from numdnc.errors import UserError
from numdnc.runs.user_state import load_value, save_value
from numdnc.tasks.custom import split_source

Confirm = Callable[[str, str, str], None]
"""(reason for the refusal, source, file it would be loaded from): raises UserError unless the user agrees now."""


def refuse(reason: str, source: str, file: str) -> None:
    """`Confirm` without asking: always refuse."""
    raise UserError(f"{reason} If you have read it and trust it, name it: custom_task={source!r}.")


def allowed_source(folder: Path, stored: str, named: str | None, confirm: Confirm = refuse) -> str:
    """The source to load for the custom task `stored` by a run or sweep in `folder`; UserError without consent.

    `named` is the source that the caller names, which may be the same code at another place.
    """
    if named is None:
        split_source(stored)
        kept = load_value("tasks", str(folder.resolve()))
        same = isinstance(kept, list) and len(kept) == 3 and kept[0] == stored
        if same and _file_of(kept[1]) in (kept[2], None):  # a missing file is reported when it is loaded
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
    """Store on this machine that the user agreed to load `named` for the task `stored` in `folder`."""
    if split_source(named)[0].endswith(".py"):
        module, name = split_source(named)
        named = f"{Path(module).resolve()}:{name}"
    save_value("tasks", str(folder.resolve()), [stored, named, _file_of(named)])


def _file_of(source: str) -> str | None:
    """The file that a source would be loaded from, found without importing anything; None if there is none."""
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
