"""The gradient of learned interfaces, by all sequences of actions of short episodes: of policy, rewards, tapes."""

from typing import Any

import numpy as np
import pytest

from helpers.enumeration import enumerate_episodes
from numdnc import DNCSpec, LSTMSpec, init_params, map_leaves
from numdnc.engines import get_engine
from numdnc.tasks import Batch
from numdnc.tasks.interfaces import InterfaceForwardReverse, InterfaceReverse
from numdnc.tasks.reinforcement_task import CriticKind, ReinforcementSettings, ReinforcementTask
from numdnc.training import loss_and_gradient
from numdnc.tree import leaves

CASES = {
    "tapes": (InterfaceForwardReverse(length=2, symbols=2, memory_width=2, slack=0), 3),
    "more steps than symbols": (InterfaceReverse(length=1, symbols=3, memory_width=2, slack=2), 3),
    "no memory tape": (InterfaceReverse(length=2, symbols=2, memory_width=0, slack=1), 4),
}


def model(kind: str, task: ReinforcementTask) -> Any:
    sizes = {"input_size": task.input_size, "output_size": task.output_size}
    if kind == "lstm":
        return LSTMSpec(hidden_sizes=(3,), **sizes)
    return DNCSpec(hidden_sizes=(3,), memory_size=3, word_size=2, read_heads=1, **sizes)


@pytest.mark.parametrize(
    ("case", "kind", "critic"),
    [
        ("tapes", "lstm", "lstm"),
        ("tapes", "lstm", "shared"),
        ("more steps than symbols", "dnc", "same"),
        ("no memory tape", "lstm", "lstm"),
    ],
)
def test_the_expected_estimate_is_the_gradient_of_the_expected_return(
    case: str, kind: str, critic: CriticKind
) -> None:
    interface, steps = CASES[case]
    # A loss of values would have a gradient of its own.
    settings = ReinforcementSettings(critic=critic, value_weight=0)
    task = ReinforcementTask("tapes", interface, settings, seed=0)
    spec, rng = model(kind, task), np.random.default_rng(3)
    params = map_leaves(lambda leaf: leaf + rng.normal(0, 0.6, leaf.shape), init_params(spec, 0, np.float64))
    question = interface.draw(rng, interface.length)

    def acted(changed: Any) -> Any:
        begin = lambda count: interface.begin([question] * count)  # noqa: E731
        return enumerate_episodes(spec, changed, begin, interface.action_sizes, steps)

    found = acted(params)
    done, count = found.rollout, len(found.probability)
    batch = Batch(done.inputs, np.zeros(done.alive.shape, int), mask=done.alive, episode=done.episode)
    values = np.where(done.alive, np.cumsum(done.inputs, 0).sum(axis=2), 0)  # known before the action
    batch = task.with_values(batch, values)

    def loss(outputs: Any, batch: Batch) -> Any:
        value, episodes, gradient = task.loss(outputs, batch)
        return value, episodes, gradient * (count * found.probability)[:, None]

    gradient = loss_and_gradient(
        *(spec, params, get_engine("reference"), batch, loss), feedback=task.feedback
    ).gradient
    for _ in range(5):
        along = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), params)
        up, down = (
            acted(map_leaves(lambda p, d, s=s: p + s * 1e-5 * d, params, along)).expected_return
            for s in (1, -1)
        )
        got = sum(float((g * d).sum()) for g, d in zip(leaves(gradient), leaves(along), strict=True))
        assert got == pytest.approx(-(up - down) / 2e-5, rel=1e-6, abs=1e-7)
