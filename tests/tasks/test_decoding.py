"""Encodings by name: what is read, what is refused, and what a refusal says would fit."""

import codecs

import pytest

from numdnc import UserError
from numdnc.data import Corpus, CorpusFile
from numdnc.tasks import decoding
from numdnc.tasks.decoding import COMMON, check_encoding, decode
from numdnc.tasks.text import TextSettings


def read(data: bytes, encoding: str, *sizes: int) -> str:
    files = tuple(CorpusFile(f"file {n}", size, "") for n, size in enumerate(sizes))
    return "".join(decode(Corpus("x", data, files), "characters", encoding))


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "caf\u00e9\r\nd\u00e9j\u00e0\r"),
        ("cp1252", "\u201cna\u00efve\u201d \u20ac\n"),
        ("utf-16", "a\r\n\U0001f600b\n"),
        ("utf-16-le", "\ufeffa\r\nb\n"),
        ("utf-8-sig", "\u00e4b\n"),
        ("shift_jis", "\u65e5\u672c\u8a9e\n"),
        ("gb18030", "\u4e2d\u6587\U0001f600\n"),
        ("koi8-r", "\u043c\u0438\u0440\n"),
    ],
)
def test_a_text_is_read_in_its_encoding(
    piece: int, encoding: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_PIECE", piece)
    expected = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    assert read(text.encode(encoding), encoding) == expected


def test_each_file_of_a_corpus_is_decoded_by_itself() -> None:
    """A byte order mark begins each file, and a line break is not one with that of the next file."""
    one, two = "a\r".encode("utf-16"), "\nb".encode("utf-16")
    assert read(one + two, "utf-16", len(one), len(two)) == "a\n\nb"
    one, two = codecs.BOM_UTF8 + b"a", codecs.BOM_UTF8 + b"b"
    assert read(one + two, "utf-8", len(one), len(two)) == "ab"
    with pytest.raises(UserError, match="0xff at offset 1 of file 1"):
        read(b"abc" + b"d\xff", "utf-8", 3, 2)


@pytest.mark.parametrize(
    ("data", "encoding", "named", "not_named"),
    [
        ("caf\u00e9 d\u00e9j\u00e0".encode("latin-1"), "utf-8", "cp1252, latin-1", "utf-16"),
        ("\u201cyes\u201d".encode("cp1252"), "utf-8", "cp1252", "latin-1"),
        ("yes, no".encode("utf-16-le"), "utf-8", "utf-16-le", "latin-1"),
        ("yes, no".encode("utf-16"), "utf-8", "utf-16", "cp1252"),
        ("\u65e5\u672c\u8a9e\u306e\u6587".encode("shift_jis"), "utf-8", "shift_jis", "utf-16"),
        ("na\u00efve".encode(), "ascii", "utf-8", "utf-16"),
        (bytes(range(256)), "utf-8", "Give --unit bytes", "--encoding"),
        (b"a", "utf-16", "utf-8", "utf-16"),
    ],
)
def test_a_refusal_names_what_fits(data: bytes, encoding: str, named: str, not_named: str) -> None:
    with pytest.raises(UserError, match="a text corpus must be") as refusal:
        read(data, encoding)
    hint = str(refusal.value).partition(" of x. ")[2]
    assert named in hint
    assert not_named not in hint
    for other in filter(None, hint.partition("it fits ")[2].partition(")")[0].split(", ")):
        assert data.decode(other)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("latin-99", "Perhaps latin_1 is meant"),
        ("utf8x", "Perhaps utf_8"),
        ("hex", "must be one that Python knows"),
        ("rot13", "got 'rot13'"),
        ("../os", "got"),
        ("a\0b", "got"),
        ("", "got ''"),
        ("x" * 9000, "got"),
    ],
)
def test_what_is_no_encoding_of_text_is_refused(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint) as refusal:
        TextSettings(encoding=name)
    assert len(str(refusal.value)) < 400


def test_every_encoding_that_is_named_is_known() -> None:
    for name in COMMON:
        check_encoding(name)
    with pytest.raises(UserError, match="encoding must be left out with the unit bytes"):
        TextSettings(unit="bytes", encoding="latin-1")
