"""Time and memory of forward and backward as the memory grows: sparse beside dense, each in a process of its own.

    python benchmarks/sparse.py [--slots 256 1024 ..] [--kinds K4 K8 ..] [--threads 2] [--steps 100] [--rounds 3]

A DNC with W 32, R 4, LSTM 128, batch 1, float32. Kinds: K4 and K8 the engine `cpu` with that sparsity, SAM8 and SDNC8
with `recency` without and with links, `cpu` the dense engine, `reference` the dense definition, `jax` the dense peer of
ring.py. Rounds take turns over the kinds; times are the least of the medians of a round. A memory in use is timed:
random words, usages in (0, 1), no free slot. MB: the most in use during a call, above the process after it has run a
tiny model, with the state, its gradient and all that is returned. Kinds that would take too long or too much memory are
left out.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from numdnc import DNCSpec, init_params, zero_state
from numdnc.formatting import format_table
from numdnc.inspection.benchmark import LEAST_RUNS, PeakMemory

MOST_SLOTS = {"cpu": 4096, "reference": 2048, "jax": 2048}
"""Of the dense kinds: one link matrix of a step has N N numbers."""
FEWER_STEPS = {"reference": 4, "jax": 20}
SECONDS = 2.0
KINDS = {"K4": {"sparsity": 4}, "K8": {"sparsity": 8}}
KINDS |= {"SAM8": {"sparsity": 8, "recency": True, "links": False}, "SDNC8": {"sparsity": 8, "recency": True}}


def spec_of(kind, slots):
    return DNCSpec(
        input_size=10,
        output_size=10,
        hidden_sizes=(128,),
        memory_size=slots,
        word_size=32,
        read_heads=4,
        **KINDS.get(kind, {}),
    )


def used_state(spec, rng):
    """Words and usages at random."""
    state = zero_state(spec, 1)
    state = state._replace(memory=rng.standard_normal(state.memory.shape, np.float32))
    if spec.usage_writing:
        state = state._replace(usage=rng.random(state.usage.shape, np.float32))
    return state


def engine_runs(kind, slots, steps, threads):
    """A function that runs forward and backward once; all that belongs to the model is made here."""
    from numdnc.engines import get_engine
    from numdnc.engines.cpu import CPUEngine

    engine = get_engine("reference") if kind == "reference" else CPUEngine(threads=threads)

    def prepared(slots, steps):
        spec, rng = spec_of(kind, slots), np.random.default_rng(0)
        params, state = init_params(spec, 0), used_state(spec, rng)
        inputs = rng.standard_normal((steps, 1, 10), np.float32)
        d_outputs, d_state = rng.standard_normal((steps, 1, 10), np.float32), zero_state(spec, 1)

        def run():
            _, _, tape = engine.forward(spec, params, inputs, state, keep_tape=True)
            engine.backward(spec, params, tape, d_outputs, d_state)

        return run

    prepared(16, 3)()  # which may compile
    memory = PeakMemory()
    return prepared(slots, steps), memory


def jax_runs(slots, steps):
    from contenders import jax_runs as prepare

    from numdnc.inspection.benchmark import Shape

    memory = PeakMemory()
    peer = Path(__file__).with_name("jax_peer.py")
    return prepare(peer)(Shape(10, (128,), 10, slots, 32, 4, batch=1, steps=steps)), memory


def measured(kind, slots, steps, threads):
    """Milliseconds a step, and bytes."""
    run, memory = jax_runs(slots, steps) if kind == "jax" else engine_runs(kind, slots, steps, threads)
    run()
    times, end = [], time.perf_counter() + SECONDS
    while len(times) < LEAST_RUNS or time.perf_counter() < end:
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return {"ms": 1e3 * median(times) / steps, "bytes": memory.peak()}


def ask(kind, slots, steps, threads):
    """The same in a process of its own."""
    words = [sys.executable, __file__, "--one", kind, str(slots), str(steps), str(threads)]
    count = {f"{library}_NUM_THREADS": str(threads) for library in ("OPENBLAS", "OMP", "MKL")}
    environment = {**os.environ, **count, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = [*KINDS, *MOST_SLOTS]
    parser.add_argument(
        "--slots", nargs="+", type=int, default=[256, 1024, 2048, 4096, 16384, 65536, 1048576]
    )
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=4, metavar="X", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        kind, *numbers = options.one
        print(json.dumps(measured(kind, *map(int, numbers))))
        return
    found = {}
    for turn in range(options.rounds):
        for slots in options.slots:
            for kind in options.kinds:
                if slots <= MOST_SLOTS.get(kind, slots) and "failed" not in found.get((slots, kind), {}):
                    steps = min(options.steps, FEWER_STEPS.get(kind, options.steps))
                    new = ask(kind, slots, steps, options.threads)
                    old = found.get((slots, kind), new)
                    least = {"ms": min(old["ms"], new["ms"])} if "ms" in new else {}
                    found[slots, kind] = {**old, **new, **least}
                    print(f"round {turn + 1}: N {slots}, {kind}: {new}", file=sys.stderr, flush=True)
    for field, form, scale in (("ms", ".3f", 1), ("bytes", ".0f", 2**20)):
        head = f"{'ms a step' if field == 'ms' else 'MB'}, {options.threads} threads"
        lines = [[head, *options.kinds]]
        for slots in options.slots:
            cells = [found.get((slots, kind), {}).get(field) for kind in options.kinds]
            lines.append(
                [f"N {slots}", *("-" if cell is None else f"{cell / scale:{form}}" for cell in cells)]
            )
        print(format_table(lines), end="\n\n")


if __name__ == "__main__":
    main()
