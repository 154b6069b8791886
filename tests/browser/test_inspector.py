"""The inspector in a real browser: what it draws, says and does is what the trace holds.

Needs a Chromium on the path (Debian: `apt-get install chromium`); skipped where there is none.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser.chromium import Page
from helpers.traces import (
    bits_trace,
    board_trace,
    class_trace,
    graph_trace,
    group_trace,
    named,
    plain_origin,
    text_trace,
    with_arrays,
)
from numdnc.inspection.provenance import NONE
from numdnc.inspection.trace import Trace
from numdnc.inspection.viewer import export
from numdnc.inspection.viewer.boards import boards_of

FIRST_PAINT = 5.0
"""Seconds that the first paint may take on a slow day; 0.2 s was measured."""
DIGITS = 1e-3
"""Relative error of what is shown: three digits hold."""


Show = Callable[..., Page]


@pytest.fixture
def show(browser: Page, tmp_path: Path) -> Iterator[Show]:
    """Open a trace's page; in the end it must have asked for nothing but itself and complained of nothing."""
    file = tmp_path / "trace.html"

    def opened(trace: Trace, **options: Any) -> Page:
        file.write_text(export.page(trace), "utf-8")
        browser.open(file, **options)
        return browser

    yield opened
    assert browser.complaints == []
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}
    assert [url for url in browser.requests if url.startswith("file")] == [file.as_uri()]


@pytest.fixture(scope="module")
def trace() -> Trace:
    """Twelve steps, six slots, two heads, with reads that come from earlier writes."""
    found = bits_trace(seed=3)
    earlier = [
        plain_origin(found.arrays, step, 0, False)[1] not in (NONE, step) for step in range(found.steps)
    ]
    assert any(earlier)
    return found


def expected(trace: Trace) -> dict[str, np.ndarray[Any, Any]]:
    """Panel -> what it must show, (T, rows), told from the trace without the page's help."""
    arrays = trace.arrays
    panels = {
        "input": arrays["inputs"],
        "target": arrays["targets"],
        "output": 1 / (1 + np.exp(-arrays["outputs"].astype(float))),
        "gates": np.concatenate(
            [arrays["free_gates"], arrays["allocation_gate"][:, None], arrays["write_gate"][:, None]], 1
        ),
        "read_modes": arrays["read_modes"].reshape(trace.steps, -1),
        "strengths": np.concatenate([arrays["read_strengths"], arrays["write_strength"][:, None]], 1),
    }
    for name in (
        "write_weights",
        "usage",
        "allocation",
        "retention",
        "precedence",
        "write_content",
        "write_key",
    ):
        panels[name] = arrays[name]
    for name in ("erase", "write_vector", "hidden", "cell"):
        panels[name] = arrays[name]
    for name in ("read_weights", "read_content", "forward", "backward", "read_keys", "reads"):
        panels |= {f"{name} {head}": arrays[name][:, head] for head in range(arrays[name].shape[1])}
    return panels


def readout(page: Page) -> str:
    found: str = page.run("document.getElementById('readout').textContent")
    return found


def place(page: Page, panel: str, row: int, step: int) -> tuple[float, float]:
    """Where a cell is in the window, scrolled to."""
    call = f"numdnc.placeOf({json.dumps(panel)}, {row}, {step})"
    _, y = page.run(call)
    page.run(f"window.scrollBy(0, {y} - window.innerHeight / 2)")
    page.settle()
    x, y = page.run(call)
    return x, y


def pixels(page: Page, canvas: str, cells: list[tuple[str, int, int]], right: int = 0) -> list[list[int]]:
    """Red, green, blue and opacity of a canvas so many pixels to the right of each cell's middle."""
    found: list[list[int]] = page.run(
        f"((cells) => {{ const canvas = document.querySelector({json.dumps(canvas)});"
        " const box = canvas.getBoundingClientRect();"
        " const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        " return cells.map(([panel, row, step]) => { const [x, y] = numdnc.placeOf(panel, row, step);"
        f" const across = Math.floor(x - box.left) + {right};"
        " const start = 4 * (Math.floor(y - box.top) * canvas.width + across);"
        f" return [...data.slice(start, start + 4)]; }}); }})({json.dumps(cells)})"
    )
    return found


def fold_out(page: Page) -> None:
    """Open every panel."""
    page.run("document.querySelectorAll('.fold[aria-expanded=false]').forEach((button) => button.click())")
    page.settle()


def test_every_panel_has_every_value_of_the_trace(show: Show, trace: Trace) -> None:
    page = show(trace)
    wanted = expected(trace)
    names = {panel["name"] for panel in page.run("numdnc.panels()")}
    assert names == wanted.keys() | {"errors", "arcs"}
    for name, values in wanted.items():
        found = page.run(
            f"Array.from({{length: {len(values)}}}, (_, step) => Array.from({{length: {values.shape[1]}}}, "
            f"(_, row) => numdnc.valueAt({json.dumps(name)}, row, step)))"
        )
        np.testing.assert_allclose(found, values, rtol=2e-5, err_msg=name)


def test_errors_are_where_outputs_differ_from_targets_that_count(show: Show, trace: Trace) -> None:
    arrays = trace.arrays
    wrong = ((arrays["outputs"] > 0) != (arrays["targets"] > 0.5)) & (arrays["mask"][:, None] == 1)
    page = show(trace)
    found = page.run(
        f"Array.from({{length: {trace.steps}}}, (_, step) => [0, 1, 2, 3].map((row) =>"
        " numdnc.valueAt('errors', row, step)))"
    )
    np.testing.assert_array_equal(found, wrong)
    count, all_of_them = trace.errors
    assert f"{count} of {all_of_them} bits wrong" in page.run("document.getElementById('facts').textContent")


def test_the_real_pointer_reads_the_value_of_the_trace(show: Show, trace: Trace) -> None:
    page = show(trace)
    fold_out(page)
    rng = np.random.default_rng(0)
    for name, values in expected(trace).items():
        step, row = int(rng.integers(values.shape[0])), int(rng.integers(values.shape[1]))
        page.point(*place(page, name, row, step))
        said = readout(page)
        assert f"step {step}" in said, (name, said)
        number = said.split("= ")[1] if "= " in said else said.split("(")[-1].rstrip(")")
        assert float(number.split(" ")[0]) == pytest.approx(values[step, row], rel=DIGITS), (name, said)


def test_cells_have_the_colour_of_their_value(show: Show, trace: Trace) -> None:
    """0 is white, 1 the darkest of the map; what lies between grows darker all the way."""
    ramp = np.linspace(0, 1, trace.steps * 6, dtype=np.float32).reshape(trace.steps, 6)
    page = show(with_arrays(trace, write_weights=ramp))
    page.run("numdnc.goTo(0)")
    page.settle()
    cells = [("write_weights", k % 6, k // 6) for k in range(trace.steps * 6)]
    colours = [colour[:3] for colour in pixels(page, ".panel canvas[aria-label^='write weights']", cells)]
    brightness = np.array(colours) @ [0.2126, 0.7152, 0.0722]
    assert colours[0] == [255, 255, 255]
    assert colours[-1] == [0x13, 0x2F, 0x52]
    assert (np.diff(brightness) < 1).all()


def test_keys_step_through_time(show: Show, trace: Trace) -> None:
    page = show(trace)
    page.press("Home")
    assert page.run("numdnc.step") == 0
    page.press("ArrowRight", times=5)
    page.press("ArrowLeft")
    assert page.run("numdnc.step") == 4
    assert page.run("document.getElementById('clock').textContent") == "step 4 of 11"
    page.press("End")
    assert page.run("numdnc.step") == 11
    page.press("ArrowRight")
    assert page.run("numdnc.step") == 11
    page.press("Home")
    assert page.run("numdnc.step") == 0
    page.press(" ")
    page.wait("numdnc.step >= 2")
    page.press(" ")
    stopped = page.run("numdnc.step")
    page.run("new Promise((done) => setTimeout(done, 600))")
    assert page.run("numdnc.step") == stopped
    page.press(" ")
    page.wait("numdnc.step === 11 && document.getElementById('play').textContent.includes('Play')")


def test_zoom_keeps_the_step_in_view(show: Show) -> None:
    page = show(bits_trace(steps=60))
    page.run("numdnc.goTo(30)")
    before = page.run("numdnc.placeOf('usage', 0, 31)[0] - numdnc.placeOf('usage', 0, 30)[0]")
    page.press("+", times=3)
    after = page.run("numdnc.placeOf('usage', 0, 31)[0] - numdnc.placeOf('usage', 0, 30)[0]")
    assert after == pytest.approx(before * 1.5**3)
    page.press("Home")
    assert page.run("numdnc.placeOf('usage', 0, 0)[0]") > 0
    page.press("0")
    assert page.run("numdnc.placeOf('usage', 0, 31)[0] - numdnc.placeOf('usage', 0, 30)[0]") == before


def test_dragging_scrubs(show: Show, trace: Trace) -> None:
    page = show(trace)
    x, y = place(page, "usage", 2, 1)
    page.point(x, y, kind="mousePressed")
    assert page.run("numdnc.step") == 1
    to, y = page.run("numdnc.placeOf('usage', 2, 7)")
    page.point(to, y, held=True)
    assert page.run("numdnc.step") == 7
    page.point(to, y, kind="mouseReleased")
    page.point(x, y)
    assert page.run("numdnc.step") == 7


@pytest.mark.parametrize("deallocation", [False, True])
def test_arcs_are_those_of_an_independent_computation(show: Show, deallocation: bool) -> None:
    trace = bits_trace(seed=4, steps=20, deallocation=deallocation)
    page = show(trace)
    found = page.run(
        "Array.from({length: 20}, (_, step) => [0, 1].map((head) => numdnc.valueAt('arcs', head, step)))"
    )
    wanted = [
        [plain_origin(trace.arrays, step, head, deallocation)[1] for head in range(2)] for step in range(20)
    ]
    assert found == wanted
    assert len(np.unique(wanted)) > 3


def some_read(trace: Trace) -> tuple[int, int, int, int]:
    """Step, head, slot and write of a read of something written before."""
    for step, head in np.ndindex(trace.steps, 2):
        slot, write = plain_origin(trace.arrays, step, head, False)
        if write not in (NONE, step):
            return step, head, slot, write
    raise AssertionError("no read of the past")


def test_the_arc_joins_the_cells_of_read_and_write(show: Show, trace: Trace) -> None:
    step, head, slot, write = some_read(trace)
    page = show(trace)
    page.run(f"numdnc.goTo({step})")
    page.settle()
    around = pixels(page, "#overlay", cells_around(trace, step, head, slot, write), right=5)
    ring = [colour[3] > 0 for colour in around]
    assert ring == [True, True, False, False]


def cells_around(trace: Trace, step: int, head: int, slot: int, write: int) -> list[tuple[str, int, int]]:
    """Where an arc ends and begins, and two places where none does."""
    other = next(t for t in range(trace.steps) if t > step or t < write)
    reading = f"read_weights {head}"
    return [
        (reading, slot, step),
        ("write_weights", slot, write),
        ("write_weights", slot, other),
        (reading, slot, other),
    ]


def test_canvases_are_sharp_and_the_pointer_right_on_dense_screens(show: Show, trace: Trace) -> None:
    page = show(trace, scale=2)
    dense = (
        "[...document.querySelectorAll('.panel canvas:not([hidden])')]"
        ".filter((one) => one.getBoundingClientRect().top < window.innerHeight)"
        ".map((one) => one.width / one.clientWidth)"
    )
    assert len(page.run(dense)) > 5
    np.testing.assert_allclose(page.run(dense), 2)
    page.point(*place(page, "usage", 4, 9))
    assert float(readout(page).split("= ")[1]) == pytest.approx(trace.arrays["usage"][9, 4], rel=DIGITS)


def test_panels_and_overlay_are_drawn_where_the_window_is(show: Show, trace: Trace) -> None:
    page = show(trace, height=400)
    fold_out(page)
    page.run("numdnc.goTo(5)")
    page.settle()
    canvas = ".panel:last-child canvas"
    assert page.run(f"document.querySelector('{canvas}').getBoundingClientRect().top") > 1000
    here, after = place(page, "cell", 0, 5), page.run("numdnc.placeOf('cell', 0, 6)")
    assert page.run("document.getElementById('overlay').clientHeight") <= 400
    border = -round((after[0] - here[0]) / 2) - 1
    assert pixels(page, "#overlay", [("cell", 0, 5)], border)[0][3] > 0
    assert pixels(page, canvas, [("cell", 0, 5)])[0][3] == 255


def test_panels_outside_a_narrowed_window_are_as_narrow(show: Show, trace: Trace) -> None:
    page = show(trace, width=900, height=400)
    place(page, "hidden", 0, 5)
    page.run("window.scrollTo(0, 0)")
    page._call("Emulation.setDeviceMetricsOverride", width=600, height=400, deviceScaleFactor=1, mobile=False)
    page.wait("window.innerWidth === 600")
    page.settle()
    page.settle()
    assert page.run("document.documentElement.scrollWidth") <= 600


def test_a_click_on_a_read_goes_to_its_write_and_back(show: Show, trace: Trace) -> None:
    step, head, slot, write = some_read(trace)
    page = show(trace)
    x, y = place(page, f"read_weights {head}", slot, step)
    page.point(x, y)
    assert f"go to the write, step {write}" in readout(page)
    page.click(x, y)
    assert page.run("numdnc.step") == write
    page.press("Backspace")
    assert page.run("numdnc.step") == step


def test_the_jump_by_keys_and_by_buttons(show: Show, trace: Trace) -> None:
    step, head, _, write = some_read(trace)
    page = show(trace)
    page.run(f"numdnc.goTo({step})")
    page.press("Tab")
    for _ in range(60):
        label = page.run("document.activeElement.getAttribute('aria-label') ?? ''")
        if label.startswith(f"read weights {head}:"):
            break
        page.press("Tab")
    page.press("ArrowDown")
    assert f"slot 1 · step {step} " in readout(page)
    page.press("Enter")
    assert page.run("numdnc.step") == write
    page.press("Backspace")
    page.run(
        f"document.querySelector('#happens [aria-label=\"go to step {write}, which wrote it\"]').focus()"
    )
    page.press("Enter")
    assert page.run("numdnc.step") == write


def test_the_keyboard_reaches_everything(show: Show, trace: Trace) -> None:
    page = show(trace)
    # Asked again each time: what happens at a step is written anew whenever it is drawn.
    everything = (
        "[...document.querySelectorAll('button, input, canvas[tabindex]')].filter((one) =>"
        " one.offsetParent !== null && !one.disabled)"
    )
    count = page.run(f"{everything}.length")
    reached: set[int] = set()
    for _ in range(count + 2):
        page.press("Tab")
        reached.add(page.run(f"{everything}.indexOf(document.activeElement)"))
    assert reached >= set(range(count))
    names = page.run(f"{everything}.map((one) => one.getAttribute('aria-label') || one.textContent)")
    assert all(name.strip() for name in names)


def test_memory_and_links_say_their_numbers(show: Show, trace: Trace) -> None:
    page = show(trace)
    step = 7
    page.run(f"numdnc.goTo({step})")
    page.settle()
    page.run("document.getElementById('memory').focus()")
    page.press("ArrowDown")
    page.press("ArrowDown")
    page.press("ArrowRight", times=3)
    assert page.run("numdnc.step") == step
    value, change = readout(page).split("= ")[1].rstrip(")").split(" (changed by ")
    memory = trace.arrays["memory"]
    assert "number 1 · slot 1 · step 7" in readout(page)
    assert float(value) == pytest.approx(memory[step, 1, 1], rel=DIGITS)
    assert float(change) == pytest.approx(memory[step, 1, 1] - memory[step - 1, 1, 1], rel=DIGITS, abs=1e-4)
    page.run("document.getElementById('links-matrix').click()")
    page.settle()
    page.run("document.getElementById('links').focus()")
    page.press("ArrowDown")
    page.press("ArrowDown", times=3)
    page.press("ArrowRight")
    assert "from slot 1 to slot 3 · step 7" in readout(page)
    assert float(readout(page).split("= ")[1]) == pytest.approx(trace.arrays["link"][step, 3, 1], rel=DIGITS)
    page.run("document.getElementById('links-graph').click()")
    page.settle()
    page.press("ArrowRight", times=2)
    assert "right after slot" in readout(page)


def select_link(page: Page, step: int, row: int, column: int) -> None:
    """Point at a cell of the link matrix with the keyboard."""
    page.run(f"numdnc.goTo({step})")
    page.run("document.getElementById('links-matrix').click()")
    page.settle()
    page.run("document.getElementById('links').focus()")
    page.press("ArrowDown")
    page.press("ArrowDown", times=row)
    page.press("ArrowRight", times=column)


def test_ages_and_listed_links_of_a_sparse_model(show: Show) -> None:
    """Without usage there are ages; a link that no list has is 0."""
    trace = bits_trace(seed=3, sparsity=2, recency=True)
    page = show(trace)
    fold_out(page)
    names = {panel["name"] for panel in page.run("numdnc.panels()")}
    assert {"age", "allocation", "gates", "strengths"} <= names
    assert not {"usage", "retention", "write_content", "erase"} & names
    for step, row in np.ndindex(trace.arrays["age"].shape):
        assert page.run(f"numdnc.valueAt('age', {row}, {step})") == trace.arrays["age"][step, row]
    step, i, k = (int(index[-1]) for index in np.nonzero(trace.arrays["link_values"]))
    j = int(trace.arrays["link_slots"][step, i, k])
    select_link(page, step, i, j)
    assert f"from slot {j} to slot {i} · step {step}" in readout(page)
    assert float(readout(page).split("= ")[1]) == pytest.approx(
        trace.arrays["link_values"][step, i, k], rel=DIGITS
    )


def test_a_large_sparse_memory_shows_the_slots_kept_under_their_own_numbers(show: Show) -> None:
    trace = bits_trace(seed=3, N=100_000, W=3, sparsity=2, recency=True, learned_state=True, engine="cpu")
    assert trace.slots is not None
    slots, arrays, page = trace.slots.tolist(), trace.arrays, show(trace)
    S = len(slots)
    assert 6 < S < 60
    assert slots[-1] > 1000
    fold_out(page)
    rows = {panel["name"]: panel["rows"] for panel in page.run("numdnc.panels()")}
    assert (rows["write_weights"], rows["read_weights 1"], rows["age"]) == (S, S, S)
    assert f"only the {S} of 100,000 that the sequence touches" in page.run(
        "document.getElementById('note').textContent"
    )
    assert "100,000 slots of 3" in page.run("document.getElementById('facts').textContent")
    page.point(*place(page, "age", S - 1, 5))
    assert f"slot {slots[-1]} · step 5 " in readout(page)
    assert float(readout(page).split("= ")[1]) == arrays["age"][5, -1]
    step, i, k = (int(index[-1]) for index in np.nonzero(arrays["link_values"]))
    j = int(arrays["link_slots"][step, i, k])
    select_link(page, step, i, j)
    assert f"link from slot {slots[j]} to slot {slots[i]} · step {step}" in readout(page)
    assert float(readout(page).split("= ")[1]) == pytest.approx(arrays["link_values"][step, i, k], rel=DIGITS)
    page.run("document.getElementById('links-graph').click()")
    page.settle()
    page.run("document.getElementById('links').focus()")
    page.press("ArrowDown")
    assert readout(page).startswith(f"slot {slots[0]} · step {step}: ")
    page.run("document.getElementById('memory').focus()")
    page.press("ArrowDown", times=2)
    page.press("ArrowRight", times=2)
    assert f"memory, number 0 · slot {slots[1]} · step {step} = " in readout(page)
    reads = [(t, int(arrays["read_weights"][t, 0].argmax())) for t in range(trace.steps)]
    t, slot = next((t, slot) for t, slot in reads if arrays["read_weights"][t, 0, slot] > 0.5)
    page.run(f"numdnc.goTo({t})")
    page.settle()
    assert f"head 0slot {slots[slot]} (" in page.run("document.getElementById('happens').textContent")


def test_the_real_pointer_reads_memory_and_links(show: Show, trace: Trace) -> None:
    page = show(trace)
    page.run("numdnc.goTo(8)")
    page.run("document.getElementById('links-matrix').click()")
    page.settle()
    # The number 2 of slot 3: slots are 14 pixels high below a line of 16, columns 26 wide, right of labels of 44.
    left, top = corner_of(page, "memory")
    page.point(left + 44 + 26 * (2.5 + 2 + 0.5), top + 16 + 14 * 3.5)
    assert "number 2 · slot 3 · step 8" in readout(page)
    said = readout(page).split("= ")[1].split(" ")[0]
    assert float(said) == pytest.approx(trace.arrays["memory"][8, 3, 2], rel=DIGITS)
    # Row 4, column 1 of a square that begins 26 pixels from the corner.
    left, top = corner_of(page, "links")
    cell = (page.run("document.getElementById('links').clientWidth") - 28) / 6
    page.point(left + 26 + 1.5 * cell, top + 26 + 4.5 * cell)
    assert "from slot 1 to slot 4 · step 8" in readout(page)
    assert float(readout(page).split("= ")[1]) == pytest.approx(trace.arrays["link"][8, 4, 1], rel=DIGITS)


def corner_of(page: Page, name: str) -> tuple[float, float]:
    """Where a canvas begins in the window, scrolled to."""
    page.run(f"document.getElementById('{name}').scrollIntoView({{block: 'center'}})")
    page.settle()
    box = page.run(f"document.getElementById('{name}').getBoundingClientRect().toJSON()")
    return box["left"], box["top"]


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


def test_nothing_can_be_run_or_fetched_from_the_page(show: Show, trace: Trace) -> None:
    """Even if text became markup, the page's policy would stop it."""
    page = show(trace)
    page.run(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'numdncWasHere = 1'}))"
    )
    assert page.run("window.numdncWasHere") is None
    assert page.run("fetch('https://example.org').then(() => 'fetched', () => 'refused')") == "refused"
    assert any("Content Security Policy" in complaint for complaint in page.complaints)
    page.complaints.clear()
    page.requests[:] = [url for url in page.requests if "example.org" not in url]


def test_dark_and_light(show: Show, trace: Trace) -> None:
    page = show(trace, dark=True)
    background = "getComputedStyle(document.body).backgroundColor"
    by_system = page.run(background)
    page.run("document.getElementById('theme-button').click()")
    page.settle()
    light = page.run(background)
    assert by_system == "rgb(14, 17, 21)"
    assert light == "rgb(246, 247, 248)"
    page = show(trace, dark=False)
    assert page.run(background) == light
    page.run("document.getElementById('theme-button').click()")
    assert page.run(background) == by_system


def test_several_write_heads_show_weightings_gates_modes_and_links_of_each(show: Show) -> None:
    trace = bits_trace(write_heads=3, sharpness=True)
    arrays, page, T = trace.arrays, show(trace), trace.steps
    shown = {panel["name"]: panel["rows"] for panel in page.run("numdnc.panels()")}
    per_writer = (
        "write_weights",
        "allocation",
        "precedence",
        "write_content",
        "write_key",
        "erase",
        "write_vector",
    )
    wanted = {f"{name} {head}": arrays[name][:, head] for name in per_writer for head in range(3)}
    wanted |= {
        f"{name} {writer} {head}": arrays[name][:, writer, head]
        for name in ("forward", "backward")
        for writer in range(3)
        for head in range(2)
    }
    gates = [
        arrays[f"{name}_{part}"]
        for name, part in (("free", "gates"), ("allocation", "gate"), ("write", "gate"))
    ]
    wanted["gates"] = np.concatenate(gates, 1)
    wanted["read_modes"] = arrays["read_modes"].reshape(T, 2 * 7)
    wanted["strengths"] = np.concatenate([arrays["read_strengths"], arrays["write_strength"]], 1)
    ways = [arrays[f"{way}_sharpness"].reshape(T, 6) for way in ("forward", "backward")]
    wanted["sharpness"] = np.concatenate(ways, 1)
    assert {name: values.shape[1] for name, values in wanted.items()}.items() <= shown.items()
    assert "3 write heads" in page.run("document.getElementById('facts').textContent")


def test_two_memories_are_shown_one_at_a_time(show: Show) -> None:
    """Weightings, vectors and arcs are those of the memory chosen; of one that is written what is read, the product."""
    trace = bits_trace(second_memory="reads")
    arrays, page = trace.arrays, show(trace)
    assert "2 memories of " in page.run("document.getElementById('facts').textContent")
    written = arrays["write_vector"], arrays["reads"][:, 0].prod(1)
    for e in (0, 1, 0):
        page.run(f"document.getElementById('memory-{e}').click()")
        page.settle()
        wanted = {
            "write_weights": arrays["write_weights"][:, e],
            "usage": arrays["usage"][:, e],
            "read_weights 1": arrays["read_weights"][:, e, 1],
            "reads 0": arrays["reads"][:, e, 0],
            "write_vector": written[e],
        }
        for name, values in wanted.items():
            for row, step in ((0, 0), (values.shape[1] - 1, 7)):
                got = page.run(f"numdnc.valueAt({json.dumps(name)}, {row}, {step})")
                assert got == pytest.approx(values[step, row], rel=DIGITS, abs=1e-30), (name, e)
        pressed = [
            page.run(f"document.getElementById('memory-{m}').getAttribute('aria-pressed')") for m in (0, 1)
        ]
        assert pressed == [str(m == e).lower() for m in (0, 1)]


def test_an_ntm_shows_weightings_gates_and_shifts_of_each_head(show: Show) -> None:
    trace = bits_trace("ntm", write_heads=3, shift_range=2)
    arrays, page = trace.arrays, show(trace)
    shown = {panel["name"]: panel["rows"] for panel in page.run("numdnc.panels()")}
    wanted = {
        f"{name} {head}": arrays[name][:, head]
        for name in (
            *("write_weights", "read_weights", "write_content", "read_content"),
            *("write_keys", "read_keys", "erase", "write_vectors", "reads"),
        )
        for head in range(arrays[name].shape[1])
    }
    for part in ("interpolation", "shifts", "sharpening", "strengths"):
        both = np.concatenate([arrays[f"read_{part}"], arrays[f"write_{part}"]], 1)
        wanted[part] = both.reshape(trace.steps, -1)
    for name, values in wanted.items():
        assert shown[name] == values.shape[1], name
        for row, step in ((0, 0), (values.shape[1] - 1, 7)):
            got = page.run(f"numdnc.valueAt({json.dumps(name)}, {row}, {step})")
            assert got == pytest.approx(values[step, row], rel=DIGITS, abs=1e-30), name
    assert "3 write heads" in page.run("document.getElementById('facts').textContent")


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_models_without_memory_show_what_they_have(show: Show, kind: str) -> None:
    trace = bits_trace(kind)
    page = show(trace)
    names = [panel["name"] for panel in page.run("numdnc.panels()")]
    assert names == ["input", "target", "output", "errors", "hidden", *(["cell"] if kind == "lstm" else [])]
    assert "no memory" in page.run("document.getElementById('no-memory').textContent")
    page.point(*place(page, "hidden", 5, 3))
    assert float(readout(page).split("= ")[1]) == pytest.approx(trace.arrays["hidden"][3, 5], rel=DIGITS)


@pytest.mark.parametrize(
    "trace",
    [
        bits_trace(R=1, links=False),
        bits_trace("ntm", R=1),
        bits_trace("ntm", write_heads=3, shift_range=4, learned_state=True),
        bits_trace(masking=True, sharpness=True, deallocation=True, learned_state=True),
        bits_trace(steps=1, N=1, W=1, R=1),
        class_trace(symbols=True),
        class_trace(symbols=False),
        group_trace(),
        graph_trace(),
        named(with_arrays(graph_trace(), inputs=np.zeros_like(graph_trace().arrays["inputs"]))),
        with_arrays(bits_trace(), mask=np.zeros(12, np.uint8)),
        named(bits_trace(), task="", settings={}),
        with_arrays(bits_trace(), memory=np.full((12, 6, 4), np.nan, np.float32)),
    ],
    ids=[
        "no links",
        "an NTM",
        "an NTM with several write heads",
        "variations",
        "smallest",
        "symbols",
        "classes",
        "several classes",
        "a graph",
        "a graph that is not shown",
        "no targets",
        "nameless",
        "not a number",
    ],
)
def test_every_kind_of_trace_opens(show: Show, trace: Trace) -> None:
    page = show(trace)
    fold_out(page)
    page.press("End")
    assert page.run("numdnc.step") == trace.steps - 1


def test_it_opens_at_a_step_with_something_to_see(show: Show, trace: Trace) -> None:
    """Of the steps that count the middle one at which a head reads what was written before it."""
    counts = trace.arrays["mask"].astype(bool)
    reads = [
        any(plain_origin(trace.arrays, step, head, False)[1] not in (NONE, step) for head in (0, 1))
        for step in range(trace.steps)
    ]
    wanted = np.flatnonzero(counts & np.array(reads))
    assert 0 < len(wanted) < trace.steps
    assert show(trace).run("numdnc.step") == wanted[len(wanted) // 2]
    lstm = bits_trace("lstm", steps=30)
    asked = np.flatnonzero(lstm.arrays["mask"])
    assert show(lstm).run("numdnc.step") == asked[len(asked) // 2]


def few_slots(used: tuple[int, ...] = (1, 4, 7)) -> Trace:
    """Of 10 slots most are never written, read or anything but blank."""
    trace = bits_trace(seed=3, N=10)
    unused = [slot for slot in range(10) if slot not in used]
    arrays = {name: trace.arrays[name].copy() for name in ("write_weights", "read_weights", "memory", "link")}
    for name in ("write_weights", "memory", "link"):
        arrays[name][:, unused] = 0
    for name in ("read_weights", "link"):
        arrays[name][:, :, unused] = 0
    for slot in used:
        arrays["memory"][3, slot, 0] = 5
    return with_arrays(trace, **arrays)


def test_where_most_slots_are_blank_only_those_in_use_are_shown(show: Show) -> None:
    trace = few_slots()
    page = show(trace)
    rows = {panel["name"]: panel["rows"] for panel in page.run("numdnc.panels()")}
    assert (rows["write_weights"], rows["read_weights 1"], rows["usage"]) == (3, 3, 3)
    page.point(*place(page, "usage", 2, 5))
    assert "slot 7 · step 5" in readout(page)
    assert float(readout(page).split("= ")[1]) == pytest.approx(trace.arrays["usage"][5, 7], rel=DIGITS)
    page.run("numdnc.goTo(3)")
    left, top = corner_of(page, "memory")
    page.point(left + 44 + 26 * 3, top + 16 + 14 * 1.5)
    assert "number 0 · slot 4 · step 3 = 5" in readout(page)
    page.run("document.getElementById('links-matrix').click()")
    left, top = corner_of(page, "links")
    cell = (page.run("document.getElementById('links').clientWidth") - 28) / 3
    page.point(left + 26 + 0.5 * cell, top + 26 + 2.5 * cell)
    assert "from slot 1 to slot 7" in readout(page)
    assert page.run("document.getElementById('slots-used').textContent") == "Used 3"
    page.run("document.getElementById('slots-all').click()")
    page.settle()
    rows = {panel["name"]: panel["rows"] for panel in page.run("numdnc.panels()")}
    assert (rows["write_weights"], rows["read_weights 1"], rows["usage"]) == (10, 10, 10)
    assert page.run("document.getElementById('slots-all').getAttribute('aria-pressed')") == "true"
    page.point(*place(page, "usage", 2, 5))
    assert "slot 2 · step 5" in readout(page)
    most = few_slots((0, 1, 2, 3, 5, 8))
    page = show(most)
    assert {panel["rows"] for panel in page.run("numdnc.panels()") if panel["name"] == "usage"} == {10}
    assert page.run("document.getElementById('slots-choice').offsetParent !== null")


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


def test_words_stand_upright_and_do_not_collide(show: Show) -> None:
    names = tuple(f"a-long-word-{number}" for number in range(3))
    page = show(named(class_trace(symbols=True), input_channels=names), width=500)
    (_, top), (_, below) = (page.run(f"numdnc.placeOf('{name}', 0, 5)") for name in ("input", "target"))
    assert below - top > 60
    between = page.run("numdnc.placeOf('input', 0, 6)[0] - numdnc.placeOf('input', 0, 5)[0]")
    assert between >= 12


LONG = "supercalifragilistic" * 250


def test_long_names_take_no_time_to_fit(show: Show) -> None:
    """Few measurements of each: not one for every letter that is too many."""
    trace = bits_trace()
    names = tuple(f"{number} {LONG}" for number in range(3))
    page = show(named(trace, input_channels=names, task=LONG, sequence=LONG, settings={LONG: LONG}))
    page.run(
        "(() => { const measure = CanvasRenderingContext2D.prototype.measureText; window.measured = 0;"
        " CanvasRenderingContext2D.prototype.measureText = function (text) {"
        " window.measured += 1; return measure.call(this, text); }; })()"
    )
    page.run("document.querySelector('.fold').click()")
    page.run("document.querySelector('.fold').click()")
    page.settle()
    assert 0 < page.run("window.measured") < 200
    assert (
        page.run(
            "Math.max(...[...document.querySelectorAll('h1, p, title')].map((one) => one.textContent.length))"
        )
        < 500
    )
    assert page.run("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("width", [360, 420, 800])
def test_on_a_narrow_screen_nothing_is_lost_and_the_memory_is_a_tap_away(
    show: Show, trace: Trace, width: int
) -> None:
    page = show(trace, width=width, height=800)
    assert page.run("document.documentElement.scrollWidth <= window.innerWidth")
    ends = page.run(
        "[...document.querySelectorAll('#bar button, #bar input, #bar output')]"
        ".map((one) => one.getBoundingClientRect()).map(({ left, right }) => [left, right])"
    )
    assert all(0 <= left < right <= width for left, right in ends)
    memory = "document.getElementById('memory')"
    assert page.run(f"{memory}.offsetParent === null")
    page.run("document.getElementById('show-step').click()")
    page.settle()
    assert page.run(f"{memory}.getBoundingClientRect().top") < 700
    assert page.run(f"{memory}.clientWidth > 200 && {memory}.getBoundingClientRect().right <= {width}")
    assert page.run("document.getElementById('panels').offsetParent === null")
    page.press("ArrowRight")
    page.run("document.getElementById('show-timeline').click()")
    page.settle()
    assert page.run("document.getElementById('panels').offsetParent !== null")


def test_fingers_choose_scrub_and_jump(show: Show, trace: Trace) -> None:
    step, head, slot, write = some_read(trace)
    page = show(trace, touch=True)
    assert "Tap a cell" in readout(page)
    page.tap(*place(page, "usage", 4, 9))
    assert page.run("numdnc.step") == 9
    assert float(readout(page).split("= ")[1]) == pytest.approx(trace.arrays["usage"][9, 4], rel=DIGITS)
    x, y = place(page, "usage", 2, 1)
    page.tap(x, y, to=page.run("numdnc.placeOf('usage', 2, 7)[0]"))
    assert page.run("numdnc.step") == 7
    read = place(page, f"read_weights {head}", slot, step)
    page.tap(*read)
    assert page.run("numdnc.step") == step
    assert f"tap again: go to the write, step {write}" in readout(page)
    page.tap(*read)
    assert page.run("numdnc.step") == write
    page.run("numdnc.goTo(8)")
    left, top = corner_of(page, "memory")
    page.tap(left + 44 + 26 * (2.5 + 2 + 0.5), top + 16 + 14 * 3.5)
    assert "number 2 · slot 3 · step 8" in readout(page)


@pytest.mark.parametrize("largest", [20_000, 4_000])
def test_a_thinned_trace_says_so(show: Show, largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "LARGEST", largest)
    page = show(bits_trace(steps=40, N=8))
    fold_out(page)
    assert "strongest 4" in page.run("document.getElementById('note').textContent")
    page.press("End")
    assert "as of step" in page.run("document.getElementById('memory-note').textContent")


def test_first_paint_of_100_steps_of_64_slots(show: Show, capsys: pytest.CaptureFixture[str]) -> None:
    trace = bits_trace(steps=100, N=64, W=32, R=4)
    page = show(trace)
    size = len(export.page(trace))
    painted = page.run("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
    drawn = page.run("performance.getEntriesByName('drawn')[0].startTime") / 1000
    with capsys.disabled():
        words = f"{size / 1e6:.2f} MB; first paint after {painted:.2f} s, all drawn after {drawn:.2f} s"
        sys.stdout.write(f"\n{words}\n")
    assert size < 5_000_000
    assert painted < FIRST_PAINT
    assert drawn < FIRST_PAINT
