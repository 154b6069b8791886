"""Learn from separate sequences that are drawn at random, without end.

A task of this kind is a frozen dataclass: its fields are its settings, and it can draw sequences (`Episodes`). Here it
becomes a `Task`, with a fixed set of sequences to be scored on and, if wanted, a curriculum. Losses are nats per
prediction: a bit, or a class where targets are classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.schema import Count
from numdnc.tasks import Batch, Forward, RandomState, Scores, generator_from, position_from
from numdnc.tasks.apart import MOST_SHARED, KeptApart
from numdnc.tasks.curriculum import Curriculum
from numdnc.tasks.sequences import Episodes, alone, counted, drawn, joined
from numdnc.tasks.targets import cross_entropy, errors, of_classes

_TRAINING, _EVALUATION, _MEASUREMENT = 0, 1, 2
"""Set the random numbers of sequences to train on apart from those to be scored on, and both from those to count."""
_MOST_AT_ONCE, _MOST_EVALUATED = 1 << 16, 1 << 20
"""Bound what settings that come from elsewhere can ask for."""
EVALUATED_AT_ONCE = 64
"""So many sequences are scored side by side, to bound memory."""


@dataclass(frozen=True, kw_only=True)
class EpisodeSettings:
    """How sequences are learned and scored."""

    batch: int = 16
    """B, sequences per update."""
    evaluated: int = 256
    """Sequences that every progress line is scored on, always the same."""
    solved_at: float = 0.0
    """The run stops where the loss on these, in nats per prediction, is at most this; 0 = where none has an error."""
    grow: str = ""
    """A curriculum: the setting of the task, a whole number, that grows up to its own value; empty = none."""
    grow_from: int = 1
    """Its value on the first level, unless that is above the task's own."""
    grow_by: int = 1
    """How much it grows from level to level."""
    pass_at: float = 0.1
    """A level is passed where at most this share of its sequences has an error."""
    fall_at: float = 1.0
    """A level is lost, and the one before is gone back to, where more than this share of its sequences has an error
    after it was at most this; 1 = never."""
    easier: float = 0.1
    """Share of the sequences trained on that come from earlier levels."""

    def __post_init__(self) -> None:
        for name in ("batch", "evaluated", "grow_by"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name, most in (("batch", _MOST_AT_ONCE), ("evaluated", _MOST_EVALUATED)):
            if getattr(self, name) > most:
                raise UserError(f"{name} must be at most {most:,}, got {getattr(self, name):,}.")
        if not self.solved_at >= 0:
            raise UserError(f"solved_at must be at least 0, got {self.solved_at}.")
        for name in ("pass_at", "fall_at", "easier"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} must lie in [0, 1], got {getattr(self, name)}.")
        if self.fall_at < self.pass_at:
            raise UserError(
                f"fall_at must be at least pass_at, {self.pass_at}, got {self.fall_at}. Raise fall_at."
            )


@dataclass(frozen=True)
class _Position:
    rng: RandomState
    level: Count | None = None
    held: bool = False
    """Earlier versions do not say it."""


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
        """Fresh sequences, none of those scored on if there are enough others; with a curriculum, most of the current
        level and some of earlier ones.
        """
        if self._curriculum is None:
            return self._apart.drawn(self.episodes, self._rng, self.settings.batch)
        groups = self._curriculum.groups(self._rng, self.settings.batch)
        return joined([self._apart.drawn(episodes, self._rng, count) for episodes, count in groups])

    @cached_property
    def _apart(self) -> KeptApart:
        levels = [self.episodes] if self._curriculum is None else self._curriculum.levels
        scored = (
            batch for level in levels if getattr(level, "repeats", True) for batch in self.evaluation(level)
        )
        return KeptApart(scored, [self._seed, _MEASUREMENT])

    @property
    def shared(self) -> float:
        """The share of what is drawn to train on, on the present level, that is also scored on; 0 if kept apart."""
        share = self._apart.share(self.present)
        return share if share > MOST_SHARED else 0.0

    @property
    def present(self) -> Episodes:
        """The task as it is on the curriculum's present level; without a curriculum, the task."""
        return self.episodes if self._curriculum is None else self._curriculum.episodes

    @property
    def predictions(self) -> str:
        """What is predicted, as a word: bits or classes."""
        return "classes" if of_classes(self.example().targets) else "bits"

    def play(self, forward: Forward, batch: Batch) -> Batch:
        """The batch after the model has chosen, where the task lets it choose; else as it was."""
        play = getattr(self.episodes, "play", None)
        return batch if play is None else play(forward, batch, self._rng)

    def played(self, forward: Forward, batch: Batch) -> Batch:
        """The same where the model is left alone with its choices, as it is scored."""
        play = getattr(self.episodes, "play", None)
        return batch if play is None else play(forward, batch, None)

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Mean cross-entropy in nats, number of predictions, gradient by the outputs."""
        return cross_entropy(outputs, batch.targets, counted(batch))

    def score(self, forward: Forward, *, whole: bool = False) -> Scores:
        """Of the sequences to be scored on, which are the same every time: "loss", "bit_error", "sequence_error".

        bit_error is the share of predictions that are wrong, sequence_error that of sequences with any wrong. With a
        curriculum these are sequences of the present level, and "level" is the value of what grows there, unless
        `whole`: then they are those of the task itself. So they are where all of that is solved on an earlier level.
        """
        curriculum = self._curriculum
        if curriculum is None or whole:
            return self._measure(self.episodes, forward)
        scores = self._measure(curriculum.episodes, forward)
        if scores["sequence_error"] <= self.settings.pass_at and not curriculum.done:
            # Who has learned enough for all levels need not go through them.
            all_levels = self._measure(self.episodes, forward)
            if self._enough(all_levels):
                return {**all_levels, "level": float(curriculum.last)}
        return {**scores, "level": float(curriculum.level)}

    def evaluation(self, episodes: Episodes | None = None) -> Iterator[Batch]:
        """The sequences that are scored on, drawn anew and yet the same every time; of other episodes if given."""
        rng = np.random.default_rng([self._seed, _EVALUATION])
        for first in range(0, self.settings.evaluated, EVALUATED_AT_ONCE):
            count = min(EVALUATED_AT_ONCE, self.settings.evaluated - first)
            yield drawn(self.episodes if episodes is None else episodes, rng, count)

    def example(self, sequences: int = 1) -> Batch:
        """So many of the sequences scored on, always the same; with a curriculum, of the present level."""
        return drawn(self.present, np.random.default_rng([self._seed, _EVALUATION]), sequences)

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
        for given in self.evaluation(episodes):
            batch = self.played(forward, given)
            outputs, _ = forward(batch.inputs, None)
            mean, count, _ = self.loss(outputs, batch)
            misses = errors(outputs, batch.targets) & counted(batch)[..., None]
            nats += mean * count
            predictions += count
            wrong += int(misses.sum())
            failed += int(misses.any(axis=(0, 2)).sum())
        return {
            "loss": nats / predictions,
            "bit_error": wrong / predictions,
            "sequence_error": failed / self.settings.evaluated,
        }

    def solved(self, scores: Scores) -> bool:
        """Whether the loss is low enough or, where no loss was asked for, every sequence right, on the last level."""
        if self._curriculum is not None and scores["level"] < self._curriculum.last:
            return False
        return self._enough(scores)

    def _enough(self, scores: Scores) -> bool:
        if self.settings.solved_at:
            return scores["loss"] <= self.settings.solved_at
        return scores["sequence_error"] == 0

    def take(self, scores: Scores) -> None:
        """Go on to the next level where this one is passed, back to the one before where it is lost."""
        if self._curriculum is not None:
            self._curriculum.level = int(scores["level"])
            self._curriculum.take(scores["sequence_error"], self.settings.pass_at, self.settings.fall_at)

    def position(self) -> dict[str, Any]:
        """Random state, and the level if there are any."""
        level = {"level": None} if self._curriculum is None else self._curriculum.position()
        return {"rng": self._rng.bit_generator.state, **level}

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""
        curriculum = self._curriculum

        def fault(told: _Position) -> str:
            if curriculum is None or (told.level is not None and curriculum.has(told.level)):
                return ""
            return f"level {told.level} is not one of its curriculum"

        told = position_from(_Position, position, fault)
        self._rng = generator_from(told.rng)
        if curriculum is not None and told.level is not None:
            curriculum.move_to(told.level, held=told.held)
