"""Learn sequences of a user's own: bits or classes at the steps where a mask is 1.

Axes: T steps, B batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.tasks import Batch, Forward, Scores
from numdnc.tasks.arrays.files import RawArrays
from numdnc.tasks.arrays.sequences import TargetKind, sequences_of
from numdnc.tasks.epochs import Epochs
from numdnc.tasks.scoring import sequence_scores
from numdnc.tasks.sequences import loss_mask
from numdnc.tasks.targets import are_classes, cross_entropy

EVAL_BATCH = 64
"""Sequences that are scored at once, to limit memory."""
_MOST_AT_ONCE = 1 << 16
"""Limit of a setting, which may come from a file of somebody else."""


@dataclass(frozen=True, kw_only=True)
class ArraySettings:
    """How the sequences are understood, split, batched and scored."""

    targets_as: TargetKind = "auto"
    """bits: each number is one, from 0 to 1 (sigmoid); classes: each whole number is one of as many classes as there
    are (softmax); auto: whole numbers are classes if there is one a step or any is above 1, all else is bits."""
    batch: int = 16
    """B, sequences per update."""
    held_out: float = 0.1
    """Share of the sequences, drawn at random and the same for every seed, that is kept out of training."""
    score_limit: int = 1000
    """At most this many held-out sequences are scored for a progress line (`eval` scores them all)."""
    solved_at: float = 0.0
    """The run stops once their loss, in nats per prediction, is at most this; 0 = once none of them has an error."""

    def __post_init__(self) -> None:
        for name, most in (("batch", _MOST_AT_ONCE), ("score_limit", None)):
            value = getattr(self, name)
            if value < 1:
                raise UserError(f"{name} must be at least 1, got {value}.")
            if most is not None and value > most:
                raise UserError(f"{name} must be at most {most:,}, got {value:,}.")
        if not 0 < self.held_out < 1:
            raise UserError(f"held_out must lie between 0 and 1, got {self.held_out}.")
        if not self.solved_at >= 0:
            raise UserError(f"solved_at must be at least 0, got {self.solved_at}.")


class ArrayTask:
    """A given set of sequences, in epochs; see `Task`."""

    name = "arrays"
    unit = "nats"
    nats_per_unit = 1.0

    def __init__(self, raw: RawArrays, settings: ArraySettings, seed: int) -> None:
        self.settings = settings
        self.sequences = sequences_of(raw, settings.targets_as)
        self.input_size, self.output_size = self.sequences.input_size, self.sequences.output_size
        count = len(self.sequences.mask)
        order = np.random.default_rng(0).permutation(count)
        cut = max(1, round(settings.held_out * count))
        self.held_out, self.trained = order[:cut], order[cut:]
        """Numbers of the sequences that are kept out of training, and of the others."""
        if len(self.trained) < settings.batch:
            raise UserError(
                f"there must be at least a batch of {settings.batch} sequences to train on, got {len(self.trained)} of "
                f"{count}. Lower --batch, or give more sequences."
            )
        self._epochs = Epochs(self.sequences.lengths[self.trained].tolist(), settings.batch, seed)

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self._epochs.batches

    @property
    def target_kind(self) -> str:
        """What a prediction is, "bits" or "classes"; the word is shown to users."""
        return "classes" if are_classes(self.sequences.targets) else "bits"

    @property
    def overlap(self) -> float:
        """Share of the held-out sequences whose inputs are also those of one to train on."""
        rows = [row.tobytes() for row in self.sequences.inputs]
        trained = {rows[number] for number in self.trained}
        return sum(rows[number] in trained for number in self.held_out) / len(self.held_out)

    def next_batch(self) -> Batch:
        """The next sequences, (T, B), the shorter ones padded."""
        return self.sequences.rows(self.trained[self._epochs.next_batch()])

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Mean cross-entropy in nats, number of predictions, gradient by the outputs."""
        return cross_entropy(outputs, batch.targets, loss_mask(batch))

    def score(self, forward: Forward, *, whole: bool = False) -> Scores:
        """Scores of the held-out sequences, "loss", "bit_error", "sequence_error"; of all only with `whole`."""
        return self.score_first(forward, len(self.held_out) if whole else self.settings.score_limit)

    def score_first(self, forward: Forward, count: int) -> Scores:
        """The same of the first held-out sequences only."""
        return sequence_scores(forward, self._evaluation_batches(count))

    def _evaluation_batches(self, count: int) -> Iterator[Batch]:
        chosen = self.held_out[:count]
        for first in range(0, len(chosen), EVAL_BATCH):
            yield self.sequences.rows(chosen[first : first + EVAL_BATCH])

    def example(self, sequences: int = 1) -> Batch:
        """The first held-out sequences; from the beginning again if there are fewer."""
        return self.sequences.rows(np.resize(self.held_out, sequences))

    def sequence(self, number: int) -> Batch:
        """One of the held-out sequences, without padding."""
        if not 0 <= number < len(self.held_out):
            raise UserError(
                f"the sequence must be one of 0..{len(self.held_out) - 1}, the held-out ones, got {number}."
            )
        return self.sequences.rows(self.held_out[[number]])

    def solved(self, scores: Scores) -> bool:
        """Whether the loss is at most `solved_at` or, if that is 0, every sequence is right."""
        if self.settings.solved_at:
            return scores["loss"] <= self.settings.solved_at
        return scores["sequence_error"] == 0

    def on_scores(self, scores: Scores) -> None:
        """Do nothing: there is no curriculum."""

    def position(self) -> dict[str, Any]:
        """Epoch and batches read of it."""
        return self._epochs.position()

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""
        self._epochs.move_to(position, "sequences")
