"""Two ways to start a DNC, `plain` and `store`, side by side on a small recall task.

A sequence shows 6 pairs of random bits, a key and a value of 8 bits each, no key twice, then the keys alone in another
order; the answer to a key is its value, in the same step. A model that does not remember answers half of the bits right
and one query in 256. Every model gets the same sequences; only the biases of the interface differ (`init_params`).

    python benchmarks/starts.py [--updates 2000] [--seeds 5] [--controllers feedforward lstm]
"""

import argparse
import math
import time
from typing import Any

import numpy as np

from numdnc import DNCSpec, init_params, initial_state, select_engine, zeros_like
from numdnc.init import Start
from numdnc.reference.losses import sigmoid_cross_entropy
from numdnc.training.optimizers import OptimizerSettings, clip, first_moments, gradient_norm, update

PAIRS, BITS, BATCH = 6, 8, 16
SETTINGS = OptimizerSettings(learning_rate=2e-3, schedule="constant", clip_norm=10)


def draw(rng: np.random.Generator, batch: int) -> tuple[Any, Any, Any]:
    """Inputs (T, B, 2 BITS + 1): key, value, "answer now"; targets (T, B, BITS); which steps count (T, B)."""
    numbers = rng.permuted(np.tile(np.arange(2**BITS), (batch, 1)), axis=1)[:, :PAIRS].T  # no key twice
    keys, values = numbers[:, :, None] >> np.arange(BITS) & 1, rng.integers(0, 2, (PAIRS, batch, BITS))
    order = rng.permuted(np.tile(np.arange(PAIRS)[:, None], (1, batch)), axis=0)
    inputs = np.zeros((2 * PAIRS, batch, 2 * BITS + 1), np.float32)
    inputs[:PAIRS, :, :BITS], inputs[:PAIRS, :, BITS:-1] = keys, values
    inputs[PAIRS:, :, :BITS] = np.take_along_axis(keys, order[:, :, None], 0)
    inputs[PAIRS:, :, -1] = 1
    targets = np.zeros((2 * PAIRS, batch, BITS), np.float32)
    targets[PAIRS:] = np.take_along_axis(values, order[:, :, None], 0)
    return inputs, targets, inputs[:, :, -1]


def learn(controller: Any, start: Start, seed: int, updates: int) -> tuple[float, int | None, float]:
    """Share of queries answered without a wrong bit at the end, the update where it first passed 90 %, seconds."""
    spec = DNCSpec(
        input_size=2 * BITS + 1,
        output_size=BITS,
        hidden_sizes=(64,),
        controller=controller,
        memory_size=16,
        word_size=16,
        read_heads=2,
    )
    params = init_params(spec, seed, start=start)
    engine, moments, rng = (
        select_engine("auto", spec),
        first_moments(SETTINGS, params),
        np.random.default_rng(seed),
    )
    test, passed, began, right = draw(np.random.default_rng(10**6), 256), None, time.perf_counter(), 0.0
    for i in range(1, updates + 1):
        inputs, targets, counts = draw(rng, BATCH)
        outputs, state, tape = engine.forward(
            spec, params, inputs, initial_state(spec, params, BATCH), keep_tape=True
        )
        _, d_outputs = sigmoid_cross_entropy(outputs, targets, counts)
        gradient, _, _ = engine.backward(spec, params, tape, d_outputs, zeros_like(state))
        gradient = clip(SETTINGS, gradient, gradient_norm(gradient))
        params, moments = update(SETTINGS, params, gradient, moments, SETTINGS.learning_rate, i)
        if i % 50 == 0 or i == updates:
            outputs, _, _ = engine.forward(
                spec, params, test[0], initial_state(spec, params, 256), keep_tape=False
            )
            right = float(((outputs[PAIRS:] > 0) == test[1][PAIRS:]).all(axis=-1).mean())
            passed = i if passed is None and right >= 0.9 else passed
    return right, passed, time.perf_counter() - began


def main() -> None:
    """Print a line for each run and a summary for each start."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--controllers", nargs="+", default=["feedforward", "lstm"])
    options = parser.parse_args()
    for controller in options.controllers:
        for start in ("plain", "store"):
            results = []
            for seed in range(options.seeds):
                right, passed, seconds = learn(controller, start, seed, options.updates)
                results.append((right, math.inf if passed is None else passed))
                first = "never" if passed is None else f"at update {passed}"
                print(
                    f"  {controller} {start} seed {seed}: {right:6.1%} right, 90 % {first}, {seconds:.0f} s",
                    flush=True,
                )
            rights, firsts = zip(*results, strict=True)
            print(
                f"{controller:12}{start:6} right at the end: mean {np.mean(rights):.1%}, sd {np.std(rights):.1%}; "
                f"90 % reached by {sum(math.isfinite(f) for f in firsts)} of {len(firsts)}, "
                f"median update {float(np.median(firsts)):g}",
                flush=True,
            )


if __name__ == "__main__":
    main()
