"""Provenance of reads: which step wrote what a head reads.

Axes: T steps, R read heads, V write heads, N slots, W word.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.spec import MemorySpec

LEAST = 0.1
"""Smaller weights of a read, and smaller remains of a write, are ignored."""
NONE = -1


class Provenance(NamedTuple):
    """For each step and head the slot that it reads most, and the step that wrote that slot."""

    slots: NDArray[np.int32]
    """(T, R), in 0..N-1 as the arrays number them; NONE if no slot has a read weight of LEAST or more."""
    writes: NDArray[np.int32]
    """(T, R), in 0..t; NONE if there is no such slot, or less than LEAST of every write is left in it."""


def provenance(spec: MemorySpec, arrays: Mapping[str, Array]) -> Provenance:
    """The write that each read shows, by how much later steps have left of every write.

        left[s, n] at step t = w_s[n] prod_{s<k<=t} (1 - w_k[n] e_k) psi_k[n]

    w_s is the write weighting of step s, e_k the mean of the erase gates over the word, psi_k the retention, which
    counts only with `deallocation`. With `recency` the factor is 0 at the slot that step k wipes, elsewhere 1. Of
    several write heads, w_s is the largest weight, and every head erases. `left` in [0, 1] is the share of the write
    vector of step s that slot n still holds. A read shows the latest write s whose `left` is at least half of the
    largest.

    `arrays` are those of a trace: write_weights (T, N), erase (T, W), read_weights (T, R, N), retention and allocation
    (T, N), as far as the model has them; with several write heads, write_weights (T, V, N) and erase (T, V, W).
    """
    weights = np.asarray(arrays["write_weights"], np.float64)
    if spec.recency:
        kept = 1 - np.asarray(arrays["allocation"], np.float64)
    else:
        kept = 1 - weights * np.asarray(arrays["erase"], np.float64).mean(-1, keepdims=True)
    if weights.ndim == 3:
        weights, kept = weights.max(1), kept.prod(1)
    if spec.deallocation:
        kept *= arrays["retention"]
    strongest = np.asarray(arrays["read_weights"]).argmax(2)
    reads_enough = np.take_along_axis(arrays["read_weights"], strongest[:, :, None], 2)[:, :, 0] >= LEAST
    slots = np.where(reads_enough, strongest, NONE).astype(np.int32)
    writes = np.full_like(slots, NONE)
    left = np.zeros_like(weights)
    for step, heads in enumerate(slots):
        left[:step] *= kept[step]
        left[step] = weights[step]
        for head, slot in enumerate(heads):
            if slot != NONE and left[:, slot].max() >= LEAST:
                writes[step, head] = np.flatnonzero(left[:, slot] >= left[:, slot].max() / 2)[-1]
    return Provenance(slots, writes)
