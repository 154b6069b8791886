"""The tasks of bits: what is shown at each step, what is asked for, and that it can be answered from what was shown."""

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numdnc import UserError
from numdnc.tasks.bits import (
    Copy,
    InstructedCopy,
    KeyValue,
    PrioritySort,
    Recall,
    RepeatCopy,
    instructed_copy,
)

Answers = dict[int, list[float]]
"""Step -> what is to be answered there."""


def lists(array: Any) -> list[list[float]]:
    return [[float(number) for number in row] for row in array]


# By hand: the random bits are read off the inputs, everything else is written down.


def drawn(task: Any, seed: int, batch: int = 1) -> Any:
    return task.draw(np.random.default_rng(seed), batch)


def assert_is(batch: Any, inputs: list[Any], targets: list[Any], asked: list[int]) -> None:
    """The first sequence of a batch; `asked` are 0 and 1."""
    np.testing.assert_array_equal(batch.inputs[:, 0], np.array(inputs, np.float32))
    np.testing.assert_array_equal(batch.targets[:, 0], np.array(targets, np.float32))
    np.testing.assert_array_equal(batch.mask[:, 0], np.array(asked, bool))


def test_copy_step_by_step() -> None:
    batch = drawn(Copy(width=3, min_length=2, max_length=2), seed=0)
    one, two = lists(batch.inputs[1:3, 0, :3])
    assert one != two
    inputs = [[0, 0, 0, 1, 0], [*one, 0, 0], [*two, 0, 0], [0, 0, 0, 0, 1], [0] * 5, [0] * 5]
    assert_is(batch, inputs, [[0] * 3] * 4 + [one, two], [0, 0, 0, 0, 1, 1])


def test_copies_in_a_row_with_an_end_marker_step_by_step() -> None:
    task = Copy(width=3, min_length=1, max_length=1, min_copies=2, max_copies=2, end_marker=True)
    batch = drawn(task, seed=2)
    (one,), (two,) = lists(batch.inputs[1:2, 0, :3]), lists(batch.inputs[6:7, 0, :3])
    assert one != two
    start, stop, nothing = [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0] * 5
    inputs = [start, [*one, 0, 0], stop, nothing, nothing, start, [*two, 0, 0], stop, nothing, nothing]
    targets = [[0] * 4] * 3 + [[*one, 0], [0, 0, 0, 1]] + [[0] * 4] * 3 + [[*two, 0], [0, 0, 0, 1]]
    assert_is(batch, inputs, targets, [0, 0, 0, 1, 1, 0, 0, 0, 1, 1])


def test_four_copies_of_four_have_the_published_size() -> None:
    task = Copy(width=4, min_length=4, max_length=4, min_copies=4, max_copies=4, end_marker=True)
    batch = drawn(task, seed=0, batch=2)
    assert batch.inputs.shape == (44, 2, 6)
    assert batch.targets.shape == (44, 2, 5)
    assert batch.mask.sum() == 2 * 4 * 5


@pytest.mark.parametrize(("scale", "shown"), [(0.1, np.float32(0.2)), (1.0, 2)])
def test_repeat_copy_step_by_step(scale: float, shown: float) -> None:
    lengths = {"min_length": 2, "max_length": 2, "min_repeats": 2, "max_repeats": 2}
    batch = drawn(RepeatCopy(width=3, **lengths, repeat_scale=scale), seed=0)
    one, two = lists(batch.inputs[1:3, 0, :3])
    assert one != two
    inputs = [[0, 0, 0, 1, 0], [*one, 0, 0], [*two, 0, 0], [0, 0, 0, 0, shown]] + [[0] * 5] * 5
    targets = [[0] * 4] * 4 + [[*one, 0], [*two, 0], [*one, 0], [*two, 0], [0, 0, 0, 1]]
    assert_is(batch, inputs, targets, [0] * 4 + [1] * 5)


@pytest.mark.parametrize(
    ("instruction", "answer"),
    [
        ("copy", [[0, 0, 1], [0, 1, 1]]),
        ("invert", [[1, 1, 0], [1, 0, 0]]),
        ("and", [[0, 0, 1], [0, 0, 1]]),
        ("or", [[0, 1, 1], [0, 1, 1]]),
    ],
)
def test_instructed_copy_step_by_step(
    instruction: str, answer: list[list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = [[0, 0, 1], [0, 1, 1]]
    monkeypatch.setattr(instructed_copy, "random_bits", lambda *_: np.array(vectors, np.float32))
    lengths = {"min_length": 2, "max_length": 2, "min_repeats": 2, "max_repeats": 2}
    batch = drawn(InstructedCopy(width=3, **lengths, instructions=instruction), seed=0)
    told = [float(name == instruction) for name in ("copy", "invert", "and", "or")]
    inputs = [
        *([0, 0, 0, 1, 0, 0, 0, 0, 0], [*vectors[0], *[0] * 6], [*vectors[1], *[0] * 6]),
        *([0, 0, 0, 0, np.float32(0.2), 0, 0, 0, 0], [0] * 5 + told),
    ] + [[0] * 9] * 5
    targets = [[0] * 4] * 5 + 2 * [[*row, 0] for row in answer] + [[0, 0, 0, 1]]
    assert_is(batch, inputs, targets, [0] * 5 + [1] * 5)


@pytest.mark.parametrize(("seed", "asked"), [(0, 0), (1, 1)])
def test_recall_step_by_step(seed: int, asked: int) -> None:
    batch = drawn(Recall(width=2, block=2, min_items=3, max_items=3), seed=seed)
    shown = lists(batch.inputs[:8, 0, :2])
    items = [shown[0:2], shown[3:5], shown[6:8]]
    rows = [[[*one, 0, 0], [*two, 0, 0]] for one, two in items]
    delimiter, query = [[0, 0, 1, 0]], [[0, 0, 0, 1]]
    inputs = rows[0] + delimiter + rows[1] + delimiter + rows[2] + query + rows[asked] + query + [[0] * 4] * 2
    assert_is(batch, inputs, [[0, 0]] * 12 + items[asked + 1], [0] * 12 + [1] * 2)


@pytest.mark.parametrize(("seed", "order"), [(0, (0, 1)), (1, (1, 0))])
def test_key_value_step_by_step(seed: int, order: tuple[int, int]) -> None:
    batch = drawn(KeyValue(width=4, min_pairs=2, max_pairs=2), seed)
    pairs = lists(batch.inputs[:2, 0, :4])
    (key, value), (other_key, other_value) = [(pairs[i][:2], pairs[i][2:]) for i in order]
    assert value != other_value
    inputs = [[*pairs[0], 0], [*pairs[1], 0], [0, 0, 0, 0, 1], [*key, 0, 0, 0], [*other_key, 0, 0, 0]]
    assert_is(batch, inputs, [[0, 0]] * 3 + [value, other_value], [0, 0, 0, 1, 1])


def test_key_value_in_two_ways_step_by_step() -> None:
    batch = drawn(KeyValue(width=4, min_pairs=1, max_pairs=1, two_way=True), seed=0)
    (pair,) = lists(batch.inputs[:1, 0, :4])
    key, value = pair[:2], pair[2:]
    assert key != value
    inputs = [[*pair, 0, 0], [0, 0, 0, 0, 1, 0], [*key, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], [*value, 0, 0, 0, 0]]
    assert_is(batch, inputs, [[0, 0], [0, 0], value, [0, 0], key], [0, 0, 1, 0, 1])


def test_priority_sort_step_by_step() -> None:
    batch = drawn(PrioritySort(width=3, items=3, answers=2), seed=20)
    shown = lists(batch.inputs[:3, 0, :4])
    assert shown[0][3] < shown[2][3] < shown[1][3]  # so it is with this seed
    last, first, second = [vector for *vector, _ in shown]
    assert first != second != last
    inputs = [[*row, 0] for row in shown] + [[0, 0, 0, 0, 1], [0] * 5, [0] * 5]
    assert_is(batch, inputs, [[0] * 3] * 4 + [first, second], [0] * 4 + [1] * 2)


class Ties(np.random.Generator):
    """A generator whose uniform numbers are all the same."""

    def uniform(self, *args: Any, **kwargs: Any) -> Any:
        return np.full_like(super().uniform(*args, **kwargs), 0.5)


def test_of_equal_priorities_the_first_shown_comes_first() -> None:
    batch = PrioritySort(items=20, answers=20).draw(Ties(np.random.PCG64(0)), 2)
    np.testing.assert_array_equal(batch.targets[21:], batch.inputs[:20, :, :8])


@pytest.mark.parametrize(
    ("task", "inputs", "outputs"),
    [
        (Copy(width=2), ["bit 0", "bit 1", "start", "stop"], ["bit 0", "bit 1"]),
        (Copy(width=1, end_marker=True), ["bit 0", "start", "stop"], ["bit 0", "end"]),
        (RepeatCopy(width=1), ["bit 0", "start", "count"], ["bit 0", "end"]),
        (
            InstructedCopy(width=1),
            ["bit 0", "start", "count", "copy", "invert", "and", "or"],
            ["bit 0", "end"],
        ),
        (Recall(width=1, block=4), ["bit 0", "delimiter", "query"], ["bit 0"]),
        (
            KeyValue(width=4, max_pairs=4),
            ["key 0", "key 1", "value 0", "value 1", "query by key"],
            ["bit 0", "bit 1"],
        ),
        (
            KeyValue(width=2, max_pairs=2, two_way=True),
            ["key 0", "value 0", "query by key", "query by value"],
            ["bit 0"],
        ),
        (PrioritySort(width=1), ["bit 0", "priority", "stop"], ["bit 0"]),
    ],
)
def test_every_channel_has_a_name(task: Any, inputs: list[str], outputs: list[str]) -> None:
    assert task.input_channels == tuple(inputs)
    assert task.output_channels == tuple(outputs)


# Any settings: whoever knows the rules can answer from the inputs alone. `inputs` are one sequence, (T, X).


def vectors_until(
    inputs: list[list[float]], t: int, width: int, marker: int
) -> tuple[list[list[float]], int]:
    """The vectors from step t on, and the step at which the marker is seen."""
    found = []
    while inputs[t][marker] == 0:
        assert inputs[t][width:] == [0.0] * (len(inputs[t]) - width)
        found.append(inputs[t][:width])
        t += 1
    assert inputs[t][:width] == [0.0] * width
    return found, t


def solve_copy(task: Copy, inputs: list[list[float]]) -> tuple[Answers, dict[str, Any]]:
    answers: Answers = {}
    lengths, t = [], 0
    while t < len(inputs) and inputs[t][task.width] == 1:
        vectors, t = vectors_until(inputs, t + 1, task.width, task.width + 1)
        lengths.append(len(vectors))
        for vector in vectors:
            t += 1
            answers[t] = [*vector, 0.0] if task.end_marker else vector
        if task.end_marker:
            t += 1
            answers[t] = [0.0] * task.width + [1.0]
        t += 1
    return answers, {"length": lengths, "copies": [len(lengths)]}


def solve_repeat_copy(task: RepeatCopy, inputs: list[list[float]]) -> tuple[Answers, dict[str, Any]]:
    assert inputs[0] == [0.0] * task.width + [1.0, 0.0]
    vectors, t = vectors_until(inputs, 1, task.width, task.width + 1)
    repeats = round(inputs[t][task.width + 1] / task.repeat_scale)
    asked = [[*vector, 0.0] for _ in range(repeats) for vector in vectors] + [[0.0] * task.width + [1.0]]
    return dict(enumerate(asked, t + 1)), {"length": [len(vectors)], "repeats": [repeats]}


def solve_instructed_copy(task: InstructedCopy, inputs: list[list[float]]) -> tuple[Answers, dict[str, Any]]:
    assert inputs[0] == [0.0] * task.width + [1.0] + [0.0] * 5
    vectors, t = vectors_until(inputs, 1, task.width, task.width + 1)
    repeats = round(10 * inputs[t][task.width + 1])
    told = inputs[t + 1][task.width + 2 :]
    assert sorted(told) == [0, 0, 0, 1]
    name = ("copy", "invert", "and", "or")[told.index(1)]
    columns = list(zip(*vectors, strict=True))
    made = {
        "copy": vectors,
        "invert": [[1.0 - bit for bit in vector] for vector in vectors],
        "and": [[float(all(column)) for column in columns]] * len(vectors),
        "or": [[float(any(column)) for column in columns]] * len(vectors),
    }[name]
    asked = [[*vector, 0.0] for _ in range(repeats) for vector in made] + [[0.0] * task.width + [1.0]]
    what = {"length": [len(vectors)], "repeats": [repeats], "instruction": [name]}
    return dict(enumerate(asked, t + 2)), what


def solve_recall(task: Recall, inputs: list[list[float]]) -> tuple[Answers, dict[str, Any]]:
    delimiter, query = task.width, task.width + 1
    items: list[list[list[float]]] = [[]]
    t = 0
    while inputs[t][query] == 0:
        if inputs[t][delimiter] == 1:
            items.append([])
        else:
            items[-1].append(inputs[t][: task.width])
        t += 1
    asked, t = vectors_until(inputs, t + 1, task.width, query)
    assert {len(item) for item in items} == {task.block}
    assert items.count(asked) == 1
    place = items.index(asked)
    return dict(enumerate(items[place + 1], t + 1)), {"items": [len(items)], "asked": [(len(items), place)]}


def solve_key_value(task: KeyValue, inputs: list[list[float]]) -> tuple[Answers, dict[str, Any]]:
    half, width = task.width // 2, task.width
    pairs, t = vectors_until(inputs, 0, width, width)
    book = {tuple(pair[:half]): pair[half:] for pair in pairs}
    assert len(book) == len(pairs)
    answers, orders = {}, []
    for way in range(1 + task.two_way):
        if way == 1:
            book = {tuple(value): list(key) for key, value in book.items()}
            assert len(book) == len(pairs)
        assert inputs[t] == [float(channel == width + way) for channel in range(task.input_size)]
        asked = [tuple(row[:half]) for row in inputs[t + 1 : t + 1 + len(pairs)]]
        assert sorted(asked) == sorted(book)
        orders.append(tuple(list(book).index(question) for question in asked))
        answers.update({t + 1 + i: book[question] for i, question in enumerate(asked)})
        t += 1 + len(pairs)
    return answers, {"pairs": [len(pairs)], "orders": orders}


def solve_sort(task: PrioritySort, inputs: list[list[float]]) -> tuple[Answers, dict[str, Any]]:
    left = inputs[: task.items]
    assert inputs[task.items] == [0.0] * (task.width + 1) + [1.0]
    answers = {}
    for t in range(task.items + 1, task.items + 1 + task.answers):
        most_urgent = max(left, key=lambda row: row[task.width])
        left = [row for row in left if row is not most_urgent]
        answers[t] = most_urgent[: task.width]
    return answers, {"priorities": [row[task.width] for row in inputs[: task.items]]}


SOLVERS: dict[Any, Any] = {
    Copy: solve_copy,
    RepeatCopy: solve_repeat_copy,
    InstructedCopy: solve_instructed_copy,
    Recall: solve_recall,
    KeyValue: solve_key_value,
    PrioritySort: solve_sort,
}


def solve(task: Any, batch: Any) -> list[dict[str, Any]]:
    """Checks every number of a batch; what the solvers saw of each sequence."""
    assert batch.inputs.dtype == batch.targets.dtype == np.float32
    assert batch.mask.dtype == bool
    assert batch.starts_sequence is True
    ends, seen = [], []
    for b in range(batch.inputs.shape[1]):
        inputs = lists(batch.inputs[:, b])
        answers, what = SOLVERS[type(task)](task, inputs)
        seen.append(what)
        ends.append(max(answers) + 1)
        for t in range(len(inputs)):
            assert batch.mask[t, b] == (t in answers)
            assert batch.targets[t, b].tolist() == answers.get(t, [0.0] * task.output_size)
            if t >= ends[-1] or (t in answers and not isinstance(task, KeyValue)):
                assert inputs[t] == [0.0] * task.input_size
            if t in answers and isinstance(task, KeyValue):
                half = task.width // 2
                assert inputs[t][half:] == [0.0] * (task.input_size - half)
    assert len(batch.inputs) == max(ends)  # no step more than the longest needs
    return seen


def least_and_most(name: str, least: int, most: int) -> Any:
    """Two settings in order."""
    both = st.tuples(st.integers(least, most), st.integers(least, most)).map(sorted)
    return both.map(lambda pair: {f"min_{name}": pair[0], f"max_{name}": pair[1]})


@st.composite
def tasks(draw: Any) -> Any:
    kind = draw(st.sampled_from(list(SOLVERS)))
    width, flag = draw(st.integers(1, 9)), draw(st.booleans())
    if kind is Copy:
        ranges = draw(least_and_most("length", 1, 6)) | draw(least_and_most("copies", 1, 4))
        return Copy(width=width, end_marker=flag, **ranges)
    if kind is RepeatCopy:
        ranges = draw(least_and_most("length", 1, 6)) | draw(least_and_most("repeats", 1, 5))
        return RepeatCopy(width=width, repeat_scale=draw(st.sampled_from([0.1, 1.0, 3.0])), **ranges)
    if kind is InstructedCopy:
        ranges = draw(least_and_most("length", 1, 6)) | draw(least_and_most("repeats", 1, 5))
        return InstructedCopy(width=width, **ranges)
    if kind is Recall:
        block = draw(st.integers(1, 4))
        return Recall(
            width=width, block=block, **draw(least_and_most("items", 2, min(8, 2 ** (width * block))))
        )
    if kind is KeyValue:
        half = draw(st.integers(1, 5))
        return KeyValue(width=2 * half, two_way=flag, **draw(least_and_most("pairs", 1, min(10, 2**half))))
    items = draw(st.integers(1, 12))
    return PrioritySort(width=width, items=items, answers=draw(st.integers(1, items)))


@given(tasks(), st.integers(0, 2**32), st.integers(1, 4))
@settings(derandomize=True, max_examples=300)
def test_every_answer_follows_from_the_inputs_and_nothing_else_is_shown(
    task: Any, seed: int, batch: int
) -> None:
    found = drawn(task, seed, batch)
    assert found.inputs.shape[1:] == (batch, task.input_size)
    assert found.targets.shape[1:] == (batch, task.output_size)
    assert len(task.input_channels) == task.input_size
    assert len(task.output_channels) == task.output_size
    solve(task, found)


@given(tasks(), st.integers(0, 2**32))
@settings(derandomize=True)
def test_the_generator_settles_what_is_drawn_and_nothing_else_does(task: Any, seed: int) -> None:
    one, same, more = drawn(task, seed, 3), drawn(task, seed, 3), drawn(task, seed, 5)
    for part in ("inputs", "targets", "mask"):
        np.testing.assert_array_equal(getattr(one, part), getattr(same, part))
        longer = getattr(more, part)[:, :3]  # the sequences of a batch do not depend on who is beside them
        np.testing.assert_array_equal(longer[: len(one.mask)], getattr(one, part))
        assert not longer[len(one.mask) :].any()


DEFAULTS = [
    Copy(),
    RepeatCopy(),
    InstructedCopy(),
    Recall(),
    KeyValue(),
    KeyValue(two_way=True),
    PrioritySort(),
]


@pytest.mark.parametrize("task", DEFAULTS, ids=repr)
def test_defaults_are_drawn_and_solved(task: Any) -> None:
    solve(task, drawn(task, seed=3, batch=16))


@pytest.mark.parametrize(
    "task", [task for task in DEFAULTS if not isinstance(task, RepeatCopy | InstructedCopy)], ids=repr
)
def test_no_two_sequences_are_the_same(task: Any) -> None:
    if isinstance(task, Copy):
        task = dataclasses.replace(task, min_length=10)
    rng = np.random.default_rng(0)
    batches = [task.draw(rng, 20) for _ in range(2)]
    assert len({batch.inputs[:, b].tobytes() for batch in batches for b in range(20)}) == 40


# What is drawn how often. 3000 sequences: a share of 1/k lies within a quarter of it but once in a long life.

MANY = 3000


def seen_of(task: Any, what: str) -> list[Any]:
    found = solve(task, drawn(task, seed=5, batch=MANY))
    return [one for sequence in found for one in sequence[what]]


def assert_even(found: list[Any], expected: set[Any]) -> None:
    counts = Counter(found)
    assert set(counts) == expected
    share = len(found) / len(expected)
    assert all(abs(count - share) < share / 4 for count in counts.values()), counts


@pytest.mark.parametrize(
    ("task", "what", "expected"),
    [
        (Copy(width=1, min_length=2, max_length=5), "length", {2, 3, 4, 5}),
        (Copy(width=1, max_length=3, min_copies=2, max_copies=3), "length", {1, 2, 3}),
        (Copy(width=1, max_length=2, min_copies=2, max_copies=4), "copies", {2, 3, 4}),
        (RepeatCopy(width=1, min_length=2, max_length=4), "length", {2, 3, 4}),
        (RepeatCopy(width=1, max_length=2, min_repeats=2, max_repeats=5), "repeats", {2, 3, 4, 5}),
        (InstructedCopy(width=1, min_length=2, max_length=4), "length", {2, 3, 4}),
        (InstructedCopy(width=1, max_length=2, min_repeats=2, max_repeats=5), "repeats", {2, 3, 4, 5}),
        (InstructedCopy(width=1), "instruction", {"copy", "invert", "and", "or"}),
        (InstructedCopy(width=1, instructions="or,invert"), "instruction", {"invert", "or"}),
        (Recall(width=4, block=1, min_items=3, max_items=5), "items", {3, 4, 5}),
        (
            Recall(width=4, block=1, min_items=4, max_items=4),
            "asked",
            {(4, 0), (4, 1), (4, 2)},
        ),
        (KeyValue(width=6, min_pairs=2, max_pairs=4), "pairs", {2, 3, 4}),
        (
            KeyValue(width=6, min_pairs=3, max_pairs=3, two_way=True),
            "orders",
            {(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)},
        ),
    ],
)
def test_every_case_from_least_to_most_comes_as_often(task: Any, what: str, expected: set[Any]) -> None:
    assert_even(seen_of(task, what), expected)


def test_both_ways_are_asked_in_orders_of_their_own() -> None:
    task = KeyValue(width=6, min_pairs=2, max_pairs=2, two_way=True)
    orders = [tuple(sequence["orders"]) for sequence in solve(task, drawn(task, seed=5, batch=MANY))]
    assert_even(orders, {(one, other) for one in [(0, 1), (1, 0)] for other in [(0, 1), (1, 0)]})


def test_sequences_of_a_batch_differ_in_length() -> None:
    batch = drawn(Copy(), seed=0, batch=16)
    assert len(set(batch.mask.sum(axis=0).tolist())) > 5


def test_priorities_are_uniform_from_minus_one_to_one() -> None:
    found = np.array(seen_of(PrioritySort(width=1, items=5, answers=1), "priorities"))
    counts, _ = np.histogram(found, bins=8, range=(-1, 1))
    assert counts.sum() == found.size == 5 * MANY
    assert counts.min() > 5 * MANY / 8 * 0.9


@pytest.mark.parametrize(
    ("task", "rows", "columns"),
    [
        (Copy(width=3, min_length=4, max_length=4), slice(1, 5), slice(0, 3)),
        (RepeatCopy(width=3, min_length=4, max_length=4), slice(1, 5), slice(0, 3)),
        (Recall(width=3, block=4, min_items=2, max_items=2), slice(0, 4), slice(0, 3)),
        (KeyValue(width=6, min_pairs=4, max_pairs=4), slice(0, 4), slice(0, 6)),
        (KeyValue(width=6, min_pairs=4, max_pairs=4, two_way=True), slice(0, 4), slice(0, 6)),
        (PrioritySort(width=3, items=4, answers=1), slice(0, 4), slice(0, 3)),
    ],
)
def test_each_bit_is_0_or_1_as_likely(task: Any, rows: slice, columns: slice) -> None:
    bits = drawn(task, seed=7, batch=MANY).inputs[rows, :, columns]
    assert set(np.unique(bits)) == {0.0, 1.0}
    np.testing.assert_allclose(bits.mean(axis=1), 0.5, atol=0.05)  # 0.009 is the deviation to expect


@pytest.mark.parametrize("two_way", [False, True])
def test_all_keys_there_are_can_be_asked_for(two_way: bool) -> None:
    task = KeyValue(width=8, min_pairs=16, max_pairs=16, two_way=two_way)
    solve(task, drawn(task, seed=0, batch=4))


def test_values_may_be_the_same_unless_they_are_asked_for() -> None:
    batch = drawn(KeyValue(width=2, min_pairs=2, max_pairs=2), seed=0, batch=50)
    same = batch.inputs[0, :, 1] == batch.inputs[1, :, 1]
    assert 10 < same.sum() < 40


def test_all_items_there_are_can_be_recalled() -> None:
    task = Recall(width=2, block=1, min_items=4, max_items=4)
    solve(task, drawn(task, seed=0, batch=10))


# What is refused.

AT_LEAST_ONE = {
    Copy: ["width", "min_length", "max_length", "min_copies", "max_copies"],
    RepeatCopy: ["width", "min_length", "max_length", "min_repeats", "max_repeats"],
    InstructedCopy: ["width", "min_length", "max_length", "min_repeats", "max_repeats"],
    Recall: ["width", "block"],
    KeyValue: ["width", "min_pairs", "max_pairs"],
    PrioritySort: ["width", "items", "answers"],
}


def refusal(kind: Any, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        kind(**options)
    return str(error.value)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in AT_LEAST_ONE.items() for name in names]
)
@pytest.mark.parametrize("given", [0, -3])
def test_a_setting_below_one_is_refused(kind: Any, name: str, given: int) -> None:
    assert refusal(kind, **{name: given}) == f"{name} must be at least 1, got {given}."


@pytest.mark.parametrize("given", ["", "copy,", "copy,copy", "xor", "copy invert"])
def test_instructions_are_some_of_four(given: str) -> None:
    words = f"instructions must be some of copy,invert,and,or, each once, got {given!r}."
    assert refusal(InstructedCopy, instructions=given) == words


@pytest.mark.parametrize("name", ["min_items", "max_items"])
def test_recall_needs_two_items(name: str) -> None:
    assert refusal(Recall, **{name: 1}) == f"{name} must be at least 2, got 1."


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (Copy, "length"),
        (Copy, "copies"),
        (InstructedCopy, "length"),
        (InstructedCopy, "repeats"),
        (RepeatCopy, "length"),
        (RepeatCopy, "repeats"),
        (Recall, "items"),
        (KeyValue, "pairs"),
    ],
)
def test_a_least_above_the_most_is_refused(kind: Any, what: str) -> None:
    low, high = f"min_{what}", f"max_{what}"
    words = f"{low} must be at most {high}, got 5 and 4. Lower {low} or raise {high}."
    assert refusal(kind, **{low: 5, high: 4}) == words
    kind(**{low: 4, high: 4})


def test_more_answers_than_items_are_refused() -> None:
    words = "answers must be at most items, got 6 and 5. Lower answers or raise items."
    assert refusal(PrioritySort, items=5, answers=6) == words


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_hides_the_count_is_refused(scale: float) -> None:
    assert refusal(RepeatCopy, repeat_scale=scale) == f"repeat_scale must be a number above 0, got {scale}."


def test_an_odd_width_is_refused_where_a_pair_shares_it() -> None:
    assert refusal(KeyValue, width=7) == "width must be even, half for the key and half for the value, got 7."


def test_more_pairs_than_there_are_keys_are_refused() -> None:
    words = "max_pairs must be at most 8, the number of different keys of 3 bits, got 9. Lower max_pairs or raise "
    words += "width."
    assert refusal(KeyValue, width=6, max_pairs=9) == words


def test_more_items_than_there_are_different_ones_are_refused() -> None:
    words = "max_items must be at most 4, the number of different items of 2 bits, got 5. "
    assert (
        refusal(Recall, width=1, block=2, max_items=5) == words + "Lower max_items or raise width or block."
    )
