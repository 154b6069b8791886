"""How long the first forward and backward of a model take where no kernels are cached: Python, Numba and LLVM.

    python benchmarks/compile_time.py [--rounds 3] [--model dnc|lstm] [--against FOLDER]

Each measurement has a process and an empty cache of its own. --against: the folder src of another version of numdnc,
which takes turns with this one. Seconds by the clock depend on what else the machine does; processor seconds, of the
process and of its helper together, depend less on it. NUMDNC_THREADS=1 compiles in one process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

MEASURE = """
import json, logging, os, sys, time
import numpy as np
import numdnc
logging.getLogger("numdnc").setLevel(logging.ERROR)
kind = {"dnc": numdnc.DNCSpec, "lstm": numdnc.LSTMSpec}[sys.argv[1]]
spec = kind(input_size=4, output_size=4)
engine = numdnc.select_engine("cpu", spec)
params, state = numdnc.init_params(spec, 0), numdnc.zero_state(spec, 1)
begin = time.perf_counter()
outputs, final, tape = engine.forward(spec, params, np.zeros((2, 1, 4), np.float32), state, keep_tape=True)
middle = time.perf_counter()
engine.backward(spec, params, tape, outputs, final)
end, used = time.perf_counter(), os.times()
seconds = {"forward": middle - begin, "backward": end - middle, "both": end - begin}
print(json.dumps({**seconds, "processor": sum(used[:4])}))
"""


def measure(source: Path, model: str) -> dict[str, float]:
    """Seconds of one first call of either kind."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, model],
            env={**os.environ, "PYTHONPATH": str(source), "NUMBA_CACHE_DIR": cache},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure in turns, then show medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", choices=("dnc", "lstm"), default="dnc")
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    here = Path(__file__).resolve().parents[1] / "src"
    sources = {"this version": here} | ({str(options.against): options.against} if options.against else {})
    found: dict[str, list[dict[str, float]]] = {name: [] for name in sources}
    for turn in range(1, options.rounds + 1):
        for name, source in sources.items():
            found[name].append(measure(source.resolve(), options.model))
            print(f"round {turn}, {name}: {told(found[name][-1])}", file=sys.stderr, flush=True)
    for name, runs in found.items():
        print(f"{name}: {told({key: median(run[key] for run in runs) for key in runs[0]})}")


def told(run: dict[str, float]) -> str:
    parts = [f"{name} {run[name]:.1f} s" for name in ("forward", "backward", "both")]
    return f"{', '.join(parts)}; {run['processor']:.1f} s of processors"


if __name__ == "__main__":
    main()
