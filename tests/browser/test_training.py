"""The curves of the training on the page, and a second checkpoint on the same input."""

import json
from pathlib import Path

import numpy as np
import pytest

from browser.chromium import Page
from browser.test_edits import MEMORY, SIZES, array, assert_shown, edit, model, press, traced
from helpers.traces import EVIL
from numdnc import DNCSpec, map_leaves
from numdnc.inspection.viewer import export
from numdnc.inspection.viewer.training_curves import MOST_POINTS, training_curves


def line(iteration: int, **fields: object) -> bytes:
    return json.dumps({"iteration": iteration, "seconds": 1.0, **fields}).encode() + b"\n"


def test_curves_are_the_numbers_of_the_reports() -> None:
    lines = [
        line(10, train=2.123456, held_out=float("inf"), solved=False, health={"usage": 0.5}),
        b'{"iteration": 20, "train": 1\n',
        b"[1]\n",
        line(20, train=1, note="x", level=3.0),
    ]
    assert training_curves(lines) == {
        "iterations": [10, 20],
        "curves": {
            "train": [2.1235, 1],
            "held_out": [None, None],
            "usage": [0.5, None],
            "note": [None, None],
            "level": [None, 3],
        },
    }
    assert training_curves(lines[:3]) is None
    many = training_curves([line(k, train=k) for k in range(1, 1002)])
    assert many is not None
    assert len(many["iterations"]) <= MOST_POINTS
    assert many["iterations"][-1] == 1001
    assert set(np.diff(many["iterations"])) == {3}


@pytest.mark.parametrize("width", [1400, 420])
def test_curves_are_drawn_and_read(browser: Page, tmp_path: Path, width: int) -> None:
    _, _, trace = model(DNCSpec(**SIZES, **MEMORY))
    reports = [line(10 * k, train=2 / k, held_out=3.0, **{EVIL: 4.5 * k}) for k in range(1, 6)]
    file = tmp_path / "trace.html"
    file.write_text(export.page(trace, curves=training_curves(reports)), "utf-8")
    browser.open(file, width=width)
    press(browser, "#training-button")
    box = browser.run(
        "(({left, top, width}) => [left, top, width])(document.getElementById('curves').getBoundingClientRect())"
    )
    browser.point(box[0] + box[2] - 14, box[1] + 50)
    assert (
        browser.run("document.getElementById('readout').textContent") == "iteration 50: train 0.4, held_out 3"
    )
    browser.run("document.getElementById('curve').selectedIndex = 1")
    browser.run("document.getElementById('curve').dispatchEvent(new Event('change'))")
    browser.point(box[0] + 66, box[1] + 50)
    assert browser.run("document.getElementById('readout').textContent").endswith(" 4.5")
    assert browser.run("window.numdncWasHere") is None
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.complaints == []


def test_another_checkpoint_is_computed_on_the_same_input(browser: Page, tmp_path: Path) -> None:
    spec = DNCSpec(**SIZES, **MEMORY)
    params, inputs, trace = model(spec)
    params_other = map_leaves(lambda leaf: (0.5 * leaf).astype(np.float32).astype(float), params)
    other = traced(spec, params_other, inputs)
    file = tmp_path / "trace.html"
    file.write_text(export.page(trace, params, other=export.Checkpoint(EVIL, params_other)), "utf-8")
    browser.open(file)
    press(browser, "#other")
    assert_shown(browser, trace)
    press(browser, "#view-unedited")
    assert_shown(browser, other)
    edit(browser, "inputs", [1], 1 - inputs[4, 0, 1], first=4, last=4)
    inputs[4, 0, 1] = 1 - inputs[4, 0, 1]
    assert_shown(browser, traced(spec, params_other, inputs))
    press(browser, "#view-edited")
    assert_shown(browser, traced(spec, params, inputs))
    press(browser, "#other")
    press(browser, "#view-unedited")
    np.testing.assert_allclose(array(browser, trace, "outputs"), trace.arrays["outputs"], atol=1e-5)
    assert browser.run("window.numdncWasHere") is None
