"""Arithmetic and formal languages from the command line: train, ask, trace, eval, and what users get wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.commands import done, refused
from numdnc.inspection.trace_file import load_trace
from numdnc.runs.kinds import load_run
from numdnc.runs.typed import TypedRun
from numdnc.tasks.sequences import optional_attribute
from numdnc.training.folder import RunFolder

TINY = (
    *("-H", 5, "-N", 9, "-W", 3, "-R", 1, "--batch", 2, "--evaluated", 3),
    *("--sample-every", 0, "--report-every", 1, "--engine", "reference"),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of an addition and a language, hardly trained."""
    folder = tmp_path_factory.mktemp("typed")
    growing = ["--length", 7, "--spread", 1, "--grow-from", 2, "--grow-by", 1]
    done("train", "addition", *growing, *TINY, "--steps", 1, "--out", folder / "addition")
    regex = ("--regex", "a*b", "--max-length", 6)
    done("train", "language", *regex, *TINY, "--steps", 1, "--out", folder / "language")
    return folder


@pytest.fixture(autouse=True)
def place(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("addition", "language"):
        (tmp_path / name).symlink_to(trained / name)
    return tmp_path


def asked(run: str, question: str) -> Any:
    found = json.loads(done("ask", run, question, "--json"))
    words = done("ask", run, question)
    assert words.startswith(found["answer"])
    assert words.rstrip().endswith("right" if found["right"] else f"WRONG: {found['truth']}")
    return found


def test_a_sum_is_asked_for() -> None:
    found = asked("addition", "123+989")
    assert (found["question"], found["truth"], found["iteration"]) == ("123+989", "1112", 1)
    assert found["right"] == (found["answer"] == "1112")


@pytest.mark.parametrize(("string", "truth"), [("aab", "a word"), ("aba", "not a word"), ("", "not a word")])
def test_a_string_is_asked_about(string: str, truth: str) -> None:
    found = asked("language", string)
    assert found["truth"] == truth
    assert found["answer"] == ("a word" if found["probability"] > 0.5 else "not a word")


def test_the_answer_is_that_of_the_model_at_the_steps_where_it_is_due() -> None:
    run: Any = load_run("addition", engine="reference")
    assert type(run) is TypedRun
    inputs = np.zeros((10, 1, 11), np.float32)
    for step, symbol in enumerate([3, 2, 1, 0, 10, 9, 8, 9, 0, 10][: len(inputs)]):
        inputs[step, 0, symbol] = 1
    inputs = np.concatenate([inputs, np.zeros((4, 1, 11), np.float32)])
    digits = run.forward(inputs, None)[0][-4:, 0].argmax(axis=-1)
    assert int(run.ask("123+989").answer.given) == int("".join(map(str, digits[::-1])))


def test_numbers_are_no_shorter_than_those_of_the_level() -> None:
    run: Any = load_run("addition", engine="reference")
    assert len(run.trace(user_input="1+1").arrays["inputs"]) == 1 * 3 + 2  # level 2: 1 or 2 digits
    run.checkpoint.position["level"] = 6
    assert len(run.trace(user_input="1+1").arrays["inputs"]) == 5 * 3 + 2


def test_one_operation_begins_with_the_parameters_of_another() -> None:
    done("train", "subtraction", *TINY, "--steps", 1, "--start-from", "addition", "--out", "subtraction")
    assert asked("subtraction", "1112-989")["truth"] == "123"
    refused("ask", "subtraction", "3-5", expect="the result must be at least 0, got '3-5'")


def test_a_run_is_scored_at_other_lengths_shown_and_traced() -> None:
    found = json.loads(done("eval", "addition", "--set", "length=9", "--set", "spread=0", "--json"))
    assert found["settings"] == {"length": 9, "spread": 0}
    assert "separator |" in done("eval", "addition", "--show")
    shown = done("eval", "language", "--set", "min_length=30", "--set", "max_length=60", "--show")
    assert "member |" in shown
    assert "end |" in shown
    done("trace", "language", "--input", "aab", "--out", "t.safetensors")
    trace = load_trace(Path("t.safetensors"))
    np.testing.assert_array_equal(trace.arrays["inputs"].argmax(axis=-1).ravel(), [0, 0, 1, 2])
    done("view", "t.safetensors", "--no-open", "--out", "t.html")
    assert "the question aab" in Path("t.html").read_text(encoding="utf-8")
    Path("own.csv").write_text("1,0,0\n0,0,1\n")
    done("trace", "language", "--input", "own.csv", "--out", "own.safetensors")


def test_both_bounds_rise_by_one_and_no_held_out_sequence_is_trained_on() -> None:
    task: Any = load_run("addition", engine="reference").task
    task.on_scores({"loss": 1.0, "sequence_error": 0.05, "level": 3.0})
    assert (task.current.length, task.current.spread, task.slots_needed) == (4, 1, 4)
    task.on_scores({"loss": 1.0, "sequence_error": 0.06, "level": 4.0})
    assert task.current.length == 4
    assert optional_attribute(task.generator, "slots_needed") == 7
    assert RunFolder(Path("addition")).load_last().task["episode_settings"]["pass_at"] == 0.05


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ask", "addition", "12-3"), "a question must be a formula such as 123+989, got '12-3'"),
        (
            ("ask", "language", "abc"),
            "must be a string of a b, the symbols of the language, got 'c' as number 3",
        ),
        (
            ("ask", "language", "ab", "--words", 2),
            "--words must be given for a run of bAbI, got one of language",
        ),
        (("trace", "addition", "--input", "0101"), "a question must be a formula"),
        (("train", "language", "--language", "dyck-3"), "language must be one of anbn, | got 'dyck-3'"),
        (("train", "language", "--regex", "(a"), "regex must be a regular expression| a ( without its )"),
        (("train", "addition", "--length", 0), "length must be at least 1, got 0."),
        (("eval", "language", "--set", "regex=b*a|c"), "the task must have the model's 3 inputs"),
        (("sample", "addition"), "sample must be given a run of a text or molecules, got one of addition"),
    ],
)
def test_mistakes_are_refused_in_a_line(words: tuple[Any, ...], message: str) -> None:
    refused(*words, expect=message)
