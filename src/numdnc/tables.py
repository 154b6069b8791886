"""CSV files that users name, as people and spreadsheets write them, and tables of named columns in them."""

import csv
import io
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from numdnc.errors import UserError
from numdnc.input_files import read_file
from numdnc.names import folded, quoted

MAX_CSV_BYTES = 1 << 23
"""Most bytes of a CSV file, some hundred thousand rows."""


class Column(NamedTuple):
    """A column of a table."""

    name: str
    also: tuple[str, ...] = ()
    """Other names that a first line may give it."""
    default: str | None = None
    """What its cells hold where a file leaves the column out; None: it must be there."""


def read_csv(path: Path, option: str) -> list[tuple[int, list[str]]]:
    """Line number and cells of each row that is not empty; `option` is the option that named the file.

    Cells are separated by commas, semicolons or tabs, whichever the first line has most of outside quotes; as
    spreadsheets write them, also in UTF-16 with a byte order mark.
    """
    try:
        data = read_file(path, MAX_CSV_BYTES)
        text = data.decode("utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig")
        first = re.sub(r'"[^"]*"', "", next(filter(str.strip, text.splitlines()), ""))
        rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=max(",;\t", key=first.count))
        return [(rows.line_num, cells) for row in rows if any(cells := [cell.strip() for cell in row])]
    except OSError as error:
        raise UserError(
            f"{option} must name a CSV file that can be read, got {path}: {error.strerror}. Check its name."
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{option} must name a CSV file of UTF-8 or UTF-16 text, got {path} ({error}). Save it in that form, which "
            "spreadsheets call CSV UTF-8 or Unicode text."
        ) from None


def read_table(path: Path, option: str, columns: Sequence[Column]) -> list[tuple[int, list[str]]]:
    """Line number and the cells of `columns`, none of them empty, of each row of a CSV file.

    A first line of names may say the order of the columns; otherwise it is that of `columns`, of which those with a
    default may be left out. Empty rows, and columns in which every cell is empty, are left out.
    """
    rows, names = read_csv(path, option), ",".join(column.name for column in columns)
    if not rows:
        raise UserError(f"{path} must hold a line of {names} or more, got none. Add some.")
    used = [place for place, cell in enumerate(rows[0][1]) if cell]
    needed = [number for number, column in enumerate(columns) if column.default is None]
    order = _order([rows[0][1][place] for place in used], columns, path)
    if order is not None:
        rows = rows[1:]
    else:
        order = needed if len(used) == len(needed) else list(range(len(columns)))
    found = []
    for line, row in rows:
        if [place for place, cell in enumerate(row) if cell] != used or len(used) != len(order):
            here = ",".join(columns[number].name for number in order)
            raise UserError(
                f"each line of {path} must hold {here}, none of them empty, got {quoted(','.join(row))} as line "
                f"{line}. Fix it; names with commas need quotes."
            )
        cells = {number: row[place] for number, place in zip(order, used, strict=True)}
        found.append(
            (line, [cells.get(number, column.default or "") for number, column in enumerate(columns)])
        )
    return found


def _order(cells: Sequence[str], columns: Sequence[Column], path: Path) -> list[int] | None:
    """The columns that the cells of a first line name; None if it is a row like the others.

    A line that names the needed columns and something else may be either, so it is refused.
    """
    known = {name: number for number, column in enumerate(columns) for name in (column.name, *column.also)}
    found = [known.get(folded(cell)) for cell in cells]
    numbers = [number for number in found if number is not None]
    missing = [
        column for number, column in enumerate(columns) if number not in numbers and column.default is None
    ]
    if missing:
        return None
    if not len(numbers) == len(set(numbers)) == len(cells):
        names = ",".join(column.name for column in columns)
        raise UserError(
            f"a first line of names in {path} must have {names}, each once, and no other, got "
            f"{quoted(','.join(cells))}. Take other columns out; if it is no line of names, put {names} above it."
        )
    return numbers
