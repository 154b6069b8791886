import numpy as np
import pytest
from numpy.testing import assert_array_equal

from examples import single
from gradients import assert_gradient
from numdnc.reference.losses import sigmoid_cross_entropy, softmax_cross_entropy

T, B, Y = 4, 3, 5


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def symbols_case(rng):
    return 2 * rng.standard_normal((T, B, Y)), rng.integers(Y, size=(T, B))


def bits_case(rng):
    return 2 * rng.standard_normal((T, B, Y)), rng.integers(2, size=(T, B, Y)).astype(float)


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
    "loss, case", [(softmax_cross_entropy, symbols_case), (sigmoid_cross_entropy, bits_case)]
)
def test_gradient(loss, case, counted, rng):
    outputs, targets = case(rng)
    counts = None if counted is None else rng.random((T, B)) < counted
    _, gradient = loss(outputs, targets, counts)
    assert_gradient(lambda y: loss(y, targets, counts)[0], outputs, gradient)


@pytest.mark.parametrize(
    "loss, case", [(softmax_cross_entropy, symbols_case), (sigmoid_cross_entropy, bits_case)]
)
def test_nothing_counted_costs_nothing(loss, case, rng):
    value, gradient = loss(*case(rng), np.zeros((T, B)))
    assert value == 0
    assert_array_equal(gradient, np.zeros((T, B, Y)))


@pytest.mark.parametrize(
    "loss, case", [(softmax_cross_entropy, symbols_case), (sigmoid_cross_entropy, bits_case)]
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
