"""REINVENT (Olivecrona et al. 2017, arXiv 1704.07555): steer a model of molecules, the prior, towards a score.

The agent begins as the prior. It writes a batch of molecules, and the mean square of a difference falls:

    L = 1/B sum_b (log p_prior(x_b) + sigma s(x_b) - log p_agent(x_b))^2

so that it writes molecules of a high score s, but such as the prior finds likely. Axes: T steps, B batch, Y tokens.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.tasks import Batch, Forward, RandomState, Scores, generator_from, position_from
from numdnc.tasks.molecules.chemistry import canonical
from numdnc.tasks.molecules.likelihood import batch_of, log_likelihood, log_probabilities
from numdnc.tasks.molecules.sampling import Samples, draw
from numdnc.tasks.molecules.smiles import END, Vocabulary
from numdnc.tasks.sequences import loss_mask

Score = Callable[[str], float]
"""Canonical SMILES of a valid molecule -> its score, in [-1, 1]; what is not valid has the score 0."""
_TRAINING, _EVALUATION, _EXAMPLE = 0, 1, 2
"""Separate the random numbers for training, for scores, and for the molecules that are looked into."""
_MOST_AT_ONCE, _MOST_EVALUATED = 1 << 16, 1 << 20
"""Limits of settings, which may come from a file of somebody else."""


@dataclass(frozen=True, kw_only=True)
class ReinventSettings:
    """How an agent is steered and scored."""

    sigma: float = 60.0
    """Weight of the score beside the log likelihood of the prior."""
    batch: int = 64
    """B, molecules per update."""
    evaluated: int = 256
    """Molecules that every progress line samples and scores."""

    def __post_init__(self) -> None:
        if not (self.sigma >= 0 and math.isfinite(self.sigma)):
            raise UserError(f"sigma must be a number of at least 0, got {self.sigma}.")
        for name, most in (("batch", _MOST_AT_ONCE), ("evaluated", _MOST_EVALUATED)):
            if not 1 <= getattr(self, name) <= most:
                raise UserError(f"{name} must be from 1 to {most:,}, got {getattr(self, name):,}.")


@dataclass(frozen=True)
class _Position:
    rng: RandomState


class ReinventTask:
    """Molecules of a high score that a prior finds likely; see `Task`. The agent's own samples are its batches."""

    name = "reinvent"
    unit = "loss"
    nats_per_unit = 1.0
    tries_actions = False

    def __init__(
        self,
        vocabulary: Vocabulary,
        prior: Forward,
        score: Score,
        settings: ReinventSettings,
        *,
        max_tokens: int,
        seed: int,
    ) -> None:
        canonical("C")  # without RDKit, say so now
        self.vocabulary, self.settings = vocabulary, settings
        self.input_size = self.output_size = vocabulary.size
        self.prior = prior
        self._score, self._max_tokens, self._seed = score, max_tokens, seed
        self._rng = np.random.default_rng([seed, _TRAINING])

    def next_batch(self) -> Batch:
        """A place for as many molecules as a batch has, which `rollout` fills."""
        return batch_of([np.empty(0, self.vocabulary.dtype)] * self.settings.batch)

    def rollout(self, forward: Forward, batch: Batch) -> Batch:
        """The molecules that the agent writes, as a batch."""
        return _as_batch(self.samples(forward, batch.inputs.shape[1], self._rng))

    def samples(self, forward: Forward, count: int, rng: np.random.Generator) -> Samples:
        """Let a model write molecules."""
        begin = np.empty(0, self.vocabulary.dtype)
        return draw(forward, count=count, begin=begin, max_tokens=self._max_tokens, temperature=1.0, rng=rng)

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """The loss of the agent's outputs (T, B, Y) on its own molecules, their number, and the gradient.

            d L / d y_t = -2/B (log p_prior + sigma s - log p_agent) (onehot(x_t) - softmax(y_t))

        The molecules themselves are constants.
        """
        counts = loss_mask(batch)
        prior = log_likelihood(self.prior(batch.inputs, None)[0], batch)
        log_p, gradient = log_probabilities(outputs, batch.targets)
        difference = prior + self.settings.sigma * self.scores_of(batch) - (log_p * counts).sum(axis=0)
        count = len(difference)
        d_outputs = -(2 / count) * (difference * counts)[..., None] * gradient
        return float(np.square(difference).mean()), count, d_outputs.astype(outputs.dtype)

    def scores_of(self, batch: Batch) -> NDArray[np.float64]:
        """The score of each molecule of a batch, (B,); 0 for one that is not valid or has not ended."""
        mask, found = loss_mask(batch), np.zeros(batch.targets.shape[1])
        for row in range(len(found)):
            tokens = batch.targets[mask[:, row], row]
            smiles = canonical(self.vocabulary.decode(tokens[:-1])) if tokens[-1] == END else None
            found[row] = 0 if smiles is None else _checked(self._score(smiles), smiles)
        return found

    def score(self, forward: Forward, *, whole: bool = False) -> Scores:
        """Scores of molecules that a model samples, with the same random numbers every time.

        "shortfall" is 1 less the mean score, "invalid" the share that is not valid, "repeated" that of valid ones that
        are there already.
        """
        return self.judge(self.samples(forward, self.settings.evaluated, self.scoring_rng()))

    def scoring_rng(self) -> np.random.Generator:
        """The random numbers for samples that are scored."""
        return np.random.default_rng([self._seed, _EVALUATION])

    def judge(self, samples: Samples) -> Scores:
        """The scores of samples."""
        batch = _as_batch(samples)
        valid = [
            smiles
            for tokens, ended in zip(samples.tokens, samples.ended, strict=True)
            if ended and (smiles := canonical(self.vocabulary.decode(tokens))) is not None
        ]
        return {
            "shortfall": 1 - float(self.scores_of(batch).mean()),
            "invalid": 1 - len(valid) / len(samples.tokens),
            "repeated": 1 - len(set(valid)) / max(len(valid), 1),
        }

    def example(self, sequences: int = 1) -> Batch:
        """Molecules that the prior writes, always the same."""
        some = [i % self.settings.evaluated for i in range(sequences)]
        return batch_of([self._examples.tokens[i] for i in some], self._examples.ended[some])

    def molecule(self, number: int) -> NDArray[np.integer]:
        """One of `evaluated` molecules that the prior writes."""
        if not 0 <= number < self.settings.evaluated:
            raise UserError(
                f"the molecule must be one of 0..{self.settings.evaluated - 1} that the prior writes, got {number}."
            )
        return self._examples.tokens[number]

    @cached_property
    def _examples(self) -> Samples:
        rng = np.random.default_rng([self._seed, _EXAMPLE])
        return self.samples(self.prior, self.settings.evaluated, rng)

    def solved(self, scores: Scores) -> bool:
        """Never: the best score is unknown."""
        return False

    def on_scores(self, scores: Scores) -> None:
        """Do nothing: there is no curriculum."""

    def position(self) -> dict[str, Any]:
        """Random state."""
        return {"rng": self._rng.bit_generator.state}

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""
        self._rng = generator_from(position_from(_Position, position, lambda saved: "").rng)


def _as_batch(samples: Samples) -> Batch:
    return batch_of(samples.tokens, samples.ended)


def _checked(score: Any, smiles: str) -> float:
    """A score, if it is a number in [-1, 1]."""
    try:
        found = float(score)
    except (TypeError, ValueError):
        found = math.nan
    if not -1 <= found <= 1:
        raise UserError(
            f"the score of {smiles} must be a number from -1 to 1, got {score!r}. Correct its function."
        )
    return found
