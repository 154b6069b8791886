import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from examples import single
from gradients import assert_backward
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
    tanh_backward,
)

PAIRS = [
    (sigmoid, sigmoid_backward),
    (np.tanh, tanh_backward),
    (oneplus, oneplus_backward),
    (softmax, softmax_backward),
]
EXTREMES = np.array([-1e4, -90.0, 0.0, 90.0, 1e4])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_sigmoid_at_known_points():
    assert_allclose(sigmoid(np.array([0, np.log(3), -np.log(3)])), [0.5, 0.75, 0.25], rtol=1e-15)
    assert_array_equal(sigmoid(EXTREMES[[0, 4]]), [0, 1])


def test_oneplus_at_known_points():
    assert_allclose(oneplus(np.array([0.0, np.log(3)])), [1 + np.log(2), 1 + np.log(4)], rtol=1e-15)
    assert_array_equal(oneplus(EXTREMES[[0, 4]]), [1, 10001])


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


def layer_and_parts(rng):
    params = Affine(rng.standard_normal((5, 4)), rng.standard_normal(4))
    return params, (rng.standard_normal((3, 2)), rng.standard_normal((3, 0)), rng.standard_normal((3, 3)))


def test_affine_puts_the_parts_side_by_side(rng):
    params, parts = layer_and_parts(rng)
    expected = np.concatenate(parts, axis=1) @ params.weights + params.bias
    assert_allclose(affine(params, *parts), expected, rtol=1e-13)


def test_affine_reads_symbols_as_one_hot_rows(rng):
    params, (_, _, other) = layer_and_parts(rng)
    symbols = np.array([1, 0, 1])
    one_hot = np.eye(2)[symbols]
    assert_allclose(affine(params, symbols, other), affine(params, one_hot, other), rtol=1e-13)
    d_z = rng.standard_normal((3, 4))
    by_symbols, (nothing, d_other) = affine_backward(params, (symbols, other), d_z)
    by_one_hot, (_, d_same) = affine_backward(params, (one_hot, other), d_z)
    assert nothing is None
    assert_allclose(by_symbols.weights, by_one_hot.weights, rtol=1e-13)
    assert_array_equal(by_symbols.bias, by_one_hot.bias)
    assert_array_equal(d_other, d_same)


def test_gradient_of_affine(rng):
    params, parts = layer_and_parts(rng)
    assert_backward(affine, (params, *parts), lambda d: pulled_back(params, parts, d))


def pulled_back(params, parts, d_z):
    d_params, d_parts = affine_backward(params, parts, d_z)
    return d_params, *d_parts


def test_affine_stays_single(rng):
    params, parts = single(layer_and_parts(rng))
    result = affine(params, *parts)
    d_params, *d_parts = pulled_back(params, parts, result)
    assert {array.dtype for array in (result, *d_params, *d_parts)} == {np.dtype(np.float32)}
