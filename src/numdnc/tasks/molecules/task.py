"""Predict the next token of a molecule, from the first to the token that ends it.

Axes: T steps, B batch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.data import Corpus
from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.tasks import Batch, Forward, Scores
from numdnc.tasks.epochs import Epochs
from numdnc.tasks.molecules.chemistry import randomised
from numdnc.tasks.molecules.likelihood import batch_of, negative_log_likelihoods
from numdnc.tasks.molecules.smiles import Vocabulary, read_molecules, tokenise
from numdnc.tasks.sequences import loss_mask
from numdnc.tasks.targets import cross_entropy

_MOST_AT_ONCE, _MOST_TOKENS = 1 << 16, 1 << 12
"""Limits of settings, which may come from a file of somebody else."""
_RANDOMISED = 1
"""Separates the random numbers of atoms' orders from those of epochs."""


@dataclass(frozen=True, kw_only=True)
class MoleculeSettings:
    """How molecules are split, batched, scored and sampled."""

    batch: int = 64
    """B, molecules per update."""
    held_out: float = 0.1
    """Share of the molecules, drawn at random and the same for every seed, that is kept out of training."""
    score_limit: int = 1000
    """At most this many held-out molecules are scored for a progress line (`eval` scores them all)."""
    max_tokens: int = 140
    """Most tokens of a molecule, in the file and in samples."""
    randomised: bool = False
    """Write each molecule from another of its atoms on every time that it is trained on, and held-out ones once
    (Arus-Pous et al. 2019); needs RDKit."""

    def __post_init__(self) -> None:
        for name, most in (("batch", _MOST_AT_ONCE), ("score_limit", None), ("max_tokens", _MOST_TOKENS)):
            value = getattr(self, name)
            if value < 1:
                raise UserError(f"{name} must be at least 1, got {value}.")
            if most is not None and value > most:
                raise UserError(f"{name} must be at most {most:,}, got {value:,}.")
        if not 0 < self.held_out < 1:
            raise UserError(f"held_out must lie between 0 and 1, got {self.held_out}.")


class MoleculeTask:
    """Next-token prediction on whole molecules; see `Task`.

    A molecule of L tokens is a sequence of L + 1 steps: the inputs are END and its tokens, the targets its tokens and
    END.
    """

    name = "molecules"
    unit = "nats"
    nats_per_unit = 1.0

    def __init__(self, corpus: Corpus, settings: MoleculeSettings, seed: int) -> None:
        self.settings = settings
        self.corpus_name = corpus.name
        tokens = read_molecules(corpus, settings.max_tokens)
        order = np.random.default_rng(0).permutation(len(tokens))
        cut = max(1, round(settings.held_out * len(tokens)))
        held_out, trained = ([tokens[i] for i in some] for some in (order[:cut], order[cut:]))
        if settings.randomised:
            rng = np.random.default_rng(_RANDOMISED)
            held_out = [self._randomised(molecule, rng) for molecule in held_out]
        self.vocabulary = Vocabulary.of(tokens + held_out)
        self.input_size = self.output_size = self.vocabulary.size
        self.held_out: list[NDArray[np.integer]] = [self.vocabulary.encode(molecule) for molecule in held_out]
        """Numbers of the tokens of each molecule that is kept out of training, ..."""
        self.trained: list[NDArray[np.integer]] = [self.vocabulary.encode(molecule) for molecule in trained]
        """... and of each of the others."""
        if len(self.trained) < settings.batch:
            raise UserError(
                f"{corpus.name} must hold at least a batch of {settings.batch} different molecules to train on, "
                f"got {len(self.trained)}. Lower --batch, or give more molecules."
            )
        self._seed = seed
        self._epochs = Epochs([len(molecule) for molecule in self.trained], settings.batch, seed)

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return self._epochs.batches

    @property
    def longest(self) -> int:
        """Most tokens of a molecule that is trained on or scored."""
        if self.settings.randomised:
            return self.settings.max_tokens
        return max(map(len, self.trained + self.held_out))

    def next_batch(self) -> Batch:
        """The next molecules, (T, B), the shorter ones padded."""
        molecules = [self.trained[i] for i in self._epochs.next_batch()]
        if self.settings.randomised:
            rng = np.random.default_rng([_RANDOMISED, self._seed, *self._epochs.position().values()])
            for row, molecule in enumerate(molecules):
                tokens = self._randomised(self.vocabulary.tokens_of(molecule), rng)
                if self.vocabulary.has(tokens):
                    molecules[row] = self.vocabulary.encode(tokens)
        return batch_of(molecules)

    def _randomised(self, molecule: list[str], rng: np.random.Generator) -> list[str]:
        """The tokens of a molecule from another atom on; those it has where they would be too many."""
        tokens = tokenise(randomised("".join(molecule), rng))
        return tokens if len(tokens) <= self.settings.max_tokens else molecule

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Mean cross-entropy in nats, number of tokens, gradient by the outputs."""
        return cross_entropy(outputs, batch.targets, loss_mask(batch))

    def score(self, forward: Forward, *, whole: bool = False) -> Scores:
        """Nats per token, "loss", and per molecule, "nll", of held-out molecules; of all only with `whole`."""
        molecules = self.held_out if whole else self.held_out[: self.settings.score_limit]
        nll = negative_log_likelihoods(forward, molecules)
        tokens = sum(len(molecule) + 1 for molecule in molecules)
        return {"loss": float(nll.sum()) / tokens, "nll": float(nll.mean())}

    def example(self, sequences: int = 1) -> Batch:
        """The first held-out molecules; from the beginning again if there are fewer."""
        return batch_of([self.held_out[i % len(self.held_out)] for i in range(sequences)])

    def molecule(self, number: int) -> NDArray[np.integer]:
        """One of the held-out molecules."""
        if not 0 <= number < len(self.held_out):
            raise UserError(
                f"the molecule must be one of 0..{len(self.held_out) - 1}, the held-out ones, got {number}."
            )
        return self.held_out[number]

    def solved(self, scores: Scores) -> bool:
        """Never: how well molecules can be predicted is unknown."""
        return False

    def on_scores(self, scores: Scores) -> None:
        """Do nothing: there is no curriculum."""

    def position(self) -> dict[str, Any]:
        """Epoch and batches read of it."""
        return self._epochs.position()

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""
        self._epochs.move_to(position, "molecules")
