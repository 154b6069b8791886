"""Batches of sequences of about equal length, so that little is padded, in an order that is new in every epoch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

POOL = 32
"""Batches whose sequences are sorted by length together. More: less padding, but fewer kinds of story in a batch."""


def batches_by_length(lengths: Sequence[int], size: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """The numbers of all sequences, each once, in batches of `size`; only the last batch drawn may be smaller.

    All are shuffled, cut into pools of POOL batches, sorted by length within each, cut into batches, and the batches
    of a pool shuffled again.
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
    """Share of the steps of some batches that are padding."""
    of = np.asarray(lengths)
    held = sum(int(of[batch].max()) * len(batch) for batch in batches)
    return 1 - sum(int(of[batch].sum()) for batch in batches) / held
