"""`loss_and_gradient`: what the definition gives, from any state, over any number of workers."""

from typing import Any

import numpy as np
import pytest

from helpers.workers import in_each
from numdnc import DNCSpec, init_params, initial_state, initial_state_backward, map_leaves, reference
from numdnc.engines import get_engine
from numdnc.init import draw_bypass_mask
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.tasks import Batch
from numdnc.training import loss_and_gradient
from numdnc.tree import leaves, zeros_like

SPEC = DNCSpec(
    input_size=3,
    output_size=4,
    hidden_sizes=(5,),
    memory_size=4,
    word_size=3,
    read_heads=2,
    learned_state=True,
    bypass_dropout=0.3,
)
T, B = 6, 5
RNG = np.random.default_rng(0)
PARAMS = map_leaves(lambda leaf: leaf + RNG.normal(0, 0.3, leaf.shape), init_params(SPEC, 0, np.float64))
BATCH = Batch(RNG.standard_normal((T, B, 3)), RNG.integers(0, 4, (T, B)))
MASK = draw_bypass_mask(SPEC, T, B, RNG, np.float64)
STATE = map_leaves(lambda leaf: leaf + RNG.random(leaf.shape) / 9, initial_state(SPEC, PARAMS, B))
PULL = map_leaves(lambda leaf: RNG.standard_normal(leaf.shape), STATE)


def loss(outputs: Any, batch: Batch) -> tuple[float, float, Any]:
    nats, d_outputs = softmax_cross_entropy(outputs, batch.targets)
    return nats, batch.targets.size, d_outputs


def compute(**options: Any) -> Any:
    return loss_and_gradient(SPEC, PARAMS, get_engine("reference"), BATCH, loss, **options)


def expected(state: Any, pull: Any) -> tuple[Any, ...]:
    """Loss, gradient, outputs, final state, gradients by inputs and initial state, one call after the other."""
    outputs, after, tape = reference.forward(
        SPEC, PARAMS, BATCH.inputs, state, keep_tape=True, bypass_mask=MASK
    )
    nats, d_outputs = softmax_cross_entropy(outputs, BATCH.targets)
    gradient, d_inputs, d_state = reference.backward(SPEC, PARAMS, tape, d_outputs, pull)
    return nats, gradient, outputs, after, d_inputs, d_state


def assert_equal(found: Any, wanted: Any) -> None:
    for one, other in zip(leaves(found), leaves(wanted), strict=True):
        np.testing.assert_array_equal(one, other)


def test_sequences_that_begin_teach_where_to_begin() -> None:
    found = compute(bypass_mask=MASK)
    start = initial_state(SPEC, PARAMS, B)
    nats, gradient, outputs, after, d_inputs, d_state = expected(start, zeros_like(start))
    gradient = initial_state_backward(SPEC, gradient, d_state)
    assert (found.loss, found.predictions) == (nats, T * B)
    assert all(leaf.any() for leaf in leaves(found.gradient.initial))
    assert_equal(
        (found.gradient, (found.outputs, found.d_inputs), found.state, found.d_state),
        (gradient, (outputs, d_inputs), after, d_state),
    )


def test_a_state_that_is_given_is_a_constant() -> None:
    found = compute(state=STATE, d_final_state=PULL, bypass_mask=MASK)
    nats, gradient, outputs, after, d_inputs, d_state = expected(STATE, PULL)
    assert found.loss == nats
    assert not any(leaf.any() for leaf in leaves(found.gradient.initial))
    assert_equal(
        (found.gradient, (found.outputs, found.d_inputs), found.state, found.d_state),
        (gradient, (outputs, d_inputs), after, d_state),
    )


def test_symbols_have_no_gradient() -> None:
    batch = BATCH._replace(inputs=RNG.integers(0, 3, (T, B)))
    assert loss_and_gradient(SPEC, PARAMS, get_engine("reference"), batch, loss).d_inputs is None


@pytest.mark.parametrize("state", [None, STATE], ids=["begins", "goes on"])
@pytest.mark.parametrize("count", [2, 3])
def test_workers_share_the_sequences(count: int, state: Any) -> None:
    alone = compute(state=state, bypass_mask=MASK)

    def of_a_worker(workers: Any) -> Any:
        rows = workers.shard(B)
        own = None if state is None else map_leaves(lambda leaf: leaf[rows], state)
        return compute(state=own, bypass_mask=MASK, workers=workers)

    found = in_each(count, of_a_worker)
    for one in found:
        assert one.loss == pytest.approx(alone.loss, rel=1e-14)
        assert one.predictions == alone.predictions
        for part, whole in zip(leaves(one.gradient), leaves(alone.gradient), strict=True):
            np.testing.assert_allclose(part, whole, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(
        np.concatenate([one.outputs for one in found], axis=1), alone.outputs, rtol=1e-12
    )
    states = map_leaves(lambda *parts: np.concatenate(parts), *(one.state for one in found))
    for part, whole in zip(leaves(states), leaves(alone.state), strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-12)
