"""Molecules as a batch, how likely a model finds them, and how two collections differ in that.

Axes: T steps, B batch, Y tokens.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.reinforcement import log_probability
from numdnc.tasks import Batch, Forward
from numdnc.tasks.molecules.smiles import END
from numdnc.tasks.sequences import loss_mask

EVAL_BATCH = 256
"""Molecules that are scored at once, to limit memory."""


def batch_of(molecules: Sequence[NDArray[np.integer]], ended: NDArray[np.bool_] | None = None) -> Batch:
    """Molecules as a batch, (T, B); the longest one decides T. END is no target of a molecule that has not `ended`."""
    steps = 1 + max(map(len, molecules))
    inputs = np.full((steps, len(molecules)), END, molecules[0].dtype)
    targets, mask = inputs.copy(), np.zeros(inputs.shape, bool)
    for row, molecule in enumerate(molecules):
        end = len(molecule)
        inputs[1 : end + 1, row] = targets[:end, row] = molecule
        mask[: end + (ended is None or ended[row]), row] = True
    return Batch(inputs, targets, mask=mask)


def log_probabilities(outputs: Array, numbers: NDArray[np.integer]) -> tuple[Array, Array]:
    """Log probability of a token for each row of outputs (.., Y), (..), and its gradient by the outputs."""
    return log_probability(
        outputs.astype(np.float64),
        numbers[..., None].astype(np.intp),
        np.ones(outputs.shape, bool),
        outputs.shape[-1:],
    )


def log_likelihood(outputs: Array, batch: Batch) -> NDArray[np.float64]:
    """log p of each sequence of a batch, (B,): that of its targets, where the mask is True."""
    found: NDArray[np.float64] = (log_probabilities(outputs, batch.targets)[0] * loss_mask(batch)).sum(axis=0)
    return found


def negative_log_likelihoods(
    forward: Forward, molecules: Sequence[NDArray[np.integer]]
) -> NDArray[np.float64]:
    """-log p of each molecule, its end included, in nats."""
    found = np.empty(len(molecules))
    by_length = np.argsort([len(molecule) for molecule in molecules], kind="stable")
    for first in range(0, len(molecules), EVAL_BATCH):
        chosen = by_length[first : first + EVAL_BATCH]
        batch = batch_of([molecules[i] for i in chosen])
        found[chosen] = -log_likelihood(forward(batch.inputs, None)[0], batch)
    return found


def divergence(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Jensen-Shannon divergence of two collections of likelihoods -log p, in nats, in [0, ln 2].

        (KL(P || M) + KL(Q || M)) / 2,   M = (P + Q) / 2

    P and Q are histograms with bins of 1 nat. Source: Arus-Pous et al. 2019 (J. Cheminformatics 11:71), who compare
    samples with training and validation molecules by it; their program takes it of the lists themselves.
    """
    most = int(max(one.max(), other.max())) + 1
    P, Q = (np.histogram(values, most, (0, most))[0] / len(values) for values in (one, other))
    M = (P + Q) / 2
    return sum(float((p[p > 0] * np.log(p[p > 0] / M[p > 0])).sum()) for p in (P, Q)) / 2
