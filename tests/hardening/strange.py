"""Names, numbers and damage that cases of strange data are made of."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Rng = np.random.Generator
USUAL = (
    *("a", "A", "b", "x", "X", "x 1", "x 2", "X 1", "x 1 1", "1", "a b", "a -b", "é", "e\u0301", "É", "ß", "ss", "SS"),
    *("Central Line", "central line", "Σ", "ς", "σ", "İ", "i\u0307", "a/b"),
)  # fmt: skip
"""Names that a graph may well have, alike as they are."""
NAMES = (
    *USUAL,
    *("x  1", "-", "?", "->", " - ", "b -> c", "/", "x/x", "//", "ﬁ", "\u202e", "\ufeff", "\x1b[2J", "\t", "\n"),
    *("\r\n", "\0", '"', "'", "a,b", ";", "#", "=1+1", "None", "nan", "9" * 5000, "n" * 3000, "𝄞", "\u2028"),
    *("\x85", "\x0c", "source", "edge", "", " "),
)  # fmt: skip
NUMBERS = (
    *(
        "0",
        "1",
        "-0",
        "01",
        "1.5",
        "1e3",
        "1e999",
        "-1e999",
        "nan",
        "inf",
        "1_0",
        "0x1",
        "",
        " 1 ",
        "١",
        "²",
        "１",
    ),
    *("9" * 20, "9" * 5000, "1" + "0" * 400, "1e-999", "1,5", "+1", "--1", "True", "1j"),
)


def one_of(rng: Rng, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def damaged(rng: Rng, whole: bytes, share: float = 2 / 3) -> bytes:
    """With some bits flipped, cut short, or with pieces moved, put in or taken out; only this share of all is."""
    if not whole or rng.random() >= share:
        return whole
    contents, kind = bytearray(whole), rng.integers(5)
    a, b = (int(at) for at in rng.integers(len(whole), size=2))
    length = int(rng.integers(1, 64))
    if kind == 0:
        for at in rng.integers(len(whole), size=int(rng.integers(1, 9))):
            contents[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del contents[a:]
    elif kind == 2:
        contents[a : a + length] = contents[b : b + length]
    elif kind == 3:
        contents[a:a] = one_of(rng, [rng.bytes(length), *(name.encode() for name in NAMES)])
    else:
        del contents[a : a + length]
    return bytes(contents)


def saved(rng: Rng, text: str) -> bytes:
    """As some editor would save it: with a mark or none, with line ends of any kind, seldom not in UTF-8 at all."""
    text = text.replace("\n", one_of(rng, ["\n", "\n", "\r\n", "\r"]))
    if rng.random() < 0.05:
        return text.encode(one_of(rng, ["utf-16", "utf-32", "latin-1"]), "replace")
    return one_of(rng, [b"", b"", b"\xef\xbb\xbf"]) + text.encode("utf-8", "surrogatepass")


def one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
