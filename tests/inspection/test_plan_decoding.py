"""Plans are decoded where the memory holds them, and nowhere else."""

from typing import Any

import numpy as np
import pytest

from numdnc import DNCSpec, LSTMSpec, UserError, init_params
from numdnc.engines import get_engine
from numdnc.init import initial_state
from numdnc.inspection.plan_decoding import decode_plans, predict
from numdnc.tasks.shrdlu import Shrdlu

SPEC = DNCSpec(input_size=97, output_size=7, hidden_sizes=(4,), memory_size=5, word_size=9, read_heads=1)
EASY = Shrdlu(lesson=2)


def test_a_logistic_regression_finds_classes_that_a_line_parts() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 5))
    classes = (features @ rng.normal(size=(5, 7))).argmax(axis=1)
    assert (predict(features[:300], classes[:300], features[300:]) == classes[300:]).mean() > 0.9
    noise = rng.integers(7, size=400)
    assert (predict(features[:300], noise[:300], features[300:]) == noise[300:]).mean() < 0.35


class Planner:
    """An engine in whose memory slot 2 holds, from the last constraint of the goal on, which action it will take."""

    def __init__(self, forgets: bool) -> None:
        self.forgets = forgets

    def forward(self, spec: Any, params: Any, inputs: Any, state: Any, **_: Any) -> Any:
        count = inputs.shape[1]
        memory, weights = state.memory.copy(), np.zeros_like(state.read_weights)
        seen = inputs[0, :, :43]
        shown = (seen.any(axis=1)) & (seen[:, 42] == 0)
        letter = seen[:, :26].argmax(axis=1)
        # Slot: the letter's number modulo 5; what it says is made of all constraints of that letter.
        code = (seen[:, 26:32].argmax(axis=1) + 3 * seen[:, 32:36].argmax(axis=1)) % 7
        for row in range(count):
            slot = letter[row] % 5
            if shown[row] and not self.forgets:
                memory[row, slot] = np.eye(9)[code[row]]
            if seen[row, 42]:
                weights[row, 0, slot] = 1
        outputs = memory[np.arange(count), state.read_weights[:, 0].argmax(axis=1)][:, :7]
        if self.forgets:
            outputs = np.random.default_rng(count).random((count, 7))
        return outputs[None], state._replace(memory=memory, read_weights=weights), None


@pytest.mark.parametrize("forgets", [False, True])
def test_the_first_action_is_decoded_from_the_slot_that_is_read_later(forgets: bool) -> None:
    params = init_params(SPEC, 0, np.float64)
    engine: Any = Planner(forgets)
    found = decode_plans(SPEC, params, engine, Shrdlu(lesson=1, goals=2), episodes=300)
    assert found.episodes == 300
    if forgets:
        assert found.written < 0.45
    else:
        assert found.written > 0.9
        assert found.before < found.written - 0.2
    assert f"{100 * found.written:.1f} % when the goal is written" in str(found)


def test_real_models_are_observed_and_others_refused() -> None:
    params = init_params(SPEC, 0)
    assert initial_state(SPEC, params, 1).memory.shape == (1, 5, 9)
    found = decode_plans(SPEC, params, get_engine("reference"), EASY, episodes=70)
    assert 0 <= found.written <= 1
    lstm = LSTMSpec(input_size=97, output_size=7, hidden_sizes=(4,))
    with pytest.raises(UserError, match="plans must be decoded from the memory of a dnc, got a lstm"):
        decode_plans(lstm, init_params(lstm, 0), get_engine("reference"), EASY)
    with pytest.raises(UserError, match="episodes must be at least 20, got 3"):
        decode_plans(SPEC, params, get_engine("reference"), EASY, episodes=3)
