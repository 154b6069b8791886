"""Formal languages: words are checked by `re`, by counting, and by a stack; samples by enumeration."""

import re
from collections import Counter
from collections.abc import Callable
from itertools import groupby, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numdnc import UserError
from numdnc.tasks.languages import Language
from numdnc.tasks.languages.grammars import NAMES, grammar_of
from numdnc.tasks.languages.regex import automaton_of
from numdnc.tasks.sequences import draw_checked


def odd_ones_then_odd_zeros(word: str) -> bool:
    runs = [(symbol, len(list(run))) for symbol, run in groupby(word)]
    ones = [i for i, (symbol, length) in enumerate(runs) if symbol == "1" and length % 2]
    zeros = [i for i, (symbol, length) in enumerate(runs) if symbol == "0" and length % 2]
    return bool(ones and zeros and min(ones) < max(zeros))


def without_pairs(word: str) -> str:
    while (shorter := word.replace("()", "").replace("[]", "")) != word:
        word = shorter
    return word


WORDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "tomita-1": ("01", lambda w: "0" not in w),
    "tomita-2": ("01", lambda w: w == "10" * (len(w) // 2)),
    "tomita-3": ("01", lambda w: not odd_ones_then_odd_zeros(w)),
    "tomita-4": ("01", lambda w: "000" not in w),
    "tomita-5": ("01", lambda w: w.count("0") % 2 == w.count("1") % 2 == 0),
    "tomita-6": ("01", lambda w: (w.count("0") - w.count("1")) % 3 == 0),
    "tomita-7": ("01", lambda w: re.fullmatch("0*1*0*1*", w)),
    "anbn": ("ab", lambda w: w and w == "a" * (len(w) // 2) + "b" * (len(w) // 2)),
    "anbncn": ("abc", lambda w: w and w == "".join(x * (len(w) // 3) for x in "abc")),
    "dyck-1": ("()", lambda w: not without_pairs(w)),
    "dyck-2": ("()[]", lambda w: not without_pairs(w)),
}
every_language = pytest.mark.parametrize("name", WORDS)


def strings(alphabet: str, most: int) -> list[str]:
    return ["".join(word) for length in range(most + 1) for word in product(alphabet, repeat=length)]


@every_language
def test_words_are_those_of_the_definition(name: str) -> None:
    alphabet, is_word = WORDS[name]
    grammar = grammar_of(name)
    assert grammar.alphabet == alphabet
    assert sorted(WORDS) == NAMES
    every = strings(alphabet, {2: 9, 3: 7, 4: 6}[len(alphabet)])
    for string in every:
        expected = [bool(is_word(string[:end])) for end in range(len(string) + 1)]
        assert grammar.prefixes(string) == expected, string
    lengths = {len(string) for string in every if is_word(string)}
    assert {length for length in range(len(every[-1]) + 1) if grammar.has_words(length)} == lengths


@every_language
def test_strings_drawn_as_non_words_are_none(name: str) -> None:
    _, is_word = WORDS[name]
    task, rng = Language(language=name, min_length=1, max_length=9), np.random.default_rng(0)
    found = [task._non_word(rng) for _ in range(100)]
    assert not [string for string in found if is_word(string) or not 1 <= len(string) <= 9]


@every_language
def test_words_of_a_length_are_equally_likely(name: str) -> None:
    alphabet, is_word = WORDS[name]
    grammar, rng = grammar_of(name), np.random.default_rng(0)
    words = [word for word in strings(alphabet, 6) if len(word) == 6 and is_word(word)]
    found = Counter(grammar.random_word(rng, 6) for _ in range(20 * len(words)))
    assert set(found) == set(words)
    if len(words) > 1:  # chi-squared, within 5 standard deviations of its mean
        squares = sum((found[word] - 20) ** 2 / 20 for word in words)
        assert squares < len(words) - 1 + 5 * (2 * (len(words) - 1)) ** 0.5
    long = grammar.random_word(rng, 120)
    assert len(long) == 120
    assert is_word(long)


@st.composite
def expressions(draw: Any, depth: int = 3) -> str:
    if depth == 0:
        return str(draw(st.sampled_from(["a", "b", "[ab]", ".", "ab", "()"])))
    one, two = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    return str(
        draw(
            st.sampled_from(
                [one + two, f"{one}|{two}", f"({one}|{two})", f"({one})*", f"({two})+", f"({one})?"]
            )
        )
    )


@given(expressions())
@settings(derandomize=True, max_examples=60)
def test_regular_expressions_match_as_those_of_python(expression: str) -> None:
    automaton = automaton_of(expression, "ab")
    for string in strings("ab", 4):
        assert automaton.prefixes(string)[-1] == bool(re.fullmatch(expression, string)), (expression, string)


def test_a_regular_expression_that_backtracking_would_never_finish() -> None:
    assert not automaton_of("(a*)*b", "ab").prefixes("a" * 2000)[-1]


@pytest.mark.parametrize(
    ("expression", "alphabet", "words"),
    [
        ("(ab", "", "got '\\(ab' with a \\( without its \\) at character 4"),
        ("ab)", "", "with a \\) without its \\( at character 3"),
        ("*a", "", "with nothing to repeat at character 1"),
        ("a**", "", "with a repeat of a repeat"),
        ("a-b", "", "with '-' at character 2"),
        ("[a", "", "with a \\[ that is not followed by letters or digits and \\]"),
        ("[]a]", "", "with a \\[ that is not"),
        (
            "ab",
            "a",
            "alphabet must have every symbol of the regular expression, got 'a' without b. Add them.",
        ),
        ("..", "", "alphabet must be letters or digits, each once, got ''"),
        ("a", "aa", "each once, got 'aa'"),
        ("a" * 201, "", "regex must have at most 200 characters, got 201."),
        ("(a|b)*a" + "(a|b)" * 12, "", "regex must need at most 1,000 states"),
        (".*", "ab", "some strings of 1 to 20 symbols must not be words"),
        ("a" * 30, "", "the language must have words of 1 to 20 symbols, got none"),
    ],
)
def test_bad_regular_expressions_are_refused(expression: str, alphabet: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Language(regex=expression, alphabet=alphabet)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"language": "tomita-8"}, "language must be one of anbn, .*, got 'tomita-8'"),
        ({"alphabet": "ab"}, "alphabet must be given with regex, got 'ab' alone. Leave it out."),
        ({"min_length": -1}, "min_length must be at least 0, got -1."),
        ({"min_length": 9, "max_length": 8}, "min_length must be at most max_length, got 9 and 8"),
        ({"min_length": 3, "max_length": 3}, "the language must have words of 3 to 3 symbols"),
    ],
)
def test_bad_settings_are_refused(changed: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Language(**changed)


def read(batch: Any, row: int, alphabet: str) -> tuple[str, list[Any]]:
    """The string of a sequence, and the target after each of its symbols and at its end; None where none is due."""
    inputs = batch.inputs[:, row]
    end = int(inputs[:, -1].argmax())
    np.testing.assert_array_equal(inputs[: end + 1].sum(axis=1), 1)
    assert not inputs[end + 1 :].any()
    assert not batch.mask[end + 1 :, row].any()
    assert not batch.targets[:, row][~batch.mask[:, row]].any()
    targets = [batch.targets[t, row, 0] if batch.mask[t, row] else None for t in range(end + 1)]
    return "".join(alphabet[i] for i in inputs[:end].argmax(axis=1)), targets


@every_language
@pytest.mark.parametrize("prefixes", [False, True])
def test_strings_are_judged_rightly_and_half_of_them_are_words(name: str, prefixes: bool) -> None:
    alphabet, is_word = WORDS[name]
    task = Language(language=name, min_length=2, max_length=12, prefixes=prefixes)
    batch = draw_checked(task, np.random.default_rng(0), 200)
    members, near = [], 0
    for row in range(200):
        string, targets = read(batch, row, alphabet)
        assert 2 <= len(string) <= 12
        due = [float(bool(is_word(string[:end]))) for end in range(1, len(string) + 1)]
        assert targets == [*(due if prefixes else [None] * len(string)), float(bool(is_word(string)))]
        members.append(targets[-1])
        near += not is_word(string) and any(
            is_word(string[:i] + new + string[j:])
            for i in range(len(string) + 1)
            for j in (i, i + 1)
            for new in ("", *alphabet)
        )
    assert 75 <= sum(members) <= 125
    assert near >= 0.33 * (200 - sum(members))  # an edit away from a word


@pytest.mark.parametrize(
    ("question", "given", "wanted"), [("(()())", "a word", "a word"), ("", "not a word", "a word")]
)
def test_a_typed_string(question: str, given: str, wanted: str) -> None:
    task = Language()
    batch = task.pose(question)
    assert read(batch, 0, "()") == (question, [None] * len(question) + [1])
    answer = task.answer(batch, np.full(batch.targets.shape, np.log(3) if given == "a word" else -1.0))
    assert (answer.given, answer.wanted, answer.right) == (given, wanted, given == wanted)
    assert answer.details["probability"] == pytest.approx(0.75 if given == "a word" else 1 / (1 + np.e))


def test_a_typed_string_of_other_symbols_is_refused() -> None:
    words = r"a question must be a string of \( \), the symbols of the language, got 'x' as number 3."
    with pytest.raises(UserError, match=words):
        Language().pose("()x")


def test_channels_and_settings() -> None:
    assert Language().input_channels == ("(", ")", "end")
    assert Language(regex="a*b", alphabet="abc").input_channels == ("a", "b", "c", "end")
    assert Language().output_channels == ("member",)
    assert "regex" not in Language().resolved_settings
    assert Language().resolved_settings["language"] == "dyck-1"
    assert "language" not in Language(regex="a*b").resolved_settings
