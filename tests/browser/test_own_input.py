"""Sequences that a reader gives the page: bits, a text, a story, a walk through the graph shown."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from browser.chromium import Page
from browser.test_edits import MEMORY, SIZES, array, assert_shown, model, press, shown, traced
from helpers.examples import random_params
from helpers.traces import EVIL, about, graph_trace, text_trace
from numdnc import DNCSpec, map_leaves
from numdnc.inspection.trace import Trace, record
from numdnc.tasks import Batch
from numdnc.tasks.babi.asking import story_batch
from numdnc.tasks.babi.stories import Vocabulary, parse_lines
from numdnc.tasks.graphs.encoding import ABSENT, decode, one_hot
from numdnc.tasks.graphs.graph import Triple
from numdnc.tasks.graphs.traversal import walk_question


def params_like(trace: Trace, seed: int) -> Any:
    params = random_params(trace.spec, np.random.default_rng(seed), 1.0)
    return map_leaves(lambda leaf: leaf.astype(np.float32).astype(float), params)


def type_in(page: Page, text: str) -> None:
    page.run(
        f"(() => {{ const field = document.getElementById('own-text'); field.value = {json.dumps(text)};"
        " field.dispatchEvent(new Event('input')); })()"
    )
    page.settle()


def said(page: Page) -> str:
    found: str = page.run("document.getElementById('own-error').textContent")
    return found


def typed(page: Page) -> str:
    found: str = page.run("document.getElementById('own-text').value")
    return found


def test_bits_are_computed_while_they_are_typed(browser: Page, tmp_path: Path) -> None:
    spec = DNCSpec(**SIZES, **MEMORY)
    params, inputs, trace = model(spec)
    page = shown(browser, tmp_path, trace, params)
    press(page, "#own-button")
    assert typed(page).split() == ["".join(f"{bit:.0f}" for bit in x[0]) for x in inputs]
    type_in(page, "101 010\n11")
    assert said(page) == "row 3 must be 3 digits or numbers"
    rows = [[1, 0, 1], [0, 1, 0], [0.5, -2, 0]]
    type_in(page, "101 010\n.5,-2,0")
    assert said(page) == ""
    assert page.run("numdnc.step") == 2
    own = traced(spec, params, np.array(rows)[:, None])
    assert_shown(page, own)
    assert array(page, own, "mask").tolist() == [0, 0, 0]
    assert "your sequence" in page.run("document.getElementById('runs-note').textContent")
    press(page, "#own-back")
    assert_shown(page, trace)
    assert page.run("document.getElementById('slider').max") == "8"


def test_a_text_is_predicted_character_by_character(browser: Page, tmp_path: Path) -> None:
    trace = text_trace()
    params = params_like(trace, 1)
    page = shown(browser, tmp_path, trace, params)
    press(page, "#own-button")
    type_in(page, "the €")
    assert said(page) == "the model does not know the character €"
    type_in(page, f"tea{EVIL[:9]}")
    assert said(page) == ""
    assert trace.about.symbols is not None
    numbers = np.array([trace.about.symbols.index(character) for character in f"tea{EVIL[:9]}"])[:, None]
    other = record(trace.spec, params, Batch(numbers, np.roll(numbers, -1)), trace.about)
    assert_shown(page, other)
    assert array(page, other, "targets").tolist()[:-1] == numbers[1:, 0].tolist()
    assert array(page, other, "mask").tolist() == [1] * 11 + [0]
    assert page.run("window.numdncWasHere") is None


def test_a_story_is_read_as_by_ask(browser: Page, tmp_path: Path) -> None:
    vocabulary = Vocabulary(("mary", "kitchen", "is", "in", "where", ".", "?"))
    spec = DNCSpec(**{**SIZES, "input_size": 9, "output_size": 9}, **MEMORY)
    described = about(
        spec,
        task="babi",
        settings={"pause": 2},
        input_channels=vocabulary.symbols,
        output_channels=vocabulary.symbols,
    )
    params = map_leaves(
        lambda leaf: leaf.astype(np.float32).astype(float), random_params(spec, np.random.default_rng(0))
    )

    def read(story: str) -> Trace:
        return record(spec, params, story_batch(parse_lines(story), vocabulary, 2), described)

    page = shown(browser, tmp_path, read("Mary is in kitchen. Where is Mary?"), params)
    press(page, "#own-button")
    assert typed(page) == "mary is in kitchen. where is mary?"
    type_in(page, "Mary is in garden.")
    assert said(page) == "the model does not know the word garden"
    story = "Kitchen, is in Mary. Where is kitchen? where is Mary"
    type_in(page, f"{story}?")
    assert_shown(page, read(f"{story}?"))


def test_a_walk_through_the_graph_shown(browser: Page, tmp_path: Path) -> None:
    trace = graph_trace()
    page = shown(browser, tmp_path, trace, params := params_like(trace, 4))
    press(page, "#own-button")
    graph = decode(trace.arrays["inputs"])
    question = int(trace.arrays["inputs"][:, -2].argmax())
    first = Triple(*graph[0].tolist())
    second = next(Triple(*e) for e in graph[:question].tolist() if e[0] == first.destination)
    for text in (f"{first.source:02}", *(f"–{e.edge:02}→ {e.destination:02}" for e in (first, second))):
        page.run(
            "[...document.querySelectorAll('#own-walk button')]"
            f".find((button) => button.textContent === {json.dumps(text)}).click()"
        )
        page.settle()
    asked = walk_question([first, second])
    labels = [*graph[:question].tolist(), *asked.asked, *[[ABSENT] * 3] * 2]
    inputs = np.zeros((question + 4, 62), np.float32)
    inputs[:, :-2] = one_hot(np.array(labels), 2)
    inputs[question, -2] = inputs[-2:, -1] = 1
    targets = np.zeros((question + 4, 6), int)
    targets[-2:] = np.array([[int(d) for label in e for d in f"{label:02}"] for e in (first, second)])
    other = record(trace.spec, params, Batch(inputs[:, None], targets[:, None]), trace.about)
    assert_shown(page, other)
    np.testing.assert_array_equal(array(page, other, "targets"), targets)
    assert array(page, other, "mask").tolist() == [0] * (question + 2) + [1, 1]
    assert [page.run(f"numdnc.valueAt('target', 2, {question + t})") for t in (2, 3)] == [
        first.destination,
        second.destination,
    ]
