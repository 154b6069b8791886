"""The inspector in a real browser: what it draws, says and does is what the trace holds.

Needs a Chromium on the path (Debian: `apt-get install chromium`); skipped where there is none.
"""

import json
import sys
from typing import Any

import numpy as np
import pytest

from browser.inspector import DIGITS, Show, corner_of, fold_out, pixels, place, readout, some_read
from helpers.traces import bits_trace, plain_origin, with_arrays
from numdnc.inspection.provenance import NONE
from numdnc.inspection.trace import Trace
from numdnc.inspection.viewer import export

FIRST_PAINT = 5.0
"""Seconds that the first paint may take on a slow day; 0.2 s was measured."""


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
