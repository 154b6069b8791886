import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.examples import single
from helpers.gradients import assert_gradient
from numdnc.reference.losses import (
    sigmoid_cross_entropy,
    softmax_binary_cross_entropy,
    softmax_cross_entropy,
)

T, B, Y = 4, 3, 5


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def symbols_case(rng):
    return 2 * rng.standard_normal((T, B, Y)), rng.integers(Y, size=(T, B))


def bits_case(rng):
    return 2 * rng.standard_normal((T, B, Y)), rng.integers(2, size=(T, B, Y)).astype(float)


@pytest.mark.parametrize("loss", [softmax_cross_entropy, softmax_binary_cross_entropy])
@pytest.mark.parametrize("symbol", [-1, Y])
def test_symbols_that_there_are_not_are_refused(loss, symbol):
    with pytest.raises(ValueError, match=rf"targets must lie in 0\.\.4, got 0\.\.{symbol}|got -1\.\.0"):
        loss(np.zeros((2, 1, Y)), np.array([[0], [symbol]]))


def test_knowing_nothing_costs_log_of_the_choices():
    loss, _ = softmax_cross_entropy(np.zeros((T, B, Y)), np.zeros((T, B), int))
    assert loss == pytest.approx(np.log(Y), rel=1e-15)
    loss, _ = sigmoid_cross_entropy(np.zeros((T, B, Y)), np.ones((T, B, Y)))
    assert loss == pytest.approx(np.log(2), rel=1e-15)


def test_loss_is_minus_log_of_the_probability_of_the_target():
    outputs = np.log([[[0.5, 0.25, 0.25]]]) + 7
    assert softmax_cross_entropy(outputs, np.array([[0]]))[0] == pytest.approx(np.log(2), rel=1e-14)
    assert softmax_cross_entropy(outputs, np.array([[2]]))[0] == pytest.approx(np.log(4), rel=1e-14)
    three_quarters = np.full((1, 1, 1), np.log(3))
    assert sigmoid_cross_entropy(three_quarters, np.ones((1, 1, 1)))[0] == pytest.approx(np.log(4 / 3))
    assert sigmoid_cross_entropy(three_quarters, np.zeros((1, 1, 1)))[0] == pytest.approx(np.log(4))


def test_binary_loss_adds_what_the_other_symbols_are_believed(rng):
    """By hand: -log 0.5 - log 0.75 - log 0.75; and the largest of the others, written out in plain sums."""
    outputs = np.log([[[0.5, 0.25, 0.25]]]) + 7
    loss, _ = softmax_binary_cross_entropy(outputs, np.array([[0]]))
    assert loss == pytest.approx(np.log(2) + 2 * np.log(4 / 3), rel=1e-14)
    loss, _ = softmax_binary_cross_entropy(outputs, np.array([[2]]))
    assert loss == pytest.approx(np.log(4) + np.log(2) + np.log(4 / 3), rel=1e-14)
    outputs, targets = symbols_case(rng)
    p = np.exp(outputs) / np.exp(outputs).sum(axis=2, keepdims=True)
    z = np.eye(Y)[targets]
    plain = -(z * np.log(p) + (1 - z) * np.log(1 - p)).sum(axis=2).mean()
    assert softmax_binary_cross_entropy(outputs, targets)[0] == pytest.approx(plain, rel=1e-13)


def test_binary_loss_of_equal_outputs_and_of_a_wrong_certainty():
    loss, gradient = softmax_binary_cross_entropy(np.zeros((1, 1, 4)), np.array([[1]]))
    assert loss == pytest.approx(np.log(4) + 3 * np.log(4 / 3), rel=1e-14)
    assert_allclose(gradient[0, 0], [1 / 3, -1, 1 / 3, 1 / 3], rtol=1e-14)
    outputs = np.array([[[300.0, 0, 10, -400]]], np.float32)  # certain of symbol 0, which is wrong
    loss, gradient = softmax_binary_cross_entropy(outputs, np.array([[1]]))
    assert loss == pytest.approx(300 + 290 - np.log1p(np.exp(-10)), rel=1e-6)
    among = 1 / (1 + np.exp(-10))
    assert_allclose(gradient[0, 0], [2, -2 + among, -among, 0], rtol=1e-4)


def test_loss_is_the_mean_over_what_counts(rng):
    outputs, targets = symbols_case(rng)
    counts = np.zeros((T, B))
    counts[1, 2] = counts[3, 0] = 1
    loss, gradient = softmax_cross_entropy(outputs, targets, counts)
    alone = [
        softmax_cross_entropy(outputs[[t]][:, [b]], targets[[t]][:, [b]])[0] for t, b in [(1, 2), (3, 0)]
    ]
    assert loss == pytest.approx(np.mean(alone), rel=1e-14)
    assert_array_equal(gradient[counts == 0], np.zeros((T * B - 2, Y)))


def test_bits_count_one_by_one_or_by_vector(rng):
    outputs, targets = bits_case(rng)
    counts = (rng.random((T, B)) < 0.5).astype(float)
    by_vector = sigmoid_cross_entropy(outputs, targets, counts)
    by_bit = sigmoid_cross_entropy(outputs, targets, np.repeat(counts[..., None], Y, axis=2))
    alone = [
        sigmoid_cross_entropy(outputs[t : t + 1, b : b + 1], targets[t : t + 1, b : b + 1])[0]
        for t, b in np.argwhere(counts)
    ]
    assert by_vector[0] == by_bit[0] == pytest.approx(np.mean(alone), rel=1e-14)
    assert_array_equal(by_vector[1], by_bit[1])


@pytest.mark.parametrize("counted", [None, 0.5])
@pytest.mark.parametrize(
    "loss, case",
    [
        (softmax_cross_entropy, symbols_case),
        (softmax_binary_cross_entropy, symbols_case),
        (sigmoid_cross_entropy, bits_case),
    ],
)
def test_gradient(loss, case, counted, rng):
    outputs, targets = case(rng)
    counts = None if counted is None else rng.random((T, B)) < counted
    _, gradient = loss(outputs, targets, counts)
    assert_gradient(lambda y: loss(y, targets, counts)[0], outputs, gradient)


@pytest.mark.parametrize(
    "loss, case",
    [
        (softmax_cross_entropy, symbols_case),
        (softmax_binary_cross_entropy, symbols_case),
        (sigmoid_cross_entropy, bits_case),
    ],
)
def test_nothing_counted_costs_nothing(loss, case, rng):
    value, gradient = loss(*case(rng), np.zeros((T, B)))
    assert value == 0
    assert_array_equal(gradient, np.zeros((T, B, Y)))


@pytest.mark.parametrize(
    "loss, case",
    [
        (softmax_cross_entropy, symbols_case),
        (softmax_binary_cross_entropy, symbols_case),
        (sigmoid_cross_entropy, bits_case),
    ],
)
def test_loss_stays_single_finite_and_leaves_the_outputs_at_extremes(loss, case, rng):
    outputs, targets = single(case(rng))
    outputs *= 5000
    given = outputs.copy()
    value, gradient = loss(outputs, targets)
    assert np.isfinite(value)
    assert value > 100
    assert gradient.dtype == np.float32
    assert np.isfinite(gradient).all()
    assert_array_equal(outputs, given)


def bits_known_well(rng, margin):
    targets = rng.integers(2, size=(T, B, Y)).astype(float)
    return (2 * targets - 1) * (margin + rng.standard_normal(targets.shape)), targets


def symbols_known_well(rng, margin):
    outputs, targets = symbols_case(rng)
    np.put_along_axis(outputs, targets[..., None], margin + 3, -1)
    return outputs, targets


@pytest.mark.parametrize("margin, nats", [(10.8, 2e-5), (16.8, 5e-8)])
@pytest.mark.parametrize(
    "loss, case",
    [
        (softmax_cross_entropy, symbols_known_well),
        (softmax_binary_cross_entropy, symbols_known_well),
        (sigmoid_cross_entropy, bits_known_well),
    ],
)
def test_single_precision_is_accurate_where_the_targets_are_known_well(loss, case, margin, nats, rng):
    """Each number of the gradient, not only the largest: Adam divides by how large it usually is."""
    outputs, targets = case(rng, margin)
    outputs = outputs.astype(np.float32)
    value, gradient = loss(outputs, targets)
    expected, expected_gradient = loss(outputs.astype(float), targets)
    assert nats / 3 < expected < 3 * nats
    assert value == pytest.approx(expected, rel=1e-6)
    assert gradient.dtype == np.float32
    assert_allclose(gradient, expected_gradient, rtol=3e-6)


@pytest.mark.parametrize("target", [0.001, 0.3, 0.999])
def test_single_precision_is_accurate_next_to_a_target_between_0_and_1(target):
    """At y = log(z / (1 - z)) the gradient is 0: on both sides of it the sign is right, far from it every digit."""
    target = np.full((1, 1, 4), target, np.float32)
    best = np.log(target / (1 - target))
    outputs = best + np.array([-8, -1e-3, 1e-3, 8], np.float32)
    _, gradient = sigmoid_cross_entropy(outputs, target)
    _, expected = sigmoid_cross_entropy(outputs.astype(float), target.astype(float))
    assert_allclose(gradient[..., [1, 2]], expected[..., [1, 2]], rtol=2e-3)
    assert_allclose(gradient[..., [0, 3]], expected[..., [0, 3]], rtol=1e-6)
    assert_array_equal(np.sign(gradient[0, 0]), [-1, -1, 1, 1])


def test_loss_of_a_wrong_certainty_is_how_far_it_is_off():
    outputs = np.array([[[60.0, -60, 60, -60]]], np.float32)
    loss, gradient = sigmoid_cross_entropy(outputs, np.array([[[0.0, 1, 1, 0]]]))
    assert loss == pytest.approx(30)
    assert_allclose(gradient[0, 0], np.array([1, -1, -np.exp(-60), np.exp(-60)]) / 4, rtol=1e-6)
    loss, gradient = softmax_cross_entropy(outputs, np.array([[1]]))
    assert loss == pytest.approx(120 + np.log(2))
    assert_allclose(gradient[0, 0], [0.5, -1, 0.5, np.exp(-120)], rtol=1e-6, atol=1e-40)
