"""Peak memory of forward and backward of a DNC, above that of the process with its kernels loaded.

    python benchmarks/peak_memory.py N T B

Hidden 128, W 32, R 4, float32, engine `cpu`; one call of each in a process that has run a tiny model before.
"""

import resource
import sys

import numpy as np

from numdnc import DNCSpec, init_params, select_engine, zero_state


def run(spec, steps, batch):
    engine, state = select_engine("cpu", spec), zero_state(spec, batch)
    params, symbols = init_params(spec, 0), np.zeros((steps, batch), int)
    outputs, state, tape = engine.forward(spec, params, symbols, state, keep_tape=True)
    engine.backward(spec, params, tape, outputs, state)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux


def main():
    slots, steps, batch = map(int, sys.argv[1:])
    sizes = {"input_size": 64, "output_size": 64}
    before = run(DNCSpec(**sizes, hidden_sizes=(8,), memory_size=8, word_size=4), 3, 1)
    spec = DNCSpec(**sizes, hidden_sizes=(128,), memory_size=slots, word_size=32, read_heads=4)
    print(f"N {slots}, T {steps}, B {batch}: {run(spec, steps, batch) - before:.0f} MiB above {before:.0f}")


if __name__ == "__main__":
    main()
