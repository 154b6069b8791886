"""Whole models over whole sequences: against the plain equations, and every gradient against differences."""

from itertools import count

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import plain
from examples import MODELS, random_inputs, random_params, random_state, single
from gradients import assert_gradient, weighted_sum
from numdnc import DNCSpec, map_leaves, zero_state
from numdnc.reference import backward, forward
from numdnc.tree import leaves, named_leaves

T, B = 5, 3
every_model = pytest.mark.parametrize("name", MODELS)
vectors_or_symbols = pytest.mark.parametrize("symbols", [False, True], ids=["vectors", "symbols"])


def case(name, *, symbols=False, seed=0):
    """Spec, params, inputs and a state in use."""
    rng = np.random.default_rng(seed)
    spec = MODELS[name]
    params, inputs = random_params(spec, rng), random_inputs(spec, rng, T, B, symbols=symbols)
    return spec, params, inputs, random_state(spec, rng, B)


def run(spec, params, inputs, state):
    return forward(spec, params, inputs, state, keep_tape=False)[:2]


@every_model
def test_model_equals_the_equations_row_by_row(name):
    spec, params, inputs, state = case(name)
    outputs, final = run(spec, params, inputs, state)
    step = plain.dnc_step if isinstance(spec, DNCSpec) else plain.recurrent_step
    for b in range(B):
        row = map_leaves(lambda leaf, b=b: leaf[b], state)
        for t in range(T):
            expected, row = step(spec, params, inputs[t, b], row)
            assert_allclose(outputs[t, b], expected, rtol=1e-10, atol=1e-12)
        for (part, wanted), given in zip(named_leaves(row), leaves(final), strict=True):
            assert_allclose(given[b], wanted, rtol=1e-10, atol=1e-12, err_msg=part)


@every_model
@vectors_or_symbols
def test_gradient_by_params_inputs_and_state(name, symbols):
    spec, *arguments = case_far_from_ties(name, symbols=symbols)
    outputs, final, tape = forward(spec, *arguments, keep_tape=True)
    rng = np.random.default_rng(2)
    weights = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), (outputs, final))
    params, inputs, state = arguments
    d_params, d_inputs, d_state = backward(spec, params, tape, *weights)
    if symbols:
        assert d_inputs is None
        inputs, d_inputs = (), ()  # nothing to differentiate by

    def loss(point):
        moved_params, moved_inputs, moved_state = point
        given = arguments[1] if symbols else moved_inputs
        return weighted_sum(weights, run(spec, moved_params, given, moved_state))

    assert_gradient(loss, (params, inputs, state), (d_params, d_inputs, d_state), directions=3)


def case_far_from_ties(name, *, symbols):
    """The first case in which no two usages of a row ever come close: there the gradient jumps."""
    for seed in count():
        spec, *arguments = case(name, symbols=symbols, seed=seed)
        if not isinstance(spec, DNCSpec):
            break
        _, _, tape = forward(spec, *arguments, keep_tape=True)
        usages = np.array([step.access.after.usage for step in tape.steps])
        if np.diff(np.sort(usages, axis=-1), axis=-1).min() > 0.01:
            break
    return spec, *arguments


@every_model
def test_symbols_mean_one_hot_vectors(name):
    spec, params, inputs, state = case(name, symbols=True)
    by_symbols, by_vectors = (
        run(spec, params, given, state) for given in (inputs, np.eye(spec.input_size)[inputs])
    )
    for given, wanted in zip(leaves(by_symbols), leaves(by_vectors), strict=True):
        assert_allclose(given, wanted, rtol=1e-11, atol=1e-13)


@every_model
def test_carried_state_continues_the_sequence(name):
    spec, params, inputs, state = case(name)
    whole, whole_final = run(spec, params, inputs, state)
    first, between = run(spec, params, inputs[:2], state)
    second, final = run(spec, params, inputs[2:], between)
    assert_array_equal(np.concatenate([first, second]), whole)
    for given, wanted in zip(leaves(final), leaves(whole_final), strict=True):
        assert_array_equal(given, wanted)


@every_model
def test_empty_sequence_passes_the_state_and_its_gradient_through(name):
    spec, params, inputs, state = case(name)
    outputs, final, tape = forward(spec, params, inputs[:0], state, keep_tape=True)
    d_params, d_inputs, d_state = backward(spec, params, tape, outputs, state)
    assert outputs.shape == (0, B, spec.output_size)
    assert d_inputs.shape == inputs[:0].shape
    assert not any(leaf.any() for leaf in leaves(d_params))
    for before, after, d_before in zip(leaves(state), leaves(final), leaves(d_state), strict=True):
        assert_array_equal(after, before)
        assert_array_equal(d_before, before)


@every_model
@pytest.mark.parametrize("scale", [0, 1, 1e4])
def test_model_stays_single_and_finite_at_extremes(name, scale):
    spec, *arguments = case(name)
    params, inputs, _ = single(tuple(arguments))
    state = zero_state(spec, B)
    outputs, final, tape = forward(spec, params, inputs * np.float32(scale), state, keep_tape=True)
    results = outputs, final, *backward(spec, params, tape, outputs, final)
    for result in leaves(results):
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
