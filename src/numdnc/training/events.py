"""The events of a training, in the order in which `train` yields them."""

from typing import Any, NamedTuple


class Tick(NamedTuple):
    """An iteration is done."""

    iteration: int
    train: float  # mean loss since the last report, in the task's unit
    seconds_left: float


class Report(NamedTuple):
    """A progress line."""

    seconds: float  # trained in all, over every resume
    iteration: int
    train: float  # mean loss over the iterations since the last report, in the task's unit
    held_out: float  # the first of the scores; with a curriculum, on its present level
    scores: dict[str, float]
    solved: bool  # whether nothing is left to learn
    per_second: (
        float  # predictions trained on, since the last report; without the first iteration, which may compile
    )
    seconds_left: float
    learning_rate: float
    gradient_norm: float  # of the last iteration, before clipping
    health: dict[str, float]  # figures about the model, from the `health` of `train`

    def record(self) -> dict[str, Any]:
        """The line of metrics.jsonl: each score is a key of its own, health is an object (left out if empty)."""
        plain = self._asdict()
        scores, health = plain.pop("scores"), plain.pop("health")
        return {**plain, **scores, **({"health": health} if health else {})}


class Finished(NamedTuple):
    """The run has stopped and is saved."""

    reason: (
        str  # "solved", "early_stop", "steps", "minutes", "interrupted" or "launcher_exited" (no torchrun)
    )
    iteration: int


Event = Tick | Report | Finished
