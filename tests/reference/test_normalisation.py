import numpy as np
import pytest
from numpy.testing import assert_allclose

from helpers.examples import CONTROLLERS, random_params, random_state, single
from helpers.gradients import assert_backward
from numdnc import DNCSpec
from numdnc.reference.dnc import dnc_step, dnc_step_backward
from numdnc.reference.interface import parse_interface
from numdnc.reference.normalisation import layer_norm, layer_norm_backward
from numdnc.tree import leaves

SIZES = [(3, 5), (2, 1), (1, 4), (4, 2)]
"""Rows and numbers per row."""


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def normed(*numbers, gain=1.0, bias=0.0):
    """One row; the same gain and bias for all numbers, or one each."""
    z = np.array([numbers], float)
    return layer_norm(z, np.full(z.shape[1], gain), np.full(z.shape[1], bias))[0]


def test_numbers_are_brought_to_mean_0_and_variance_1():
    assert_allclose(normed(100, 300), [-1, 1], rtol=1e-9)
    assert_allclose(normed(0, 0, 300), np.array([-1, -1, 2]) / np.sqrt(2), rtol=1e-9)


def test_variance_is_the_mean_of_the_squares():
    """Divided by their number, not by one less."""
    assert_allclose(normed(-3e3, -1e3, 1e3, 3e3), np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-9)


def test_each_number_has_its_own_gain_and_bias():
    assert_allclose(normed(100, 300, gain=[2, 5], bias=[10, 20]), [8, 25], rtol=1e-9)


def test_epsilon_is_added_to_the_variance():
    assert_allclose(normed(-1e-3, 1e-3), [-np.sqrt(0.5), np.sqrt(0.5)], rtol=1e-12)


@pytest.mark.parametrize("value", [0, 0.1, -700])
@pytest.mark.parametrize("C", [1, 2, 4])
def test_equal_numbers_give_the_bias(value, C):
    bias = np.arange(C) + 0.5
    assert_allclose(normed(*[value] * C, gain=3, bias=bias), bias, rtol=1e-9)


def test_each_row_is_normalised_on_its_own(rng):
    z, gain, bias = arguments(rng, 3, 5)
    whole = layer_norm(z, gain, bias)
    for b in range(3):
        assert_allclose(layer_norm(z[[b]], gain, bias), whole[[b]], rtol=1e-14)


def test_mean_and_scale_hardly_matter(rng):
    z, gain, bias = arguments(rng, 3, 5)
    assert_allclose(layer_norm(1000 * z - 70, gain, bias), layer_norm(z, gain, bias), atol=1e-5)


def arguments(rng, B, C):
    return rng.standard_normal((B, C)), rng.standard_normal(C), rng.standard_normal(C)


def assert_layer_norm_gradient(z, gain, bias, **options):
    assert_backward(layer_norm, (z, gain, bias), lambda d: layer_norm_backward(z, gain, d), **options)


@pytest.mark.parametrize("B, C", SIZES)
def test_gradient(B, C, rng):
    assert_layer_norm_gradient(*arguments(rng, B, C))


@pytest.mark.parametrize("value", [0, 0.5])
def test_gradient_where_all_numbers_are_equal(value, rng):
    z, gain, bias = arguments(rng, 3, 4)
    assert_layer_norm_gradient(np.full_like(z, value), gain, bias, step=3e-6)


@pytest.mark.parametrize("scale", [0, 1, 1e4])
def test_layer_norm_stays_single_and_finite_at_extremes(scale, rng):
    z, gain, bias = single(arguments(rng, 3, 5))
    out = layer_norm(z * scale, gain, bias)
    for result in (out, *layer_norm_backward(z * scale, gain, out)):
        assert result.dtype == np.float32
        assert np.isfinite(result).all()


def model(controller, rng):
    """A spec, its params, an input and a state in use."""
    spec = DNCSpec(
        input_size=3,
        output_size=2,
        hidden_sizes=(6, 5),
        controller=controller,
        memory_size=5,
        word_size=3,
        read_heads=2,
        normalisation=True,
    )
    return spec, random_params(spec, rng), rng.standard_normal((2, 3)), random_state(spec, rng, 2)


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_interface_passes_layer_norm_before_its_activations(controller, rng):
    spec, params, x, before = model(controller, rng)
    _, _, tape = dnc_step(spec, params, x, before)
    products = tape.hidden_all @ params.interface.weights
    mean, deviation = products.mean(axis=1)[:, None], np.sqrt(products.var(axis=1) + 1e-6)[:, None]
    xi = params.interface.gain * (products - mean) / deviation + params.interface.bias
    expected = parse_interface(spec, xi)
    for given, wanted in zip(leaves(tape.access.interface), leaves(expected), strict=True):
        assert_allclose(given, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_output_is_not_normalised(controller, rng):
    spec, params, x, before = model(controller, rng)
    outputs, after, tape = dnc_step(spec, params, x, before)
    seen = np.concatenate([tape.hidden_all, after.reads.reshape(2, -1)], axis=1)
    assert params.output.gain == ()
    assert_allclose(outputs, seen @ params.output.weights + params.output.bias, rtol=1e-12)


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_gradient_of_a_normalised_model(controller, rng):
    spec, *arguments = model(controller, rng)
    _, _, tape = dnc_step(spec, *arguments)
    assert_backward(
        lambda *a: dnc_step(spec, *a)[:2],
        arguments,
        lambda d: dnc_step_backward(spec, arguments[0], tape, *d)[:3],
        directions=5,
    )
