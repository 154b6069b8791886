"""Names that users type, among those that are known: one that fits, or those most like it."""

import difflib
import unicodedata
from collections.abc import Iterable, Sequence

from numdnc.errors import UserError

SHOWN = 80
"""Characters of a name in an error, ..."""
_COMPARED, _LONGEST = 2000, 60
"""... and how many known names, of at most how many characters, are compared with one that is not known."""


def quoted(name: str) -> str:
    """A name in quotes, cut where it is long."""
    return repr(short(name))


def short(text: str, most: int = SHOWN) -> str:
    """A text, or as much of it as `most` characters hold."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def find_name(typed: str, known: Iterable[str], what: str) -> str:
    """The known name that was typed: exactly, or else the only one that differs from it in case alone.

    `what` says what a known name is, for the UserError where there is none or there are several.
    """
    names = list(dict.fromkeys(known))
    if typed in names:
        return typed
    alike = [name for name in names if folded(name) == folded(typed)]
    if len(alike) > 1:
        several = ", ".join(map(quoted, alike[:5]))
        raise UserError(
            f"{quoted(typed)} must be {what}, got a name that could be any of {several}. Type it exactly."
        )
    if alike:
        return alike[0]
    close = closest(typed, names)
    hint = f"Like it: {', '.join(map(quoted, close))}." if close else "Check its name."
    raise UserError(f"{quoted(typed)} must be {what}, got none such. {hint}")


def folded(name: str) -> str:
    """The name without what may differ where it was typed by hand: case, and how accents are put together."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def closest(typed: str, known: Sequence[str], cutoff: float = 0.5) -> list[str]:
    """Up to three known names that are most like what was typed, case aside; long ones are not compared."""
    if len(typed) > _LONGEST:
        return []
    by_folded = {folded(name): name for name in known[:_COMPARED] if len(name) <= _LONGEST}
    found = difflib.get_close_matches(folded(typed), by_folded, n=3, cutoff=cutoff)
    return [by_folded[name] for name in found]
