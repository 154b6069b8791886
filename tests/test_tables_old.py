"""CSV files as people and spreadsheets write them."""

from pathlib import Path

import pytest

from numdnc import UserError
from numdnc.input_files import read_csv

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
