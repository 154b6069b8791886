"""Learn from separate sequences that are drawn at random, without end.

A task of this kind is a frozen dataclass: its fields are its settings, and it can draw sequences (`Episodes`). Here it
becomes a `Task`, with a fixed set of sequences to be scored on and, if wanted, a curriculum. Losses are nats per
prediction: a bit, or a class where targets are classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.reference.losses import sigmoid_cross_entropy, softmax_cross_entropy
from numdnc.tasks import Batch, Forward, Scores, generator_from
from numdnc.tasks.curriculum import Curriculum
from numdnc.tasks.sequences import Episodes, alone, counted, drawn, joined, of_classes

_TRAINING, _EVALUATION = 0, 1
"""Set the random numbers of sequences to train on apart from those to be scored on."""
EVALUATED_AT_ONCE = 64
"""So many sequences are scored side by side, to bound memory."""


@dataclass(frozen=True, kw_only=True)
class EpisodeSettings:
    """How sequences are learned and scored."""

    batch: int = 16
    """B, sequences of an update."""
    evaluated: int = 256
    """Sequences that every progress line is scored on, always the same."""
    solved_at: float = 0.0
    """The run stops where the loss on these, in nats per prediction, is at most this; 0 = where none has an error."""
    grow: str = ""
    """A curriculum: the setting of the task, a whole number, that grows up to its own value; empty = none."""
    grow_from: int = 1
    """Its value on the first level."""
    grow_by: int = 1
    """How much it grows from level to level."""
    pass_at: float = 0.1
    """A level is passed where at most this share of its sequences has an error."""
    easier: float = 0.1
    """Share of the sequences trained on that come from earlier levels."""

    def __post_init__(self) -> None:
        for name in ("batch", "evaluated", "grow_by"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not self.solved_at >= 0:
            raise UserError(f"solved_at must be at least 0, got {self.solved_at}.")
        for name in ("pass_at", "easier"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} must lie in [0, 1], got {getattr(self, name)}.")


class EpisodeTask:
    """A `Task` of any `Episodes`."""

    unit = "nats"
    nats = 1.0

    def __init__(self, name: str, episodes: Episodes, settings: EpisodeSettings, seed: int) -> None:
        self.name = name
        self.episodes = episodes
        self.settings = settings
        self.input_size, self.output_size = episodes.input_size, episodes.output_size
        self._seed = seed
        self._rng = np.random.default_rng([seed, _TRAINING])
        self._curriculum = None
        if settings.grow:
            self._curriculum = Curriculum(
                episodes, settings.grow, settings.grow_from, settings.grow_by, settings.easier
            )

    def next_batch(self) -> Batch:
        """Fresh sequences; with a curriculum, most of the current level and some of earlier ones."""
        if self._curriculum is None:
            return drawn(self.episodes, self._rng, self.settings.batch)
        groups = self._curriculum.groups(self._rng, self.settings.batch)
        return joined([drawn(episodes, self._rng, count) for episodes, count in groups])

    @property
    def predictions(self) -> str:
        """What is predicted, as a word: bits or classes."""
        return "classes" if of_classes(self.example()) else "bits"

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Mean cross-entropy in nats, number of predictions, gradient by the outputs."""
        entropy = softmax_cross_entropy if of_classes(batch) else sigmoid_cross_entropy
        nats, d_outputs = entropy(outputs, batch.targets, batch.mask)
        each = 1 if of_classes(batch) else batch.targets.shape[2]
        return nats, each * int(counted(batch).sum()), d_outputs

    def score(self, forward: Forward, *, whole: bool = False) -> Scores:
        """Of the sequences to be scored on, which are the same every time: "loss", "bit_error", "sequence_error".

        bit_error is the share of predictions that are wrong, sequence_error that of sequences with any wrong. Below the
        last level of a curriculum there are also, unless `whole`, "level", the present value of what grows, and
        "level_error", the sequence_error on that level.
        """
        scores = self._measure(self.episodes, forward)
        if self._curriculum is not None and not self._curriculum.done and not whole:
            scores["level"] = float(self._curriculum.level)
            scores["level_error"] = self._measure(self._curriculum.episodes, forward)["sequence_error"]
        return scores

    def evaluation(self, episodes: Episodes | None = None) -> Iterator[Batch]:
        """The sequences that are scored on, drawn anew and yet the same every time; of other episodes if given."""
        rng = np.random.default_rng([self._seed, _EVALUATION])
        for first in range(0, self.settings.evaluated, EVALUATED_AT_ONCE):
            count = min(EVALUATED_AT_ONCE, self.settings.evaluated - first)
            yield drawn(self.episodes if episodes is None else episodes, rng, count)

    def example(self, sequences: int = 1) -> Batch:
        """So many sequences that are never trained on, always the same."""
        return drawn(self.episodes, np.random.default_rng([self._seed, _EVALUATION]), sequences)

    def sequence(self, number: int) -> Batch:
        """A single one of the sequences that are scored on, without padding."""
        if not 0 <= number < self.settings.evaluated:
            raise UserError(
                f"the sequence must be one of 0..{self.settings.evaluated - 1}, those scored on, got {number}."
            )
        group, row = divmod(number, EVALUATED_AT_ONCE)
        return alone(next(islice(self.evaluation(), group, None)), row)

    def _measure(self, episodes: Episodes, forward: Forward) -> Scores:
        nats = predictions = wrong = failed = 0.0
        for batch in self.evaluation(episodes):
            outputs, _ = forward(batch.inputs, None)
            mean, count, _ = self.loss(outputs, batch)
            errors = _errors(outputs, batch)
            nats += mean * count
            predictions += count
            wrong += int(errors.sum())
            failed += int((errors.sum(axis=0) > 0).sum())
        return {
            "loss": nats / predictions,
            "bit_error": wrong / predictions,
            "sequence_error": failed / self.settings.evaluated,
        }

    def solved(self, scores: Scores) -> bool:
        """Whether the loss is low enough or, where no loss was asked for, every sequence right."""
        if self.settings.solved_at:
            return scores["loss"] <= self.settings.solved_at
        return scores["sequence_error"] == 0

    def take(self, scores: Scores) -> None:
        """Go on to the next level where this one is passed."""
        if self._curriculum is not None and scores.get("level_error", 2) <= self.settings.pass_at:
            self._curriculum.rise()

    def position(self) -> dict[str, Any]:
        """Random state, and the level if there are any."""
        level = None if self._curriculum is None else self._curriculum.level
        return {"rng": self._rng.bit_generator.state, "level": level}

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""
        self._rng = generator_from(position["rng"])
        if self._curriculum is not None:
            self._curriculum.level = position["level"]


def _errors(outputs: Array, batch: Batch) -> Array:
    """(T, B), how many predictions are wrong: a bit is read as y > 0, a class as the largest y."""
    if of_classes(batch):
        wrong = (outputs.argmax(axis=2) != batch.targets).astype(int)
    else:
        wrong = ((outputs > 0) != (batch.targets > 0.5)).sum(axis=2)
    return np.where(counted(batch), wrong, 0)
