"""Tests of the gradient check: right gradients pass, slightly wrong ones do not."""

from typing import NamedTuple

import numpy as np
import pytest

from helpers.gradients import assert_backward, assert_gradient, gradient_errors, slope


class Point(NamedTuple):
    weights: np.ndarray
    bias: np.ndarray


POINT = Point(np.array([[0.3, -1.2], [0.7, 2.0]]), np.array([0.5, -0.4]))


def squares(point):
    return float((point.weights**2).sum() + (point.weights @ point.bias).sum())


def gradient_of_squares(factor=2.0, weights_term=1.0, bias_term=1.0):
    return Point(factor * POINT.weights + weights_term * POINT.bias, bias_term * POINT.weights.sum(axis=0))


def test_slope_of_a_quartic_is_exact():
    assert slope(lambda x: float(x**4), np.array(1.5), 1.0, step=0.1) == pytest.approx(4 * 1.5**3, rel=1e-13)


@pytest.mark.parametrize("directions", [None, 3])
def test_right_gradient_is_accepted(directions):
    assert_gradient(squares, POINT, gradient_of_squares(), directions=directions)


@pytest.mark.parametrize("directions", [None, 3])
@pytest.mark.parametrize(
    "wrong", [{"factor": 2.001}, {"weights_term": 0}, {"bias_term": 0}, {"bias_term": -1}]
)
def test_wrong_gradient_is_rejected(wrong, directions):
    with pytest.raises(AssertionError, match="relative error"):
        assert_gradient(squares, POINT, gradient_of_squares(**wrong), directions=directions)


@pytest.mark.parametrize("directions", [None, 3])
def test_one_wrong_entry_is_named_by_its_leaf(directions):
    gradient = gradient_of_squares()
    gradient.bias[1] += 1e-6
    errors = gradient_errors(squares, POINT, gradient, directions=directions)
    assert errors["bias"] > 1e-7
    assert errors["weights"] < 1e-11


def test_gradient_that_must_be_zero_is_compared_absolutely():
    def constant(point):
        return 1.0

    assert_gradient(constant, (np.ones(3),), (np.zeros(3),))
    with pytest.raises(AssertionError, match="relative error"):
        assert_gradient(constant, (np.ones(3),), (np.full(3, 1e-8),))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_gradient_that_is_not_a_number_is_rejected(bad):
    with pytest.raises(AssertionError, match="relative error"):
        assert_gradient(squares, POINT, Point(np.full((2, 2), bad), POINT.bias))


def test_gradient_of_another_shape_or_tree_is_rejected():
    with pytest.raises(AssertionError, match="bias: gradient"):
        assert_gradient(squares, POINT, Point(POINT.weights, POINT.bias[None]))
    with pytest.raises(AssertionError, match="for a tree of"):
        assert_gradient(squares, POINT, (POINT.weights,))


def test_every_result_of_a_function_counts():
    def both(a):
        return 2 * a, a**2

    a = np.array([0.3, -0.8])
    assert_backward(both, (a,), lambda d: (2 * d[0] + 2 * a * d[1],))
    with pytest.raises(AssertionError, match="relative error"):
        assert_backward(both, (a,), lambda d: (2 * d[0],))
