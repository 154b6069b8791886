"""`numdnc bench`: an engine is timed only if its results are right. No test depends on the clock."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.commands import Result, call, refused
from helpers.second_opinion import jax, quick_jit
from numdnc import console, engines, map_leaves
from numdnc.engines.reference import ReferenceEngine
from numdnc.inspection import benchmark
from numdnc.inspection.benchmark import MachineRates, Shape
from numdnc.machine import count_processors
from numdnc.tree import leaves

PEER = Path(__file__).parents[2] / "benchmarks" / "jax_peer.py"
TINY = {
    "small": Shape(3, (4,), 5, 6, 4, 2, batch=3, steps=5),
    "deep": Shape(4, (3, 2), 3, 5, 3, 1, batch=1, steps=15),
}


class Disturbed(ReferenceEngine):
    """An engine of its own name whose outputs or gradients are changed a little."""

    name = "disturbed"
    outputs: Any = staticmethod(lambda array: array)
    gradients: Any = staticmethod(lambda array: array)

    def forward(self, *arguments: Any, **options: Any) -> Any:
        outputs, state, tape = super().forward(*arguments, **options)
        return self.outputs(outputs), state, tape

    def backward(self, *arguments: Any) -> Any:
        d_params, d_inputs, d_state = super().backward(*arguments)
        return map_leaves(self.gradients, d_params), d_inputs, d_state


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disturbed:
    """Two tiny shapes, and two engines: a right one and the definition."""
    engine = Disturbed()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark, "SHAPES", TINY)
    monkeypatch.setattr(benchmark, "measure_machine", lambda: MachineRates(50.0, 10.0))
    monkeypatch.setitem(sys.modules, "disturbed", SimpleNamespace(ENGINE=engine))  # type: ignore[arg-type]
    monkeypatch.setattr(
        engines, "_MODULES", {"disturbed": "disturbed", "reference": "numdnc.engines.reference"}
    )
    monkeypatch.setattr("numdnc.cli.bench.AUTO", ("disturbed", "reference"))
    return engine


def bench(*words: object) -> Result:
    return call("bench", *words, "--seconds", 1e-3)


def test_json_is_whole_and_alone() -> None:
    result = bench("--json")
    assert result.code == 0
    found = json.loads(result.out)
    assert found["passed"] is True
    assert found["checks"] == [
        {"engine": "disturbed", "shape": name, "error": 0.0, "passed": True} for name in TINY
    ]
    assert found["machine"] == {"gflops": 50.0, "gbytes": 10.0, "cores": count_processors()}
    cells = [(row["shape"], row["engine"]) for row in found["timings"]]
    assert cells == [(name, engine) for name in TINY for engine in ("disturbed", "reference")]
    for row in found["timings"]:
        shape = TINY[row["shape"]]
        assert row["runs"] >= 3
        assert row["steps_per_second"] == pytest.approx(shape.batch * shape.steps * row["updates_per_second"])
        assert row["times_floor"] == pytest.approx(row["sum_ms"] / row["floor_ms"])
        assert row["updates_per_second"] == pytest.approx(1e3 / row["sum_ms"])
        assert row["floor_ms"] == benchmark.lower_bound_ms(shape, MachineRates(50.0, 10.0))
        assert min(row["forward_ms"], row["backward_ms"]) > 0
        if row["engine"] == "reference":
            assert row["times_as_fast_as_reference"] == 1


def test_people_see_a_table() -> None:
    out = bench("deep", "--engine", "disturbed", "reference", "disturbed").out
    assert "engine disturbed at deep: relative error 0.0e+00" in out
    head, *rows = out.splitlines()[-3:]
    assert head.split()[:3] == ["shape", "engine", "forward"]
    assert [row.split()[:2] for row in rows] == [["deep", "disturbed"], ["deep", "reference"]]
    assert len({len(line) for line in (head, *rows)}) == 1


def test_without_the_reference_there_is_no_ratio_to_it() -> None:
    (row,) = json.loads(bench("small", "-e", "disturbed", "--json").out)["timings"]
    assert row["times_as_fast_as_reference"] is None


WRONG = {
    "a little": lambda array: array * (1 + 3e-9),
    "in one place": lambda array: array + 1e-3 * (np.arange(array.size).reshape(array.shape) == 0),
    "NaN": lambda array: np.full_like(array, np.nan),
    "infinite": lambda array: np.full_like(array, np.inf),
}


@pytest.mark.parametrize("part", ["outputs", "gradients"])
@pytest.mark.parametrize("how", WRONG)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_wrong_engine_has_no_figures(
    tiny: Disturbed, part: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setattr(tiny, part, WRONG[how])
    monkeypatch.setattr(benchmark, "time_engine", None)  # nothing may be timed
    result = bench("small")
    assert (result.code, result.err) == (1, "")
    assert "FAIL: engine disturbed at small: relative error" in result.out
    assert "nothing was timed, since an engine is wrong" in result.out
    assert " ms" not in result.out
    result = bench("small", "--json")
    assert result.code == 1
    found = json.loads(result.out)
    assert found.keys() == {"passed", "checks"}
    (check,) = found["checks"]
    assert found["passed"] is check["passed"] is False


def test_rounding_is_no_error(tiny: Disturbed) -> None:
    tiny.outputs = lambda array: array * (1 + 1e-12)
    assert 0 < benchmark.max_relative_error(tiny, TINY["small"]) < 1e-11
    assert bench("small").code == 0


def test_refusals() -> None:
    refused("bench", "smal", expect="the shape must be one of small, deep, got 'smal'.")
    refused("bench", "small", "--engine", "fast", expect="engine must be one of|got 'fast'")
    for seconds in (0, -1, "nan", "inf"):
        refused("bench", "small", "--seconds", seconds, expect="seconds must be more than 0, got")


def test_what_takes_long_is_said_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(engine: Any, shape: Shape) -> float:
        late[-1]()
        return 0.0

    class Timer:
        """Rings when told to."""

        def __init__(self, seconds: float, say: Any) -> None:
            late.append(say)

        def start(self) -> None: ...

        def cancel(self) -> None:
            late.append(None)

    late: list[Any] = []
    monkeypatch.setattr(console.threading, "Timer", Timer)  # type: ignore[attr-defined]
    monkeypatch.setattr(benchmark, "max_relative_error", slow)
    result = bench("small", "--json")
    assert result.err == "checking engine disturbed at small ..\n"
    assert json.loads(result.out)["passed"]


def test_the_floor_of_an_example_by_hand() -> None:
    """X 2, H 3, Y 4, N 5, W 6, R 1: multiply-adds of a step forward, then 2 x 7 steps."""
    shape = Shape(2, (3,), 4, 5, 6, 1, batch=2, steps=7)
    gates, interface, outputs, reads_out = 4 * 3 * (2 + 6 + 3), 3 * (6 + 18 + 5 + 3), 3 * 4, 6 * 4
    memory, links = 5 * 6 * (2 + 3), 25 * (2 + 2.5)
    operations = 2 * 3 * (gates + interface + outputs + reads_out + memory + links) * 14
    assert operations == 44226
    assert benchmark.lower_bound_ms(shape, MachineRates(1e-6, 1e9)) == pytest.approx(
        44226.0
    )  # at 1000 operations a second
    link_bytes = 2 * 4 * 25 * 14
    assert benchmark.lower_bound_ms(shape, MachineRates(1e9, 1e-6)) == pytest.approx(
        link_bytes
    )  # at 1000 bytes a second


def test_the_floor_of_two_layers() -> None:
    """The upper layer reads the lower one too, and both widen interface and output."""
    one, two = (Shape(2, sizes, 4, 5, 6, 1, batch=1, steps=1) for sizes in ((3,), (3, 2)))
    more = 4 * 2 * (2 + 6 + 2 + 3) + 2 * (32 + 4)
    grown = benchmark.lower_bound_ms(two, MachineRates(1e-6, 1e9)) - benchmark.lower_bound_ms(
        one, MachineRates(1e-6, 1e9)
    )
    assert grown == pytest.approx(6 * more)


def test_the_floor_of_more_heads_and_of_a_second_direction() -> None:
    plain = Shape(2, (3,), 4, 5, 6, 1, batch=1, steps=1)
    slow = MachineRates(1e-6, 1e9)
    writers = benchmark.lower_bound_ms(plain._replace(write_heads=3), slow)
    interface, memory, links = 3 * 2 * (18 + 3 + 2), 2 * 5 * 6 * 3, 2 * 25 * (2 + 2.5)
    assert writers - benchmark.lower_bound_ms(plain, slow) == pytest.approx(6 * (interface + memory + links))
    directions = benchmark.lower_bound_ms(plain._replace(bidirectional=True), slow)
    controller, hidden = 4 * 3 * (2 + 3), 3 * (32 + 4)
    assert directions - benchmark.lower_bound_ms(plain, slow) == pytest.approx(6 * (controller + hidden))
    link_bytes = 3 * 2 * 4 * 25
    assert benchmark.lower_bound_ms(plain._replace(write_heads=3), MachineRates(1e9, 1e-6)) == pytest.approx(
        link_bytes
    )


def test_shapes_make_the_models_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    dense, sparse = ["char", "copy", "repeat", "babi", "traversal", "large"], ["sparse", "large-sparse"]
    assert list(benchmark.SHAPES) == [*dense, "write-heads", "bidirectional", *sparse]
    assert benchmark.SHAPES["write-heads"].spec.write_heads == 2
    assert benchmark.SHAPES["bidirectional"].spec.bidirectional
    assert [name for name, shape in benchmark.SHAPES.items() if shape.spec.sparsity] == sparse
    for shape in benchmark.SHAPES.values():
        spec = shape.spec
        assert spec.hidden_sizes == shape.hidden_sizes
        sizes = (spec.input_size, spec.output_size, spec.memory_size, spec.word_size, spec.read_heads)
        assert sizes == (
            shape.input_size,
            shape.output_size,
            shape.memory_size,
            shape.word_size,
            shape.read_heads,
        )


def test_medians_of_a_timing() -> None:
    timing = benchmark.Timing((1.0, 2.0, 9.0), (8.0, 3.0, 1.0), None)
    assert (timing.forward, timing.backward, timing.total) == (2.0, 3.0, 9.0)


def test_memory_of_what_is_held_and_let_go() -> None:
    if benchmark.process_memory("VmHWM") is None:
        pytest.skip("this system does not tell how much memory a process has in use")
    memory = benchmark.PeakMemory()
    assert len(np.ones(2**22)) == 2**22  # 32 MiB, given back at once
    peak = memory.peak()
    if peak is None:
        pytest.skip("this system does not let a process forget its peak")
    assert 30 * 2**20 < peak < 40 * 2**20


def test_the_machine_has_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    rates = benchmark.measure_machine(threads=1, seconds=1e-3)
    assert min(rates) > 0


@pytest.mark.thorough
def test_the_peer_computes_the_same_model() -> None:
    """What benchmarks/ring.py measures against, in float64."""
    found = importlib.util.spec_from_file_location("jax_peer", PEER)
    assert found and found.loader
    peer = importlib.util.module_from_spec(found)
    found.loader.exec_module(peer)
    shape = TINY["deep"]
    given, engine = benchmark.make_problem(shape, np.float64), ReferenceEngine()
    outputs, _, tape = engine.forward(given.spec, given.params, given.symbols, given.state, keep_tape=True)
    d_outputs, d_state = benchmark.warm_up(engine, given)
    d_params, _, _ = engine.backward(given.spec, given.params, tape, d_outputs, d_state)

    def told(params: Any) -> Any:
        inputs = jax.nn.one_hot(given.symbols, shape.input_size, dtype=float)
        found = peer.forward(given.spec, params, inputs)
        return (found * d_outputs).sum(), found

    gradient, same = quick_jit(jax.grad(told, has_aux=True))(given.params)
    # Measured: 5.5e-16 of an array's largest value.
    for mine, right in zip((same, *leaves(gradient)), (outputs, *leaves(d_params)), strict=True):
        np.testing.assert_allclose(mine, right, rtol=0, atol=5e-15 * np.abs(right).max())
