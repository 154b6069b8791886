"""Learn to act by imitation: the same episodes as those of policy gradient, where the best actions are known.

Axes: T steps, B episodes, Y output, L logits of the action.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.reinforcement import Choose, Episodes, optimal_loss, sample_actions
from numdnc.tasks import Batch
from numdnc.tasks.reinforcement_task import ReinforcementSettings, ReinforcementTask


@dataclass(frozen=True, kw_only=True)
class ImitationSettings(ReinforcementSettings):
    """How episodes are learned from: by imitation, by trial or by policy gradient."""

    imitate: bool = False
    """Learn to prefer the best actions, which a search finds, instead of learning from rewards."""
    trials: bool = False
    """With --no-imitate, in place of a policy gradient: try every action at every step, play on by the likeliest ones,
    and learn to prefer those that brought most."""
    optimal_share: float = 0.5
    """With imitate or trials: probability that a step of a training episode takes one of the best actions for
    certain."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.imitate and self.trials:
            raise UserError("trials must be given without imitate, got both. Add --no-imitate.")
        if not 0 <= self.optimal_share <= 1:
            raise UserError(f"optimal_share must lie in [0, 1], got {self.optimal_share}.")


class ImitationTask(ReinforcementTask):
    """A `Task` of an `Environment` of one action a step whose episodes say which are `optimal`, (B, L) booleans.

    Their record has the same as `optimal`, (T, B, L). The model acts, at some steps
    by a best action, and learns which actions were the best from each state that it came to (Ross et al. 2011). It
    learns nothing of rewards, but is scored by them.
    """

    settings: ImitationSettings

    @property
    def gives_value(self) -> bool:
        """No: imitation needs no critic."""
        return False

    def _chooser(self, episodes: Episodes) -> Choose:
        """The best actions are known."""
        acting = cast(Any, episodes)
        return lambda logits, allowed: self._drawn(logits, allowed, acting.optimal)

    def _drawn(self, logits: Array, allowed: NDArray[Any], best: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Draw each action from the policy or, at some steps, from the best ones of it."""
        told = self._rng.random(len(logits)) < self.settings.optimal_share
        among = allowed & (best | ~told[:, None])
        return sample_actions(logits, among, self.environment.action_sizes, self._rng)

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Mean of -log of the probability of all best actions, the number of actions chosen, and its gradient."""
        if batch.episode is None:
            return 0.0, 1, np.zeros_like(outputs)
        return optimal_loss(outputs, batch.episode.record.optimal, batch.episode.allowed)
