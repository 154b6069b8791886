"""Time forward and backward of a DNC in this package, in JAX and in PyTorch, in one run on one machine.

    python benchmarks/ring.py [--shapes babi ..] [--contenders cpu jax ..] [--threads 1 2] [--rounds 2] [--seconds 2]
        [--updates] [--growth] [--jax-peer FILE] [--json]

The engine `cpu` is compared with the definition first; if it is wrong there are no figures, and the exit code is 1.
Every measurement runs in a separate process, one after the other; contenders take turns at a shape, round by round, and
medians are over the runs of all rounds. A process may use as many cores as it has threads. Contenders that cannot be
imported are left out and named. Float32; see contenders.py for what is timed. Memory of a run is the most at once
during runs, above what the process has in use between them: too little for what keeps freed memory for the next run,
as the engine `cpu` does and XLA may. That of the process is all of it, with imports and what compiling took.

--updates: updates per second at batch 1, 2, 4 instead. --growth: time and memory of the engine `cpu` alone as one size
grows, instead. Progress goes to standard error.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from contenders import CONTENDERS, DIFFERS

from numdnc.formatting import format_bytes, format_table
from numdnc.inspection.benchmark import LARGEST_ERROR, SHAPES, MachineRates, Shape, lower_bound_ms
from numdnc.machine import count_processors

HERE = Path(__file__).resolve().parent
PEERS = ("jax", "dnc")
UPDATES = {"shapes": ("babi", "traversal"), "batches": (1, 2, 4)}
BASE = Shape(64, (128,), 64, memory_size=256, word_size=32, read_heads=4, batch=4, steps=64)
GROWTH = {
    "memory_size": (64, 128, 256, 512, 1024, 2048),
    "steps": (32, 64, 128, 256, 512, 1024, 2048),
    "batch": (1, 2, 4, 8, 16, 32, 64),
}
MOST_BYTES = 8 * 2**30
"""What a cell of a growth table may take."""

RAISED = re.compile(r"[\w.]+(Error|Exception): ")
"""The line of a traceback that says what was raised; libraries may print more below it."""

Runs = dict[str, Any]
"""Of one contender at one shape: `seconds` of each run, `peak_bytes` of a run, `process_bytes`; or why not, as
`missing`, `failed` or `skipped`."""


@contextmanager
def some_cores(threads: int) -> Iterator[None]:
    """Limit processes that are started in this context to a number of cores."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def ask(name: str, shape: Shape, threads: int, options: argparse.Namespace) -> Runs:
    """The result of contenders.py, in a separate process."""
    count = {f"{library}_NUM_THREADS": str(threads) for library in ("OPENBLAS", "OMP", "MKL")}
    words = [name, json.dumps(shape), str(options.seconds), str(threads), str(options.jax_peer)]
    with some_cores(threads):
        done = subprocess.run(
            [sys.executable, str(HERE / "contenders.py"), *words],
            capture_output=True,
            text=True,
            env={**os.environ, **count, "JAX_PLATFORMS": "cpu"},
            check=False,
        )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [
            f"exit code {done.returncode}"
        ]
        raised = [line for line in lines if RAISED.match(line)]
        return {"failed": (raised or lines)[-1]}
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def checked(shapes: dict[str, Shape], options: argparse.Namespace) -> dict[str, float]:
    """Relative errors of the engine `cpu`; the program ends if one is too large or there is none."""
    errors = {}
    for name, shape in shapes.items():
        for threads in options.threads:
            found = ask("check", shape, threads, options)
            if not found.get("error", math.inf) <= LARGEST_ERROR:
                why = found.get("failed") or f"relative error {found['error']:.1e}"
                sys.exit(f"FAIL: engine cpu at {name}, {head(threads)}: {why}. No figures.")
            errors[name] = max(found["error"], errors.get(name, 0.0))
            note(f"check: {name}, {head(threads)}: relative error {found['error']:.1e}")
    return errors


def take_turns(shapes: dict[str, Shape], threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Runs of every contender at every shape, and the best rates of the machine."""
    left = list(options.contenders)
    runs: dict[str, dict[str, Runs]] = {name: {} for name in shapes}
    rates, absent = MachineRates(0, 0), {}
    for turn in range(1, options.rounds + 1):
        seen = ask("machine", BASE, threads, options)
        rates = MachineRates(*(max(best, seen[field]) for field, best in rates._asdict().items()))
        for name, shape in shapes.items():
            for contender in tuple(left):
                found = ask(contender, shape, threads, options)
                reason = found.get("missing") or found.get("failed")
                note(f"round {turn}, {head(threads)}, {name}, {contender}: {reason or told(found)}")
                if "missing" in found:
                    left.remove(contender)
                    absent[contender] = found["missing"]
                else:
                    runs[name][contender] = pooled(runs[name].get(contender), found)
    return {"threads": threads, "machine": rates._asdict(), "missing": absent, "runs": runs}


def pooled(before: Runs | None, found: Runs) -> Runs:
    """The runs of two rounds together; a failure in either counts."""
    if before is None or "failed" in found:
        return found
    if "failed" in before:
        return before
    both = {"seconds": before["seconds"] + found["seconds"]}
    for field in ("peak_bytes", "process_bytes"):
        both[field] = max((runs[field] for runs in (before, found) if runs[field] is not None), default=None)
    return both


def milliseconds(found: Runs | None) -> float | None:
    return 1e3 * median(found["seconds"]) if found and "seconds" in found else None


def told(found: Runs) -> str:
    return f"{milliseconds(found):.2f} ms, {len(found['seconds'])} runs"


def compared(times: dict[str, float | None], floor: float) -> dict[str, float | None]:
    """Times of the others divided by that of `cpu`, and that of `cpu` divided by the floor."""
    cpu = times.get("cpu")
    peers = [time for name in PEERS if (time := times.get(name)) is not None]
    reference = times.get("reference")
    return {
        "faster_peer_per_cpu": min(peers) / cpu if cpu and peers else None,
        "reference_per_cpu": reference / cpu if cpu and reference else None,
        "cpu_per_floor": cpu / floor if cpu else None,
    }


def summary(found: dict[str, Any], shapes: dict[str, Shape]) -> dict[str, Any]:
    """Medians and ratios by shape, and the geometric mean of each ratio over the shapes that have it."""
    rows = {}
    for name, shape in shapes.items():
        times = {contender: milliseconds(runs) for contender, runs in found["runs"][name].items()}
        floor = lower_bound_ms(shape, MachineRates(**found["machine"]))
        rows[name] = {"ms": times, "floor_ms": floor, "ratios": compared(times, floor)}
    means = {}
    for ratio in ("faster_peer_per_cpu", "reference_per_cpu", "cpu_per_floor"):
        known = [row["ratios"][ratio] for row in rows.values() if row["ratios"][ratio] is not None]
        means[ratio] = geometric_mean(known) if known else None
    return {"shapes": rows, "geometric_means": means}


def number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else f"{value:{form}}"


def table(rows: Iterable[Iterable[str]]) -> None:
    print(format_table([list(row) for row in rows]), end="\n\n")


def bytes_of(found: Runs | None, field: str = "peak_bytes") -> str:
    peak = found.get(field) if found else None
    return "-" if peak is None else format_bytes(peak)


def head(threads: int) -> str:
    """1 thread, 2 threads."""
    return f"{threads} thread{'s' if threads > 1 else ''}"


def show_ring(found: dict[str, Any], result: dict[str, Any], contenders: list[str]) -> None:
    rates, rows = found["machine"], result["shapes"]
    print(
        f"{head(found['threads'])}: {rates['gflops']:.0f} GFLOP/s float32 matrix product, "
        f"{rates['gbytes']:.0f} GB/s copy; medians in ms, then ratios\n"
    )
    means = result["geometric_means"]
    heads = ["shape", *contenders, "floor", "faster peer / cpu", "reference / cpu", "cpu / floor"]
    lines = []
    for name, row in rows.items():
        times = [*(row["ms"].get(each) for each in contenders), row["floor_ms"]]
        lines.append([name, *map(number, [*times, *row["ratios"].values()])])
    average = ["geometric mean", *[""] * (len(contenders) + 1), *map(number, means.values())]
    table([heads, *lines, average])
    for title, field in (("memory of a run", "peak_bytes"), ("of the process", "process_bytes")):
        memory = [
            [name, *(bytes_of(found["runs"][name].get(each), field) for each in contenders)] for name in rows
        ]
        table([[title, *contenders], *memory])


def show_updates(found: dict[str, Any], result: dict[str, Any], contenders: list[str]) -> None:
    print(f"{head(found['threads'])}: updates per second\n")
    lines = [["shape", *contenders, "cpu / faster peer"]]
    for name, row in result["shapes"].items():
        rates = [1e3 / ms if (ms := row["ms"].get(each)) else None for each in contenders]
        lines.append([name, *map(number, [*rates, row["ratios"]["faster_peer_per_cpu"]])])
    table(lines)


def ring(shapes: dict[str, Shape], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure all contenders at these shapes for each number of threads; print the results unless --json."""
    results = []
    for threads in options.threads:
        found = take_turns(shapes, threads, options)
        result = summary(found, shapes)
        results.append({**found, **result})
        if not options.json:
            show = show_updates if options.updates else show_ring
            show(found, result, [each for each in options.contenders if each not in found["missing"]])
            for contender, reason in found["missing"].items():
                print(f"left out: {contender}: {reason}")
            for name, runs in found["runs"].items():
                for contender, each in runs.items():
                    if "failed" in each:
                        print(f"failed: {contender} at {name}: {each['failed']}")
    return results


def growth(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time and memory of the engine `cpu` as one size of the base shape grows and the others stay fixed."""
    results = []
    for size, values in GROWTH.items():
        lines = [
            [size, *(f"{head(threads)}, {what}" for threads in options.threads for what in ("ms", "process"))]
        ]
        cells: dict[int, list[Runs]] = {threads: [] for threads in options.threads}
        for value in values:
            line = [str(value)]
            for threads, above in cells.items():
                found = grown(size, value, threads, above[-1:], options)
                above.append(found)
                reason = found.get("skipped") or found.get("failed")
                line += [reason or number(milliseconds(found)), bytes_of(found, "process_bytes")]
                note(f"growth, {size} {value}, {head(threads)}: {reason or told(found)}")
            lines.append(line)
        results += [{"size": size, "values": values, "threads": each, "cells": cells[each]} for each in cells]
        if not options.json:
            table(lines)
    return results


def grown(size: str, value: int, threads: int, above: list[Runs], options: argparse.Namespace) -> Runs:
    """A cell of a growth table: skipped if the cell above it says that it would take too much memory.

    Values double from cell to cell; the link matrices then grow by four with the slots, by two with the rest.
    """
    factor = 4 if size == "memory_size" else 2
    needed = factor * (above[0].get("needed") or above[0].get("process_bytes") or 0) if above else 0
    if needed > MOST_BYTES:
        return {"skipped": f"skipped, may need {format_bytes(needed)}", "needed": needed}
    return ask("cpu", BASE._replace(**{size: value}), threads, options)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES)
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--threads", nargs="+", type=int, default=sorted({1, min(2, count_processors())}))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement, at least three runs")
    parser.add_argument("--jax-peer", type=Path, default=HERE / "jax_peer.py")
    parser.add_argument("--updates", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    if not options.seconds > 0 or options.rounds < 1:
        parser.error("--seconds must be more than 0, --rounds at least 1")
    if not all(1 <= threads <= count_processors() for threads in options.threads):
        parser.error(f"--threads must be from 1 to {count_processors()}, the cores that this process may use")
    if not options.jax_peer.is_file():
        parser.error(f"--jax-peer must be a file, got {options.jax_peer}")
    return options


def main() -> None:
    """Check, measure and print; exit with 1 if the engine is wrong."""
    options = parsed()
    names = options.shapes or (UPDATES["shapes"] if options.updates else SHAPES)
    shapes = {name: SHAPES[name] for name in names}
    errors = checked({"base": BASE} if options.growth else shapes, options)
    if not options.json:
        print(
            f"engine cpu agrees with the definition: relative error {max(errors.values()):.1e} at most, float64"
        )
    if options.growth:
        if not options.json:
            print(f"engine cpu about {BASE._asdict()}\n")
        found = {"base": BASE._asdict(), "growth": growth(options)}
    else:
        if options.updates:
            batches = UPDATES["batches"]
            shapes = {f"{name}, B {B}": shapes[name]._replace(batch=B) for name in shapes for B in batches}
        if not options.json:
            for each in options.contenders:
                print(f"{each}: {DIFFERS[each]}{f' ({options.jax_peer.name})' if each == 'jax' else ''}")
            print()
        found = {"jax_peer": options.jax_peer.name, "rings": ring(shapes, options)}
    if options.json:
        print(json.dumps({"errors": errors, **found}))


if __name__ == "__main__":
    main()
