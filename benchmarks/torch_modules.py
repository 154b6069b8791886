"""Time numdnc.nn.DNC on the CPU, compared with the PyPI package `dnc`, its engine `torch`, and JAX, in one run.

    python benchmarks/torch_modules.py [--shapes babi ..] [--threads 2] [--rounds 2] [--seconds 2] [--json]

Forward and backward at the shapes of ring.py, in float32. Each contender gets the same one-hot vectors and the
gradient of the mean cross-entropy by its own outputs, and computes outputs and the gradients of all parameters. Every
measurement runs in a separate process, one after the other, with as many cores as threads; contenders
take turns at a shape, round by round, and medians are over the runs of all rounds. First the module is compared with
the definition in float64; if it is wrong there are no figures and the exit code is 1. Progress goes to standard error.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from contenders import DIFFERS, jax_runs, torch_runs
from ring import HERE, head, milliseconds, note, number, pooled, some_cores, table

from numdnc.engines import get_engine
from numdnc.inspection.benchmark import (
    CHECKED_BATCH,
    CHECKED_STEPS,
    LARGEST_ERROR,
    SHAPES,
    Shape,
    make_problem,
    repeat,
)
from numdnc.machine import count_processors
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.tree import leaves, map_leaves, zeros_like

CONTENDERS = ("module", "dnc", "torch", "jax")
SAYS = {
    "module": "numdnc.nn.DNC, which runs the engine cpu",
    "torch": "the same with engine='torch': plain torch operations, eager",
    "dnc": DIFFERS["dnc"],
    "jax": DIFFERS["jax"],
}


def model_for(shape: Shape, **options: Any) -> Any:
    """The module of a shape."""
    import numdnc.nn

    sizes = {"memory_size": shape.memory_size, "word_size": shape.word_size, "read_heads": shape.read_heads}
    hidden = shape.hidden_sizes
    return numdnc.nn.DNC(shape.input_size, hidden, shape.output_size, **sizes, seed=0, **options)


def module_runs(engine: str) -> Any:
    """Shape -> a function that runs the module on an engine over it."""
    import torch

    def prepare(shape: Shape) -> Any:
        given, model = make_problem(shape), model_for(shape, engine=engine)
        inputs = torch.nn.functional.one_hot(torch.from_numpy(given.symbols), shape.input_size).float()
        _, d_outputs = softmax_cross_entropy(model(inputs)[0].detach().numpy(), given.targets)
        d_outputs = torch.from_numpy(d_outputs)

        def run() -> None:
            model.zero_grad(set_to_none=True)
            model(inputs)[0].backward(d_outputs)

        return run

    return prepare


def error_of(shape: Shape) -> float:
    """The largest relative error of outputs and parameter gradients against the definition, in float64."""
    import torch

    small = shape._replace(steps=min(shape.steps, CHECKED_STEPS), batch=min(shape.batch, CHECKED_BATCH))
    given, model = make_problem(small), model_for(small, dtype=torch.float64)
    params = map_leaves(lambda p: p.detach().numpy(), model.params())
    engine = get_engine("reference")
    state = map_leaves(lambda leaf: leaf.astype("float64"), given.state)
    outputs, after, tape = engine.forward(given.spec, params, given.symbols, state, keep_tape=True)
    wanted, _, _ = engine.backward(given.spec, params, tape, outputs, zeros_like(after))
    rows = torch.nn.functional.one_hot(torch.from_numpy(given.symbols), shape.input_size).double()
    got, _ = model(rows)
    got.backward(got.detach())
    pairs = [(got.detach().numpy(), outputs)]
    pairs += zip((p.grad.numpy() for p in leaves(model.params())), leaves(wanted), strict=True)
    return max(float(abs(mine - right).max() / max(1e-6, abs(right).max())) for mine, right in pairs)


def timed(name: str, shape: Shape, seconds: float, threads: int) -> dict[str, Any]:
    """Seconds of each run of a contender, in this process."""
    import torch

    torch.set_num_threads(threads)
    try:
        prepare = {
            "module": lambda: module_runs("auto"),
            "torch": lambda: module_runs("torch"),
            "dnc": torch_runs,
            "jax": lambda: jax_runs(HERE / "jax_peer.py"),
        }[name]()
    except ImportError as error:
        return {"failed": str(error)}
    run = prepare(shape)
    run()

    def clocked() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return {"seconds": repeat(clocked, seconds), "peak_bytes": None, "process_bytes": None}


def ask(name: str, shape: Shape, seconds: float, threads: int) -> dict[str, Any]:
    """The result of `timed` or `error_of` in a separate process."""
    count = {f"{library}_NUM_THREADS": str(threads) for library in ("OPENBLAS", "OMP", "MKL", "NUMDNC")}
    words = ["--one", name, json.dumps(shape), str(seconds), str(threads)]
    with some_cores(threads):
        done = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), *words],
            capture_output=True,
            text=True,
            env={**os.environ, **count, "JAX_PLATFORMS": "cpu"},
            check=False,
        )
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(name: str, shape: str, seconds: str, threads: str) -> None:
    """The part of the program that runs in a separate process."""
    size = Shape(*(tuple(part) if isinstance(part, list) else part for part in json.loads(shape)))
    found = {"error": error_of(size)} if name == "check" else timed(name, size, float(seconds), int(threads))
    print(json.dumps(found))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--threads", type=int, default=min(2, count_processors()))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement, at least three runs")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    if not options.seconds > 0 or options.rounds < 1:
        parser.error("--seconds must be more than 0, --rounds at least 1")
    if not 1 <= options.threads <= count_processors():
        parser.error(f"--threads must be from 1 to {count_processors()}, the cores that this process may use")
    return options


def main() -> None:
    """Check, measure and print; exit with 1 if the module is wrong."""
    options = parsed()
    shapes = {name: SHAPES[name] for name in options.shapes}
    errors = {}
    for name, shape in shapes.items():
        found = ask("check", shape, options.seconds, options.threads)
        if not found.get("error", math.inf) <= LARGEST_ERROR:
            sys.exit(f"FAIL: the module at {name}: {found}. No figures.")
        errors[name] = found["error"]
        note(f"check: {name}: relative error {found['error']:.1e}")
    runs: dict[str, dict[str, Any]] = {name: {} for name in shapes}
    for turn in range(1, options.rounds + 1):
        for name, shape in shapes.items():
            for contender in CONTENDERS:
                found = ask(contender, shape, options.seconds, options.threads)
                runs[name][contender] = pooled(runs[name].get(contender), found)
                time_of = milliseconds(found)
                told = found if time_of is None else f"{time_of:.2f} ms, {len(found['seconds'])} runs"
                note(f"round {turn}, {name}, {contender}: {told}")
    times = {
        name: {contender: milliseconds(found) for contender, found in each.items()}
        for name, each in runs.items()
    }
    ratios: dict[str, dict[str, float | None]] = {
        peer: {
            name: each[peer] / each["module"] if each[peer] and each["module"] else None
            for name, each in times.items()
        }
        for peer in CONTENDERS[1:]
    }
    means = {}
    for peer, each in ratios.items():
        known = [ratio for ratio in each.values() if ratio is not None]
        means[peer] = geometric_mean(known) if known else None
    if options.json:
        print(json.dumps({"errors": errors, "ms": times, "ratios": ratios, "geometric_means": means}))
        return
    for contender in CONTENDERS:
        print(f"{contender}: {SAYS[contender]}")
    print(f"\n{head(options.threads)}: medians in ms, then how many times faster the module is\n")
    lines = [["shape", *CONTENDERS, *(f"{peer} / module" for peer in ratios)]]
    for name, each in times.items():
        lines.append(
            [name, *map(number, each.values()), *(number(by_shape[name]) for by_shape in ratios.values())]
        )
    table([*lines, ["geometric mean", *[""] * len(CONTENDERS), *map(number, means.values())]])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
    else:
        main()
