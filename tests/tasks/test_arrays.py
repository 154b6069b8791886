"""Sequences from NumPy files and JSON lines: what is read, how it is understood, and what is refused."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numdnc import UserError
from numdnc.tasks.arrays import ArraySettings, ArrayTask
from numdnc.tasks.arrays.files import read_arrays
from numdnc.tasks.arrays.sequences import Sequences, sequences_of
from numdnc.tasks.sequences import loss_mask

BITS = np.array([[[0, 1], [1, 0], [1, 1]], [[1, 1], [0, 0], [0, 0]]], np.float32)
MASK = np.array([[1, 1, 1], [1, 0, 0]], bool)


def read(
    place: Path, inputs: Any = BITS, targets: Any = BITS, mask: Any = None, targets_as: Any = "auto"
) -> Sequences:
    paths = []
    for name, array in (("x", inputs), ("y", targets), ("m", mask)):
        paths.append(None if array is None else place / f"{name}.npy")
        if array is not None:
            np.save(paths[-1], array)  # type: ignore[arg-type]
    return sequences_of(read_arrays(*paths), targets_as)


@pytest.mark.parametrize(
    ("targets", "targets_as", "kind", "shape", "outputs"),
    [
        (BITS, "auto", "f", (2, 3, 2), 2),
        (BITS.astype(int), "auto", "f", (2, 3, 2), 2),
        (BITS.astype(bool), "auto", "f", (2, 3, 2), 2),
        (BITS[:, :, 0], "auto", "f", (2, 3, 1), 1),
        (np.array([[0, 1, 4], [2, 0, 0]]), "auto", "u", (2, 3), 5),
        (np.array([[0, 1, 1], [1, 0, 0]], np.uint8), "auto", "u", (2, 3), 2),
        (np.array([[0, 1, 1], [1, 0, 0]]), "bits", "f", (2, 3, 1), 1),
        (3 * BITS.astype(int), "auto", "u", (2, 3, 2), 8),
        (BITS, "classes", "u", (2, 3, 2), 4),
        (BITS * 2, "classes", "u", (2, 3, 2), 6),
    ],
)
def test_targets_are_bits_or_classes(
    targets: Any, targets_as: str, kind: str, shape: tuple[int, ...], outputs: int, tmp_path: Path
) -> None:
    found = read(tmp_path, targets=targets, targets_as=targets_as)
    assert (found.targets.dtype.kind, found.targets.shape, found.output_size) == (kind, shape, outputs)
    np.testing.assert_array_equal(found.targets.reshape(targets.shape), targets.astype(float))


def test_inputs_are_vectors_or_symbols(tmp_path: Path) -> None:
    for given, shape, size in (
        (BITS.astype(np.float64), (2, 3, 2), 2),
        (BITS[:, :, 0], (2, 3, 1), 1),
        (np.array([[0, 6, 1], [2, 2, 0]], np.int16), (2, 3), 7),
    ):
        found = read(tmp_path, inputs=given)
        assert (found.inputs.shape, found.input_size) == (shape, size)
        np.testing.assert_array_equal(found.inputs.reshape(given.shape), given)


def test_the_mask_says_what_counts_and_where_a_sequence_ends(tmp_path: Path) -> None:
    targets = np.array([[1, 2, 0], [1, -100, -100]])
    found = read(tmp_path, targets=targets, mask=MASK.astype(int))
    assert found.lengths.tolist() == [3, 1]
    assert (found.targets[1].tolist(), found.output_size) == ([1, 0, 0], 3)
    nans = np.where(MASK[..., None], BITS, np.nan)
    assert np.isfinite(read(tmp_path, targets=nans, mask=MASK).targets).all()
    batch = found.rows([1])
    assert (batch.inputs.shape, batch.targets.shape) == ((1, 1, 2), (1, 1))
    both = found.rows([1, 0])
    assert both.inputs.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(both.inputs, BITS[[1, 0]].swapaxes(0, 1))
    np.testing.assert_array_equal(loss_mask(both), MASK[[1, 0]].T)


def lines(place: Path, *values: Any) -> Path:
    path = place / "data.jsonl"
    path.write_text(
        "".join(f"{value if isinstance(value, str) else json.dumps(value)}\n" for value in values)
    )
    return path


def test_json_lines_say_the_same_as_arrays(tmp_path: Path) -> None:
    path = lines(
        tmp_path,
        {"inputs": BITS[0].tolist(), "targets": [1, 2, 0]},
        "",
        {"targets": [1], "inputs": [[1, 1]], "mask": [True]},
    )
    found = sequences_of(read_arrays(path, None, None), "auto")
    wanted = read(tmp_path, targets=np.array([[1, 2, 0], [1, 9, 9]]), mask=MASK)
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    symbols = lines(tmp_path, {"inputs": [3, 1], "targets": [[0, 0.5], [1, 1]], "mask": [0, 1]})
    found = sequences_of(read_arrays(symbols, None, None), "auto")
    assert (found.input_size, found.output_size, found.mask.tolist()) == (4, 2, [[False, True]])


HUGE = np.full((2, 3, 2), 1e300)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "other counts": (
        {"targets": BITS[:1]},
        r"as many sequences and steps, got inputs \(2, 3, 2\), targets \(1, 3, 2\)",
    ),
    "other steps": ({"mask": MASK[:, :2]}, r"as many sequences and steps, got .*mask \(2, 2\)"),
    "a flat array": ({"inputs": BITS[0, 0]}, r"must have the shape .* got inputs \(2,\)"),
    "a deep mask": ({"mask": BITS}, r"must have the shape .* mask \(2, 3, 2\)"),
    "no sequences": ({"inputs": BITS[:0], "targets": BITS[:0]}, r"must have the shape .* \(0, 3, 2\)"),
    "NaN": (
        {"inputs": np.where(BITS == 1, np.nan, 0)},
        "inputs must be finite .* got nan in sequence 0, step 0",
    ),
    "beyond float32": ({"inputs": HUGE}, r"inputs must be finite numbers of float32, got 1e\+300"),
    "NaN to learn": ({"targets": BITS * np.nan}, "targets must be finite"),
    "real values": (
        {"targets": BITS * 7.5},
        r"got 7.5 in sequence 0, step 0 \(from 0\), column 1\. Whole numbers .* not learned: scale them",
    ),
    "negative classes": (
        {"targets": np.array([[0, 1, -1], [0, 0, 0]])},
        "classes of targets must .* got -1 in sequence 0, step 2",
    ),
    "classes of halves": ({"targets": BITS / 2, "targets_as": "classes"}, "got 0.5 in sequence 0"),
    "one class": ({"targets": np.zeros((2, 3), int)}, "at least 2 classes"),
    "symbols below 0": (
        {"inputs": np.array([[0, -2, 1]] * 2)},
        "symbols of inputs .* got -2 in sequence 0, step 1",
    ),
    "a mask of other numbers": ({"mask": MASK * 2}, "mask must hold 0 and 1.* got 2"),
    "nothing counts": (
        {"mask": MASK & [[True], [False]]},
        "mask must be 1 at some step of every sequence, got sequence 1",
    ),
    "objects": (
        {"inputs": np.array([[{}, 1]])},
        "--inputs must hold numbers, got .*x.npy with objects, which would have to be",
    ),
    "words": ({"targets": np.array([["a", "b"]])}, "--targets must hold numbers, got .*y.npy with <U1"),
    "complex numbers": ({"mask": MASK * 1j}, "--mask must hold numbers"),
    "another kind": ({"targets_as": "reals"}, "targets_as must be auto, bits or classes, got 'reals'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_arrays_that_do_not_fit_are_refused(case: str, tmp_path: Path) -> None:
    given, words = REFUSED[case]
    with pytest.raises(UserError, match=words) as refusal:
        read(tmp_path, **given)
    assert "\n" not in str(refusal.value)


class Bomb:
    def __reduce__(self) -> Any:
        raise AssertionError("unpickled")


def test_files_that_are_none_of_numpy_are_refused_and_nothing_is_unpickled(tmp_path: Path) -> None:
    good = tmp_path / "good.npy"
    np.save(good, BITS)
    whole = good.read_bytes()
    for name, contents in {
        "short": whole[:-1],
        "long": whole + b"1",
        "empty": b"",
        "text": b"1,2,3\n",
        "zip": b"PK\x03\x04",
        "header": whole.replace(b"(2, 3, 2)", b"(9, 9, 9)"),
        "huge": whole.replace(b"(2, 3, 2)", b"(9" + b"9" * 6 + b",)"),
        "code": whole.replace(b"'<f4'", b"exit(" + b")"[:0]),
        "pickle": pickle.dumps([1]),
    }.items():
        bad = tmp_path / f"{name}.npy"
        bad.write_bytes(contents)
        with pytest.raises(UserError, match="--targets must name a file as numpy") as refusal:
            read_arrays(good, bad, None)
        assert "\n" not in str(refusal.value)
    for inputs, targets, words in (
        (None, None, "--inputs must name a file"),
        (good, None, "--targets must be given with --inputs"),
        (tmp_path / "gone.npy", good, "gone.npy: No such file"),
        (tmp_path, good, "can be read"),
        (tmp_path / "gone.jsonl", None, "gone.jsonl: No such file"),
        (tmp_path / "a.jsonl", good, "--targets and --mask must be left out"),
    ):
        with pytest.raises(UserError, match=words):
            read_arrays(inputs, targets, None)


LINES = {
    '{"inputs": [[1]]': r"such as .* got line 2 \(",
    "[1, 2]": "must be an object of inputs, targets and perhaps mask, .* got list in line 2",
    '{"inputs": [[1]]}': "got the names 'inputs' in line 2",
    '{"inputs": [[1, 1]], "targets": [1], "length": 3}': "'length' in line 2",
    '{"inputs": [[1, 1]], "targets": [1, 2]}': "must have a value for each step, got 1 of inputs, 2 of targets",
    '{"inputs": [[1, 1], [1]], "targets": [1, 1]}': '"inputs" of line 2',
    '{"inputs": [["a", 1]], "targets": [1]}': '"inputs" of line 2',
    '{"inputs": [], "targets": []}': '"inputs" of line 2',
    '{"inputs": [null], "targets": [1]}': '"inputs" of line 2',
    '{"inputs": [[1]], "targets": [1]}': "inputs of all lines .* in the first and 1 numbers a step in line 2",
    '{"inputs": [3], "targets": [1]}': "got 2 numbers a step in the first and a number a step in line 2",
    '{"inputs": [[1, NaN]], "targets": [1]}': "inputs must be finite .* got nan in sequence 1, step 0",
    '{"inputs": [[1, 1]], "targets": [1], "mask": [[1]]}': "must have a value for each step",
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_does_not_fit_is_refused_with_its_number(line: str, tmp_path: Path) -> None:
    path = lines(tmp_path, {"inputs": [[0, 1]], "targets": [1]}, line)
    with pytest.raises(UserError, match=LINES[line]) as refusal:
        sequences_of(read_arrays(path, None, None), "auto")
    assert "\n" not in str(refusal.value)


def task_of(place: Path, **settings: Any) -> ArrayTask:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 6, 40)
    mask = np.arange(5) < lengths[:, None]
    inputs = np.arange(1, 201).reshape(40, 5, 1) * mask[..., None]
    paths = [place / name for name in ("x.npy", "y.npy", "m.npy")]
    for path, array in zip(paths, (inputs.astype("f4"), inputs % 2, mask), strict=True):
        np.save(path, array)
    return ArrayTask(read_arrays(*paths), ArraySettings(**{"batch": 6, **settings}), 1)


def test_an_epoch_has_each_sequence_at_most_once_and_none_that_is_held_out(tmp_path: Path) -> None:
    task = task_of(tmp_path, held_out=0.2)
    first = task.sequences.inputs[:, 0, 0]
    held = set(first[task.held_out])
    assert (len(held), len(task.trained), task.batches, task.overlap) == (8, 32, 5, 0)
    seen = [batch.inputs[0, :, 0].tolist() for batch in (task.next_batch() for _ in range(10))]
    for epoch in (seen[:5], seen[5:]):
        numbers = [number for batch in epoch for number in batch]
        assert len(set(numbers)) == 30
        assert not held & set(numbers)
    assert seen[:5] != seen[5:]
    again = task_of(tmp_path, held_out=0.2)
    again.move_to({"epoch": 1, "read": 2})
    assert again.next_batch().inputs[0, :, 0].tolist() == seen[7]
    with pytest.raises(UserError, match="not in the sequences"):
        again.move_to({"epoch": 0, "read": 6})
    assert first[task.held_out[0]] == task.sequence(0).inputs[0, 0, 0] == task.example().inputs[0, 0, 0]
    assert task.example(20).inputs.shape[1] == 20
    with pytest.raises(UserError, match=r"one of 0\.\.7, the held-out ones, got 8"):
        task.sequence(8)


def test_scores_are_those_of_the_held_out_sequences(tmp_path: Path) -> None:
    task = task_of(tmp_path, held_out=0.5, score_limit=3)

    def right(inputs: Any, state: Any, lengths: Any = None) -> tuple[Any, Any]:
        return np.where(inputs % 2 > 0, 50.0, -50.0), state

    def right_of_few(inputs: Any, state: Any, lengths: Any = None) -> tuple[Any, Any]:
        outputs, state = right(inputs, state)
        outputs[0, 3:] *= -1
        return outputs, state

    assert task.score(right, whole=True)["loss"] < 1e-12
    scores = task.score(right_of_few)
    assert (scores["sequence_error"], task.solved(scores)) == (0, True)
    scores = task.score(right_of_few, whole=True)
    assert (scores["sequence_error"], task.solved(scores)) == (17 / 20, False)


def test_sequences_that_are_held_out_and_trained_on_are_counted(tmp_path: Path) -> None:
    same = np.repeat(BITS[:1], 30, axis=0)
    for name in ("x", "y"):
        np.save(tmp_path / f"{name}.npy", same)
    task = ArrayTask(read_arrays(tmp_path / "x.npy", tmp_path / "y.npy", None), ArraySettings(), 0)
    assert task.overlap == 1
    with pytest.raises(UserError, match="at least a batch of 28 sequences to train on, got 27 of 30"):
        ArrayTask(read_arrays(tmp_path / "x.npy", tmp_path / "y.npy", None), ArraySettings(batch=28), 0)
