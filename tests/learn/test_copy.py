"""A tiny copy task that only a working memory can solve: the controller is feed-forward and remembers nothing."""

import numpy as np
import pytest

from numdnc import DNCSpec, init_params, select_engine, zero_state, zeros_like
from numdnc.inspection.ablation import without_reads
from numdnc.reference.losses import sigmoid_cross_entropy
from numdnc.training.optimizers import (
    OptimizerSettings,
    clip,
    first_moments,
    gradient_norm,
    learning_rate_at,
    update,
)

BITS, LENGTH, BATCH = 3, 3, 16
SPEC = DNCSpec(
    input_size=BITS + 1,
    output_size=BITS,
    hidden_sizes=(24,),
    controller="feedforward",
    memory_size=5,
    word_size=6,
    read_heads=1,
)


def draw(rng, batch=BATCH):
    """LENGTH random vectors, then a flag while they are to be repeated: inputs, targets, what counts."""
    vectors = rng.integers(0, 2, (LENGTH, batch, BITS)).astype("float32")
    inputs = np.zeros((2 * LENGTH, batch, BITS + 1), "float32")
    inputs[:LENGTH, :, :BITS] = vectors
    inputs[LENGTH:, :, BITS] = 1
    counts = np.repeat([0.0, 1.0], LENGTH)[:, None] * np.ones(batch)
    return inputs, np.concatenate([0 * vectors, vectors]), counts


def wrong_bits(engine, params) -> float:
    inputs, targets, _ = draw(np.random.default_rng(99), 200)
    outputs, _, _ = engine.forward(SPEC, params, inputs, zero_state(SPEC, 200), keep_tape=False)
    return float(((outputs > 0) != targets)[LENGTH:].mean())


def test_a_dnc_learns_to_copy_through_its_memory() -> None:
    engine, rng = select_engine("auto", SPEC), np.random.default_rng(1)
    settings, steps = OptimizerSettings(learning_rate=1e-2), 1500
    params = init_params(SPEC, seed=0)
    moments = first_moments(settings, params)
    assert wrong_bits(engine, params) == pytest.approx(0.5, abs=0.1)
    for i in range(1, steps + 1):
        inputs, targets, counts = draw(rng)
        outputs, state, tape = engine.forward(SPEC, params, inputs, zero_state(SPEC, BATCH), keep_tape=True)
        _, d_outputs = sigmoid_cross_entropy(outputs, targets, counts)
        gradient, _, _ = engine.backward(SPEC, params, tape, d_outputs, zeros_like(state))
        gradient = clip(settings, gradient, gradient_norm(gradient))
        params, moments = update(settings, params, gradient, moments, learning_rate_at(settings, i, steps), i)
    assert wrong_bits(engine, params) < 0.01
    assert wrong_bits(engine, without_reads(SPEC, params)) > 0.3
