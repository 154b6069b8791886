"""What follows from edits on the page: as the definition says, drawn beside what was, and taken back by "reset"."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from browser.chromium import Page
from helpers.examples import random_params
from helpers.traces import about, graph_trace
from numdnc import DNCSpec, LSTMSpec, NTMSpec, load_run, map_leaves
from numdnc.inspection.ablation import without_head, without_writing
from numdnc.inspection.provenance import provenance
from numdnc.inspection.trace import Trace, record
from numdnc.inspection.viewer import export
from numdnc.spec import Spec
from numdnc.tasks import Batch

SIZES: dict[str, Any] = {"input_size": 3, "output_size": 4, "hidden_sizes": (8,)}
MEMORY: dict[str, Any] = {"memory_size": 5, "word_size": 4, "read_heads": 2}


def model(spec: Spec, steps: int = 9) -> tuple[Any, NDArray[Any], Trace]:
    """Random parameters, inputs and the trace of them."""
    rng = np.random.default_rng(7)
    params = map_leaves(lambda leaf: leaf.astype(np.float32).astype(float), random_params(spec, rng))
    inputs = rng.integers(2, size=(steps, 1, spec.input_size)).astype(float)
    return params, inputs, traced(spec, params, inputs)


def traced(spec: Spec, params: Any, inputs: NDArray[Any]) -> Trace:
    targets = np.ones((len(inputs), 1, spec.output_size))
    return record(spec, params, Batch(inputs, targets), about(spec))


def shown(browser: Page, path: Path, trace: Trace, params: Any, **options: Any) -> Page:
    file = path / "trace.html"
    file.write_text(export.page(trace, params), "utf-8")
    browser.open(file, **options)
    return browser


def edit(page: Page, name: str, index: list[int], value: Any, first: int = 0, last: int = 99) -> None:
    made = {"name": name, "index": index, "value": value, "words": name, "first": first, "last": last}
    page.run(f"numdnc.edit({json.dumps(made)})")
    page.settle()


def array(page: Page, trace: Trace, name: str) -> NDArray[Any]:
    found, shape = np.array(page.run(f"numdnc.array({json.dumps(name)})")), trace.arrays[name].shape
    assert found.size == np.prod(shape), (name, found.size, shape)
    return found.reshape(shape)


def assert_shown(page: Page, trace: Trace) -> None:
    """The run that is drawn is that of this trace."""
    for name in trace.arrays.keys() - {"targets", "mask", "probabilities"}:
        np.testing.assert_allclose(
            array(page, trace, name), trace.arrays[name], rtol=1e-5, atol=1e-5, err_msg=name
        )
    assert page.complaints == []


@pytest.mark.parametrize(
    "spec",
    [LSTMSpec(**SIZES), DNCSpec(**SIZES, **MEMORY), DNCSpec(**SIZES, **MEMORY, bidirectional=True)],
    ids=["lstm", "dnc", "bidirectional"],
)
def test_other_input_is_what_the_definition_makes_of_it(browser: Page, tmp_path: Path, spec: Spec) -> None:
    params, inputs, trace = model(spec)
    page = shown(browser, tmp_path, trace, params)
    edit(page, "inputs", [1], 1 - inputs[4, 0, 1], first=4, last=4)
    inputs[4, 0, 1] = 1 - inputs[4, 0, 1]
    other = traced(spec, params, inputs)
    assert abs(other.arrays["outputs"][4:] - trace.arrays["outputs"][4:]).max() > 1e-3
    assert_shown(page, other)
    page.run("numdnc.reset()")
    assert_shown(page, trace)


@pytest.mark.parametrize("heads", [1, 2])
def test_gates_and_heads_are_taken_away_as_by_diagnose(browser: Page, tmp_path: Path, heads: int) -> None:
    spec = DNCSpec(**SIZES, **MEMORY, write_heads=heads)
    params, inputs, trace = model(spec)
    page = shown(browser, tmp_path, trace, params)
    edit(page, "reads", [1], 0)
    without = traced(spec, without_head(spec, params, 1), inputs)
    np.testing.assert_allclose(array(page, trace, "outputs"), without.arrays["outputs"], rtol=1e-5, atol=1e-5)
    page.run("numdnc.reset()")
    for head in range(heads):
        edit(page, "write_gate", [head] if heads > 1 else [], 0)
    assert_shown(page, traced(spec, without_writing(spec, params), inputs))


@pytest.mark.parametrize(
    "spec",
    [
        DNCSpec(**SIZES, **MEMORY),
        DNCSpec(**SIZES, **MEMORY, sparsity=3, deallocation=True),
        DNCSpec(**SIZES, **MEMORY, sparsity=2, links=False, recency=True),
        NTMSpec(**SIZES, **MEMORY, write_heads=2),
    ],
    ids=["dnc", "sparse", "recency", "ntm"],
)
def test_a_wiped_slot_is_empty_when_it_is_read(browser: Page, tmp_path: Path, spec: Any) -> None:
    params, _, trace = model(spec)
    page = shown(browser, tmp_path, trace, params)
    slot = int(trace.arrays["read_weights"][5, 0].argmax())
    edit(page, "memory", [slot], 0, first=5, last=5)
    memory, reads, weights = (array(page, trace, name) for name in ("memory", "reads", "read_weights"))
    np.testing.assert_allclose(memory[:5], trace.arrays["memory"][:5], atol=1e-5)
    expected = trace.arrays["memory"][5].copy()
    expected[slot] = 0
    np.testing.assert_allclose(memory[5], expected, atol=1e-5)
    np.testing.assert_allclose(reads, weights @ memory, atol=1e-5)
    assert abs(reads[5] - trace.arrays["reads"][5]).max() > 1e-3
    assert abs(memory[6:] - trace.arrays["memory"][6:]).max() > 1e-3
    found = provenance(spec, {name: array(page, trace, name) for name in trace.arrays})
    assert page.run("numdnc.provenance()") == {name: each.tolist() for name, each in found._asdict().items()}
    assert page.complaints == []


def test_the_slots_that_can_be_wiped_are_those_of_the_pages_own_run(browser: Page, tmp_path: Path) -> None:
    """Of equally free slots, rounding decides which are used: in the recording others than in the page."""
    run = load_run("model:copy")
    trace = run.trace()
    page = shown(browser, tmp_path, trace, run.params)
    step = page.run("numdnc.step")
    recorded = page.run("numdnc.provenance().slots")
    page.run("document.getElementById('what-if').open = true")
    page.wait(
        f"String(numdnc.provenance().slots) !== {json.dumps(','.join(str(slot) for (slot,) in recorded))}"
    )
    assert page.run("document.getElementById('runs').hidden")
    (slot,) = page.run("numdnc.provenance().slots")[step]
    used = int(page.run("document.getElementById('slots-used').textContent").split()[1])
    assert used == page.run("numdnc.panels().find((panel) => panel.name === 'write_weights').rows") < 20
    edit(page, "memory", [slot], 0, first=step - 1, last=step - 1)
    outputs = array(page, trace, "outputs")
    np.testing.assert_allclose(outputs[:step], trace.arrays["outputs"][:step], atol=0.01)
    assert abs(outputs[step] - trace.arrays["outputs"][step]).max() > 1
    assert page.complaints == []


def test_a_cut_link_is_not_followed(browser: Page, tmp_path: Path) -> None:
    spec = DNCSpec(**SIZES, **MEMORY)
    params, _, trace = model(spec)
    page = shown(browser, tmp_path, trace, params)
    i, j = np.unravel_index(trace.arrays["link"][4].argmax(), (5, 5))
    edit(page, "link", [int(i), int(j)], 0, first=4, last=4)
    link, forward, before = (array(page, trace, name) for name in ("link", "forward", "read_weights"))
    assert link[4, i, j] == 0
    np.testing.assert_allclose(np.delete(link[4], i, 0), np.delete(trace.arrays["link"][4], i, 0), atol=1e-5)
    np.testing.assert_allclose(forward[4], before[3] @ link[4].T, atol=1e-5)
    assert forward[4, 0, i] < trace.arrays["forward"][4, 0, i]
    assert page.complaints == []


def press(page: Page, selector: str) -> None:
    """Click the middle of an element with the mouse."""
    page.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
    page.settle()
    box = page.run(
        f"(({{left, top, width, height}}) => [left + width / 2, top + height / 2])"
        f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
    )
    page.click(*box)


def pink(page: Page, canvas: str, read: str) -> Any:
    """What `read` says of a function of x and y, whether a canvas has the colour of edits there, and of its size."""
    return page.run(
        f"(() => {{ const canvas = document.getElementById('{canvas}'); const copy = document.createElement('canvas');"
        " const { width, height } = Object.assign(copy, { width: canvas.width, height: canvas.height });"
        " const context = copy.getContext('2d', { willReadFrequently: true }); context.drawImage(canvas, 0, 0);"
        " const { data } = context.getImageData(0, 0, width, height);"
        " const isPink = (x, y) => { const [r, g, b] = data.subarray(4 * (y * width + x));"
        " return r - g > 60 && b - g > 20 && r > 150; };"
        f" return {read}; }})()"
    )


COUNT = "[...Array(width * height).keys()].filter((k) => isPink(k % width, Math.floor(k / width))).length"


def assert_outlined(
    page: Page, canvas: str, corners: list[Any], size: float, changed: NDArray[np.bool_]
) -> None:
    """Cells, whose corners are listed row by row, have an upper border if they changed and the cell above did not."""
    above = np.vstack([np.zeros((1, changed.shape[1]), bool), changed[:-1]])
    places = [(int(x + size / 2), int(y)) for x, y in corners]
    near = f"{json.dumps(places)}.map(([x, y]) => [-1, 0, 1].some((down) => isPink(x, y + down)))"
    found = np.array(pink(page, canvas, near)).reshape(changed.shape)
    np.testing.assert_array_equal(found[changed != above], True)
    np.testing.assert_array_equal(found[~changed & ~above], False)
    assert changed.any()
    assert not changed.all()


def test_memory_and_links_are_marked_where_they_differ(browser: Page, tmp_path: Path) -> None:
    spec = DNCSpec(**SIZES, **MEMORY)
    params, _, trace = model(spec)
    page = shown(browser, tmp_path, trace, params)
    i, j = (int(k) for k in np.unravel_index(trace.arrays["link"][4].argmax(), (5, 5)))
    edit(page, "link", [i, j], 0, first=4, last=4)
    edit(page, "memory", [2], 0, first=4, last=4)
    page.run("numdnc.goTo(4)")
    page.settle()
    memory, link, before = array(page, trace, "memory")[4], array(page, trace, "link")[4], trace.arrays
    most = abs(before["memory"]).max()
    changed = abs(memory - before["memory"][4]) > 0.02 * 2 * most
    corners = page.run(
        "[0, 1, 2, 3, 4].flatMap((row) => [0, 1, 2, 3].map((k) => numdnc.memoryCorner(row, 2 + k)))"
    )
    assert_outlined(page, "memory", corners, corners[1][0] - corners[0][0], changed)
    assert pink(page, "links", COUNT) > 20
    page.run("document.getElementById('links-matrix').click()")
    page.settle()
    corners = page.run("[0, 1, 2, 3, 4].flatMap((i) => [0, 1, 2, 3, 4].map((j) => numdnc.linkCorner(i, j)))")
    assert_outlined(
        page, "links", corners, corners[1][0] - corners[0][0], abs(link - before["link"][4]) > 0.02
    )
    box = page.run("(({left, top}) => [left, top])(document.getElementById('links').getBoundingClientRect())")
    x, y = corners[5 * i + j]
    page.point(box[0] + x + 5, box[1] + y + 5)
    said, was = page.run("document.getElementById('readout').textContent"), before["link"][4, i, j]
    assert f"= 0 (before: {float(f'{was:.4g}'):g})" in said
    page.run("document.getElementById('view-edited').click()")
    page.settle()
    assert pink(page, "links", COUNT) == 0
    assert page.complaints == []


def test_a_reader_changes_a_bit_and_takes_it_back(browser: Page, tmp_path: Path) -> None:
    spec = DNCSpec(**SIZES, **MEMORY)
    params, inputs, trace = model(spec)
    page = shown(browser, tmp_path, trace, params)
    page.run("numdnc.goTo(2)")
    press(page, "#what-if summary")
    press(page, ".bit")
    assert page.run("numdnc.valueAt('input', 0, 2)") == 1 - inputs[2, 0, 0]
    expected = inputs[:, 0].copy()
    expected[2, 0] = 1 - expected[2, 0]
    np.testing.assert_array_equal(array(page, trace, "inputs"), expected)
    assert f"step 2: in 0 = {1 - inputs[2, 0, 0]:.0f}" in page.run(
        "document.getElementById('edits').textContent"
    )
    assert "outputs differ from step 2 on" in page.run("document.getElementById('runs-note').textContent")
    height = page.run("document.querySelector('.panel canvas').clientHeight")
    press(page, "#view-unedited")
    assert page.run("numdnc.valueAt('input', 0, 2)") == inputs[2, 0, 0]
    assert page.run("document.querySelector('.panel canvas').clientHeight") < height
    press(page, "#reset")
    assert page.run("document.getElementById('runs').hidden")
    assert_shown(page, trace)


def test_a_gate_holds_to_the_end(browser: Page, tmp_path: Path) -> None:
    spec = DNCSpec(**SIZES, **MEMORY)
    params, _, trace = model(spec)
    page = shown(browser, tmp_path, trace, params)
    page.run("numdnc.goTo(3)")
    press(page, "#what-if summary")
    page.run("document.getElementById('until').value = 'end'")
    page.run(
        "(() => { const gate = document.querySelector('[aria-label=\"write gate\"]');"
        " gate.value = 0; gate.dispatchEvent(new Event('input')); })()"
    )
    page.settle()
    gates = array(page, trace, "write_gate")
    assert gates[3:].tolist() == [0] * 6
    np.testing.assert_allclose(gates[:3], trace.arrays["write_gate"][:3], atol=1e-5)
    assert page.complaints == []


def test_a_label_of_a_graph_is_changed(browser: Page, tmp_path: Path) -> None:
    trace = graph_trace()
    params = random_params(trace.spec, np.random.default_rng(4), 1.0)
    page = shown(browser, tmp_path, trace, params)
    page.run("numdnc.goTo(0)")
    press(page, "#what-if summary")
    page.run(
        "(() => { const label = document.querySelector('[aria-label=\"edge label\"]');"
        " label.value = '7'; label.dispatchEvent(new Event('change')); })()"
    )
    page.settle()
    assert page.run("numdnc.valueAt('input', 1, 0)") == 7
    inputs = array(page, trace, "inputs")
    np.testing.assert_array_equal(inputs[1:], trace.arrays["inputs"][1:])
    assert np.flatnonzero(inputs[0, 20:40]).tolist() == [0, 17]
    assert page.complaints == []
