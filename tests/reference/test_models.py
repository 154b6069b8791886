"""Whole models over whole sequences: against the plain equations, and every gradient against differences."""

from itertools import count

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers import plain
from helpers.examples import (
    MODELS,
    VARIATIONS,
    random_inputs,
    random_params,
    random_spec,
    random_state,
    single,
)
from helpers.gradients import assert_gradient, weighted_sum, with_gradient
from helpers.marks import thorough_but
from helpers.ties import nearest_tie
from numdnc import (
    draw_bypass_mask,
    initial_state,
    initial_state_backward,
    map_leaves,
    zero_state,
)
from numdnc.reference import backward, forward
from numdnc.tree import leaves, named_leaves

T, B = 5, 3
MIXES = {f"mix-{seed}": random_spec(seed) for seed in range(100, 120)}
"""Other mixes than those of contract.py."""
SPECS = MODELS | VARIATIONS | MIXES
every_model = pytest.mark.parametrize("name", MODELS | VARIATIONS)
every_model_and_mix = pytest.mark.parametrize("name", thorough_but(MODELS | VARIATIONS, SPECS))


def case(name, *, symbols=False, seed=0, steps=T):
    """Spec, params, inputs, a state in use, and the mask of the bypass, if any."""
    rng = np.random.default_rng(seed)
    spec = SPECS[name]
    params, inputs = random_params(spec, rng), random_inputs(spec, rng, steps, B, symbols=symbols)
    return spec, params, inputs, random_state(spec, rng, B), draw_bypass_mask(spec, steps, B, rng, np.float64)


def run(spec, params, inputs, state, mask):
    return forward(spec, params, inputs, state, keep_tape=False, bypass_mask=mask)[:2]


def assert_equals_the_equations(spec, params, inputs, state, mask):
    outputs, final = run(spec, params, inputs, state, mask)
    step = {"dnc": plain.dnc_step, "ntm": plain.ntm_step}.get(spec.kind, plain.recurrent_step)
    for b in range(B):
        row = map_leaves(lambda leaf, b=b: leaf[b], state)
        for t in range(len(inputs)):
            given = {} if mask is None else {"bypass_mask": mask[t, b]}
            if spec.bidirectional:
                given["reverse"] = plain.reverse_hidden(spec, params.reverse_controller, inputs[:, b])[t]
            expected, row = step(spec, params, inputs[t, b], row, **given)
            assert_allclose(outputs[t, b], expected, rtol=1e-10, atol=1e-12)
        for (part, wanted), given in zip(named_leaves(row), leaves(final), strict=True):
            assert_allclose(given[b], wanted, rtol=1e-10, atol=1e-12, err_msg=part)


@every_model_and_mix
def test_model_equals_the_equations_row_by_row(name):
    assert_equals_the_equations(*case(name))


def test_fifty_steps_equal_the_equations():
    assert_equals_the_equations(*case("M+D+S", steps=50))


def assert_gradients(spec, params, inputs, state, mask, *, directions=3, **options):
    """By params, inputs and state, of sequences that start in `state` plus what the model has learned of its start."""
    symbols = np.issubdtype(inputs.dtype, np.integer)

    def begin(params, state):
        return map_leaves(np.add, initial_state(spec, params, B), state)

    outputs, final, tape = forward(
        spec, params, inputs, begin(params, state), keep_tape=True, bypass_mask=mask
    )
    rng = np.random.default_rng(2)
    weights = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), (outputs, final))
    d_params, d_inputs, d_state = backward(spec, params, tape, *weights)
    d_params = initial_state_backward(spec, d_params, d_state)
    if symbols:
        assert d_inputs is None
        d_inputs = ()  # nothing to differentiate by

    def loss(point):
        moved_params, moved_inputs, moved_state = point
        given = inputs if symbols else moved_inputs
        return weighted_sum(weights, run(spec, moved_params, given, begin(moved_params, moved_state), mask))

    point = params, () if symbols else inputs, state
    free, of_state = map_leaves(lambda leaf: np.ones(leaf.shape, bool), point), with_gradient(spec, state)
    moving = *free[:2], of_state
    assert_gradient(
        loss, point, (d_params, d_inputs, d_state), directions=directions, moving=moving, **options
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("symbols", thorough_but([False], [False, True]), ids=["vectors", "symbols"])
def test_gradient_by_params_inputs_and_state(name, symbols):
    """With smaller steps for an NTM, whose strengths and sharpening make steep functions of what was read."""
    step = 1e-4 if name.startswith("ntm") else 3e-4
    assert_gradients(*case_far_from_ties(name, symbols=symbols), step=step)


@pytest.mark.parametrize(
    "name", thorough_but(["learned-state", "masking-floor", "M+D+S", "ADNC"], VARIATIONS)
)
def test_gradient_of_variations(name):
    assert_gradients(*case_far_from_ties(name))


@pytest.mark.thorough
@pytest.mark.parametrize("name", MIXES)
def test_gradient_of_mixes(name):
    """Words of one number near 0 and cells that are nearly equal under layer norm are steep: by smaller steps, whose
    rounding errors are larger. The largest error measured is 2e-8."""
    assert_gradients(*case_far_from_ties(name), step=3e-5, tolerance=1e-7)


@pytest.mark.thorough
def test_gradient_over_fifty_steps():
    assert_gradients(*case_far_from_ties("M+D+S", steps=50, gap=1e-4), directions=1)


def case_far_from_ties(name, *, symbols=False, steps=T, gap=1e-3):
    """The first case in which nothing that chooses slots comes within `gap` of a tie, where gradients jump."""
    for seed in count():
        spec, params, inputs, state, mask = case(name, symbols=symbols, seed=seed, steps=steps)
        begun = map_leaves(np.add, initial_state(spec, params, B), state)
        if nearest_tie(spec, params, inputs, begun, mask) > gap:
            break
    return spec, params, inputs, state, mask


@every_model
def test_symbols_mean_one_hot_vectors(name):
    spec, params, inputs, state, mask = case(name, symbols=True)
    by_symbols, by_vectors = (
        run(spec, params, given, state, mask) for given in (inputs, np.eye(spec.input_size)[inputs])
    )
    for given, wanted in zip(leaves(by_symbols), leaves(by_vectors), strict=True):
        assert_allclose(given, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    "name", [name for name, spec in (MODELS | VARIATIONS).items() if not spec.bidirectional]
)
def test_carried_state_continues_the_sequence(name):
    spec, params, inputs, state, mask = case(name)
    early, late = (None, None) if mask is None else (mask[:2], mask[2:])
    whole, whole_final = run(spec, params, inputs, state, mask)
    first, between = run(spec, params, inputs[:2], state, early)
    second, final = run(spec, params, inputs[2:], between, late)
    assert_array_equal(np.concatenate([first, second]), whole)
    for given, wanted in zip(leaves(final), leaves(whole_final), strict=True):
        assert_array_equal(given, wanted)


@every_model
def test_empty_sequence_passes_the_state_and_its_gradient_through(name):
    spec, params, inputs, state, _ = case(name)
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
    spec, *arguments, _ = case(name)
    params, inputs, _ = single(tuple(arguments))
    state = zero_state(spec, B)
    outputs, final, tape = forward(spec, params, inputs * np.float32(scale), state, keep_tape=True)
    results = outputs, final, *backward(spec, params, tape, outputs, final)
    for result in leaves(results):
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
