"""Instructions: a memory that is never written, from which each output reads the weights it is made with."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers.gradients import assert_backward
from numdnc import DNCSpec, UserError, init_params, named_leaves, zero_params
from numdnc.params import InstructionParams
from numdnc.reference.activations import softmax
from numdnc.reference.instructions import follow_instructions, follow_instructions_backward

ROWS = np.array([[2.0, 0, 0], [0, 3, 0]])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def told(vector, keys, strengths):
    return np.concatenate([vector, np.ravel(keys), strengths])


def spec_of(**options):
    return DNCSpec(input_size=2, output_size=5, memory_size=4, word_size=3, **options)


def test_an_output_follows_the_instruction_that_is_like_its_key():
    params = InstructionParams(ROWS, np.array([0.5, -1, 0]))
    keys = [[1, 0, 0], [0, 7, 0], [-1, 0, 0]]
    outputs, _ = follow_instructions(params, told([10.0, 100, 1000], keys, [1e3, 1e3, 1e3]))
    assert_allclose(outputs, [2 * 10 + 0.5, 3 * 100 - 1, 3 * 100], rtol=1e-12)


def test_a_key_of_zeros_follows_all_alike_and_a_strength_is_at_least_one():
    params = InstructionParams(ROWS, np.zeros(2))
    outputs, _ = follow_instructions(params, told([10.0, 100, 1000], [[0, 0, 0], [1, 0, 0]], [0.0, -50]))
    first, second = softmax(np.array([1 / np.sqrt((1 + 1e-6) * (1 + 1e-6 / 4)), 0.0]))
    assert_allclose(outputs, [(20 + 300) / 2, first * 20 + second * 300], rtol=1e-9)


def test_steps_and_rows_are_alike(rng):
    params = InstructionParams(rng.normal(size=(4, 3)), rng.normal(size=2))
    many = rng.normal(size=(5, 6, 3 + 2 * 3 + 2))
    outputs, _ = follow_instructions(params, many)
    assert outputs.shape == (5, 6, 2)
    assert_allclose(outputs[3, 2], follow_instructions(params, many[3, 2])[0], rtol=1e-13)


@pytest.mark.parametrize(("S", "W", "Y", "M"), [(5, 3, 2, 4), (1, 4, 3, 2), (3, 1, 5, 1), (2, 2, 1, 3)])
def test_the_gradient_is_that_of_differences(S, W, Y, M, rng):
    def function(rows, bias, given):
        return follow_instructions(InstructionParams(rows, bias), given)[0]

    def pull_back(d_outputs):
        _, tape = follow_instructions(InstructionParams(*arguments[:2]), arguments[2])
        d_params, d_told = follow_instructions_backward(tape, d_outputs)
        return *d_params, d_told

    arguments = (rng.normal(size=(S, W)), rng.normal(size=Y), rng.normal(size=(M, W + Y * W + Y)))
    assert_backward(function, arguments, pull_back)


def test_equal_instructions_are_followed_alike(rng):
    """A tie: all rows are the same, so that no key can tell them apart."""
    row = rng.normal(size=3)
    params = InstructionParams(np.tile(row, (4, 1)), np.zeros(2))
    given = rng.normal(size=3 + 2 * 3 + 2)
    outputs, tape = follow_instructions(params, given)
    assert_allclose(outputs, [row @ given[:3]] * 2, rtol=1e-13)
    d_params, _ = follow_instructions_backward(tape, np.ones(2))
    assert_allclose(d_params.rows.sum(axis=0), 2 * given[:3], atol=1e-9)
    for one in d_params.rows[1:]:
        assert np.isfinite(one).all()


def test_a_model_with_instructions_has_wider_outputs_and_a_memory_that_no_state_holds():
    spec = spec_of(instruction_slots=7)
    shapes = {name: leaf.shape for name, leaf in named_leaves(zero_params(spec))}
    assert spec.output_columns == 3 + 5 * 3 + 5
    assert shapes["output.bias"] == (3 + 5 * 3 + 5,)
    assert (shapes["instructions.rows"], shapes["instructions.bias"]) == ((7, 3), (5,))
    drawn = init_params(spec, 0).instructions
    assert_array_equal(drawn.bias, np.zeros(5))
    assert 0.1 < drawn.rows.std() < 1
    assert not any("instructions" in name for name, _ in named_leaves(zero_params(spec_of())))


@pytest.mark.parametrize("given", [0, -1, 2.5, True, "3"])
def test_a_number_of_instructions_is_refused(given):
    with pytest.raises(
        UserError, match=r"DNCSpec\.instruction_slots must be a whole number of at least 1, got"
    ):
        spec_of(instruction_slots=given)
