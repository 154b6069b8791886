"""Features of the engine `cpu` alone: teams of threads, recomputed links, what it keeps between calls.

That it computes every model is in ../test_engines.py, its kernels one by one in test_kernels.py; its threads are in
test_threads.py, what it keeps on disk in test_cache.py.
"""

import os
import tracemalloc
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numdnc
from helpers.contract import CORE_SPECS, RANDOM_SPECS, SPECS, Result, assert_result_close, cast, make_problem
from helpers.cpu_teams import (
    TEAMS,
    for_each_dtype,
    for_each_dtype_if_thorough,
    for_each_team,
    no_endless_wait,
    run,
    run_python,
    team,
)
from helpers.marks import thorough_but
from helpers.tolerances import assert_identical
from numdnc import DNCSpec, LSTMSpec, RNNSpec
from numdnc.engines.cpu import CPUEngine, buffers, plans, teams
from numdnc.engines.cpu.kernels.teams import TIMEOUT


@pytest.fixture(autouse=True)
def _no_endless_wait() -> Iterator[None]:
    with no_endless_wait():
        yield


# Teams.

IN_TEAMS = (
    "lstm-2-layers",
    "rnn-2-layers",
    "dnc-2-layers",
    "dnc-odd",
    "dnc-4-heads",
    "dnc-feedforward",
    "dnc-normalisation",
    "dnc-M+D+S",
    "dnc-ADNC",
    "dnc-content-only",
    "dnc-all",
    "dnc-writers-all",
    "dnc-second-memory-writers",
    "dnc-second-memory-reads",
    "ntm-2-layers",
    "ntm-odd",
)
FEW_SLOTS = [name for name, spec in RANDOM_SPECS.items() if spec.links and spec.memory_size < 4]
"""Models of the mixes in which threads that share the links of a row find less than four slots."""


@for_each_team
@for_each_dtype_if_thorough
@pytest.mark.parametrize("spec_name", thorough_but(CORE_SPECS, [*IN_TEAMS, "dnc-ones", *FEW_SLOTS]))
def test_any_team_computes_the_same(spec_name: str, dtype: str, count: int, together: bool | None) -> None:
    case = team(spec_name, dtype, count, together)
    for batch in (1, 2, 3, 5):
        problem = case.problem(batch=batch)
        got = case.run(problem)
        assert_result_close(case.line("parity"), dtype, got, case.run_reference(problem))
        if count > 1:
            assert_result_close(case.line("rearranged"), dtype, got, team(spec_name, dtype).run(problem))


def test_among_the_mixes_are_one_two_and_three_slots() -> None:
    assert {RANDOM_SPECS[name].memory_size for name in FEW_SLOTS} == {1, 2, 3}


@for_each_team
@for_each_dtype_if_thorough
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("spec_name", ["lstm-2-layers", "dnc-odd", "dnc-all"])
def test_a_team_gives_the_same_bits_every_time(
    spec_name: str, batch: int, dtype: str, count: int, together: bool | None
) -> None:
    case = team(spec_name, dtype, count, together)
    problem = case.problem(batch=batch)
    first = case.run(problem)
    for _ in range(4):
        assert_identical(case.run(problem), first)


@for_each_team
def test_a_tape_does_not_care_who_made_it(count: int, together: bool | None) -> None:
    maker, user = team("dnc-all", "float64", 3, True), team("dnc-all", "float64", count, together)
    problem = maker.problem(batch=2)
    outputs, state, tape = maker.forward(problem, keep_tape=True)
    got = Result(outputs, state, *user.backward(problem, tape))
    assert_result_close("parity", "float64", got, maker.run_reference(problem))


def test_a_large_model_in_a_team() -> None:
    """Sizes at which every thread has work in each product, and rows of weights in parts of cache lines."""
    spec = DNCSpec(
        input_size=5, output_size=6, hidden_sizes=(67, 45), memory_size=70, word_size=17, read_heads=3
    )
    problem = make_problem(spec, "float64", steps=6, batch=2, gap=1e-7)
    wanted = run(numdnc.engines.get_engine("reference"), spec, problem)
    for count, together in (*TEAMS, (5, True), (7, True)):
        assert_result_close("parity", "float64", run(CPUEngine(count, together), spec, problem), wanted)


@pytest.mark.parametrize(
    "spec",
    [
        DNCSpec(input_size=3, output_size=2, hidden_sizes=(16,), memory_size=5, word_size=15),
        DNCSpec(input_size=3, output_size=2, hidden_sizes=(4, 16), memory_size=5, word_size=8, read_heads=3),
        LSTMSpec(input_size=3, output_size=2, hidden_sizes=(16, 17)),
    ],
    ids=["interface-68", "interface-66", "layer-68"],
)
@pytest.mark.parametrize("count", [1, 3])
def test_rows_of_64_take_more_room_than_slightly_longer_ones(spec: Any, count: int) -> None:
    """Beside 64 gates of float64, 8 cache lines and so padded to 10, there is a row that takes 9."""
    problem = make_problem(spec, "float64", steps=4, batch=3, gap=1e-7)
    wanted = run(numdnc.engines.get_engine("reference"), spec, problem)
    assert_result_close("parity", "float64", run(CPUEngine(count), spec, problem), wanted)


@pytest.mark.parametrize("together", [False, True, None])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_row_and_slot_is_one_threads(count: int, together: bool | None) -> None:
    for slots, batch in product((0, 1, 3, 4, 7, 19, 64), (0, 1, 2, 3, 7)):
        spec: Any = RNNSpec(input_size=2, output_size=2, hidden_sizes=(3,))
        if slots:
            spec = DNCSpec(input_size=2, output_size=2, hidden_sizes=(3,), memory_size=slots, word_size=2)
        found = teams.share_work(spec, batch, count, 8, together)
        assert [share.thread for share in found] == list(range(count))
        whole = count > 1 and (batch < count if together is None else together)
        rows, links = np.zeros(batch, int), np.zeros((batch, slots), int)
        for share in found:
            rows[share.own_first_row : share.own_last_row] += 1
            links[share.link_first_row : share.link_last_row, share.first_slot : share.last_slot] += 1
            assert share.team_size == (count if whole else 1)
            assert (share.leader, share.rank) == ((0, share.thread) if whole else (share.thread, 0))
            assert share.first_row <= share.own_first_row <= share.own_last_row <= share.last_row
            assert share.first_slot % 4 == 0 or share.first_slot == share.last_slot
            assert share.barrier is found[0].barrier
            assert not share.barrier[:TIMEOUT].any()
        assert (rows == 1).all()
        assert (links == 1).all()
        assert {share.link_share for share in found if share.link_shares > 1} in (set(), set(range(count)))


def test_a_team_is_chosen_by_rows_and_weights() -> None:
    small, large = (RNNSpec(input_size=2, output_size=2, hidden_sizes=(size,)) for size in (64, 1024))

    def together(spec: Any, batch: int, count: int) -> bool:
        return teams.share_work(spec, batch, count, 4, None)[0].team_size > 1

    assert together(small, 1, 2)
    assert not together(small, 2, 2)
    assert together(large, 4, 4)  # a quarter of its 4 MiB fits into a processor's cache
    assert not together(large, 2, 2)
    assert not together(large, 32, 4)
    assert not together(large, 1, 1)


# Links: kept at intervals, those between made again; all kept where they are few.


@pytest.fixture(autouse=True)
def forget_plans() -> Any:
    yield
    plans.make_plan.cache_clear()


def plan_with(monkeypatch: pytest.MonkeyPatch, name: str, value: int) -> None:
    """Plans made from now on follow another number."""
    monkeypatch.setattr(plans, name, value)
    plans.make_plan.cache_clear()


def planned_sizes(spec: Any, steps: int, batch: int) -> Any:
    return plans.make_plan(spec, steps, batch, np.dtype("float32"), True, True, 1).sizes


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links are made again however few they are."""
    plan_with(monkeypatch, "_MAX_ALL_LINKS_BYTES", 0)


@for_each_dtype
@pytest.mark.parametrize("steps", [1, 3, 4, 5, 8, 15, 16, 17, 33])
@pytest.mark.parametrize("spec_name", ["dnc", "dnc-all"])
@pytest.mark.usefixtures("few_are_many")
def test_around_the_ends_of_segments(spec_name: str, steps: int, dtype: str) -> None:
    case = team(spec_name, dtype)
    problem = case.problem(steps=steps, batch=2, gap=1e-6)
    assert case.forward(problem, keep_tape=True)[2].plan.sizes.stride == 4
    case.assert_parity(problem)
    shared = team(spec_name, dtype, 3, True)
    assert_result_close("rearranged", dtype, shared.run(problem), case.run(problem))


@for_each_team
@pytest.mark.parametrize("steps", thorough_but([50], [50, 131]))
@pytest.mark.parametrize("spec_name", ["dnc-2-layers", "dnc-M+D+S", "lstm-2-layers"])
@pytest.mark.parametrize("few", [0, 1 << 30], ids=["again", "kept"])
def test_long_sequences(
    spec_name: str, few: int, steps: int, count: int, together: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_with(monkeypatch, "_MAX_ALL_LINKS_BYTES", few)
    case = team(spec_name, "float64", count, together)
    case.assert_parity(case.problem(steps=steps, batch=2, gap=1e-8))


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 50, 64, 131, 256, 1000])
@pytest.mark.parametrize("few", [0, 1 << 30])
def test_segments_are_whole_strides(steps: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_with(monkeypatch, "_MAX_ALL_LINKS_BYTES", few)
    sizes = planned_sizes(SPECS["dnc"], steps, 2)
    assert sizes.segment % sizes.stride == 0
    assert sizes.segment >= sizes.stride >= 1
    assert (sizes.segment == 1) == (few > 0 or steps == 0)


def test_only_few_links_are_all_kept() -> None:
    spec = DNCSpec(input_size=2, output_size=2, hidden_sizes=(3,), memory_size=256, word_size=3)
    sizes = [planned_sizes(spec, steps, 1) for steps in (16, 17)]
    assert [size.segment for size in sizes] == [1, 8]


@for_each_dtype
@pytest.mark.usefixtures("few_are_many")
def test_links_kept_grow_with_the_root_of_the_steps(dtype: str) -> None:
    spec = DNCSpec(input_size=2, output_size=2, hidden_sizes=(3,), memory_size=40, word_size=3)
    params, state = numdnc.init_params(spec, 0, dtype), numdnc.zero_state(spec, 2, dtype)
    held = {}
    for steps in (64, 256, 1024):
        inputs = np.zeros((steps, 2, 2), dtype)
        _, _, tape = CPUEngine(1).forward(spec, params, inputs, state, keep_tape=True)
        links = tape.memory_tape.link_checkpoints
        again = tape.plan.sizes.segment // tape.plan.sizes.stride
        held[steps] = links.nbytes + links[0].nbytes * again
        assert len(links) * tape.plan.sizes.segment >= steps
    assert held[256] == pytest.approx(2 * held[64], rel=0.2)
    assert held[1024] == pytest.approx(2 * held[256], rel=0.2)
    assert held[1024] < 1024 * links[0].nbytes / 8
    assert held[1024] >= 32 * 2 * 40 * 40 * np.dtype(dtype).itemsize


def test_without_a_tape_two_states_and_no_links_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made, store_initial_state = [], buffers.store_initial_state

    def spied(spec: Any, tape: Any, memory: Any, state: Any) -> None:
        made.append(memory)
        store_initial_state(spec, tape, memory, state)

    monkeypatch.setattr(buffers, "store_initial_state", spied)
    case = team("dnc", "float32")
    case.forward(case.problem(steps=33, gap=1e-6), keep_tape=False)
    assert len(made[0].link_checkpoints) == 0
    assert len(made[0].state.memory) == 2


@for_each_team
@for_each_dtype_if_thorough
@pytest.mark.parametrize("widest", [1, 3, 4, 6])
@pytest.mark.parametrize(
    "spec_name", thorough_but(["dnc-odd", "dnc-all"], ["dnc-2-layers", "dnc-odd", "dnc-M+D+S", "dnc-all"])
)
@pytest.mark.usefixtures("few_are_many")
def test_links_in_tiles_of_any_width(
    spec_name: str,
    widest: int,
    dtype: str,
    count: int,
    together: bool | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = team(spec_name, dtype, count, together)
    problem = case.problem(batch=2)
    whole = case.run(problem)
    plan_with(monkeypatch, "_MAX_TILE_WIDTH", widest)
    got = case.run(problem)
    assert_result_close("parity", dtype, got, case.run_reference(problem))
    assert_result_close("rearranged", dtype, got, whole)


@for_each_team
@pytest.mark.parametrize("numbers", [1, 70, 300, 10**6])
@pytest.mark.parametrize("spec_name", ["dnc-odd", "dnc-all"])
@pytest.mark.usefixtures("few_are_many")
def test_any_number_of_rows_of_links_at_once(
    spec_name: str,
    numbers: int,
    count: int,
    together: bool | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan_with(monkeypatch, "_TILE_CHUNK", numbers)
    case = team(spec_name, "float64", count, together)
    case.assert_parity(case.problem(batch=2))


@for_each_dtype
@pytest.mark.parametrize("slots", [256, 257, 515])
def test_links_of_one_and_more_tiles(slots: int, dtype: str) -> None:
    spec = DNCSpec(
        input_size=2, output_size=3, hidden_sizes=(4,), memory_size=slots, word_size=5, read_heads=2
    )
    problem = make_problem(spec, dtype, steps=5, batch=1, gap=1e-7)
    wanted = run(numdnc.engines.get_engine("reference"), spec, cast(problem, "float64"))
    for count in (1, 3):
        assert_result_close("parity", dtype, run(CPUEngine(count, True), spec, problem), wanted)


def test_tiles_are_few_and_alike() -> None:
    for slots in (*range(1, 600), 1024, 5000):
        width = plans.tile_width(slots)
        tiles = -(-slots // width)
        assert 1 <= width <= 256
        assert tiles == -(-slots // 256)
        assert slots - (tiles - 1) * width <= width


# No index beyond an array.

CHECKED = """
from helpers.contract import RANDOM_SPECS, SPECS
from helpers.cpu_teams import TEAMS, team

for name in SPECS | RANDOM_SPECS:
    for count, together in TEAMS:
        case = team(name, dtype, count, together)
        case.run(case.problem(batch=2))
print("checked")
"""


@pytest.mark.thorough
@for_each_dtype
def test_no_index_lies_beyond_its_array(dtype: str, tmp_path: Path) -> None:
    """Kernels that Numba has compiled to look at every index; in one dtype with links that are made again, in tiles."""
    few = "from numdnc.engines.cpu import plans\nplans._MAX_ALL_LINKS_BYTES, plans._MAX_TILE_WIDTH = 0, 3\n"
    code = f"dtype = {dtype!r}\n" + (few if dtype == "float64" else "") + CHECKED
    checks = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    assert run_python(code, **checks).stdout == "checked\n"


# Nothing grows.

BUSY = DNCSpec(input_size=8, output_size=8, hidden_sizes=(32,), memory_size=128, word_size=16, read_heads=2)


def resident() -> int:
    """Bytes of this process in memory; 0 where there is no telling."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if path.exists() else 0


@pytest.mark.parametrize("count", thorough_but([1], [1, 2]))
def test_calls_leave_nothing_behind(count: int) -> None:
    """A tape of this model has more than a megabyte, 100 of them 100."""
    which = CPUEngine(count, True)
    problem = make_problem(BUSY, "float32", steps=32, batch=2, gap=0)
    tape = which.forward(BUSY, problem.params, problem.inputs, problem.state, keep_tape=True)[2]
    assert tape.plan.tape.bytes > 1e6
    del tape
    for _ in range(20):
        run(which, BUSY, problem)
    tracemalloc.start()
    try:
        run(which, BUSY, problem)
        before, held = tracemalloc.get_traced_memory()[0], resident()
        for _ in range(100):
            run(which, BUSY, problem)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 1e6
    assert resident() - held < 50e6
