"""Learn from separate sequences that are drawn at random, without end.

A `SequenceGenerator` is a frozen dataclass: its fields are its settings, and it draws sequences. `SequenceTask` makes a
`Task` of it, with a fixed set of held-out sequences and an optional curriculum. Losses are nats per prediction: per
bit, or per class where targets are classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.tasks import Batch, Forward, Scores
from numdnc.tasks.curriculum import Curriculum, continue_from, position_of
from numdnc.tasks.held_out import MAX_OVERLAP, HeldOutFilter
from numdnc.tasks.scoring import sequence_scores
from numdnc.tasks.sequences import (
    SequenceGenerator,
    draw_checked,
    loss_mask,
    optional_attribute,
    pad_and_concat,
    single_sequence,
)
from numdnc.tasks.targets import are_classes, cross_entropy, divergence_from_hints, predictions_per_step

_TRAINING, _EVALUATION, _MEASUREMENT = 0, 1, 2
"""Separate the random numbers for training, for the held-out set, and for the estimate of their overlap."""
_MOST_AT_ONCE, _MOST_EVALUATED = 1 << 16, 1 << 20
"""Limits of settings, which may come from a file of somebody else."""
EVAL_BATCH = 64
"""Sequences that are scored at once, to limit memory."""


@dataclass(frozen=True, kw_only=True)
class SequenceSettings:
    """How sequences are batched, scored and ordered from easy to hard."""

    batch: int = 16
    """B, sequences per update."""
    evaluated: int = 256
    """Held-out sequences that every progress line scores, always the same."""
    solved_at: float = 0.0
    """The run stops once their loss, in nats per prediction, is at most this; 0 = once none of them has an error."""
    grow: str = ""
    """Curriculum: the task's setting, a whole number, that grows up to its own value; empty = no curriculum."""
    grow_from: int = 1
    """Value of that setting on the first level, unless the task's own is lower."""
    grow_by: int = 1
    """Its increase from level to level."""
    double: bool = False
    """Double it from level to level instead."""
    pass_at: float = 0.1
    """A level is passed once at most this share of its sequences, or of their questions, has an error."""
    fall_at: float = 1.0
    """Training goes back a level once more than this share of its sequences has an error, where it was at most this
    before; 1 = never."""
    easier: float = 0.1
    """Share of the training sequences that come from earlier levels."""

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


class SequenceTask:
    """A `Task` of any `SequenceGenerator`."""

    unit = "nats"
    nats_per_unit = 1.0
    tries_actions = False

    def __init__(
        self, name: str, generator: SequenceGenerator, settings: SequenceSettings, seed: int
    ) -> None:
        self.name = name
        self.generator = generator
        self.settings = settings
        self.input_size, self.output_size = generator.input_size, generator.output_size
        self._seed = seed
        self._rng = np.random.default_rng([seed, _TRAINING])
        self._curriculum = None
        if settings.grow:
            self._curriculum = Curriculum(
                generator,
                settings.grow,
                settings.grow_from,
                settings.grow_by,
                settings.easier,
                doubling=settings.double,
            )

    def next_batch(self) -> Batch:
        """New sequences, none of them held out if enough others exist; with a curriculum, most from the current level
        and some from earlier ones.
        """
        if self._curriculum is None:
            return self._filter.draw(_for_training(self.generator), self._rng, self.settings.batch)
        groups = self._curriculum.draw_levels(self._rng, self.settings.batch)
        return pad_and_concat(
            [self._filter.draw(_for_training(generator), self._rng, count) for generator, count in groups]
        )

    @cached_property
    def _filter(self) -> HeldOutFilter:
        levels = [self.generator] if self._curriculum is None else self._curriculum.levels
        scored = (
            batch
            for level in levels
            if getattr(level, "repeats", True)
            for batch in self.evaluation_batches(level)
        )
        return HeldOutFilter(scored, [self._seed, _MEASUREMENT])

    @property
    def overlap(self) -> float:
        """Share of held-out sequences among those drawn for training on the current level; 0 if they are kept apart."""
        overlap = self._filter.overlap(self.current)
        return overlap if overlap > MAX_OVERLAP else 0.0

    @property
    def current(self) -> SequenceGenerator:
        """The generator of the curriculum's current level; without a curriculum, that of the task."""
        return self.generator if self._curriculum is None else self._curriculum.generator

    @property
    def slots_needed(self) -> int | None:
        """How many vectors a sequence of the current level must hold in memory at once, where the task says it."""
        slots: int | None = optional_attribute(self.current, "slots_needed")
        return slots

    @property
    def target_kind(self) -> str:
        """What a prediction is, "bits" or "classes"; the word is shown to users."""
        return "classes" if are_classes(self.example().targets) else "bits"

    def rollout(self, forward: Forward, batch: Batch) -> Batch:
        """The batch with the model's own choices filled in, for training; unchanged where the task offers no choice."""
        return self._rollout(forward, batch, self._rng)

    def scoring_rollout(self, forward: Forward, batch: Batch) -> Batch:
        """The same for scoring: every choice is the model's, none is corrected at random."""
        return self._rollout(forward, batch, None)

    def _rollout(self, forward: Forward, batch: Batch, rng: np.random.Generator | None) -> Batch:
        rollout = optional_attribute(self.generator, "rollout")
        return batch if rollout is None else rollout(forward, batch, rng)

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Mean cross-entropy in nats, number of predictions, gradient by the outputs.

        A hint counts as much as a step of an answer.
        """
        nats, number, d_outputs = cross_entropy(outputs, batch.targets, loss_mask(batch), batch.choices)
        if batch.hints is None:
            return nats, number, d_outputs
        groups = predictions_per_step(batch.targets, outputs)
        of_hints, hints, d_of_hints = divergence_from_hints(outputs, batch.hints, groups)
        if batch.choices is None:
            hints *= groups
        share = number / (number + hints)
        mean: Array = share * d_outputs + (1 - share) * d_of_hints
        return share * nats + (1 - share) * of_hints, number + hints, mean

    def score(self, forward: Forward, *, whole: bool = False) -> Scores:
        """Scores on the held-out sequences, which are the same every time: "loss", "bit_error", "sequence_error".

        bit_error is the share of wrong predictions, sequence_error that of sequences with any wrong prediction and,
        where a sequence has several questions, question_error that of questions with any in their answer. With a
        curriculum they are of the current level, which "level" gives; with `whole`, or where the task itself turns out
        to be solved already, they are of the task itself.
        """
        curriculum = self._curriculum
        if curriculum is None or whole:
            return self._measure(self.generator, forward)
        scores = self._measure(curriculum.generator, forward)
        if _failed(scores) <= self.settings.pass_at and not curriculum.on_last_level:
            # A model that solves the task itself need not go through the remaining levels.
            all_levels = self._measure(self.generator, forward)
            if self._enough(all_levels):
                return {**all_levels, "level": float(curriculum.last)}
        return {**scores, "level": float(curriculum.level)}

    def evaluation_batches(self, generator: SequenceGenerator | None = None) -> Iterator[Batch]:
        """The held-out sequences, drawn again and the same every time; those of another generator if given."""
        rng = np.random.default_rng([self._seed, _EVALUATION])
        for first in range(0, self.settings.evaluated, EVAL_BATCH):
            count = min(EVAL_BATCH, self.settings.evaluated - first)
            yield draw_checked(self.generator if generator is None else generator, rng, count)

    def example(self, sequences: int = 1) -> Batch:
        """The first `sequences` held-out sequences; with a curriculum, of the current level."""
        return draw_checked(self.current, np.random.default_rng([self._seed, _EVALUATION]), sequences)

    def sequence(self, number: int) -> Batch:
        """One of the held-out sequences, without padding."""
        if not 0 <= number < self.settings.evaluated:
            raise UserError(
                f"the sequence must be one of 0..{self.settings.evaluated - 1}, the held-out ones, got {number}."
            )
        group, row = divmod(number, EVAL_BATCH)
        return single_sequence(next(islice(self.evaluation_batches(), group, None)), row)

    def _measure(self, generator: SequenceGenerator, forward: Forward) -> Scores:
        batches = (self.scoring_rollout(forward, given) for given in self.evaluation_batches(generator))
        several = (optional_attribute(generator, "queries") or 1) > 1
        return sequence_scores(forward, batches, several=several)

    def solved(self, scores: Scores) -> bool:
        """Whether, on the last level, the loss is at most `solved_at` or, if that is 0, every sequence is right."""
        if self._curriculum is not None and scores["level"] < self._curriculum.last:
            return False
        return self._enough(scores)

    def _enough(self, scores: Scores) -> bool:
        if self.settings.solved_at:
            return scores["loss"] <= self.settings.solved_at
        return scores["sequence_error"] == 0

    def on_scores(self, scores: Scores) -> None:
        """Move to the next level if this one is passed, or back to the one before if it is lost."""
        if self._curriculum is not None:
            self._curriculum.level = int(scores["level"])
            self._curriculum.update(_failed(scores), self.settings.pass_at, self.settings.fall_at)

    def position(self) -> dict[str, Any]:
        """Random state, and the level if there are any."""
        return position_of(self._rng, self._curriculum)

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""
        self._rng = continue_from(position, self._curriculum)


def _for_training(generator: SequenceGenerator) -> SequenceGenerator:
    """The generator of the sequences that are trained on."""
    other: SequenceGenerator | None = optional_attribute(generator, "for_training")
    return generator if other is None else other


def _failed(scores: Scores) -> float:
    """The share of questions, or of sequences of one question, with an error."""
    return scores.get("question_error", scores["sequence_error"])
