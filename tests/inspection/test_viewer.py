"""The Python side of the inspector: where reads come from, the contents of a page, what a truncated one omits."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from numpy.typing import NDArray

from helpers.commands import call, done, refused
from helpers.traces import (
    EVIL,
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
from numdnc import DNCSpec, NTMSpec
from numdnc.inspection import trace_plot
from numdnc.inspection.provenance import LEAST, NONE, provenance
from numdnc.inspection.trace import Trace
from numdnc.inspection.trace_file import load_trace, save_trace
from numdnc.inspection.trace_plot import save_trace_plot
from numdnc.inspection.viewer import export
from numdnc.inspection.viewer.graphs import places
from numdnc.inspection.viewer.truncation import SECONDARY, truncations
from numdnc.training.folder import RunFolder

EXACT = 2.0**-16
"""Largest relative error of a packed float."""


def by_hand(
    writes: list[list[float]], reads: list[list[float]], erase: float = 1.0, **given: Any
) -> dict[str, NDArray[Any]]:
    """The arrays that provenance looks at, of one head and a word of two numbers."""
    T = len(writes)
    return {
        "write_weights": np.array(writes, np.float32),
        "read_weights": np.array(reads, np.float32)[:, None],
        "erase": np.full((T, 2), erase, np.float32),
        "retention": np.ones((T, len(writes[0])), np.float32),
        **given,
    }


def origin(arrays: dict[str, NDArray[Any]], deallocation: bool = False) -> list[tuple[int, int]]:
    """Slot and write of the only head at each step."""
    spec = DNCSpec(input_size=1, output_size=1, deallocation=deallocation)
    found = provenance(spec, arrays)
    return list(zip(found.slots[:, 0].tolist(), found.writes[:, 0].tolist(), strict=True))


def test_a_read_comes_from_the_write_to_its_slot() -> None:
    writes = [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    reads = [[0, 0, 0], [0, 0.9, 0], [0.8, 0.1, 0], [0, 0, 1]]
    assert origin(by_hand(writes, reads)) == [(NONE, NONE), (1, 1), (0, 0), (2, NONE)]


def test_a_later_write_that_erases_takes_over_and_a_weak_one_does_not() -> None:
    reads = [[1.0, 0]] * 4
    assert [write for _, write in origin(by_hand([[1, 0], [0.1, 0], [0.9, 0], [0.2, 0]], reads))] == [
        0,
        0,
        2,
        2,
    ]


def test_where_nothing_is_erased_the_newest_of_equal_writes_counts() -> None:
    reads = [[1.0, 0]] * 4
    arrays = by_hand([[1, 0], [0.95, 0], [0.4, 0], [0.6, 0]], reads, erase=0.0)
    assert [write for _, write in origin(arrays)] == [0, 1, 1, 3]


def test_of_several_write_heads_the_strongest_wrote_it_and_all_erase() -> None:
    """Step 1 writes weakly by both heads: together they erase more than half of what step 0 wrote."""
    arrays = by_hand([[1.0], [0.4]], [[1.0]] * 2)
    heads = np.array([[[1.0], [0.0]], [[0.4], [0.4]]], np.float32)
    arrays |= {"write_weights": heads, "erase": np.ones((2, 2, 2), np.float32)}
    spec = NTMSpec(input_size=1, output_size=1, write_heads=2)
    assert provenance(spec, arrays).writes[:, 0].tolist() == [0, 1]
    arrays["write_weights"] = heads * np.float32([[[1], [1]], [[0.5], [0.5]]])
    assert provenance(spec, arrays).writes[:, 0].tolist() == [0, 0]


def test_what_deallocation_wipes_is_gone() -> None:
    writes, reads = [[1.0, 0], [0, 0], [0, 0]], [[1.0, 0]] * 3
    retention = np.array([[1, 1], [1, 1], [0.01, 1]], np.float32)
    arrays = by_hand(writes, reads, retention=retention)
    assert [write for _, write in origin(arrays)] == [0, 0, 0]
    assert [write for _, write in origin(arrays, deallocation=True)] == [0, 0, NONE]


def test_reads_of_less_weight_than_the_least_are_none() -> None:
    arrays = by_hand([[1, 0], [1, 0]], [[LEAST, 0], [np.nextafter(np.float32(LEAST), 0) - 0.001, 0]])
    assert origin(arrays) == [(0, 0), (NONE, NONE)]


def test_writes_are_never_later_than_reads_and_agree_with_plain_loops() -> None:
    for seed in range(5):
        trace = bits_trace(seed=seed, deallocation=seed % 2 == 1)
        found = provenance(trace.spec, trace.arrays)
        assert (found.writes != NONE).any()
        for step, head in np.ndindex(found.slots.shape):
            assert found.writes[step, head] <= step
            assert (found.slots[step, head], found.writes[step, head]) == plain_origin(
                trace.arrays, step, head, seed % 2 == 1
            )


def about_of(page: str) -> dict[str, Any]:
    """What the page's JSON says."""
    (text,) = re.findall(r'<script id="about" type="application/json">(.*?)</script>', page, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def arrays_of(page: str) -> dict[str, NDArray[Any]]:
    """The arrays of a page, unpacked as its script does."""
    (text,) = re.findall(r'<script id="numbers" type="text/plain">([A-Za-z0-9+/=]*)</script>', page)
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(3, -1).astype(np.uint32)
    numbers = planes[0] << 16 | planes[1] << 8 | planes[2]
    found, start = {}, 0
    for name, shape, is_float in about_of(page)["arrays"]:
        part = numbers[start : start + int(np.prod(shape))].reshape(shape)
        start += part.size
        found[name] = (part << np.uint32(8)).view(np.float32) if is_float else part
    assert start == len(numbers)
    return found


def test_a_page_holds_every_number_of_the_trace() -> None:
    trace = bits_trace(sharpness=True, masking=True)
    found = arrays_of(export.page(trace))
    assert found.keys() == trace.arrays.keys()
    for name, array in trace.arrays.items():
        np.testing.assert_allclose(found[name], array, rtol=EXACT, atol=0)


@given(st.lists(st.floats(width=32), min_size=1))
def test_packed_floats_are_as_exact_as_promised(numbers: list[float]) -> None:
    array = np.array(numbers, np.float32)
    planes = np.frombuffer(zlib.decompress(base64.b64decode(export.pack({"a": array}))), np.uint8)
    whole = planes.reshape(3, -1).astype(np.uint32)
    found = ((whole[0] << 16 | whole[1] << 8 | whole[2]) << 8).astype(np.uint32).view(np.float32)
    largest = np.abs(array) > 3.4e38  # may round to infinity
    normal = (np.abs(array) >= np.finfo(np.float32).tiny) | (array == 0) | ~np.isfinite(array)
    kept = normal & ~largest | ~np.isfinite(array)
    np.testing.assert_allclose(found[kept], array[kept], rtol=EXACT, atol=0)


def test_a_page_says_where_reads_come_from() -> None:
    trace = bits_trace()
    found, embedded = provenance(trace.spec, trace.arrays), about_of(export.page(trace))["provenance"]
    assert embedded == {"slots": found.slots.tolist(), "writes": found.writes.tolist()}


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_models_without_memory_have_pages_too(kind: str) -> None:
    trace = bits_trace(kind)
    page = export.page(trace)
    assert "provenance" not in about_of(page)
    assert arrays_of(page).keys() == trace.arrays.keys()


def test_text_can_neither_end_nor_open_anything() -> None:
    plain, evil = export.page(text_trace("the cat sat")), export.page(text_trace())
    for mark in ("<script", "</script", "<!--", "<img", "\u2028", "\u2029"):
        assert evil.lower().count(mark) == plain.lower().count(mark), mark
    assert about_of(evil)["settings"] == {"corpus": EVIL}
    assert about_of(evil)["symbols"] == text_trace().about.symbols


@given(st.text())
def test_json_in_a_page_is_harmless_and_says_the_same(text: str) -> None:
    written = export.harmless_json({text: text})
    assert written.isascii()
    assert not set("<>&") & set(written)
    assert json.loads(written) == {text: text}


def test_a_page_cuts_names_that_are_too_long_to_be_shown() -> None:
    long = "x" * 5000
    trace = named(
        bits_trace(),
        task=long,
        sequence=long,
        settings={long: long, "size": [long]},
        input_channels=(long,) * 3,
    )
    described = about_of(export.page(trace))
    assert {len(name) for name in described["input_channels"]} == {export.LONGEST_NAME}
    shown = (
        described["task"],
        described["sequence"],
        *described["settings"],
        *described["settings"].values(),
    )
    assert all(len(text) <= export.LONGEST_NAME for text in shown)
    assert [text[-3:] for text in shown] == ["...", "...", "...", "ize", "...", "..."]


def test_a_page_of_a_graph_task_says_its_labels() -> None:
    trace = graph_trace()
    described, mask = about_of(export.page(trace))["graph"], trace.arrays["mask"].astype(bool)
    question, answer = described["question"], int(mask.argmax())
    assert (trace.arrays["inputs"][:, -2] > 0).nonzero()[0].tolist() == [question]
    assert described["edges"] == list(range(question))
    edges = described["input"][:question]
    walk = [described["target"][step] for step in range(answer, trace.steps)]
    assert all(edge in edges for edge in walk)
    assert described["input"][question] == [*walk[0][:2], -1]
    assert described["input"][question + 1 : answer] == [[-1, edge, -1] for _, edge, _ in walk[1:]]
    assert described["input"][answer:] == [[-1, -1, -1]] * len(walk)
    assert described["output"][answer : trace.steps - 1] == walk[:-1]
    assert described["output"][-1][:2] == walk[-1][:2]
    assert described["output"][-1] != walk[-1]
    assert set(described["nodes"]) == {
        node for source, _, destination in edges for node in (source, destination)
    }
    assert len(described["places"]) == len(described["nodes"])
    assert about_of(export.page(bits_trace()))["graph"] is None


def test_a_page_of_mini_shrdlu_says_its_boards_and_goals() -> None:
    trace = board_trace()
    described = about_of(export.page(trace))["boards"]
    assert described["said"][:4] == ["A: 1 above 2", "B: 2 right of 3", "B: 1 left of 3", "go B"]
    assert described["constraints"] == [0, 1, 2]
    assert described["squares"][0] == [0, 0, 0, 2, 0, 0, 1, 3, 0]
    assert described["said"][4:6] == ["1 to 3", "pass"]
    assert described["squares"][4:6] == [[0, 0, 0, 2, 0, 0, 1, 3, 0], [0, 0, 0, 0, 0, 0, 1, 3, 2]]
    assert len(described["squares"]) == len(described["said"]) == trace.steps
    assert about_of(export.page(graph_trace()))["boards"] is None


def test_nodes_stand_as_far_apart_as_the_edges_between_them() -> None:
    chain = places(5, [(0, 1), (1, 2), (2, 3), (3, 4)])
    along = np.linalg.norm(chain - chain[0], axis=1)
    assert (np.diff(along) > 0.1).all()
    assert chain.min() == 0
    assert chain.max() == pytest.approx(1)
    rng = np.random.default_rng(0)
    points = rng.random((30, 2))
    nearest = np.argsort(((points[:, None] - points) ** 2).sum(2), axis=1)[:, 1:4]
    edges = [(node, int(other)) for node, others in enumerate(nearest) for other in others]
    found = places(30, edges)
    apart = np.linalg.norm(found[:, None] - found, axis=2)
    joined = [apart[edge] for edge in edges]
    assert np.mean(joined) < 0.5 * apart[~np.eye(30, dtype=bool)].mean()
    assert apart[~np.eye(30, dtype=bool)].min() > 0.08


@pytest.mark.parametrize("count", [0, 1, 2, 3, 101])
def test_every_number_of_nodes_has_places(count: int) -> None:
    found = places(count, [(0, 0), (0, count - 1)] if count else [])
    assert found.shape == (count, 2)
    assert np.isfinite(found).all()
    assert len(np.unique(found.round(6), axis=0)) == count


def test_a_page_allows_itself_no_network_and_no_other_script() -> None:
    page = export.page(bits_trace())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.findall(r"(?:https?:)?//[a-z]", re.sub(r'type="text/plain">[^<]*<', "", page))
    assert "innerHTML" not in page


def random_trace_of(steps: int, N: int, W: int, R: int) -> Any:
    """Numbers that hardly deflate, in the shapes of a trace so large."""
    trace = bits_trace(steps=2, N=N, W=W, R=R)
    rng = np.random.default_rng(0)
    arrays: dict[str, NDArray[Any]] = {
        name: rng.random((steps, *array.shape[1:]), np.float32) for name, array in trace.arrays.items()
    }
    return with_arrays(trace, **{**arrays, "mask": np.ones(steps, np.uint8)})


def test_100_steps_of_64_slots_fit_whole() -> None:
    page = export.page(random_trace_of(100, 64, 64, 4))
    assert len(page) < 5_000_000
    assert about_of(page)["note"] == ""


def test_a_larger_trace_is_thinned_and_says_so() -> None:
    trace = random_trace_of(150, 96, 32, 4)
    page = export.page(trace)
    described, found = about_of(page), arrays_of(page)
    assert len(page) < 5_000_000
    assert "links: only the strongest 4" in described["note"]
    assert "link" not in found
    strongest = np.sort(trace.arrays["link"][:: described["every"]], -1)[..., :-5:-1]
    np.testing.assert_allclose(found["link_values"], strongest, rtol=EXACT)
    np.testing.assert_allclose(found["memory"], trace.arrays["memory"][:: described["every"]], rtol=EXACT)


def test_a_page_of_a_large_sparse_memory_is_small_and_knows_its_slots() -> None:
    trace = bits_trace(steps=30, N=65_536, W=16, sparsity=4, engine="cpu")
    assert trace.slots is not None
    page = export.page(trace)
    assert len(page) < 1_000_000
    described, found = about_of(page), arrays_of(page)
    assert described["slots"] == trace.slots.tolist()
    assert described["note"] == trace.note
    np.testing.assert_array_equal(found["link_slots"], trace.arrays["link_slots"])
    assert found["memory"].shape == (30, len(trace.slots), 16)
    assert about_of(export.page(bits_trace()))["slots"] is None


def test_a_figure_names_the_slots_kept() -> None:
    trace = bits_trace(N=300, W=3, sparsity=2, learned_state=True)
    assert trace.slots is not None
    figure = trace_plot._drawn(trace, Figure)
    (panel,) = (axes for axes in figure.axes if axes.get_title("left").startswith("usage"))
    names = [label.get_text() for label in panel.get_yticklabels()]
    places = [int(place) for place in panel.get_yticks()]
    assert names == [f"slot {trace.slots[place]}" for place in places]


def test_thinning_goes_on_down_to_one_step() -> None:
    trace = bits_trace(steps=9)
    stages = list(truncations(trace.arrays))
    sizes = [sum(array.size for array in stage.arrays.values()) for stage in stages]
    assert sizes[0] == sum(array.size for array in trace.arrays.values())
    assert sorted(sizes[1:], reverse=True) == sizes[1:]
    assert stages[-1].steps == 1
    assert not set(SECONDARY) & stages[-1].arrays.keys()
    for stage in stages:
        kept = -(-stage.steps // stage.every)
        assert len(stage.arrays["memory"]) == kept
        assert len(stage.arrays["usage"]) == stage.steps
    assert "only the first 1 of 9 steps" in stages[-1].note


def test_a_page_of_fewer_steps_knows_their_reads_only() -> None:
    with mock.patch.object(export, "LARGEST", 3000):
        described = about_of(export.page(bits_trace(steps=40)))
    assert described["steps"] < 40
    assert len(described["provenance"]["writes"]) == described["steps"]


def test_notes_of_trace_and_page_stand_together() -> None:
    trace = bits_trace()
    slots = np.zeros((12, 6, 4), np.int32)
    arrays = {name: array for name, array in trace.arrays.items() if name != "link"}
    thinned = trace._replace(arrays={**arrays, "link_slots": slots, "link_values": slots.astype(np.float32)})
    with mock.patch.object(export, "LARGEST", 3000):
        note = about_of(export.page(thinned))["note"]
    assert note.startswith("links: only the strongest 4 of the 6")
    assert "memory and links: of one step in" in note


@pytest.mark.parametrize(
    "trace",
    [
        bits_trace("lstm"),
        pytest.param(text_trace("a cat \U0001f408 " + EVIL), marks=pytest.mark.thorough),
        pytest.param(class_trace(symbols=True), marks=pytest.mark.thorough),
        pytest.param(group_trace(), marks=pytest.mark.thorough),
        pytest.param(
            with_arrays(bits_trace(), mask=np.zeros(12, np.uint8), inputs=np.zeros((12, 3), np.float32)),
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["lstm", "text", "classes", "several classes", "no targets"],
)
def test_a_figure_of_every_kind_is_drawn(tmp_path: Path, trace: Trace) -> None:
    save_trace_plot(tmp_path / "figure.png", trace)
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_the_figure_joins_reads_with_their_writes() -> None:
    trace = with_arrays(bits_trace(seed=3), mask=np.ones(12, np.uint8))
    figure = trace_plot._drawn(trace, Figure)
    found = provenance(trace.spec, trace.arrays)
    wanted = {
        ((write, slot), (step, slot))
        for step in range(12)
        for slot, write in zip(found.slots[step].tolist(), found.writes[step].tolist(), strict=True)
        if write not in (NONE, step)
    }
    curves = [artist for artist in figure.artists if isinstance(artist, ConnectionPatch)]
    assert {(curve.xy1, curve.xy2) for curve in curves} == wanted
    assert len(wanted) > 2


def test_view_writes_a_page_and_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_trace(Path("t.safetensors"), bits_trace())
    with mock.patch("webbrowser.open", return_value=True) as opened:
        assert "t.html" in done("view", "t.safetensors")
        done("view", "t.safetensors", "--no-open", "--out", "other.html")
    opened.assert_called_once_with((tmp_path / "t.html").as_uri())
    assert Path("t.html").read_bytes() == Path("other.html").read_bytes()
    assert about_of(Path("t.html").read_text("utf-8"))["task"] == "random"


def test_view_says_where_no_browser_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_trace(Path("t.safetensors"), bits_trace())
    with mock.patch("webbrowser.open", return_value=False):
        assert "no browser" in done("view", "t.safetensors")


def test_view_plots_instead_of_a_page_or_besides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_trace(Path("t.safetensors"), named(bits_trace(), task="mine"))
    done("view", "t.safetensors", "--plot", "t.PNG")
    assert Path("t.PNG").read_bytes().startswith(b"\x89PNG")
    assert not Path("t.html").exists()
    done("view", "t.safetensors", "--plot", "t.svg", "--out", "t.html", "--no-open")
    assert Path("t.svg").read_bytes().startswith(b"<?xml")
    assert Path("t.html").exists()


def test_view_of_a_run_records_a_trace_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = "--hidden 5 -N 4 -W 3 -R 2 --batch 4 --steps 2 --max-length 3"
    done("train", "copy", *sizes.split(), "--out", "run")
    first, second = done("view", "run", "--no-open").splitlines()
    assert first.startswith("recorded copy, sequence 0 of those scored on: ")
    assert second.endswith(" in run/trace.html")
    assert about_of(Path("run/trace.html").read_text("utf-8"))["task"] == "copy"
    before = Path("run/trace.safetensors").stat().st_mtime_ns
    assert "recorded" not in done("view", "run", "--no-open")
    assert Path("run/trace.safetensors").stat().st_mtime_ns == before


def shown_iteration() -> int:
    found: int = about_of(Path("run/trace.html").read_text("utf-8"))["iteration"]
    return found


def test_view_of_a_run_that_has_moved_records_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `resume` leaves it, and only what `view` itself would record."""
    monkeypatch.chdir(tmp_path)
    sizes = "--hidden 5 -N 4 -W 3 -R 2 --batch 4 --steps 2 --max-length 3"
    done("train", "copy", *sizes.split(), "--out", "run")
    done("view", "run", "--no-open")
    assert shown_iteration() == 2
    done("resume", "run", "--steps", 40)
    best = RunFolder(Path("run")).load_best().iteration
    assert best > 2
    assert "recorded copy" in done("view", "run", "--no-open")
    assert shown_iteration() == best
    assert load_trace(Path("run/trace.safetensors")).about.iteration == best
    other = named(load_trace(Path("run/trace.safetensors")), iteration=1, sequence="a sequence given by hand")
    save_trace(Path("run/trace.safetensors"), other)
    late = call("view", "run", "--no-open")
    assert late.code == 0
    assert late.err == (
        f"this trace is of iteration 1, the run's best is at {best}, and it is not recorded again: it is of a "
        "sequence given by hand, as options asked for. Give them to `numdnc trace run` again.\n"
    )
    assert shown_iteration() == 1
    done("trace", "run", "--last")
    assert "recorded" not in done("view", "run", "--no-open")
    assert shown_iteration() == 40


def test_a_trace_says_which_settings_were_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = "--hidden 5 -N 4 -W 3 -R 2 --batch 4 --steps 2 --max-length 3"
    done("train", "copy", *sizes.split(), "--out", "run")
    done("trace", "run", "--set", "max_length=2")
    trace = load_trace(Path("run/trace.safetensors"))
    assert trace.about.sequence == "sequence 0 of those scored on, with max_length=2"


def test_view_refuses_what_it_cannot_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_trace(Path("t.safetensors"), bits_trace())
    refused("view", "none.safetensors", expect="a trace must exist")
    refused("view", "t.safetensors", "--out", "t.txt", expect="--out must be named .html")
    refused("view", "t.safetensors", "--plot", "t.bmp", expect="must be named .png, .pdf or .svg")
    Path("t.safetensors").write_bytes(Path("t.safetensors").read_bytes()[:-9])
    refused("view", "t.safetensors", expect="must be a whole safetensors file")
