"""Bytes of a corpus as text: encodings by name, universal newlines, and refusals that say where and what would fit."""

import codecs
import io
import re
import unicodedata
from collections.abc import Iterator
from typing import Literal, get_args

from numdnc.data import Corpus
from numdnc.errors import UserError
from numdnc.names import closest_names, quoted

Unit = Literal["characters", "bytes"]

COMMON = (
    *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1", "cp1250", "cp1251", "koi8-r"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "cp437"),
)
"""Encodings that a refusal names if the bytes fit them; Python knows about a hundred."""
_TWO_BYTES = ("utf-16", "utf-16-le", "utf-16-be")
_PIECE = 1 << 20
"""Bytes that are decoded at once, so that only the bytes of a text and its symbol numbers are held in memory."""


def check_encoding(name: str) -> None:
    """Refuse a name of an encoding that Python does not know, or that is not one of text."""
    known = [re.sub(r"\W", "_", name) for name in COMMON]
    try:
        if not re.fullmatch(r"[\w.-]{1,40}", name, re.ASCII):
            raise LookupError
        b"a".decode(name)
        codecs.getincrementaldecoder(name)
    except UnicodeError:
        return  # it is one, in which a single byte is not a character
    except LookupError:
        near = closest_names(re.sub(r"\W", "_", name), known, 1)
        hint = f"Perhaps {near[0]} is meant." if near else "Python's documentation lists all."
        raise UserError(
            f"encoding must be one that Python knows, such as {', '.join(COMMON[:2])}, {', '.join(COMMON[4:6])} or "
            f"{COMMON[-3]}, got {quoted(name)}. {hint}"
        ) from None


def decode(corpus: Corpus, unit: Unit, encoding: str = "utf-8") -> Iterator[str]:
    r"""The text of a corpus, piece by piece.

    Characters: each of its files in the given encoding (a byte order mark is dropped) with universal newlines: \r\n and
    \r are read as \n. Bytes: each byte, unchanged, as the character of that number (Latin-1).
    """
    if unit not in get_args(Unit):
        raise UserError(f"unit must be characters or bytes, got {unit!r}.")
    data = memoryview(corpus.data)
    if unit == "bytes":
        return (str(data[at : at + _PIECE], "latin-1") for at in range(0, len(data), _PIECE))
    return _files(corpus, data, encoding)


def _files(corpus: Corpus, data: memoryview, encoding: str) -> Iterator[str]:
    start = 0
    for name, size in [(file.name, file.size) for file in corpus.files] or [(corpus.name, len(data))]:
        yield from _characters(data[start : start + size], encoding, name)
        start += size


def _characters(data: memoryview, encoding: str, name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    read, begun = 0, False
    for at in range(0, len(data), _PIECE):
        last = at + _PIECE >= len(data)
        kept = len(decoder.getstate()[0])  # bytes of a character that the piece before ended in
        try:
            text = decoder.decode(data[at : at + _PIECE], last)
        except UnicodeDecodeError as error:
            place = at - kept + error.start
            got = f"byte 0x{error.object[error.start]:02x} at offset {place}"
            raise _refusal(data, encoding, name, encoding.upper(), got) from None
        except UnicodeError as error:
            raise _refusal(data, encoding, name, encoding.upper(), str(error)) from None
        if text and not begun:
            text, begun = text.removeprefix("\ufeff"), True
        if "\0" in text:
            got = f"a NUL at offset {read + text.index(chr(0))}"
            raise _refusal(data, encoding, name, "text", got)
        read += len(text)
        yield newlines.decode(text, last)


def _refusal(data: memoryview, encoding: str, name: str, must: str, got: str) -> UserError:
    if encoding != COMMON[0] and _fits(data, COMMON[0]):
        fitting = [COMMON[0]]  # hardly a text of another encoding does
    else:
        fitting = [other for other in COMMON if other != encoding and _fits(data, other)]
    hint = f"Give its --encoding (it fits {', '.join(fitting)}), or" if fitting else "Give"
    return UserError(
        f"a text corpus must be {must}, got {got} of {name}. {hint} --unit bytes to model it byte by byte, or a text "
        "file."
    )


def _fits(data: memoryview, encoding: str) -> bool:
    """Whether data decodes to characters that texts hold: no control characters, none that Unicode does not define."""
    if encoding in _TWO_BYTES and not any(0 in data[at : at + _PIECE] for at in range(0, len(data), _PIECE)):
        return False  # nearly all pairs of bytes are characters, but a text of any length has a line break
    decoder, seen = codecs.getincrementaldecoder(encoding)(), set[str]()
    try:
        for at in range(0, len(data), _PIECE):
            seen |= set(decoder.decode(data[at : at + _PIECE], at + _PIECE >= len(data)))
    except UnicodeError:
        return False
    return all(unicodedata.category(c) not in ("Cc", "Cn", "Co", "Cs") for c in seen - set("\n\r\t\f"))
