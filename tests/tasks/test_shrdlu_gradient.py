"""The policy gradient of Mini-SHRDLU: on a tiny board its expectation over every sequence of actions is exact."""

from typing import Any

import numpy as np
import pytest

from helpers.enumeration import enumerate_episodes
from numdnc import DNCSpec, LSTMSpec, init_params, map_leaves
from numdnc.engines import get_engine
from numdnc.tasks import Batch
from numdnc.tasks.imitation_task import ImitationSettings
from numdnc.tasks.reinforcement_task import ReinforcementTask
from numdnc.tasks.shrdlu import Shrdlu
from numdnc.tasks.shrdlu.words import pose
from numdnc.training import loss_and_gradient
from numdnc.tree import leaves

SHRDLU = Shrdlu(spare_moves=1, invalid_cost=0.25, undo_cost=0.5)
PROBLEM = pose("board 1/2/; put 1 on 2; go")
STEPS = 1 + 1 + 1 + 1
"""A constraint, the go cue, the move that is needed and one more."""
SIZES = {"input_size": SHRDLU.input_size, "output_size": SHRDLU.output_size}
SPECS = {
    "lstm": LSTMSpec(hidden_sizes=(3,), **SIZES),
    "dnc": DNCSpec(hidden_sizes=(3,), memory_size=4, word_size=2, read_heads=1, **SIZES),
}


def enumerated(spec: Any, params: Any) -> Any:
    return enumerate_episodes(
        spec, params, lambda count: SHRDLU.begin([PROBLEM] * count), SHRDLU.action_sizes, STEPS
    )


@pytest.mark.thorough
@pytest.mark.parametrize("kind", SPECS)
def test_the_expected_estimate_is_the_gradient_of_the_expected_return(kind: str) -> None:
    spec, rng = SPECS[kind], np.random.default_rng(3)
    params = map_leaves(lambda leaf: leaf + rng.normal(0, 0.3, leaf.shape), init_params(spec, 0, np.float64))
    found = enumerated(spec, params)
    assert (found.probability > 0).sum() == 7**2
    possible = found.probability > 0
    returns = found.rollout.episode.rewards.sum(axis=0)[possible]
    assert {-0.25 - 0.25, 1 + 1, 1 - 0.5} <= set(
        returns
    )  # invalid twice; reached and kept; reached and undone
    task = ReinforcementTask("shrdlu", SHRDLU, ImitationSettings(trace_decay=1.0), seed=0)
    keep = np.flatnonzero(possible)
    batch = Batch(
        found.rollout.inputs[:, keep],
        np.zeros((STEPS, len(keep)), int),
        mask=found.rollout.alive[:, keep],
        episode=map_leaves(lambda array: array[:, keep], found.rollout.episode),
    )
    values = rng.normal(size=(STEPS, 1)) * np.ones((1, len(keep)))  # a baseline that knows the time alone
    batch = task.with_values(batch, values)

    def loss(outputs: Any, batch: Batch) -> Any:
        gradient = task.loss(outputs, batch)[2]
        return 0.0, 1, gradient * (len(keep) * found.probability[keep])[:, None]

    gradient = loss_and_gradient(spec, params, get_engine("reference"), batch, loss).gradient
    for _ in range(4):
        along = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), params)
        up, down = (
            enumerated(spec, map_leaves(lambda p, d, s=sign: p + s * 1e-6 * d, params, along)).expected_return
            for sign in (1, -1)
        )
        got = sum(float((g * d).sum()) for g, d in zip(leaves(gradient), leaves(along), strict=True))
        assert got == pytest.approx(-(up - down) / 2e-6, rel=1e-6, abs=1e-8)
