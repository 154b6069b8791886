"""`bench`."""

import math
import sys
from typing import Annotated, Any, NamedTuple

import numpy as np
from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.options import ENGINES, AsJson
from numdnc.engines import AUTO, Engine, select_engine
from numdnc.errors import UserError
from numdnc.formatting import format_bytes, format_table
from numdnc.inspection import benchmark
from numdnc.inspection.benchmark import LARGEST_ERROR, MachineRates, Shape, Timing
from numdnc.machine import count_processors

DEFINITION = "reference"


class Checked(NamedTuple):
    """Result of checking an engine at a shape."""

    engine: str
    shape: str
    error: float  # relative, the largest of any array
    passed: bool


def measure_speed(
    shapes: Positional[tuple[str, ...]] = (),
    *,
    engine: Annotated[tuple[str, ...], arg(aliases=["-e"], metavar=f"[{ENGINES} ..]")] = (),
    seconds: float = 2.0,
    as_json: AsJson = False,
) -> None:
    """Measure how fast each engine runs a DNC on this machine.

    Forward and backward are timed, after a check that the engine is right.

    Args:
        shapes: char, copy, repeat, babi, traversal or large (default: all).
        engine: The engines to time (default: those that need no extra).
        seconds: How long to repeat each measurement; one that takes longer is repeated three times.
        as_json: Print the result as one JSON object.

    """
    chosen = _shapes(shapes)
    engines = _engines(engine, chosen)
    if not 0 < seconds < math.inf:
        raise UserError(f"seconds must be more than 0, got {seconds}.")
    checks = _check(engines, chosen)
    passed = all(found.passed for found in checks)
    if not as_json:
        for found in checks:
            if not found.passed:
                console.say(
                    f"FAIL: engine {found.engine} at {found.shape}: relative error {found.error:.1e}, "
                    f"at most {LARGEST_ERROR:g} is right"
                )
    if not passed:
        if as_json:
            _print_json({"passed": False, "checks": _as_records(checks)})
        else:
            console.say("nothing was timed, since an engine is wrong")
        sys.exit(1)
    with console.waiting_for("measuring the machine"):
        rates = benchmark.measure_machine()
    rows = [row for name, shape in chosen.items() for row in _rows(name, shape, engines, rates, seconds)]
    if as_json:
        here = {**rates._asdict(), "cores": count_processors()}
        _print_json({"passed": True, "checks": _as_records(checks), "machine": here, "timings": rows})
        return
    console.say(
        f"{count_processors()} cores, {rates.gflops:.0f} GFLOP/s float32 matrix product, {rates.gbytes:.0f} GB/s copy; "
        "float32, medians; floor: the least time here"
    )
    for found in checks:
        console.say(f"engine {found.engine} at {found.shape}: relative error {found.error:.1e}")
    console.say()
    console.say(format_table([HEADS, *map(_cells, rows)]))


HEADS = (
    "shape",
    "engine",
    "forward ms",
    "backward ms",
    "sum ms",
    "floor ms",
    "x floor",
    "steps/s",
    "updates/s",
    "memory",
    f"{DEFINITION} / this",
)


def _shapes(names: tuple[str, ...]) -> dict[str, Shape]:
    for name in names:
        if name not in benchmark.SHAPES:
            raise UserError(f"the shape must be one of {', '.join(benchmark.SHAPES)}, got {name!r}.")
    return {name: benchmark.SHAPES[name] for name in names or benchmark.SHAPES}


def _engines(names: tuple[str, ...], shapes: dict[str, Shape]) -> list[Engine]:
    """The engines asked for, each once, if they can compute every shape as it is checked and as it is timed."""
    found: dict[str, Engine] = {}
    for name in names or AUTO:
        for shape in shapes.values():
            for dtype in (np.float64, np.float32):
                engine = select_engine(name, shape.spec, dtype)
        found[engine.name] = engine
    return list(found.values())


def _check(engines: list[Engine], shapes: dict[str, Shape]) -> list[Checked]:
    """Check every engine but the definition at every shape."""
    found = []
    for engine in engines:
        for name, shape in shapes.items():
            if engine.name != DEFINITION:
                with console.waiting_for(f"checking engine {engine.name} at {name}"):
                    error = benchmark.max_relative_error(engine, shape)
                found.append(Checked(engine.name, name, error, error <= LARGEST_ERROR))
    return found


def _rows(
    name: str, shape: Shape, engines: list[Engine], rates: MachineRates, seconds: float
) -> list[dict[str, Any]]:
    """Measurements of each engine at a shape."""
    timings = {}
    for engine in engines:
        with console.waiting_for(f"timing engine {engine.name} at {name}"):
            timings[engine.name] = benchmark.time_engine(engine, shape, seconds)
    slow = timings.get(DEFINITION)
    floor = benchmark.lower_bound_ms(shape, rates)
    return [_row(name, shape, engine, timing, floor, slow) for engine, timing in timings.items()]


def _row(
    name: str, shape: Shape, engine: str, timing: Timing, floor: float, slow: Timing | None
) -> dict[str, Any]:
    return {
        "shape": name,
        "engine": engine,
        "runs": len(timing.forwards),
        "forward_ms": 1e3 * timing.forward,
        "backward_ms": 1e3 * timing.backward,
        "sum_ms": 1e3 * timing.total,
        "floor_ms": floor,
        "times_floor": 1e3 * timing.total / floor,
        "steps_per_second": shape.batch * shape.steps / timing.total,
        "updates_per_second": 1 / timing.total,
        "peak_bytes": timing.peak_bytes,
        "times_as_fast_as_reference": slow.total / timing.total if slow else None,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    memory, ratio = row["peak_bytes"], row["times_as_fast_as_reference"]
    return [
        row["shape"],
        row["engine"],
        f"{row['forward_ms']:.2f}",
        f"{row['backward_ms']:.2f}",
        f"{row['sum_ms']:.2f}",
        f"{row['floor_ms']:.2f}",
        f"{row['times_floor']:.2f}",
        f"{row['steps_per_second']:,.0f}",
        f"{row['updates_per_second']:.2f}",
        "?" if memory is None else format_bytes(memory),
        "" if ratio is None else f"{ratio:.2f}",
    ]


def _as_records(checks: list[Checked]) -> list[dict[str, Any]]:
    return [found._asdict() for found in checks]


def _print_json(found: dict[str, Any]) -> None:
    console.say_json(found)
