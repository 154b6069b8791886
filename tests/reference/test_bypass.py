"""Bypass dropout: the mask acts between the hidden values and the output, and nowhere else."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.examples import CONTROLLERS, random_inputs, random_params, random_state, single
from helpers.gradients import assert_backward
from numdnc import DNCSpec, draw_bypass_mask
from numdnc.reference import backward, forward
from numdnc.reference.dnc import dnc_step, dnc_step_backward
from numdnc.tree import leaves, zeros_like

B = 3


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spec_of(controller="lstm"):
    return DNCSpec(
        input_size=3,
        output_size=2,
        hidden_sizes=(6, 5),
        controller=controller,
        memory_size=5,
        word_size=4,
        read_heads=2,
        bypass_dropout=0.4,
    )


def case(spec, rng):
    """Params, an input and a state in use."""
    return random_params(spec, rng), rng.standard_normal((B, 3)), random_state(spec, rng, B)


def mask_of(spec, rng):
    return draw_bypass_mask(spec, 1, B, rng, np.float64)[0]


def test_output_sees_the_hidden_values_times_the_mask(rng):
    spec = spec_of()
    params, x, before = case(spec, rng)
    mask = rng.random((B, 11))
    outputs, after, tape = dnc_step(spec, params, x, before, mask)
    seen = np.concatenate([tape.hidden_all * mask, after.reads.reshape(B, -1)], axis=1)
    assert_allclose(outputs, seen @ params.output.weights + params.output.bias, rtol=1e-12)


def test_hidden_value_that_is_masked_moves_its_output_only_through_the_memory(rng):
    """With no reads in the output, a mask of zeros leaves the bias."""
    spec = spec_of()
    params, x, before = case(spec, rng)
    params.output.weights[11:] = 0
    outputs, _, _ = dnc_step(spec, params, x, before, np.zeros((B, 11)))
    assert_array_equal(outputs, np.tile(params.output.bias, (B, 1)))


def test_memory_and_controller_see_the_hidden_values_whole(rng):
    spec = spec_of()
    arguments = case(spec, rng)
    _, after, tape = dnc_step(spec, *arguments, mask_of(spec, rng))
    _, expected, whole = dnc_step(spec, *arguments)
    for given, wanted in zip(
        leaves((after, tape.access.interface)), leaves((expected, whole.access.interface)), strict=True
    ):
        assert_array_equal(given, wanted)


def test_mask_of_ones_hides_nothing(rng):
    spec = spec_of()
    arguments = case(spec, rng)
    assert_array_equal(
        dnc_step(spec, *arguments, np.ones((B, 11)))[0], dnc_step(spec, *arguments)[0], strict=True
    )


def test_without_a_mask_nothing_is_dropped_whatever_the_rate(rng):
    spec = spec_of()
    params, x, before = case(spec, rng)
    outputs, after, tape = dnc_step(spec, params, x, before)
    seen = np.concatenate([tape.hidden_all, after.reads.reshape(B, -1)], axis=1)
    assert_allclose(outputs, seen @ params.output.weights + params.output.bias, rtol=1e-12)


def test_each_step_of_a_sequence_has_its_own_mask(rng):
    spec = spec_of()
    params, _, state = case(spec, rng)
    inputs, masks = random_inputs(spec, rng, 4, B), rng.random((4, B, 11))
    outputs, _, _ = forward(spec, params, inputs, state, keep_tape=False, bypass_mask=masks)
    for t in range(4):
        expected, state, _ = dnc_step(spec, params, inputs[t], state, masks[t])
        assert_array_equal(outputs[t], expected)


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_gradient(controller, rng):
    spec = spec_of(controller)
    arguments, mask = case(spec, rng), mask_of(spec, rng)
    _, _, tape = dnc_step(spec, *arguments, mask)
    assert_backward(
        lambda *a: dnc_step(spec, *a, mask)[:2],
        arguments,
        lambda d: dnc_step_backward(spec, arguments[0], tape, *d)[:3],
        directions=5,
    )


def test_gradient_of_a_sequence_goes_through_the_mask_of_each_step():
    """By the outputs alone: the way through the memory is not masked and could cover an error."""
    rng = np.random.default_rng(
        1
    )  # usages that nearly tie have no slope to measure; here they are 0.002 apart
    spec = spec_of("feedforward")
    params, _, state = case(spec, rng)
    params.interface.weights[:] = 0
    inputs = random_inputs(spec, rng, 3, B)
    masks = draw_bypass_mask(spec, 3, B, rng, np.float64)

    def outputs(params, inputs):
        return forward(spec, params, inputs, state, keep_tape=False, bypass_mask=masks)[0]

    _, final, tape = forward(spec, params, inputs, state, keep_tape=True, bypass_mask=masks)
    assert_backward(
        outputs,
        (params, inputs),
        lambda d: backward(spec, params, tape, d, zeros_like(final))[:2],
        directions=5,
    )


def test_masked_step_stays_single(rng):
    spec = spec_of()
    params, x, before = single(case(spec, rng))
    mask = draw_bypass_mask(spec, 1, B, rng)[0]
    outputs, after, tape = dnc_step(spec, params, x, before, mask)
    results = leaves((outputs, after, dnc_step_backward(spec, params, tape, outputs, after)))
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
