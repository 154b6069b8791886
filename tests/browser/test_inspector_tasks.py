"""What the inspector shows of each kind of task."""

from typing import Any

import numpy as np
import pytest

from browser.inspector import Show, place, readout
from helpers.traces import board_trace, graph_trace, group_trace, plain_origin, text_trace
from numdnc.inspection.provenance import NONE
from numdnc.inspection.viewer.boards import boards_of


def test_several_classes_a_step_are_shown_each_in_a_row(show: Show) -> None:
    trace = group_trace()
    page = show(trace)
    outputs = trace.arrays["outputs"].reshape(trace.steps, 2, 3)
    panels = {panel["name"]: panel for panel in page.run("numdnc.panels()")}
    assert [panels[name]["rows"] for name in ("target", "output", "errors", "surprise")] == [2] * 4
    asked = np.flatnonzero(trace.arrays["mask"]).tolist()
    for step in asked:
        for group, name in enumerate(("one", "other")):
            said, due = int(outputs[step, group].argmax()), int(trace.arrays["targets"][step, group])
            for panel, wanted in (("output", f"{name} = {said}"), ("target", f"{name} = {due}")):
                page.point(*place(page, panel, group, step))
                assert readout(page) == f"{panel} · {name} · step {step} = {wanted}"
            page.point(*place(page, "errors", group, step))
            assert readout(page).endswith(f" = {int(said != due)}")
            page.point(*place(page, "surprise", group, step))
            likely = trace.arrays["probabilities"][step, 3 * group + due]
            assert float(readout(page).split(" = ")[1]) == pytest.approx(-np.log2(likely), rel=2e-3)
    page.run(f"numdnc.goTo({asked[0]})")
    page.settle()
    due = " ".join(map(str, trace.arrays["targets"][asked[0]]))
    said = " ".join(map(str, outputs[asked[0]].argmax(1)))
    assert f"target {due}; output {said}" in page.run("document.getElementById('happens').textContent")


def test_a_text_is_shown_and_can_do_nothing(show: Show) -> None:
    trace = text_trace()
    page = show(trace)
    assert page.run("window.numdncWasHere") is None
    assert page.run("document.querySelectorAll('img').length") == 0
    assert page.run("document.scripts.length") == 4
    symbols = trace.about.symbols or ""
    for step in range(0, trace.steps, 5):
        page.point(*place(page, "input", 0, step))
        character = symbols[trace.arrays["inputs"][step]]
        shown = {" ": "␣", "\n": "↵", "\u2028": "U+2028", "\u2029": "U+2029"}.get(character, character)
        assert f"= {shown} (number {trace.arrays['inputs'][step]})" in readout(page)
    page.run("numdnc.goTo(10)")
    page.run("document.getElementById('legend-button').click()")
    page.settle()
    assert page.run("window.numdncWasHere") is None
    assert "</script>" in page.run("document.getElementById('facts').title")


def test_a_graph_is_shown_by_its_labels_and_drawn_with_the_walk(show: Show) -> None:
    trace = graph_trace()
    page = show(trace)
    panels = {panel["name"]: panel["rows"] for panel in page.run("numdnc.panels()")}
    names = ("input", "flags", "target", "output", "errors", "surprise")
    assert [panels[name] for name in names] == [3, 2, 3, 3, 3, 3]
    assert "1 of 9 labels wrong" in page.run("document.getElementById('facts').textContent")
    digits = trace.arrays["inputs"][:, :-2].reshape(trace.steps, 3, 2, 10)
    shown = np.where(digits.any((2, 3)), digits.argmax(3) @ [10, 1], NONE)
    wanted = trace.arrays["targets"].reshape(trace.steps, 3, 2) @ [10, 1]
    asked = np.flatnonzero(trace.arrays["mask"]).tolist()
    for row, part in enumerate(("source", "edge", "destination")):
        page.point(*place(page, "input", row, asked[0] - 4))
        assert readout(page).endswith(f"{part} · step {asked[0] - 4} = {shown[asked[0] - 4, row]:02}")
        page.point(*place(page, "target", row, asked[1]))
        assert readout(page).endswith(f"{part} · step {asked[1]} = {wanted[asked[1], row]:02}")
    page.point(*place(page, "input", 2, asked[0] - 1))
    assert readout(page).endswith(" = not given")

    def walked(step: int) -> int:
        """Pixels in the colour of the walk."""
        page.run(f"numdnc.goTo({step})")
        page.settle()
        found: int = page.run(
            "(() => { const graph = document.getElementById('graph'), { width, height } = graph;"
            " const copy = Object.assign(document.createElement('canvas'), { width, height }).getContext('2d');"
            " copy.drawImage(graph, 0, 0); const { data } = copy.getImageData(0, 0, width, height);"
            " let found = 0; for (let k = 0; k < data.length; k += 4)"
            " found += data[k] > 190 && data[k + 1] < 200 && data[k + 2] < 160; return found; })()"
        )
        return found

    told = "document.getElementById('happens').textContent"
    ink = [walked(step) for step in (asked[0] - 1, *asked)]
    assert ink == sorted(set(ink))
    source, edge, destination = (f"{label:02}" for label in wanted[asked[-1]])
    said = f"{(wanted[asked[-1]][2] + 1) % 100:02}" if wanted[asked[-1]][2] % 10 < 9 else ""
    assert f"wanted{source} –{edge}→ {destination}" in page.run(told)
    assert f"output{source} –{edge}→ {said}" in page.run(told)
    page.run("numdnc.goTo(0)")
    page.settle()
    first = " ".join(f"{label:02}" for label in shown[0])
    assert page.run(told).startswith("shown{} –{}→ {}".format(*first.split()))
    assert page.run("document.getElementById('graph-note').textContent").startswith("1 of ")


def test_a_board_is_shown_with_its_goals_and_what_is_read(show: Show) -> None:
    trace = board_trace()
    page = show(trace)
    found: Any = boards_of(trace, trace.steps)
    for step in range(trace.steps):
        page.run(f"numdnc.goTo({step})")
        page.settle()
        squares = page.run("[...document.querySelectorAll('#board span')].map((s) => Number(s.textContent))")
        assert squares == found["squares"][step]
        assert page.run("document.getElementById('board-note').textContent") == found["said"][step]
        lines = page.run(
            "[...document.querySelectorAll('#goals .event')].map((p) => p.firstChild.textContent)"
        )
        assert lines == [found["said"][t] for t in found["constraints"] if t <= step]
        asked = page.run("[...document.querySelectorAll('#goals .asked')].map((p) => p.textContent[0])")
        assert asked == (["B", "B"] if step >= 3 else [])
        dots = page.run("document.querySelectorAll('#goals .reader').length")
        origins = [plain_origin(trace.arrays, step, head, False)[1] for head in range(2)]
        assert dots == sum(origin in found["constraints"] for origin in origins)
    assert page.run("document.getElementById('graph-part').hidden")
