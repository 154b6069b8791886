"""Sequences that the user gives in place of those of the task: a text, or a row of numbers for each step."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from numdnc.errors import UserError
from numdnc.names import quoted
from numdnc.params import Inputs
from numdnc.tables import read_csv
from numdnc.tasks import Batch
from numdnc.tasks.text import Vocabulary


def typed_symbols(typed: str, vocabulary: Vocabulary) -> str:
    """Typed text as symbols of a vocabulary: its characters or, for a model of bytes, its bytes."""
    return os.fsencode(typed).decode("latin-1") if vocabulary.unit == "bytes" else typed


def text_batch(text: str, vocabulary: Vocabulary) -> Batch:
    """A batch of one text, in which each character but the first is to be predicted."""
    numbers = vocabulary.encode(typed_symbols(text, vocabulary))
    if len(numbers) < 2:
        raise UserError(
            f"--input must hold at least 2 characters, got {quoted(text)}: each but the first is to be predicted. "
            "Give more."
        )
    return Batch(numbers[:-1, None], numbers[1:, None])


def steps_batch(text: str, example: Batch, names: Sequence[str]) -> Batch:
    """A batch of one sequence of inputs, a row a step, whose targets are unknown: the loss counts nowhere.

    `example` is another batch of the task, `names` are those of its input channels. `text` holds rows of 0 and 1, or is
    the name of a file, NAME.csv, with rows of any numbers.
    """
    path = Path(text)
    file = path.suffix.lower() == ".csv"
    rows = [row for _, row in read_csv(path, "--input")] if file else [list(row) for row in text.split()]
    if example.inputs.ndim == 2:
        rows = rows if file else [[number] for number in text.split()]
        inputs = _symbols(rows, len(names))
    else:
        inputs = _vectors(rows, names, bits=not file)
    T = len(inputs)
    targets = np.zeros((T, 1, *example.targets.shape[2:]), example.targets.dtype)
    return Batch(inputs[:, None], targets, mask=np.zeros((T, 1), bool))


def _vectors(rows: Sequence[Sequence[str]], names: Sequence[str], *, bits: bool) -> Inputs:
    """(T, X) of floats."""
    what = f"{len(names)} {'digits 0 or 1' if bits else 'numbers, with commas between'}"
    hint = f"A row is a step; its channels are {', '.join(names)}."
    if not rows:
        raise UserError(f"--input must hold at least one row of {what}, got none. {hint}")
    found = []
    for number, row in enumerate(rows, 1):
        values = [_value(word, bits=bits) for word in row]
        if len(row) != len(names) or None in values:
            given = "".join(row) if bits else ",".join(row)
            raise UserError(
                f"each row of --input must be {what}, got {quoted(given)} as row {number}. {hint}"
            )
        found.append(values)
    return np.array(found, np.float32)


def _symbols(rows: Sequence[Sequence[str]], size: int) -> Inputs:
    """(T,) of integers in [0, X)."""
    known = {str(number): number for number in range(size)}
    for number, row in enumerate(rows, 1):
        if len(row) != 1 or row[0].strip() not in known:
            raise UserError(
                f"each step of --input must be a whole number from 0 to {size - 1}, "
                f"got {quoted(','.join(row))} as number {number}. Put spaces between, or lines in a CSV file."
            )
    if not rows:
        raise UserError(
            f"--input must hold at least one whole number from 0 to {size - 1}, got none. Give some."
        )
    return np.array([known[row[0].strip()] for row in rows])


def _value(word: str, *, bits: bool) -> float | None:
    """The number in a word: 0 or 1, or any that float32 can hold; otherwise None."""
    if bits:
        return {"0": 0.0, "1": 1.0}.get(word)
    try:
        value = float(word)
    except ValueError:
        return None
    return value if abs(value) <= float(np.finfo(np.float32).max) else None
