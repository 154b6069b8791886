"""Environments that need a memory, of Gymnasium's interface: a T-maze and a test of what was shown some steps ago.

    numdnc train environment --env examples/memory_environments.py:t_maze --goal 1
    numdnc train environment --env examples/memory_environments.py:repeat_previous --goal 16 --discount 0.1

A function without arguments makes an environment. What it draws comes from `self.np_random`, which
`reset(seed=..)` seeds, so that a run resumes bit for bit.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

LENGTH = 10
"""Cells of the corridor of the T-maze."""
CARDS, DELAY, SHOWN = 4, 4, 20


class TMaze(gymnasium.Env[Any, Any]):
    """A corridor with a sign at its beginning that says whether the goal lies left or right of its end (Bakker 2002).

    Actions: 0 forward, 1 left, 2 right. Observation: sign left, sign right, whether this is the end. The right turn at
    the end gives 1, the wrong one 0; any other action that does not lead on costs 0.1.
    """

    observation_space = spaces.MultiBinary(3)
    action_space = spaces.Discrete(3)

    def __init__(self, length: int = LENGTH) -> None:
        self.length, self.place, self.side = length, 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Begin at the sign."""
        super().reset(seed=seed)
        self.place, self.side = 0, int(self.np_random.integers(2))
        return self._seen(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Go on, or turn."""
        at_end = self.place == self.length
        if at_end and action:
            return self._seen(), float(action - 1 == self.side), True, False, {}
        reward = -0.1 if at_end or action else 0.0
        self.place += not at_end and not action
        return self._seen(), reward, False, False, {}

    def _seen(self) -> Any:
        sign = [self.place == 0 and self.side == side for side in (0, 1)]
        return np.array([*sign, self.place == self.length], np.int8)


class RepeatPrevious(gymnasium.Env[Any, Any]):
    """Cards are shown one after the other; name the one of 4 steps ago (as in POPGym; Morad et al. 2023).

    The first cards are only shown. Each right answer gives 1.
    """

    observation_space = spaces.Discrete(CARDS)
    action_space = spaces.Discrete(CARDS)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        """Shuffle."""
        super().reset(seed=seed)
        self.cards, self.at = self.np_random.integers(CARDS, size=SHOWN), 0
        return int(self.cards[0]), {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Name a card."""
        reward = float(self.at >= DELAY and action == self.cards[self.at - DELAY])
        self.at += 1
        ended = self.at == SHOWN
        return int(self.cards[self.at - ended]), reward, ended, False, {}


def t_maze() -> TMaze:
    """A T-maze with a corridor of 10 cells."""
    return TMaze()


def repeat_previous() -> RepeatPrevious:
    """20 cards; goal: 16."""
    return RepeatPrevious()
