"""Traces of large sparse memories keep the slots that their sequence touches, and nothing else is lost."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from helpers.examples import random_inputs, random_params, single
from helpers.traces import about
from numdnc import DNCSpec, UserError
from numdnc.engines import get_engine
from numdnc.inspection import trace as tracing
from numdnc.inspection import trace_file
from numdnc.inspection.activity import observe
from numdnc.inspection.provenance import NONE, provenance
from numdnc.inspection.touched import MANY_SLOTS, touched_slots
from numdnc.inspection.trace import Trace, record
from numdnc.inspection.trace_file import load_trace, save_trace
from numdnc.tasks import Batch

SIZES: dict[str, Any] = {
    "input_size": 3,
    "output_size": 4,
    "hidden_sizes": (6,),
    "word_size": 5,
    "read_heads": 2,
    "learned_state": True,
}
"""A learned memory is read by content all over, so that the slots touched have gaps between them."""
KINDS: dict[str, dict[str, Any]] = {
    "usage": {},
    "recency": {"recency": True},
    "content": {"links": False},
    "SAM": {"links": False, "recency": True},
    "deallocation": {"deallocation": True, "masking": True},
}
for_each_kind = pytest.mark.parametrize("kind", KINDS)


def sparse(kind: str = "usage", slots: int = MANY_SLOTS + 44, **flags: Any) -> DNCSpec:
    return DNCSpec(**{**SIZES, "memory_size": slots, "sparsity": 2, **KINDS[kind], **flags})


def recorded(spec: DNCSpec, steps: int = 8, engine: str = "reference") -> Trace:
    rng = np.random.default_rng(0)
    params, inputs = random_params(spec, rng, 1.0), random_inputs(spec, rng, steps, 1)
    batch = Batch(inputs, rng.integers(2, size=(steps, 1, 4)).astype(float))
    return record(spec, single(params) if engine == "cpu" else params, batch, about(spec, engine=engine))


def recorded_whole(spec: DNCSpec, monkeypatch: pytest.MonkeyPatch) -> Trace:
    with monkeypatch.context() as patch:
        patch.setattr(tracing, "MANY_SLOTS", spec.memory_size)
        return recorded(spec)


def used_somewhere(trace: Trace) -> list[int]:
    """Slots of a whole trace that any weighting or link names, told slot by slot."""
    arrays, found = trace.arrays, set()
    weightings = (
        "write_weights",
        "read_weights",
        "allocation",
        "write_content",
        "read_content",
        "precedence",
    )
    for name in weightings:
        for *_, slot in np.argwhere(arrays.get(name, np.zeros((1, 1)))).tolist():
            found.add(slot)
    for step, row, entry in np.argwhere(arrays.get("link_values", np.zeros((1, 1, 1)))).tolist():
        found |= {row, int(arrays["link_slots"][step, row, entry])}
    return sorted(found)


def test_where_nothing_is_touched_slot_0_stands_for_all() -> None:
    spec = sparse(slots=9)
    weightings = np.zeros((1, 9))
    links = {"link_slots": np.zeros((1, 9, 2)), "link_values": np.zeros((1, 9, 2))}
    assert touched_slots(spec, [{"write_weights": weightings, **links}]).tolist() == [0]


def test_links_touch_both_their_slots() -> None:
    spec = sparse(slots=9)
    links = {"link_slots": np.zeros((1, 9, 2)), "link_values": np.zeros((1, 9, 2))}
    links["link_slots"][0, 3, 0], links["link_values"][0, 3, 0] = 7, 0.1
    assert touched_slots(spec, [links]).tolist() == [3, 7]


@for_each_kind
def test_what_is_kept_is_what_a_whole_trace_has_there(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = sparse(kind)
    trace, whole = recorded(spec), recorded_whole(spec, monkeypatch)
    assert trace.slots is not None
    assert whole.slots is None
    slots = trace.slots.tolist()
    assert slots == used_somewhere(whole)
    assert slots != list(range(len(slots)))
    N, S = spec.memory_size, len(slots)
    assert S < N / 2
    assert list(trace.arrays) == list(whole.arrays)
    for name, array in trace.arrays.items():
        expected = whole.arrays[name]
        if N in expected.shape:
            expected = expected.take(slots, expected.shape.index(N))
        if name == "link_slots":
            at = trace.arrays["link_values"] != 0
            assert array.max() < S
            assert_array_equal(trace.slots[array[at]], expected[at])
            assert (array[~at] == 0).all()
        else:
            assert_array_equal(array, expected, err_msg=name)
        assert array.dtype == whole.arrays[name].dtype
    assert trace.note == f"slots: only the {S} of 300 that the sequence touches are kept"
    assert whole.note == ""


@for_each_kind
def test_reads_come_from_the_same_writes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = sparse(kind)
    trace, whole = recorded(spec), recorded_whole(spec, monkeypatch)
    found, expected = provenance(spec, trace.arrays), provenance(spec, whole.arrays)
    assert trace.slots is not None
    assert_array_equal(np.where(found.slots == NONE, NONE, trace.slots[found.slots]), expected.slots)
    assert_array_equal(found.writes, expected.writes)
    assert (found.slots != NONE).any()
    assert kind != "usage" or (found.writes != NONE).any()


def test_few_slots_and_dense_memories_are_kept_whole() -> None:
    assert recorded(sparse(slots=MANY_SLOTS), steps=2).slots is None
    assert recorded(sparse(slots=MANY_SLOTS + 1), steps=2).slots is not None
    assert recorded(sparse(slots=MANY_SLOTS + 1, sparsity=None), steps=2).slots is None


@pytest.mark.parametrize("sparsity", [None, 2])
@pytest.mark.parametrize("recency", [False, True])
def test_activity_keeps_no_number_of_each_slot(sparsity: int | None, recency: bool) -> None:
    if recency and sparsity is None:
        pytest.skip("recency needs sparsity")
    spec = sparse(slots=37, sparsity=sparsity, recency=recency)
    rng = np.random.default_rng(0)
    params, inputs = random_params(spec, rng, 1.0), random_inputs(spec, rng, 4, 3)
    batch = Batch(inputs, rng.integers(4, size=(4, 3)))
    found = observe(spec, params, get_engine("reference"), batch, cut=True)
    assert all(array.shape[:2] == (4, 3) for array in found.values.values())
    assert not any(37 in array.shape for array in found.values.values())


# Files


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    trace = recorded(sparse())
    save_trace(tmp_path / "trace.safetensors", trace)
    again = load_trace(tmp_path / "trace.safetensors")
    assert (again.spec, again.about, again.note) == (trace.spec, trace.about, trace.note)
    assert_array_equal(again.slots, trace.slots)
    assert again.arrays.keys() == trace.arrays.keys()
    for name, array in trace.arrays.items():
        assert_array_equal(again.arrays[name], array)


def test_a_trace_that_keeps_all_slots_is_still_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = recorded_whole(sparse(), monkeypatch)
    save_trace(tmp_path / "trace.safetensors", trace)
    again = load_trace(tmp_path / "trace.safetensors")
    assert again.slots is None
    assert again.arrays["memory"].shape == (8, 300, 5)


def test_a_list_of_slots_in_the_trace_of_a_dense_model_is_left_out(tmp_path: Path) -> None:
    trace = recorded(sparse(slots=7, sparsity=None))
    save_trace(tmp_path / "trace.safetensors", trace._replace(slots=np.arange(7, dtype=np.int32)))
    assert load_trace(tmp_path / "trace.safetensors").slots is None


Slots = NDArray[Any]
WRONG: dict[str, tuple[Callable[[Slots], Slots], str]] = {
    "below": (lambda slots: slots - 1 - slots[0], r"slots do not rise within 0\.\.299"),
    "above": (lambda slots: slots + (300 - slots[-1]), r"slots do not rise within 0\.\.299"),
    "falling": (lambda slots: slots[::-1], "slots do not rise"),
    "twice": (lambda slots: np.array([slots[0], *slots[:-1]], np.int32), "slots do not rise"),
    "far below between": (
        lambda slots: np.array([slots[0], -(2**31), -5, *slots[3:]], np.int32),
        "slots do not rise",
    ),
    "none": (lambda slots: slots[:0], r"slots is \(0,\) of int32"),
    "one too few": (lambda slots: slots[:-1], r"retention is \(8, \d+\) of float32, not \(8, \d+\)"),
    "wide": (lambda slots: slots[:, None], r"slots is \(\d+, 1\) of int32"),
    "a number": (lambda slots: slots[0], r"slots is \(\) of int32"),
    "floats": (lambda slots: slots.astype(np.float32), r"slots is \(\d+,\) of float32"),
}


@pytest.mark.parametrize("name", WRONG)
def test_hostile_lists_of_slots_are_refused(name: str, tmp_path: Path) -> None:
    path, kind = tmp_path / "trace.safetensors", trace_file._kind()
    save_trace(path, recorded(sparse()))
    arrays, metadata = trace_file.load_arrays(path, kind)
    change, message = WRONG[name]
    trace_file.save_arrays(path, kind, arrays | {"slots": np.array(change(arrays["slots"]))}, metadata)
    with pytest.raises(UserError, match=rf"must hold a trace that this version knows, got .*{message}"):
        load_trace(path)


def test_links_to_slots_that_are_not_kept_are_refused(tmp_path: Path) -> None:
    path, kind = tmp_path / "trace.safetensors", trace_file._kind()
    trace = recorded(sparse())
    save_trace(path, trace)
    arrays, metadata = trace_file.load_arrays(path, kind)
    arrays["link_slots"] = np.full_like(arrays["link_slots"], len(arrays["slots"]))
    trace_file.save_arrays(path, kind, arrays, metadata)
    with pytest.raises(UserError, match=rf"link_slots leaves 0\.\.{len(arrays['slots']) - 1}"):
        load_trace(path)


def test_a_list_of_slots_that_is_missing_is_noticed(tmp_path: Path) -> None:
    path, kind = tmp_path / "trace.safetensors", trace_file._kind()
    save_trace(path, recorded(sparse()))
    arrays, metadata = trace_file.load_arrays(path, kind)
    del arrays["slots"]
    trace_file.save_arrays(path, kind, arrays, metadata)
    with pytest.raises(UserError, match=r"not \(8, 300\) of float32"):
        load_trace(path)


# Of the fast engine


def test_the_slots_of_the_fast_engine() -> None:
    trace, expected = recorded(sparse(), engine="cpu"), recorded(sparse())
    assert trace.slots is not None
    assert_array_equal(trace.slots, expected.slots)


def test_memory_does_not_grow_by_slots_and_steps() -> None:
    """Of 40 steps more not even one number a slot is kept."""
    spec = sparse("recency", slots=32_768, learned_state=False)

    def peak(steps: int) -> int:
        tracemalloc.start()
        try:
            recorded(spec, steps, engine="cpu")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    assert peak(45) - peak(5) < 40 * spec.memory_size
