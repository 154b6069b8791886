"""The threads of the engine `cpu`: number, errors, the end of the program; BLAS on one thread meanwhile."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from helpers.blas_stand_in import FakeBLAS, inside
from helpers.contract import assert_result_close, make_problem
from helpers.cpu_teams import no_endless_wait, run, run_python, team
from helpers.marks import thorough_but
from helpers.patience import PATIENCE, without_notice
from helpers.tolerances import assert_identical
from numdnc import RNNSpec
from numdnc.engines.cpu import ENGINE, CPUEngine, blas, engine, threads
from numdnc.errors import UserError


@pytest.fixture(autouse=True)
def _no_endless_wait() -> Iterator[None]:
    with no_endless_wait():
        yield


@pytest.fixture(autouse=True)
def _warnings_anew() -> None:
    threads.warn_too_many.cache_clear()
    threads._warn_fewer.cache_clear()


def of_processors(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process may use so many processors."""
    for module in (threads, engine):
        monkeypatch.setattr(module, "count_processors", lambda: count)


# How many.


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many threads each kernel is called on from now on."""
    counts: list[int] = []
    run_in_parallel = engine.run_in_parallel

    def count(calls: Any, **rest: Any) -> None:
        counts.append(len(calls))
        run_in_parallel(calls, **rest)

    monkeypatch.setattr(engine, "run_in_parallel", count)
    return counts


LARGE = RNNSpec(input_size=3, output_size=3, hidden_sizes=(128,))
"""With 10 sequences of 50 steps, enough for more than one thread."""


@pytest.mark.parametrize("given", ["1", "2", "3", "", None])
def test_the_environment_says_how_many_threads(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    of_processors(4, monkeypatch)
    if given is None:
        monkeypatch.delenv("NUMDNC_THREADS", raising=False)
    else:
        monkeypatch.setenv("NUMDNC_THREADS", given)
    wanted = int(given) if given else 4
    counts = counted(monkeypatch)
    run(ENGINE, LARGE, make_problem(LARGE, "float32", steps=50, batch=10))
    assert counts == [wanted, wanted]
    run(CPUEngine(2), LARGE, make_problem(LARGE, "float32", steps=2, batch=1))
    assert counts[2:] == [2, 2]
    run(ENGINE, LARGE, make_problem(LARGE, "float32", steps=2, batch=1))
    assert counts[4:] == [1, 1]


@pytest.mark.parametrize("given", ["0", "x", "-1", "1.5", " ", "\u0661", "1" * 5000])
def test_a_wrong_number_of_threads_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMDNC_THREADS", given)
    with pytest.raises(UserError, match=f"^NUMDNC_THREADS must be a whole number .* got '{given[:70]}"):
        run(ENGINE, LARGE, make_problem(LARGE, "float32", steps=1, batch=1))


@pytest.mark.parametrize("given", [0, -1])
def test_no_threads_are_refused(given: int) -> None:
    with pytest.raises(UserError, match=f"^threads must be at least 1, got {given}"):
        CPUEngine(given)


def test_no_more_threads_than_processors(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """64 threads on 2 busy processors took hundreds of times as long: each waits for all others to have had a turn."""
    of_processors(2, monkeypatch)
    monkeypatch.setenv("NUMDNC_THREADS", "64")
    assert [threads.count_threads(), threads.count_threads()] == [2, 2]
    assert caplog.messages == ["NUMDNC_THREADS is 64, but this process may use 2 processors: using 2"]


def test_more_threads_than_processors_may_be_asked_for_in_code(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """To get the bits that another machine gets."""
    of_processors(1, monkeypatch)
    counts = counted(monkeypatch)
    run(CPUEngine(3), LARGE, make_problem(LARGE, "float32", steps=2, batch=3))
    assert counts == [3, 3]
    assert caplog.messages == [
        "threads is 3, but this process may use 1 processor: they will wait for each other, perhaps for long"
    ]


def test_calls_are_made_at_the_same_time_and_the_first_here() -> None:
    together, names = threading.Barrier(3, timeout=PATIENCE), [""] * 3

    def call(number: int) -> Callable[[], None]:
        def meet() -> None:
            names[number] = threading.current_thread().name
            together.wait()

        return meet

    threads.run_in_parallel([call(number) for number in range(3)])
    assert names[0] == threading.current_thread().name
    assert len(set(names)) == 3


@pytest.mark.parametrize("count", thorough_but([2], [2, 3]))
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
            worker.join(PATIENCE)
    finally:
        sys.setswitchinterval(interval)
    assert sorted(same) == [0, 1, 2, 3]


def test_teams_take_turns() -> None:
    """Two teams at once would each hold threads that the other waits for."""
    at_work: list[int] = []
    alone: list[bool] = []

    def work(number: int) -> None:
        for _ in range(20):
            meeting = threading.Barrier(3, timeout=PATIENCE)

            def call(meeting: threading.Barrier = meeting) -> None:
                at_work.append(number)
                meeting.wait()
                alone.append(set(at_work) == {number})
                meeting.wait()
                at_work.remove(number)

            threads.run_in_parallel([call] * 3)

    each = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(3)]
    for thread in each:
        thread.start()
    for thread in each:
        thread.join(PATIENCE)
    assert alone == [True] * 180


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
    run_in_parallel = engine.run_in_parallel
    back = [threading.Event() for _ in range(2)]

    def fail() -> None:
        raise interruption

    def with_one_that_fails(calls: Any, **rest: Any) -> None:
        def other(number: int) -> None:
            calls[1 + number]()
            back[number].set()

        run_in_parallel([fail, lambda: other(0), lambda: other(1)], **rest)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "run_in_parallel", with_one_that_fails)
        with pytest.raises(interruption):
            case.run(problem)
    for event in back:
        assert event.wait(PATIENCE)
    assert_identical(case.run(problem), wanted)


def test_nobody_waits_for_another_thread_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where it is not the first thread that fails."""
    case = team("rnn-2-layers", "float64", 2, True)
    problem = case.problem()
    wanted = case.run(problem)
    run_in_parallel = engine.run_in_parallel

    def fail() -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(
            engine, "run_in_parallel", lambda calls, **rest: run_in_parallel([calls[0], fail], **rest)
        )
        with pytest.raises(MemoryError):
            case.run(problem)
    assert_identical(case.run(problem), wanted)


FORK = """
import os, sys, threading
from helpers.tolerances import assert_identical
from helpers.cpu_teams import team
from numdnc.engines.cpu import threads
from helpers.patience import PATIENCE

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
    late = threading.Timer(PATIENCE, os.kill, (child, 9))
    late.start()
    status = os.waitpid(child, 0)[1]
    late.cancel()
    return status == 0

{statements}
"""
"""A process that forks; what it prints last is what a test spins at."""

FORK_AT_REST = "print(child_is_right(), child_is_right())\nassert_identical(case.run(problem), wanted)"
FORK_AT_WORK = """
begun, end = threading.Event(), threading.Event()
worker = threading.Thread(target=threads.run_in_parallel, args=([lambda: (begun.set(), end.wait(PATIENCE)), int],))
worker.start()
begun.wait()
print(child_is_right())
end.set()
worker.join()
assert_identical(case.run(problem), wanted)
"""


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@needs_fork
def test_a_forked_child_computes_too() -> None:
    done = run_python(FORK.format(statements=FORK_AT_REST), warnings="ignore")
    assert done.stdout.split() == ["True", "True"]


@pytest.mark.thorough
@needs_fork
def test_a_child_forked_while_another_thread_is_at_work_computes_too() -> None:
    done = run_python(FORK.format(statements=FORK_AT_WORK), warnings="ignore")
    assert done.stdout.split() == ["True"]


# When Python ends, and where no thread can be started.

ENDING = """
import atexit, sys, threading
from helpers.tolerances import assert_identical
from helpers.cpu_teams import team

case = team("rnn-2-layers", "float64", 2, True)
problem = case.problem()
if {warm}:
    case.run(problem)

def compute():
    assert_identical(case.run(problem), case.run(problem))
    print("computed")

def compute_late():
    threading.main_thread().join()
    compute()

{statement}
"""


@pytest.mark.parametrize("warm", thorough_but([False], [True, False]))
@pytest.mark.parametrize(
    "statement",
    [
        "atexit.register(compute)",
        pytest.param("threading.Thread(target=compute_late).start()", marks=pytest.mark.thorough),
    ],
)
def test_it_computes_after_the_main_thread_has_ended(statement: str, warm: bool) -> None:
    """As any loop in Python would; since Python 3.12 with the threads that there are by then."""
    done = run_python(ENDING.format(warm=warm, statement=statement))
    assert done.stdout == "computed\n"
    few = (
        "engine cpu works on fewer threads than it should: can't create new thread at interpreter shutdown\n"
    )
    assert without_notice(done.stderr) in ("", few)


def test_it_does_not_keep_python_from_ending() -> None:
    done = run_python(ENDING.format(warm=True, statement="compute()"))
    assert (done.stdout, without_notice(done.stderr)) == ("computed\n", "")


@pytest.mark.parametrize("startable", [0, 1])
def test_where_threads_cannot_be_started_fewer_do_the_work(
    startable: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    of_processors(3, monkeypatch)
    case = team("dnc-odd", "float64", 3, True)
    problem = case.problem()
    wanted = team("dnc-odd", "float64", 1 + startable, True).run(problem)
    started: list[threading.Thread] = []

    def start(thread: threading.Thread) -> None:
        if len(started) == startable:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        threading.Thread.start(thread)

    thread = type("Thread", (threading.Thread,), {"start": start})
    monkeypatch.setattr(threads, "_team", threads._Team())
    monkeypatch.setattr(threads, "Thread", thread)
    assert_result_close("rearranged", "float64", case.run(problem), wanted)
    assert len(started) == startable
    assert caplog.messages == ["engine cpu works on fewer threads than it should: can't start new thread"]


# BLAS.


def test_blas_adds_no_threads_and_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def blas_threads() -> list[int]:
        return [library.get_num_threads() for library in blas._libraries()]

    multiply_part = engine.multiply_part

    def spied(*arguments: Any) -> None:
        seen.extend(blas_threads())
        multiply_part(*arguments)

    monkeypatch.setattr(engine, "multiply_part", spied)
    problem = make_problem(LARGE, "float32", steps=4, batch=2)
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        run(CPUEngine(2), LARGE, problem)
        assert blas_threads() == before
    if set(before) != {2}:
        pytest.skip("this BLAS has one thread anyway")
    assert set(seen) == {1}


@pytest.fixture
def fake_blas(monkeypatch: pytest.MonkeyPatch) -> FakeBLAS:
    fake = FakeBLAS(3)
    monkeypatch.setattr(blas, "_libraries", lambda: [fake])
    monkeypatch.setattr(blas, "_hold", blas._SingleThreadedBLAS())
    return fake


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_blas_has_one_thread_until_the_last_has_left(order: tuple[int, ...], fake_blas: FakeBLAS) -> None:
    events = [threading.Event() for _ in order]
    each = [inside(event) for event in events]
    for number in order:
        assert fake_blas.count == 1
        events[number].set()
        each[number].join(PATIENCE)
    assert fake_blas.count == 3


def test_blas_on_one_thread_stays_there(fake_blas: FakeBLAS) -> None:
    fake_blas.count = 1
    with blas.single_threaded_blas():
        assert fake_blas.count == 1
    assert fake_blas.count == 1


FORK_INSIDE = """
import os, threading
from numdnc.engines.cpu import blas
from helpers.blas_stand_in import FakeBLAS, inside

fake = FakeBLAS(3)
blas._libraries = lambda: [fake]
leave = threading.Event()
other = inside(leave)
child = os.fork()
if child == 0:
    os._exit(fake.count)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), fake.count)
leave.set()
other.join()
print(fake.count)
"""


@needs_fork
def test_blas_has_its_threads_in_a_child_forked_while_another_thread_computes() -> None:
    assert run_python(FORK_INSIDE, warnings="ignore").stdout.split() == ["3", "1", "3"]
