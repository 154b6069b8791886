"""From a read back to the write: which step put there what a head reads.

Axes: T steps, R read heads, N slots, W word.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array

LEAST = 0.1
"""A read, or what is left of a write, of less than this is taken for none."""
NONE = -1


class Provenance(NamedTuple):
    """Of each step and head the slot it reads most and the step that wrote it."""

    slots: NDArray[np.int32]
    """(T, R), 0..N-1; NONE where the head gives no slot a weight of LEAST or more."""
    writes: NDArray[np.int32]
    """(T, R), 0..t; NONE where there is no such slot, or less than LEAST of every write is left in it."""


def provenance(arrays: Mapping[str, Array], *, deallocation: bool) -> Provenance:
    """Where each read comes from, by what later writes have left of every write.

        left[s, n] at step t = w_s[n] prod_{s<k<=t} (1 - w_k[n] e_k) psi_k[n]

    w_s is the write weighting of step s, e_k the mean of the erase gates over the word, psi_k the retention, which
    counts with `deallocation` only. `left` in [0, 1] is the share of its write vector that slot n still holds. The
    write of a read is the latest s whose `left` is at least half of the largest: of what stands there together, the
    newest.

    `arrays` are those of a trace: write_weights (T, N), erase (T, W), read_weights (T, R, N), retention (T, N).
    """
    weights = np.asarray(arrays["write_weights"], np.float64)
    kept = 1 - weights * np.asarray(arrays["erase"], np.float64).mean(1, keepdims=True)
    if deallocation:
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
