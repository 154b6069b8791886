"""Match a name that a user typed against known names, and quote names in messages."""

import difflib
import unicodedata
from collections.abc import Collection, Iterable
from itertools import islice

from numdnc.errors import UserError

MAX_SHOWN = 80
"""Characters of a name that a message shows."""
_MAX_COMPARED, _MAX_LENGTH = 2000, 60
"""An unknown name is compared with at most so many known names, each of at most so many characters."""


def quoted(name: str) -> str:
    """A name in quotes, shortened where it is long."""
    return repr(shorten(name))


def shorten(text: str, most: int = MAX_SHOWN) -> str:
    """A text, cut to `most` characters that end in "..." where it is longer."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def find_name(typed: str, known: Iterable[str], what: str) -> str:
    """The known name that equals `typed`, or the only one that does so apart from case and accents' encoding.

    `what` describes a known name in the UserError that is raised where none or several fit.
    """
    names = list(dict.fromkeys(known))
    if typed in names:
        return typed
    same = [name for name in names if folded(name) == folded(typed)]
    if len(same) > 1:
        several = ", ".join(map(quoted, same[:5]))
        raise UserError(
            f"{quoted(typed)} must be {what}, got a name that could be any of {several}. Type it exactly."
        )
    if same:
        return same[0]
    close = closest_names(typed, names)
    hint = f"Similar: {', '.join(map(quoted, close))}." if close else "Check its name."
    raise UserError(f"{quoted(typed)} must be {what}, got none such. {hint}")


def folded(name: str) -> str:
    """The name in lower case and with composed accents (NFC), so that two spellings of it compare equal."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def closest_names(typed: str, known: Collection[str], count: int = 3, cutoff: float = 0.5) -> list[str]:
    """Up to `count` known names most similar to `typed`, ignoring case; long names are not compared."""
    if len(typed) > _MAX_LENGTH:
        return []
    by_folded = {folded(name): name for name in islice(known, _MAX_COMPARED) if len(name) <= _MAX_LENGTH}
    found = difflib.get_close_matches(folded(typed), by_folded, n=count, cutoff=cutoff)
    return [by_folded[name] for name in found]
