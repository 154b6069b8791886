"""Time forward and backward of an update on the engine `reference` with one and with two BLAS threads, in turn.

    python benchmarks/blas_threads.py

Prints the median milliseconds of each and their ratio, for the shapes that `train text` uses.
"""

import statistics
import time

import numpy as np
from threadpoolctl import threadpool_limits

from numdnc import DNCSpec, LSTMSpec, init_params, select_engine, zero_state, zeros_like

SYMBOLS, WINDOW, ROUNDS = 100, 64, 15
SHAPES = {
    "lstm 128": LSTMSpec(input_size=SYMBOLS, output_size=SYMBOLS),
    "dnc 128": DNCSpec(input_size=SYMBOLS, output_size=SYMBOLS, read_heads=2),
    "dnc 512": DNCSpec(input_size=SYMBOLS, output_size=SYMBOLS, read_heads=2, hidden_sizes=(512,)),
}


def milliseconds(spec, batch: int, threads: int) -> float:
    engine, params, state = select_engine("reference", spec), init_params(spec, 0), zero_state(spec, batch)
    symbols = np.random.default_rng(0).integers(0, SYMBOLS, (WINDOW, batch))
    with threadpool_limits(limits=threads, user_api="blas"):
        began = time.perf_counter()
        outputs, final, tape = engine.forward(spec, params, symbols, state, keep_tape=True)
        engine.backward(spec, params, tape, outputs, zeros_like(final))
        return 1e3 * (time.perf_counter() - began)


for name, spec in SHAPES.items():
    for batch in (8, 32):
        rounds = [(milliseconds(spec, batch, 1), milliseconds(spec, batch, 2)) for _ in range(ROUNDS)]
        one, two = (statistics.median(each) for each in zip(*rounds, strict=True))
        print(
            f"{name}, batch {batch}: {one:.1f} ms with 1 thread, {two:.1f} ms with 2, ratio {two / one:.2f}"
        )
