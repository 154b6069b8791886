"""Time forward and backward while other processes keep the processors busy, by number of threads, in turns.

    python benchmarks/busy.py [--busy 2] [--shapes babi traversal large] [--threads 1 2] [--seconds 8]

Medians in ms. Threads of the engine that wait for each other wait for the other processes too.
"""

import argparse
import subprocess
import sys
import time
from statistics import median

from numdnc.engines.cpu import CPUEngine
from numdnc.formatting import format_table
from numdnc.inspection.benchmark import SHAPES, make_problem, warm_up


def measure(name: str, threads: list[int], seconds: float) -> list[float]:
    """Median seconds of forward and backward on each number of threads."""
    given = make_problem(SHAPES[name])
    engines = [CPUEngine(count) for count in threads]
    begun = [warm_up(engine, given) for engine in engines]
    found: list[list[float]] = [[] for _ in threads]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for engine, (d_outputs, d_state), times in zip(engines, begun, found, strict=True):
            began = time.perf_counter()
            _, _, tape = engine.forward(given.spec, given.params, given.symbols, given.state, keep_tape=True)
            engine.backward(given.spec, given.params, tape, d_outputs, d_state)
            times.append(time.perf_counter() - began)
    return [median(times) for times in found]


def main() -> None:
    """Start the busy processes, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--busy", type=int, default=2, help="other processes, each of which never waits")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["babi", "traversal", "large"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each shape")
    options = parser.parse_args()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
    try:
        rows = [["shape", *(f"{count} threads" for count in options.threads)]]
        for name in options.shapes:
            times = measure(name, options.threads, options.seconds)
            rows.append([name, *(f"{1e3 * each:.1f}" for each in times)])
    finally:
        for process in busy:
            process.kill()
    print(format_table(rows))


if __name__ == "__main__":
    main()
