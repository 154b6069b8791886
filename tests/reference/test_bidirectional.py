"""The second direction begins at each row's last step, sees the inputs alone, and tells the first step of the last."""

from itertools import count

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from helpers import plain
from helpers.examples import FAMILY, PUBLISHED, random_inputs, random_params, random_state
from helpers.gradients import assert_gradient, weighted_sum
from numdnc import DNCSpec, UserError, draw_bypass_mask, map_leaves
from numdnc.engines import get_engine
from numdnc.reference import backward, forward
from numdnc.reference.bidirectional import reverse_hidden, reverse_hidden_backward
from numdnc.tree import leaves

T, B = 6, 4
LENGTHS = np.array([6, 1, 4, 0])
SIZES = {"input_size": 3, "output_size": 2, "memory_size": 7, "word_size": 5, "read_heads": 2}
SPECS = {
    "plain": DNCSpec(**SIZES, hidden_sizes=(8, 9), bidirectional=True),
    "BiADNC": DNCSpec(**SIZES, hidden_sizes=(9,), **PUBLISHED["BiADNC"]),
    "learned": DNCSpec(**SIZES, hidden_sizes=(8, 9), **FAMILY["bidirectional"], **FAMILY["learned-state"]),
}


def case(name, *, symbols=False, seed=0):
    rng = np.random.default_rng(seed)
    spec = SPECS[name]
    params, inputs = random_params(spec, rng), random_inputs(spec, rng, T, B, symbols=symbols)
    mask = draw_bypass_mask(spec, T, B, rng, np.float64)
    return spec, params, inputs, random_state(spec, rng, B), mask


def run(spec, params, inputs, state, mask=None, lengths=LENGTHS):
    return forward(spec, params, inputs, state, keep_tape=True, bypass_mask=mask, lengths=lengths)


@pytest.mark.parametrize("name", SPECS)
def test_model_equals_the_equations_row_by_row(name):
    spec, params, inputs, state, mask = case(name)
    outputs, final, _ = run(spec, params, inputs, state, mask)
    for b, length in enumerate(LENGTHS):
        reverse = np.zeros((T, sum(spec.hidden_sizes)))
        if length:
            reverse[:length] = plain.reverse_hidden(spec, params.reverse_controller, inputs[:length, b])
        row = map_leaves(lambda leaf, b=b: leaf[b], state)
        for t in range(T):
            shown = 1 if mask is None else mask[t, b]
            expected, row = plain.dnc_step(spec, params, inputs[t, b], row, shown, reverse[t])
            assert_allclose(outputs[t, b], expected, rtol=1e-10, atol=1e-12)
        for given, wanted in zip(leaves(final), leaves(row), strict=True):
            assert_allclose(given[b], wanted, rtol=1e-10, atol=1e-12)


def case_far_from_ties(name, *, symbols):
    """The first case in which no two usages of a row come near each other: where they are equal gradients jump."""
    for seed in count():
        spec, params, inputs, state, mask = case(name, symbols=symbols, seed=seed)
        _, _, tape = run(spec, params, inputs, state, mask)
        usages = np.array([step.access.after.usage for step in tape.steps])
        if np.diff(np.sort(usages, axis=-1), axis=-1).min() > 1e-3:
            return spec, params, inputs, state, mask
    raise AssertionError


@pytest.mark.parametrize("symbols", [False, True])
@pytest.mark.parametrize("name", SPECS)
def test_gradient_by_params_inputs_and_state(name, symbols):
    spec, params, inputs, state, mask = case_far_from_ties(name, symbols=symbols)
    outputs, final, tape = run(spec, params, inputs, state, mask)
    rng = np.random.default_rng(2)
    weights = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), (outputs, final))
    d_params, d_inputs, d_state = backward(spec, params, tape, *weights)
    assert all(leaf.any() for leaf in leaves(d_params.reverse_controller))

    def loss(point):
        params, given, state = point
        found = run(spec, params, inputs if symbols else given, state, mask)
        return weighted_sum(weights, found[:2])

    point = params, () if symbols else inputs, state
    gradient = d_params, () if symbols else d_inputs, d_state
    assert_gradient(loss, point, gradient, directions=4)


def test_gradient_of_the_second_direction_alone():
    spec, params, inputs, *_ = case("plain")
    layers = params.reverse_controller
    hidden, tape = reverse_hidden(spec, layers, inputs, LENGTHS)
    weights = np.random.default_rng(3).standard_normal(hidden.shape)
    d_layers, d_inputs = reverse_hidden_backward(spec, layers, tape, weights)

    def loss(point):
        return weighted_sum(weights, reverse_hidden(spec, *point, LENGTHS)[0])

    assert_gradient(loss, (layers, inputs), (d_layers, np.array(d_inputs)))


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_agrees_with_the_second_direction_of_torch(lengths):
    """`torch.nn.LSTM` over packed rows, values and gradients by torch's autograd."""
    spec = DNCSpec(**SIZES, hidden_sizes=(8,), bidirectional=True)
    rng = np.random.default_rng(0)
    layers, inputs = random_params(spec, rng).reverse_controller, random_inputs(spec, rng, T, B)
    lengths = None if lengths is None else np.maximum(lengths, 1)  # torch refuses rows of no steps
    theirs = torch.nn.LSTM(3, 8, bidirectional=True).double()
    matrices = {"weight_ih": layers[0].weights[:3].T, "weight_hh": layers[0].weights[3:].T}
    matrices |= {"bias_ih": layers[0].bias, "bias_hh": 0 * layers[0].bias}
    given = torch.from_numpy(inputs).requires_grad_()
    with torch.no_grad():
        for name, matrix in matrices.items():
            getattr(theirs, f"{name}_l0_reverse").copy_(torch.from_numpy(matrix))
    ends = np.full(B, T) if lengths is None else lengths
    packed = torch.nn.utils.rnn.pack_padded_sequence(given, torch.from_numpy(ends), enforce_sorted=False)
    found, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], total_length=T)
    found = found[..., 8:]
    hidden, tape = reverse_hidden(spec, layers, inputs, lengths)
    assert_allclose(hidden, found.detach().numpy(), rtol=1e-12, atol=1e-14)
    weights = rng.standard_normal(hidden.shape)
    (found * torch.from_numpy(weights)).sum().backward()
    (d_layer,), d_inputs = reverse_hidden_backward(spec, layers, tape, weights)
    assert given.grad is not None
    assert_allclose(np.array(d_inputs), given.grad.numpy(), rtol=1e-11, atol=1e-13)
    assert_allclose(d_layer.weights[:3].T, theirs.weight_ih_l0_reverse.grad, rtol=1e-11, atol=1e-13)
    assert_allclose(d_layer.weights[3:].T, theirs.weight_hh_l0_reverse.grad, rtol=1e-11, atol=1e-13)
    assert_allclose(d_layer.bias, theirs.bias_ih_l0_reverse.grad, rtol=1e-11, atol=1e-13)


def test_the_gradient_of_the_first_step_reaches_the_last_word():
    """What is written at the first step depends on the question that comes last; with one direction it does not."""
    for bidirectional in (True, False):
        spec = DNCSpec(**SIZES, hidden_sizes=(8,), bidirectional=bidirectional)
        rng = np.random.default_rng(0)
        params, inputs = random_params(spec, rng), random_inputs(spec, rng, T, B)
        outputs, final, tape = run(spec, params, inputs, random_state(spec, rng, B))
        d_outputs = np.zeros_like(outputs)
        d_outputs[0] = 1
        _, d_inputs, _ = backward(spec, params, tape, d_outputs, map_leaves(np.zeros_like, final))
        reached = (d_inputs != 0).any(axis=2)
        inside = np.arange(T)[:, None] < LENGTHS
        assert_array_equal(reached[1:], inside[1:] & bidirectional)
        assert reached[0].all()


def test_known_by_hand():
    """Every gate but the candidate's stands open: a unit's cell is the sum of what comes after, its own included."""
    spec = DNCSpec(**{**SIZES, "input_size": 1}, hidden_sizes=(1,), bidirectional=True)
    (layer,) = random_params(spec, np.random.default_rng(0)).reverse_controller
    layer.weights[:] = 0
    layer.weights[0, 2] = 0.1  # of the candidate
    layer.bias[:] = [50, 50, 0, 50]
    inputs = np.array([1.0, 2, 3, 4]).reshape(4, 1, 1).repeat(2, axis=1)
    hidden, _ = reverse_hidden(spec, (layer,), inputs, np.array([4, 2]))
    words = np.tanh([0.1, 0.2, 0.3, 0.4])
    assert_allclose(hidden[:, 0, 0], np.tanh(words[::-1].cumsum()[::-1]), rtol=1e-12)
    assert_allclose(hidden[:, 1, 0], [np.tanh(words[0] + words[1]), np.tanh(words[1]), 0, 0], rtol=1e-12)


def test_a_row_is_what_it_is_without_its_padding():
    spec, params, inputs, state, mask = case("BiADNC")
    whole, _, _ = run(spec, params, inputs, state, mask)
    inputs = inputs.copy()
    inputs[np.arange(T)[:, None] >= LENGTHS] = 99
    padded, _, _ = run(spec, params, inputs, state, mask)
    for b, length in enumerate(LENGTHS):
        row, cut = slice(b, b + 1), slice(length)
        state_of_row = map_leaves(lambda leaf, row=row: leaf[row], state)
        alone, _, _ = run(spec, params, inputs[cut, row], state_of_row, mask[cut, row], None)
        assert_allclose(whole[cut, row], alone, rtol=1e-12)
        assert_array_equal(padded[cut, row], whole[cut, row])


@pytest.mark.parametrize("engine", ["reference", "torch"])
@pytest.mark.parametrize(
    "lengths, got",
    [
        ([6, 1, 4, 0], "a list"),
        (np.array([6, 1, 4]), r"\(3,\) of int64"),
        (np.array([6.0, 1, 4, 0]), r"\(4,\) of float64"),
        (np.array([7, 1, 4, 0]), r"0\.\.7"),
        (np.array([6, 1, 4, -1]), r"-1\.\.6"),
    ],
)
def test_wrong_lengths_are_refused(engine, lengths, got):
    spec, params, inputs, state, _ = case("plain")
    with pytest.raises(
        UserError, match=rf"lengths must be an array \(4,\) of integers from 0 to 6, got {got}"
    ):
        get_engine(engine).forward(spec, params, inputs, state, keep_tape=False, lengths=lengths)


@pytest.mark.parametrize("controller", ["rnn", "feedforward"])
def test_other_controllers_are_refused(controller):
    with pytest.raises(
        UserError, match=f"bidirectional must be False with a controller of the kind {controller}"
    ):
        DNCSpec(**SIZES, hidden_sizes=(8,), controller=controller, bidirectional=True)
