"""Gradient flow: the steps that belong to a sequence, parts of the parameters and their gradients."""

import math
from typing import Any

import numpy as np
import pytest

from helpers.examples import MODELS, VARIATIONS, random_inputs, random_params, random_spec
from numdnc import initial_state, map_leaves, named_leaves
from numdnc.engines import get_engine
from numdnc.inspection.ablation import interface_columns
from numdnc.inspection.activity import concentration, observe
from numdnc.inspection.gradient_flow import gradient_flow, parameter_parts
from numdnc.tasks import Batch
from numdnc.training import loss_and_gradient

RANDOM = [random_spec(seed) for seed in range(12)]


def test_weight_on_the_largest_slot() -> None:
    weights = np.array([[[0.5, 0.5], [1, 0]], [[0.2, 0], [0, 0.6]]])  # (S, R, N)
    largest, total = weights.max(2), weights.sum(2)
    assert concentration(largest, total) == pytest.approx(2.3 / 2.8)
    assert concentration(largest[:, 0], total[:, 0]) == pytest.approx(0.7 / 1.2)
    assert concentration(np.zeros(3), np.zeros(3)) == 0


def test_padding_at_the_end_of_a_sequence_is_not_looked_at() -> None:
    spec = MODELS["dnc-lstm"]
    params = random_params(spec, np.random.default_rng(0))
    mask = np.array([[0, 1], [1, 0], [0, 1], [0, 0]], bool)
    batch = Batch(np.ones((4, 2, 7)), np.zeros((4, 2), int), mask=mask)
    activity = observe(spec, params, get_engine("reference"), batch)
    np.testing.assert_array_equal(activity.real, np.array([[1, 1], [1, 1], [0, 1], [0, 0]], bool))
    assert activity.of("usage").shape == (5,)
    assert observe(spec, params, get_engine("reference"), batch._replace(mask=None)).real.all()


@pytest.mark.parametrize("spec", [*MODELS.values(), *VARIATIONS.values(), *RANDOM])
def test_every_number_belongs_to_one_part(spec: Any) -> None:
    params = random_params(spec, np.random.default_rng(0))
    named = list(parameter_parts(spec, params))
    assert len({name for name, _ in named}) == len(named)
    mixed = np.concatenate([part.ravel() for _, part in named])
    np.testing.assert_array_equal(
        np.sort(mixed), np.sort(np.concatenate([a.ravel() for _, a in named_leaves(params)]))
    )


def test_the_reads_have_their_own_rows_and_each_head_its_columns() -> None:
    spec = VARIATIONS["masking"]
    zero = map_leaves(np.zeros_like, random_params(spec, np.random.default_rng(0)))
    marked = zero._replace(
        output=zero.output._replace(weights=zero.output.weights.copy()),
        interface=zero.interface._replace(bias=zero.interface.bias.copy()),
    )
    marked.output.weights[spec.hidden_total + spec.word_size :] = 1
    marked.interface.bias[interface_columns(spec)["read_masks"][1]] = 1
    found = [name for name, part in parameter_parts(spec, marked) if part.any()]
    assert found == ["interface.bias (read_masks of head 1)", "output.weights (reads of head 1)"]


def test_the_gradient_of_a_learned_start_is_counted() -> None:
    spec = VARIATIONS["learned-state"]
    rng = np.random.default_rng(0)
    params, inputs = random_params(spec, rng), random_inputs(spec, rng, 5, 3)
    batch = Batch(inputs, rng.integers(spec.output_size, size=(5, 3)))

    def loss(outputs: Any, batch: Batch) -> tuple[float, float, Any]:
        return float((outputs**2).sum() / 2), 1, outputs

    gradient = loss_and_gradient(spec, params, get_engine("reference"), batch, loss).gradient

    def value(at: float) -> float:
        memory = params.initial.memory.copy()
        memory[1, 2] += at
        moved = params._replace(initial=params.initial._replace(memory=memory))
        outputs, _, _ = get_engine("reference").forward(
            spec, moved, inputs, initial_state(spec, moved, 3), keep_tape=False
        )
        return loss(outputs, batch)[0]

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    assert gradient.initial.memory[1, 2] == pytest.approx(slope, rel=1e-6)  # 7e-9 seen
    found = gradient_flow(spec, params, get_engine("reference"), [batch, batch], loss)
    strength = math.sqrt((gradient.initial.memory**2).mean())
    assert found.strengths["initial.memory"] == pytest.approx(strength)
    assert found.untrained == []
