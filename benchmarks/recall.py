"""Compare the variants of the DNC and its two initialisation schemes on a small recall task.

A sequence shows 6 pairs of random bits, a key and a value of 8 bits each, with distinct keys, then the keys in another
order; the answer to a key is its value, at the same step. A model without memory gets half of the bits and one query in
256 right. Every model gets the same sequences.

    python benchmarks/recall.py [--controllers feedforward lstm] [--models paper ..] [--starts plain store]
        [--updates 2000] [--seeds 5]
"""

import argparse
import math
import time
from itertools import product
from typing import Any, get_args

import numpy as np
from threadpoolctl import threadpool_limits

from numdnc import (
    DNCSpec,
    draw_bypass_mask,
    init_params,
    initial_state,
    initial_state_backward,
    select_engine,
    zeros_like,
)
from numdnc.init import Start
from numdnc.model_options import ControllerKind
from numdnc.reference.losses import sigmoid_cross_entropy
from numdnc.training.optimizers import OptimizerSettings, clip, first_moments, gradient_norm, update

PAIRS, BITS, BATCH = 6, 8, 16
MODELS: dict[str, dict[str, Any]] = {
    "paper": {},
    "masking": {"masking": True, "mask_floor": 0.1},
    "deallocation": {"deallocation": True},
    "sharpness": {"sharpness": True},
    "content-only": {"links": False},
    "normalisation": {"normalisation": True},
    "bypass-dropout": {"bypass_dropout": 0.1},
    "learned-state": {"learned_state": True},
    "M+D+S": {"masking": True, "mask_floor": 0.1, "deallocation": True, "sharpness": True},
    "ADNC": {"links": False, "normalisation": True, "bypass_dropout": 0.1},
}
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


def learn(spec: DNCSpec, start: Start, seed: int, updates: int) -> tuple[float, float]:
    """Share of queries answered without a wrong bit at the end, and the update at which it first exceeded 90 %."""
    params = init_params(spec, seed, start=start)
    moments = first_moments(SETTINGS, params)
    engine = select_engine("auto", spec)
    rng, dropout = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    test = draw(np.random.default_rng(10**6), 256)
    passed, right = math.inf, 0.0
    for i in range(1, updates + 1):
        inputs, targets, counts = draw(rng, BATCH)
        state, mask = initial_state(spec, params, BATCH), draw_bypass_mask(spec, 2 * PAIRS, BATCH, dropout)
        outputs, state, tape = engine.forward(spec, params, inputs, state, keep_tape=True, bypass_mask=mask)
        _, d_outputs = sigmoid_cross_entropy(outputs, targets, counts)
        gradient, _, d_state = engine.backward(spec, params, tape, d_outputs, zeros_like(state))
        gradient = initial_state_backward(spec, gradient, d_state)
        gradient = clip(SETTINGS, gradient, gradient_norm(gradient))
        params, moments = update(SETTINGS, params, gradient, moments, SETTINGS.learning_rate, i)
        if i % 50 == 0 or i == updates:
            state = initial_state(spec, params, 256)
            outputs, _, _ = engine.forward(spec, params, test[0], state, keep_tape=False)
            right = float(((outputs[PAIRS:] > 0) == test[1][PAIRS:]).all(axis=-1).mean())
            passed = min(passed, i) if right >= 0.9 else passed
    return right, passed


def main() -> None:
    """Print a line for each controller, model and start."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--controllers", nargs="+", default=["feedforward", "lstm"], choices=get_args(ControllerKind)
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--starts", nargs="+", default=["plain", "store"], choices=get_args(Start))
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for controller, model, start in product(options.controllers, options.models, options.starts):
        spec = DNCSpec(
            input_size=2 * BITS + 1,
            output_size=BITS,
            hidden_sizes=(64,),
            controller=controller,
            memory_size=16,
            word_size=16,
            read_heads=2,
            **MODELS[model],
        )
        began = time.perf_counter()
        with threadpool_limits(limits=1, user_api="blas"):
            results = [learn(spec, start, seed, options.updates) for seed in range(options.seeds)]
        rights, firsts = zip(*results, strict=True)
        updates = ["never" if first == math.inf else f"{first:g}" for first in firsts]
        print(
            f"{controller:12}{model:15}{start:6} right at the end {np.mean(rights):6.1%} (sd {np.std(rights):.1%}); "
            f"90 % at update {', '.join(updates)}; {time.perf_counter() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
