"""CSV files as people and spreadsheets write them."""

from pathlib import Path

import pytest

from numdnc import UserError
from numdnc.tables import Column, read_csv, read_table

ROWS = [["source", "edge", "destination"], ["Köln", "A, B; C", "Bonn"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_usual_separator_and_encoding(
    delimiter: str, newline: str, encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "graph.csv"
    lines = [delimiter.join(f'"{cell}"' if " " in cell else cell for cell in row) for row in ROWS]
    text = newline.join(["", *lines, ""])
    path.write_bytes(("\ufeff" * (encoding == "utf-16-le") + text).encode(encoding))
    assert [cells for _, cells in read_csv(path, "--graph")] == ROWS


@pytest.mark.parametrize("data", [b"a,b\n\xff\xfe", b"\xff\xfea", b'a,"b\n', b"a\0b,c\n\xe9"])
def test_what_is_no_csv_of_text_is_said_in_a_line(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "graph.csv"
    path.write_bytes(data)
    with pytest.raises(UserError, match="--graph must name a CSV file of UTF-8 or UTF-16 text") as raised:
        read_csv(path, "--graph")
    assert "\n" not in str(raised.value)


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "graph.csv"
    path.write_bytes(b"")
    assert read_csv(path, "--graph") == []


COLUMNS = (Column("source", ("from",)), Column("edge", default="edge"), Column("destination", ("to",)))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("source,edge,destination\na,b,c\n", [(2, ["a", "b", "c"])]),
        ("a,b,c\n", [(1, ["a", "b", "c"])]),
        ("a;c\n", [(1, ["a", "edge", "c"])]),
        ("From\tTo\na\tc\n", [(2, ["a", "edge", "c"])]),
        ("to,from,edge\nc,a,b\n", [(2, ["a", "b", "c"])]),
        ("\ufeffa;b;c;;\r\n;;;;\r\nd;e;f;;\r\n;;;;\r\n", [(1, ["a", "b", "c"]), (3, ["d", "e", "f"])]),
        (",a,c,\n,d,f,\n", [(1, ["a", "edge", "c"]), (2, ["d", "edge", "f"])]),
        ('"Smith, J";"knows; well";"Doe, A"\n', [(1, ["Smith, J", "knows; well", "Doe, A"])]),
        ('a,"b\nb",c\nd,e,f', [(2, ["a", "b\nb", "c"]), (3, ["d", "e", "f"])]),
        ("source,target\nx,y\n", [(1, ["source", "edge", "target"]), (2, ["x", "edge", "y"])]),
        ("source,edge,destination\n", []),
        ("source,edge,destination\nsource,x,destination\n", [(2, ["source", "x", "destination"])]),
    ],
)
def test_a_table_is_read_with_and_without_a_first_line_of_names(
    text: str, rows: list[tuple[int, list[str]]], tmp_path: Path
) -> None:
    path = tmp_path / "graph.csv"
    path.write_bytes(text.encode())
    assert read_table(path, "--graph", COLUMNS) == rows


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("a,b,c\n\nd,,f\n", "source,edge,destination, none of them empty, got 'd,,f' as line 3"),
        ("a,c\nd,f,x\n", "must hold source,destination, none of them empty, got 'd,f,x' as line 2"),
        ("a,b,c,d\n", "got 'a,b,c,d' as line 1"),
        ("a\n", "got 'a' as line 1"),
        ("edge,source\na,b\nc\n", "must hold source,destination, none of them empty, got 'c' as line 3"),
        (
            "Source,To,Type\na,b,c\n",
            "and no other, got 'Source,To,Type'.* put source,edge,destination above it",
        ),
        ("from,to,source\na,b,c\n", "each once, and no other, got 'from,to,source'"),
        (",,\n", "must hold a line of source,edge,destination or more, got none"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_with_its_number(text: str, refusal: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=refusal):
        read_table(path, "--graph", COLUMNS)
