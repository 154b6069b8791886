from math import exp, sqrt, tanh

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.examples import CONTROLLERS, random_params, random_state, single
from helpers.gradients import assert_backward
from numdnc import DNCSpec, RNNSpec, zero_params, zero_state
from numdnc.params import LSTMState, RNNState
from numdnc.reference.controller import controller_step, controller_step_backward
from numdnc.reference.lstm import lstm_layer
from numdnc.reference.rnn import rnn_layer
from numdnc.tree import leaves

B, X, R, W = 3, 5, 2, 4
every_controller = pytest.mark.parametrize(
    "kind, normalisation",
    [*((kind, False) for kind in CONTROLLERS), ("lstm", True)],
    ids=[*CONTROLLERS, "normalised-lstm"],
)
I, F, G, O = range(4)  # noqa: E741  the gate blocks of an LSTM


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spec_of(controller, *hidden_sizes, normalisation=False):
    return DNCSpec(
        input_size=X,
        output_size=1,
        controller=controller,
        hidden_sizes=hidden_sizes,
        word_size=W,
        read_heads=R,
        normalisation=normalisation,
    )


def case(spec, rng):
    """Params, x, reads and state of a controller."""
    params, state = random_params(spec, rng), random_state(spec, rng, B)
    return params.controller, rng.standard_normal((B, X)), rng.standard_normal((B, R * W)), state.controller


def sigmoid(z):
    return 1 / (1 + exp(-z))


def layer_normed(numbers, gain, bias):
    """The equation, number by number."""
    mean = sum(numbers) / len(numbers)
    deviation = sqrt(sum((number - mean) ** 2 for number in numbers) / len(numbers) + 1e-6)
    return [g * (number - mean) / deviation + b for number, g, b in zip(numbers, gain, bias, strict=True)]


def test_lstm_unit_by_unit(rng):
    H = 3
    spec = spec_of("lstm", H)
    (params,), x, reads, (before,) = case(spec, rng)
    hidden, after, _ = lstm_layer(params, x, reads, np.zeros((B, 0)), before)
    for b in range(B):
        seen = [*x[b], *reads[b], *before.hidden[b]]
        for unit in range(H):
            z = [
                params.bias[gate * H + unit]
                + sum(value * params.weights[row, gate * H + unit] for row, value in enumerate(seen))
                for gate in (I, F, G, O)
            ]
            cell = sigmoid(z[F]) * before.cell[b, unit] + sigmoid(z[I]) * tanh(z[G])
            assert after.cell[b, unit] == pytest.approx(cell, rel=1e-12)
            assert after.hidden[b, unit] == pytest.approx(sigmoid(z[O]) * tanh(cell), rel=1e-12)
    assert_array_equal(hidden, after.hidden)


def test_normalised_lstm_unit_by_unit(rng):
    """All gates together pass one layer norm before the bias; the cell passes another on its way out only."""
    H = 3
    spec = spec_of("lstm", H, normalisation=True)
    (params,), x, reads, (before,) = case(spec, rng)
    hidden, after, _ = lstm_layer(params, x, reads, np.zeros((B, 0)), before)
    for b in range(B):
        seen = np.array([*x[b], *reads[b], *before.hidden[b]])
        z = layer_normed(list(seen @ params.weights), params.gain, params.bias)
        cells = [
            sigmoid(z[F * H + unit]) * before.cell[b, unit] + sigmoid(z[I * H + unit]) * tanh(z[G * H + unit])
            for unit in range(H)
        ]
        shown = layer_normed(cells, params.cell_gain, params.cell_bias)
        assert_allclose(after.cell[b], cells, rtol=1e-11)
        expected = [sigmoid(z[O * H + unit]) * tanh(shown[unit]) for unit in range(H)]
        assert_allclose(after.hidden[b], expected, rtol=1e-11)
    assert_array_equal(hidden, after.hidden)


def test_normalised_lstm_carries_its_cell_as_it_is():
    """A cell of equal numbers shows nothing but the bias; what is carried keeps them."""
    spec = spec_of("lstm", 2, normalisation=True)
    (params,) = zero_params(spec, np.float64).controller
    params.bias[:] = np.repeat([-99, 99, 0, 99], 2)  # keeps and shows all
    params.cell_gain[:], params.cell_bias[:] = 7, 0.5
    state = LSTMState(np.zeros((1, 2)), np.full((1, 2), 0.25))
    _, after, _ = lstm_layer(params, np.zeros((1, X)), np.zeros((1, R * W)), np.zeros((1, 0)), state)
    assert_allclose(after.cell, [[0.25, 0.25]], rtol=1e-15)
    assert_allclose(after.hidden, np.tanh([[0.5, 0.5]]), rtol=1e-15)


@pytest.mark.parametrize("kind", ["rnn", "feedforward"])
def test_only_an_lstm_is_normalised(kind, rng):
    arguments = case(spec_of(kind, 6, 3), rng)
    normalising = spec_of(kind, 6, 3, normalisation=True)
    blank = zero_params(normalising).controller
    assert [layer.gain for layer in blank] == [(), ()]
    assert [layer.weights.shape for layer in blank] == [layer.weights.shape for layer in arguments[0]]
    for plainly, normalised in zip(
        leaves(controller_step(spec_of(kind, 6, 3), *arguments)[:2]),
        leaves(controller_step(normalising, *arguments)[:2]),
        strict=True,
    ):
        assert_array_equal(normalised, plainly)


@pytest.mark.parametrize(
    "biases, cell, hidden",
    [
        ({F: 99, I: -99, O: 99}, 0.5, np.tanh(0.5)),  # keeps
        ({F: -99, I: -99, O: 99}, 0, 0),  # forgets
        ({F: -99, I: 99, G: 99, O: 99}, 1, np.tanh(1)),  # takes the candidate
        ({F: 99, I: -99, O: -99}, 0.5, 0),  # keeps, but shows nothing
    ],
)
def test_each_gate_of_an_lstm_does_its_own_work(biases, cell, hidden):
    spec = spec_of("lstm", 1)
    (params,) = zero_params(spec, np.float64).controller
    for gate, bias in biases.items():
        params.bias[gate] = bias
    state = LSTMState(np.array([[0.25]]), np.array([[0.5]]))
    _, after, _ = lstm_layer(params, np.zeros((1, X)), np.zeros((1, R * W)), np.zeros((1, 0)), state)
    assert_allclose(after.cell, [[cell]], atol=1e-15)
    assert_allclose(after.hidden, [[hidden]], atol=1e-15)


def test_rnn_sees_its_own_hidden_of_the_step_before():
    spec = RNNSpec(input_size=X, output_size=1, hidden_sizes=(1,))
    (params,) = zero_params(spec, np.float64).controller
    params.weights[X] = 2
    _, after, _ = rnn_layer(
        params, np.ones((1, X)), np.zeros((1, 0)), np.zeros((1, 0)), RNNState(np.array([[0.25]]))
    )
    assert_array_equal(after.hidden, [[np.tanh(0.5)]])


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_every_layer_sees_the_input_the_reads_and_its_own_past(kind):
    """One number at a time is set to 1; which layers move?"""
    spec = spec_of(kind, 2, 2)
    params = random_params(spec, np.random.default_rng(0)).controller
    blank = zero_state(spec, 1, np.float64).controller
    x, reads = np.zeros((1, X)), np.zeros((1, R * W))
    params[1].weights[-2:] = 0  # the second layer does not see the first
    resting, _, _ = controller_step(spec, params, x, reads, blank)

    def moved_layers(x=x, reads=reads, state=blank):
        moved = controller_step(spec, params, x, reads, state)[0] != resting
        return [bool(moved[0, :2].all()), bool(moved[0, 2:].all())]

    assert moved_layers(x=np.eye(X)[:1]) == [True, True]
    assert moved_layers(reads=np.eye(R * W)[-1:]) == [True, True]
    if kind != "feedforward":
        for layer in range(2):
            hidden = blank[layer]._replace(hidden=np.array([[1.0, 0]]))
            state = tuple(hidden if i == layer else blank[i] for i in range(2))
            assert moved_layers(state=state) == [layer == 0, layer == 1]


def test_layer_sees_the_layer_below_at_the_same_step():
    spec = spec_of("feedforward", 1, 1)
    params = zero_params(spec, np.float64).controller
    params[0].weights[0] = 0.5
    params[1].weights[-1] = 2
    h_all, _, _ = controller_step(spec, params, np.ones((1, X)), np.zeros((1, R * W)), ((), ()))
    assert_allclose(h_all, [[np.tanh(0.5), np.tanh(2 * np.tanh(0.5))]], rtol=1e-15)


@pytest.mark.parametrize("hidden_sizes", [(6,), (6, 3), (2, 7, 3)])
@pytest.mark.parametrize("kind", CONTROLLERS)
def test_gradient(kind, hidden_sizes, rng):
    assert_controller_gradient(spec_of(kind, *hidden_sizes), rng)


@pytest.mark.parametrize("hidden_sizes", [(6,), (6, 3), (2, 7, 3)])
def test_gradient_of_normalised_lstm(hidden_sizes, rng):
    assert_controller_gradient(spec_of("lstm", *hidden_sizes, normalisation=True), rng)


def assert_controller_gradient(spec, rng):
    arguments = case(spec, rng)
    _, _, tapes = controller_step(spec, *arguments)
    assert_backward(
        lambda *a: controller_step(spec, *a)[:2],
        arguments,
        lambda d: controller_step_backward(spec, arguments[0], tapes, *d),
        directions=5,
    )


@every_controller
def test_symbols_mean_one_hot_inputs(kind, normalisation, rng):
    spec = spec_of(kind, 6, 3, normalisation=normalisation)
    params, _, reads, state = case(spec, rng)
    symbols = np.array([4, 0, 4])
    by_symbols, by_one_hot = (
        controller_step(spec, params, x, reads, state) for x in (symbols, np.eye(X)[symbols])
    )
    assert_allclose(by_symbols[0], by_one_hot[0], rtol=1e-12)
    d_hidden = rng.standard_normal(by_symbols[0].shape)
    d_params, d_x, d_reads, _ = controller_step_backward(spec, params, by_symbols[2], d_hidden, state)
    expected = controller_step_backward(spec, params, by_one_hot[2], d_hidden, state)
    assert d_x is None
    assert_allclose(d_reads, expected[2], rtol=1e-12)
    for given, wanted in zip(leaves(d_params), leaves(expected[0]), strict=True):
        assert_allclose(given, wanted, rtol=1e-12)


@pytest.mark.parametrize("scale", [1, 1e4])
@every_controller
def test_controller_stays_single_and_finite_at_extremes(kind, normalisation, scale, rng):
    spec = spec_of(kind, 6, 3, normalisation=normalisation)
    params, x, reads, state = single(case(spec, rng))
    h_all, after, tapes = controller_step(spec, params, x * scale, reads * scale, state)
    gradients = controller_step_backward(spec, params, tapes, h_all, after)
    for result in leaves((h_all, after, *gradients)):
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
