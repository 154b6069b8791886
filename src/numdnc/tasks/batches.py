"""Batches of sequences of similar length, which need little padding, in a new random order in every epoch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

POOL = 32
"""Batches whose sequences are sorted together. More of them: less padding, but fewer kinds of story in a batch."""


def batches_by_length(lengths: Sequence[int], size: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """The indices of all sequences, each once, in batches of `size`; only one batch may be smaller.

    Sequences are shuffled and cut into pools of POOL batches; each pool is sorted by length, cut into batches, and
    these are shuffled.
    """
    order = rng.permutation(len(lengths))
    of = np.asarray(lengths)
    batches = []
    for first in range(0, len(order), POOL * size):
        pool = order[first : first + POOL * size]
        pool = pool[np.argsort(of[pool], kind="stable")]
        cut = [pool[start : start + size] for start in range(0, len(pool), size)]
        batches += [cut[number] for number in rng.permutation(len(cut))]
    return batches


def padding_share(lengths: Sequence[int], batches: Sequence[NDArray[np.intp]]) -> float:
    """Share of padding among all steps of some batches."""
    of = np.asarray(lengths)
    held = sum(int(of[batch].max()) * len(batch) for batch in batches)
    return 1 - sum(int(of[batch].sum()) for batch in batches) / held
