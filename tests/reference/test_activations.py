import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.examples import single
from helpers.gradients import assert_backward
from numdnc.params import Affine
from numdnc.reference.activations import (
    affine,
    affine_backward,
    oneplus,
    oneplus_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
    softplus,
    softplus_backward,
    tanh_backward,
)
from numdnc.reference.normalisation import layer_norm
from numdnc.tree import leaves

PAIRS = [
    (sigmoid, sigmoid_backward),
    (np.tanh, tanh_backward),
    (oneplus, oneplus_backward),
    (softplus, softplus_backward),
    (softmax, softmax_backward),
]
with_or_without_gain = pytest.mark.parametrize("normalised", [False, True], ids=["plain", "normalised"])
EXTREMES = np.array([-1e4, -90.0, 0.0, 90.0, 1e4])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_sigmoid_at_known_points():
    assert_allclose(sigmoid(np.array([0, np.log(3), -np.log(3)])), [0.5, 0.75, 0.25], rtol=1e-15)
    assert_array_equal(sigmoid(EXTREMES[[0, 4]]), [0, 1])


def test_sigmoid_near_0_is_accurate_in_single_precision():
    z = np.linspace(-80, 20, 101, dtype=np.float32)
    assert_allclose(sigmoid(z), 1 / (1 + np.exp(-z.astype(float))), rtol=3e-7)


def test_oneplus_at_known_points():
    assert_allclose(oneplus(np.array([0.0, np.log(3)])), [1 + np.log(2), 1 + np.log(4)], rtol=1e-15)
    assert_array_equal(oneplus(EXTREMES[[0, 4]]), [1, 10001])


def test_softplus_at_known_points():
    assert_allclose(softplus(np.array([0.0, np.log(3)])), [np.log(2), np.log(4)], rtol=1e-15)
    assert_array_equal(softplus(EXTREMES[[0, 4]]), [0, 10000])


def test_softmax_is_over_the_last_axis():
    scores = np.log([[1.0, 3.0], [9.0, 1.0], [1.0, 1.0]])
    assert_allclose(softmax(scores), [[0.25, 0.75], [0.9, 0.1], [0.5, 0.5]], rtol=1e-15)


def test_softmax_is_unchanged_by_a_large_offset():
    assert_allclose(softmax(np.array([1e4, 1e4 + np.log(3)])), [0.25, 0.75], rtol=1e-11)


@pytest.mark.parametrize("function, backward", PAIRS)
def test_gradient_of_activation(function, backward, rng):
    z = 2 * rng.standard_normal((3, 4))
    assert_backward(function, (z,), lambda d: (backward(function(z), d),))


@pytest.mark.parametrize("function, backward", PAIRS)
def test_activation_stays_single_and_finite_at_extremes(function, backward):
    result = function(single(EXTREMES))
    gradient = backward(result, np.ones_like(result))
    for array in (result, gradient):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


def layer_and_parts(rng, *, normalised=False):
    gain = rng.standard_normal(4) if normalised else ()
    params = Affine(rng.standard_normal((5, 4)), rng.standard_normal(4), gain)
    return params, (rng.standard_normal((3, 2)), rng.standard_normal((3, 0)), rng.standard_normal((3, 3)))


def test_affine_puts_the_parts_side_by_side(rng):
    params, parts = layer_and_parts(rng)
    expected = np.concatenate(parts, axis=1) @ params.weights + params.bias
    assert_allclose(affine(params, *parts), expected, rtol=1e-13)


def test_affine_with_a_gain_is_the_layer_norm_of_the_products(rng):
    params, parts = layer_and_parts(rng, normalised=True)
    products = np.concatenate(parts, axis=1) @ params.weights
    expected = layer_norm(products, params.gain, params.bias)
    assert_allclose(affine(params, *parts), expected, rtol=1e-12)


def test_bias_stays_outside_the_layer_norm(rng):
    params, parts = layer_and_parts(rng, normalised=True)
    moved = params._replace(bias=params.bias + np.array([0, 0, 3, 0]))
    assert_allclose(affine(moved, *parts) - affine(params, *parts), [[0, 0, 3, 0]] * 3, atol=1e-14)


def test_length_of_what_a_normalised_layer_sees_hardly_matters(rng):
    params, parts = layer_and_parts(rng, normalised=True)
    longer = (1000 * part for part in parts)
    assert_allclose(affine(params, *longer), affine(params, *parts), atol=1e-5)


@with_or_without_gain
def test_affine_reads_symbols_as_one_hot_rows(normalised, rng):
    params, (_, _, other) = layer_and_parts(rng, normalised=normalised)
    symbols = np.array([1, 0, 1])
    one_hot = np.eye(2)[symbols]
    assert_allclose(affine(params, symbols, other), affine(params, one_hot, other), rtol=1e-13)
    d_z = rng.standard_normal((3, 4))
    by_symbols, (nothing, d_other) = affine_backward(params, (symbols, other), d_z)
    by_one_hot, (_, d_same) = affine_backward(params, (one_hot, other), d_z)
    assert nothing is None
    assert_allclose(by_symbols.weights, by_one_hot.weights, rtol=1e-13)
    assert_array_equal(by_symbols.bias, by_one_hot.bias)
    assert_allclose(by_symbols.gain, by_one_hot.gain, rtol=1e-12)
    assert_allclose(d_other, d_same, rtol=1e-12 if normalised else 0)


@with_or_without_gain
def test_gradient_of_affine(normalised, rng):
    params, parts = layer_and_parts(rng, normalised=normalised)
    assert_backward(affine, (params, *parts), lambda d: pulled_back(params, parts, d))


def pulled_back(params, parts, d_z):
    d_params, d_parts = affine_backward(params, parts, d_z)
    return d_params, *d_parts


@with_or_without_gain
def test_affine_stays_single(normalised, rng):
    params, parts = single(layer_and_parts(rng, normalised=normalised))
    result = affine(params, *parts)
    results = leaves((result, *pulled_back(params, parts, result)))
    assert {array.dtype for array in results} == {np.dtype(np.float32)}
