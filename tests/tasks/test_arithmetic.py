"""Arithmetic: every sequence is checked with Python's integers, read off its channels."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numdnc import UserError
from numdnc.tasks.arithmetic import Addition, Arithmetic, Multiplication, Subtraction, Successor
from numdnc.tasks.sequences import draw_checked

RESULT: dict[type[Arithmetic], Any] = {
    Addition: lambda a, b: a + b,
    Subtraction: lambda a, b: a - b,
    Multiplication: lambda a, b: a * b,
    Successor: lambda a: a + 1,
}
SIGN = {Addition: "+", Subtraction: "-", Multiplication: "*", Successor: "+"}
every_task = pytest.mark.parametrize("kind", RESULT)


def drawn(task: Arithmetic, seed: int = 0, batch: int = 1) -> Any:
    return draw_checked(task, np.random.default_rng(seed), batch)


def read(batch: Any, row: int) -> tuple[list[int], int, int]:
    """The numbers of a sequence, its target, and the number of digits; everything else is checked."""
    mask = batch.mask[:, row]
    begin, end = int(mask.argmax()), int(np.nonzero(mask)[0][-1]) + 1
    assert mask[begin:end].all()
    assert not batch.inputs[begin:, row].any()
    assert not batch.targets[~mask, row].any()
    shown = batch.inputs[:begin, row]
    np.testing.assert_array_equal(shown.sum(axis=1), 1)
    written = "".join("0123456789;"[i] for i in shown.argmax(axis=1))
    *numbers, rest = written.split(";")
    assert rest == ""
    assert len({len(number) for number in numbers}) == 1
    target = "".join(map(str, batch.targets[begin:end, row][::-1]))
    length = len(numbers[0])
    assert len(target) in (length, 2 * length)
    return [int(number[::-1]) for number in numbers], int(target), length


def test_the_longest_results() -> None:
    two_digits = Successor(length=2)
    assert two_digits.fits((98,), 2)
    assert not two_digits.fits((99,), 2)
    assert Multiplication(length=3).answer_length(3) == len(str(999 * 999))


def test_an_addition_step_by_step() -> None:
    batch = Addition(length=2, spread=0).pose("47+35")
    separator = [0] * 10 + [1]
    digits = {digit: [float(digit == i) for i in range(11)] for digit in range(10)}
    shown = [digits[7], digits[4], separator, digits[5], digits[3], separator, [0] * 11, [0] * 11]
    np.testing.assert_array_equal(batch.inputs[:, 0], np.array(shown))
    assert batch.targets[:, 0].tolist() == [0] * 6 + [2, 8]
    assert batch.mask[:, 0].tolist() == [False] * 6 + [True] * 2


@every_task
@given(length=st.integers(1, 30), spread=st.integers(0, 30), seed=st.integers(0, 2**32))
@settings(derandomize=True, max_examples=40)
def test_every_result_is_that_of_integers(
    kind: type[Arithmetic], length: int, spread: int, seed: int
) -> None:
    task = kind(length=length, spread=spread)
    batch = drawn(task, seed, 5)
    for row in range(5):
        numbers, target, digits = read(batch, row)
        assert target == RESULT[kind](*numbers)
        assert max(length - spread, 1) <= digits <= length
        asked = f"{numbers[0]}{SIGN[kind]}{numbers[1] if len(numbers) > 1 else 1}"
        typed = kind(length=digits, spread=0).pose(asked)
        steps = len(typed.inputs)
        np.testing.assert_array_equal(typed.inputs[:, 0], batch.inputs[:steps, row])
        np.testing.assert_array_equal(typed.targets[:, 0], batch.targets[:steps, row])
        assert not batch.mask[steps:, row].any()


@every_task
def test_all_lengths_and_digits_are_drawn(kind: type[Arithmetic]) -> None:
    batch = drawn(kind(length=3, spread=1), batch=400)
    found = [read(batch, row) for row in range(400)]
    assert {length for _, _, length in found} == {2, 3}
    first = {numbers[-1] // 100 for numbers, _, length in found if length == 3}
    assert first == set(range(10 if kind in (Multiplication, Successor) else 5))
    assert {target % 10 for _, target, _ in found} == set(range(10))


@pytest.mark.parametrize(
    ("kind", "question", "answer", "digits"),
    [
        (Addition, "123+989", "1112", 4),
        (Addition, " 4 + 4 ", "8", 1),
        (Addition, "5+0", "5", 2),
        (Addition, "0+0", "0", 1),
        (Subtraction, "1112-989", "123", 4),
        (Subtraction, "7-7", "0", 2),
        (Subtraction, "998-499", "499", 3),
        (Multiplication, "12*034", "408", 2),
        (Multiplication, "99x9", "891", 2),
        (Successor, "999+1", "1000", 4),
        (Successor, "998 + 1", "999", 3),
    ],
)
def test_a_typed_formula_has_as_many_digits_as_it_needs(
    kind: type[Arithmetic], question: str, answer: str, digits: int
) -> None:
    batch = kind(length=1, spread=0).pose(question)
    _, target, length = read(batch, 0)
    assert (str(target), length) == (answer, digits)
    assert read(kind(length=9, spread=2).pose(question), 0)[1:] == (target, 7)
    outputs = np.zeros((*batch.inputs.shape[:2], 10))
    outputs[np.arange(len(outputs)), 0, batch.targets[:, 0]] = 1
    right = kind(length=1).answer(batch, outputs)
    assert (right.given, right.wanted, right.right) == (answer, answer, True)
    outputs[-1, 0] = np.arange(10) == 7
    wrong = kind(length=1).answer(batch, outputs)
    assert (wrong.wanted, wrong.right) == (answer, False)
    assert wrong.given.startswith("7")


@pytest.mark.parametrize(
    ("kind", "question", "words"),
    [
        (Addition, "123", "a question must be a formula such as 123\\+989, got '123'"),
        (Addition, "12-3", "must be a formula such as 123\\+989"),
        (Addition, "-1+3", "must be a formula"),
        (Addition, "1.5+3", "must be a formula"),
        (Addition, "٣+٣", "must be a formula"),
        (Addition, "", "must be a formula"),
        (Successor, "9+2", "must be a formula such as 999\\+1"),
        (Subtraction, "3-5", "the result must be at least 0, got '3-5'. Swap the numbers."),
        (Addition, f"{'9' * 5000}+1", "a number must have at most 2,000 digits, got 5,000."),
    ],
)
def test_what_is_no_formula_is_refused(kind: type[Arithmetic], question: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        kind().pose(question)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"length": 0}, "length must be at least 1, got 0."),
        ({"spread": -1}, "spread must be at least 0, got -1."),
        ({"length": 2001}, "length must be at most 2,000, got 2,001."),
    ],
)
@every_task
def test_bad_settings_are_refused(kind: Any, setting: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        kind(**setting)


@every_task
def test_channels_have_names(kind: type[Arithmetic]) -> None:
    task = kind()
    assert task.input_channels == (*(f"digit {i}" for i in range(10)), "separator")
    assert task.output_channels == tuple(f"digit {i}" for i in range(10))
    assert task.slots_needed == task.length


def test_the_longest_numbers_are_multiplied() -> None:
    (one, other), target, length = read(drawn(Multiplication(length=2000, spread=0)), 0)
    assert (target, length) == (one * other, 2000)
