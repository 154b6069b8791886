"""What is particular to the engine `cpu`: threads in teams, links run again, what it keeps, how it is compiled.

That it computes every model is in test_engines.py, its kernels one by one in test_cpu_kernels.py.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import numdnc
from contract import (
    DTYPES,
    RANDOM_SPECS,
    SPECS,
    Case,
    Problem,
    Result,
    assert_identical,
    assert_result_close,
    cast,
    make_problem,
)
from numdnc import DNCSpec, LSTMSpec, RNNSpec
from numdnc.engines.cpu import ENGINE, CPUEngine, buffers, engine, plans, projections, shapes, teams, threads
from numdnc.engines.cpu.kernels import compiling
from numdnc.engines.cpu.kernels.teams import GIVEN_UP
from numdnc.errors import UserError

PACKAGE = Path(numdnc.__file__).parent
TEAMS = [(1, None), (2, False), (2, True), (3, False), (3, True)]
for_each_team = pytest.mark.parametrize(
    ("count", "together"), TEAMS, ids=["alone", "2-apart", "2-together", "3-apart", "3-together"]
)
for_each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@dataclass(frozen=True)
class TeamCase(Case):
    """A case of this engine on so many threads."""

    threads: int = 1
    together: bool | None = None

    @property
    def engine(self) -> CPUEngine:
        return CPUEngine(self.threads, self.together)


def team(spec_name: str, dtype: str, count: int = 1, together: bool | None = None) -> TeamCase:
    return TeamCase("cpu", spec_name, dtype, count, together)


@contextmanager
def no_endless_wait(seconds: float = 300) -> Iterator[None]:
    """A team that still waits after this time is given up, and the test fails instead of hanging.

    The time is ample because kernels may have to be compiled first.
    """
    made: list[Any] = []
    late: list[bool] = []

    def places(*arguments: Any) -> Any:
        made.append(teams.places(*arguments))
        return made[-1]

    def let_go() -> None:
        for found in made:
            found[0].barrier[GIVEN_UP] = 1

    def end() -> None:
        late.append(True)
        let_go()

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        with mock.patch.object(engine, "places", places):
            yield
    finally:
        timer.cancel()
        let_go()
    assert not late, "threads of a team waited for each other without end"


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
)
FEW_SLOTS = [name for name, spec in RANDOM_SPECS.items() if spec.links and spec.memory_size < 4]
"""Models of the mixes in which threads that share the links of a row find less than four slots."""


@for_each_team
@for_each_dtype
@pytest.mark.parametrize("spec_name", [*IN_TEAMS, "dnc-ones", *FEW_SLOTS])
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
@for_each_dtype
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


def run(which: Any, spec: Any, problem: Problem) -> Result:
    """Forward and backward of any spec."""
    outputs, state, tape = which.forward(spec, problem.params, problem.inputs, problem.state, keep_tape=True)
    d_params, d_inputs, d_before = which.backward(
        spec, problem.params, tape, problem.d_outputs, problem.d_state
    )
    return Result(outputs, state, d_params, d_inputs, d_before)


@pytest.mark.parametrize("together", [False, True, None])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_row_and_slot_is_one_threads(count: int, together: bool | None) -> None:
    for slots, batch in product((0, 1, 3, 4, 7, 19, 64), (0, 1, 2, 3, 7)):
        spec: Any = RNNSpec(input_size=2, output_size=2, hidden_sizes=(3,))
        if slots:
            spec = DNCSpec(input_size=2, output_size=2, hidden_sizes=(3,), memory_size=slots, word_size=2)
        found = teams.places(spec, batch, count, 8, together)
        assert [place.thread for place in found] == list(range(count))
        whole = count > 1 and (batch < count if together is None else together)
        rows, links = np.zeros(batch, int), np.zeros((batch, slots), int)
        for place in found:
            rows[place.own_first : place.own_last] += 1
            links[place.link_first : place.link_last, place.slot_first : place.slot_last] += 1
            assert place.members == (count if whole else 1)
            assert (place.team, place.member) == ((0, place.thread) if whole else (place.thread, 0))
            assert place.first <= place.own_first <= place.own_last <= place.last
            assert place.slot_first % 4 == 0 or place.slot_first == place.slot_last
            assert place.barrier is found[0].barrier
            assert not place.barrier.any()
        assert (rows == 1).all()
        assert (links == 1).all()
        assert {place.link_part for place in found if place.link_parts > 1} in (set(), set(range(count)))


def test_a_team_is_chosen_by_rows_and_weights() -> None:
    small, large = (RNNSpec(input_size=2, output_size=2, hidden_sizes=(size,)) for size in (64, 1024))

    def together(spec: Any, batch: int, count: int) -> bool:
        return teams.places(spec, batch, count, 4, None)[0].members > 1

    assert together(small, 1, 2)
    assert not together(small, 2, 2)
    assert together(large, 2, 2)
    assert not together(large, 32, 2)
    assert not together(large, 1, 1)


# Links: kept at intervals, those between made again; all kept where they are few.


@pytest.fixture(autouse=True)
def forget_plans() -> Any:
    yield
    plans.make_plan.cache_clear()


def plan_with(monkeypatch: pytest.MonkeyPatch, name: str, value: int) -> None:
    """Plans made from now on follow another number."""
    monkeypatch.setattr(shapes if hasattr(shapes, name) else plans, name, value)
    plans.make_plan.cache_clear()


def planned_sizes(spec: Any, steps: int, batch: int) -> Any:
    return plans.make_plan(spec, steps, batch, np.dtype("float32"), True, True, 1).sizes


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links are made again however few they are."""
    plan_with(monkeypatch, "_FEW_BYTES", 0)


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
@pytest.mark.parametrize("steps", [50, 131])
@pytest.mark.parametrize("spec_name", ["dnc-2-layers", "dnc-M+D+S", "lstm-2-layers"])
@pytest.mark.parametrize("few", [0, 1 << 30], ids=["again", "kept"])
def test_long_sequences(
    spec_name: str, few: int, steps: int, count: int, together: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_with(monkeypatch, "_FEW_BYTES", few)
    case = team(spec_name, "float64", count, together)
    case.assert_parity(case.problem(steps=steps, batch=2, gap=1e-8))


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 50, 64, 131, 256, 1000])
@pytest.mark.parametrize("few", [0, 1 << 30])
def test_segments_are_whole_strides(steps: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_with(monkeypatch, "_FEW_BYTES", few)
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
        links = tape.memory_tape.links
        again = tape.plan.sizes.segment // tape.plan.sizes.stride
        held[steps] = links.nbytes + links[0].nbytes * again
        assert len(links) * tape.plan.sizes.segment >= steps
    assert held[256] == pytest.approx(2 * held[64], rel=0.2)
    assert held[1024] == pytest.approx(2 * held[256], rel=0.2)
    assert held[1024] < 1024 * links[0].nbytes / 8
    assert held[1024] >= 32 * 2 * 40 * 40 * np.dtype(dtype).itemsize


def test_without_a_tape_two_states_and_no_links_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made, begin_tape = [], buffers.begin_tape

    def spied(spec: Any, tape: Any, memory: Any, state: Any) -> None:
        made.append(memory)
        begin_tape(spec, tape, memory, state)

    monkeypatch.setattr(buffers, "begin_tape", spied)
    case = team("dnc", "float32")
    case.forward(case.problem(steps=33, gap=1e-6), keep_tape=False)
    assert len(made[0].links) == 0
    assert len(made[0].memory) == 2


@for_each_team
@for_each_dtype
@pytest.mark.parametrize("widest", [1, 3, 4, 6])
@pytest.mark.parametrize("spec_name", ["dnc-2-layers", "dnc-odd", "dnc-M+D+S", "dnc-all"])
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
    plan_with(monkeypatch, "_TILE", widest)
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
    plan_with(monkeypatch, "_AT_ONCE", numbers)
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
        width = shapes.tile_width(slots)
        tiles = -(-slots // width)
        assert 1 <= width <= 256
        assert tiles == -(-slots // 256)
        assert slots - (tiles - 1) * width <= width


# Nothing grows.

BUSY = DNCSpec(input_size=8, output_size=8, hidden_sizes=(32,), memory_size=128, word_size=16, read_heads=2)


def resident() -> int:
    """Bytes of this process in memory; 0 where there is no telling."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if path.exists() else 0


@pytest.mark.parametrize("count", [1, 2])
def test_calls_leave_nothing_behind(count: int) -> None:
    """A tape of this model has more than a megabyte, 300 of them 300."""
    which = CPUEngine(count, True)
    problem = make_problem(BUSY, "float32", steps=32, batch=2, gap=0)
    tape = which.forward(BUSY, problem.params, problem.inputs, problem.state, keep_tape=True)[2]
    assert sum(leaf.nbytes for leaf in tape.memory_tape) > 1e6
    del tape
    for _ in range(20):
        run(which, BUSY, problem)
    tracemalloc.start()
    try:
        run(which, BUSY, problem)
        before, held = tracemalloc.get_traced_memory()[0], resident()
        for _ in range(300):
            run(which, BUSY, problem)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 1e6
    assert resident() - held < 50e6


# Threads.


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many threads each kernel is called on from now on."""
    counts: list[int] = []
    on_each = engine.on_each

    def count(calls: Any, **rest: Any) -> None:
        counts.append(len(calls))
        on_each(calls, **rest)

    monkeypatch.setattr(engine, "on_each", count)
    return counts


LARGE = RNNSpec(input_size=3, output_size=3, hidden_sizes=(128,))
"""With 10 sequences of 50 steps, enough for more than one thread."""


@pytest.mark.parametrize("given", ["1", "2", "3", "", None])
def test_the_environment_says_how_many_threads(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if given is None:
        monkeypatch.delenv("NUMDNC_THREADS", raising=False)
    else:
        monkeypatch.setenv("NUMDNC_THREADS", given)
    if given:
        wanted = int(given)
    else:
        wanted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    counts = counted(monkeypatch)
    run(ENGINE, LARGE, make_problem(LARGE, "float32", steps=50, batch=10))
    assert counts == [wanted, wanted]
    run(CPUEngine(2), LARGE, make_problem(LARGE, "float32", steps=2, batch=1))
    assert counts[2:] == [2, 2]
    run(ENGINE, LARGE, make_problem(LARGE, "float32", steps=2, batch=1))
    assert counts[4:] == [1, 1]


@pytest.mark.parametrize("given", ["0", "x", "-1", "1.5", " "])
def test_a_wrong_number_of_threads_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMDNC_THREADS", given)
    with pytest.raises(UserError, match=f"^NUMDNC_THREADS must be a whole number .* got '{given}'"):
        run(ENGINE, LARGE, make_problem(LARGE, "float32", steps=1, batch=1))


@pytest.mark.parametrize("given", [0, -1])
def test_no_threads_are_refused(given: int) -> None:
    with pytest.raises(UserError, match=f"^threads must be at least 1, got {given}"):
        CPUEngine(given)


def test_calls_are_made_at_the_same_time_and_the_first_here() -> None:
    together, names = threading.Barrier(3, timeout=60), [""] * 3

    def call(number: int) -> Callable[[], None]:
        def meet() -> None:
            names[number] = threading.current_thread().name
            together.wait()

        return meet

    threads.on_each([call(number) for number in range(3)])
    assert names[0] == threading.current_thread().name
    assert len(set(names)) == 3


def test_blas_adds_no_threads_and_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def blas_threads() -> list[int]:
        return [library["num_threads"] for library in threads._blas().info()]

    for name in ("outputs", "outputs_backward", "weight_gradients"):
        original = getattr(projections, name)

        def spied(*arguments: Any, original: Any = original) -> Any:
            seen.extend(blas_threads())
            return original(*arguments)

        monkeypatch.setattr(projections, name, spied)
    problem = make_problem(LARGE, "float32", steps=4, batch=2)
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        run(CPUEngine(2), LARGE, problem)
        assert blas_threads() == before
    if set(before) != {2}:
        pytest.skip("this BLAS has one thread anyway")
    assert set(seen) == {1}


@pytest.mark.parametrize("count", [2, 3])
def test_several_python_threads_at_once(count: int) -> None:
    names = ("dnc-all", "lstm-2-layers", "dnc-odd", "rnn-2-layers")
    cases = [team(name, "float64", count, True) for name in names]
    problems = [case.problem(batch=batch) for case, batch in zip(cases, (1, 2, 3, 5), strict=True)]
    wanted = [case.run(problem) for case, problem in zip(cases, problems, strict=True)]
    same: list[int] = []

    def work(number: int) -> None:
        for _ in range(40):
            assert_identical(cases[number].run(problems[number]), wanted[number])
        same.append(number)

    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that they get in each other's way
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert sorted(same) == [0, 1, 2, 3]


def test_teams_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two teams at once would each hold threads that the other waits for."""
    workers, broken = threads._workers, []

    class Slow:
        def __init__(self, *arguments: Any) -> None:
            self.pool = workers(*arguments)

        def submit(self, *call: Any) -> Any:
            time.sleep(0.01)
            return self.pool.submit(*call)

    def work() -> None:
        for _ in range(5):
            meeting = threading.Barrier(3, timeout=5)
            try:
                threads.on_each([meeting.wait] * 3)
            except threading.BrokenBarrierError:
                broken.append(meeting)

    monkeypatch.setattr(threads, "_workers", Slow)
    each = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for thread in each:
        thread.start()
    for thread in each:
        thread.join(60)
    assert not broken


class Interruption(BaseException):
    """Like a KeyboardInterrupt, but not one that ends the tests."""


@pytest.mark.parametrize("interruption", [Interruption, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("spec_name", ["rnn-2-layers", "dnc-odd"])
def test_no_thread_waits_for_one_that_failed(
    spec_name: str, interruption: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = team(spec_name, "float64", 3, True)
    problem = case.problem(batch=1)
    wanted = case.run(problem)
    on_each = engine.on_each
    back = [threading.Event() for _ in range(2)]

    def fail() -> None:
        raise interruption

    def with_one_that_fails(calls: Any, **rest: Any) -> None:
        def other(number: int) -> None:
            calls[1 + number]()
            back[number].set()

        on_each([fail, lambda: other(0), lambda: other(1)], **rest)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "on_each", with_one_that_fails)
        with pytest.raises(interruption):
            case.run(problem)
    for event in back:
        assert event.wait(30)
    assert_identical(case.run(problem), wanted)


def test_nobody_waits_for_another_thread_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where it is not the first thread that fails."""
    case = team("rnn-2-layers", "float64", 2, True)
    problem = case.problem()
    wanted = case.run(problem)
    on_each = engine.on_each

    def fail() -> None:
        raise MemoryError

    with monkeypatch.context() as patch, no_endless_wait(3):
        patch.setattr(engine, "on_each", lambda calls, **rest: on_each([calls[0], fail], **rest))
        with pytest.raises(MemoryError):
            case.run(problem)
    assert_identical(case.run(problem), wanted)


FORK = """
import os, sys, threading, time
import numpy as np
from contract import assert_identical
from test_cpu_engine import team
from numdnc.engines.cpu import threads

case = team("rnn-2-layers", "float64", 2, True)
problem = case.problem()
wanted = case.run(problem)

def child_is_right():
    child = os.fork()
    if child == 0:
        try:
            assert_identical(case.run(problem), wanted)
        except BaseException as error:
            print(error)
            os._exit(1)
        os._exit(0)
    for _ in range(500):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False

{statements}
"""
"""A process that forks; what it prints last is what a test looks at."""

FORK_AT_REST = "print(child_is_right(), child_is_right())\nassert_identical(case.run(problem), wanted)"
FORK_AT_WORK = """
begun, end = threading.Event(), threading.Event()
worker = threading.Thread(target=threads.on_each, args=([lambda: (begun.set(), end.wait(60)), int],))
worker.start()
begun.wait()
print(child_is_right())
end.set()
worker.join()
assert_identical(case.run(problem), wanted)
"""


def run_python(code: str, *, warnings: str = "error", **environment: str) -> subprocess.CompletedProcess[str]:
    """What a fresh interpreter does with this code; NUMBA_CACHE_DIR and NUMDNC_THREADS are not handed on."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "NUMDNC_THREADS")
    }
    path = os.pathsep.join([str(Path(__file__).parent), str(PACKAGE.parent)])
    done = subprocess.run(
        [sys.executable, "-W", warnings, "-c", code],
        env={**kept, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@needs_fork
def test_a_forked_child_computes_too() -> None:
    done = run_python(FORK.format(statements=FORK_AT_REST), warnings="ignore")
    assert done.stdout.split() == ["True", "True"]


@needs_fork
def test_a_child_forked_while_another_thread_is_at_work_computes_too() -> None:
    done = run_python(FORK.format(statements=FORK_AT_WORK), warnings="ignore")
    assert done.stdout.split() == ["True"]


# Compilation, of the model that compiles fastest.

COMPILE = """
import numpy as np
import numdnc
from numdnc.engines.cpu import CPUEngine

spec = numdnc.RNNSpec(input_size=2, output_size=3, hidden_sizes=(4,))
params, state = numdnc.init_params(spec, 0), numdnc.zero_state(spec, 1)
outputs, state, tape = CPUEngine(1).forward(spec, params, np.ones((3, 1, 2), np.float32), state, keep_tape=True)
assert np.isfinite(outputs).all()
"""
BOTH_WAYS = COMPILE + "CPUEngine(1).backward(spec, params, tape, outputs, state)\n"


def test_kernels_are_compiled_once_and_that_is_said(tmp_path: Path) -> None:
    first = run_python(BOTH_WAYS, XDG_CACHE_HOME=str(tmp_path))
    (folder,) = (tmp_path / "numdnc").iterdir()
    assert folder.name.startswith("kernels-")
    assert first.stderr.count("\n") == 1
    assert first.stderr.startswith("engine cpu is compiled")
    assert str(folder) in first.stderr
    kept = sorted(path.name for path in folder.rglob("*.nbc"))
    assert len(kept) == 2
    assert "recurrent_backward" in kept[0]
    assert "recurrent_forward" in kept[1]

    second = run_python(BOTH_WAYS, XDG_CACHE_HOME=str(tmp_path))
    assert second.stderr == ""
    assert first.stdout == second.stdout == ""
    assert sorted(path.name for path in folder.rglob("*.nbc")) == kept


@pytest.fixture(scope="module")
def nowhere_to_keep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A copy of the package, and what it did where no cache folder can be made."""
    folder = tmp_path_factory.mktemp("nowhere")
    copy = Path(shutil.copytree(PACKAGE, folder / "numdnc", ignore=shutil.ignore_patterns("__pycache__")))
    file = folder / "file"
    file.touch()
    places = {"HOME": str(file), "XDG_CACHE_HOME": str(file / "cache"), "PYTHONPATH": str(folder)}
    places |= {"LOCALAPPDATA": str(file), "USERPROFILE": str(file)}
    return copy, run_python(COMPILE + "import sys; print(numdnc.__file__)", **places)


def test_without_a_cache_folder_it_works(nowhere_to_keep: tuple[Path, Any]) -> None:
    copy, done = nowhere_to_keep
    assert Path(done.stdout.strip()).parent == copy
    assert "engine cpu is compiled" in done.stderr


def test_without_a_cache_folder_nothing_is_kept(nowhere_to_keep: tuple[Path, Any]) -> None:
    """Numba would keep kernels beside the source, and use them when another file that they are made of has changed."""
    copy, _ = nowhere_to_keep
    assert [path.name for path in copy.rglob("*.nb?")] == []


def test_another_source_has_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(compiling.__file__).parent
    copy = Path(shutil.copytree(source, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__")))
    there = compiling._cache_folder()
    monkeypatch.setattr(compiling, "__file__", str(copy / "compiling.py"))
    assert compiling._cache_folder() == there
    folders = [there]
    for path in sorted(copy.glob("*.py")):
        path.write_text(path.read_text(encoding="utf-8") + "# another\n", encoding="utf-8")
        folders.append(compiling._cache_folder())
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize("name", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
def test_the_cache_folder_can_be_chosen(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(each, raising=False)
    assert compiling._cache_folder().parents[1] == Path.home() / ".cache"
    monkeypatch.setenv(name, str(tmp_path))
    assert compiling._cache_folder().parents[1] == tmp_path
