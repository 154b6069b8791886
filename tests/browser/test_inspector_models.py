"""What the inspector shows of each kind of model."""

import json

import numpy as np
import pytest

from browser.chromium import Page
from browser.inspector import DIGITS, Show, fold_out, place, readout
from helpers.traces import bits_trace, class_trace, graph_trace, group_trace, named, with_arrays
from numdnc.inspection.trace import Trace


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
