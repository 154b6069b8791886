"""How close a run of the definition comes to a tie: there another slot is chosen and gradients jump."""

from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from numdnc import DNCSpec, reference
from numdnc.reference import content, sparse
from numdnc.reference.memories import memory_tapes
from numdnc.spec import ACCESSED

_LARGEST = sparse.largest


def nearest_tie(
    spec: Any, params: Any, inputs: NDArray[Any], state: Any, mask: Any = None, lengths: Any = None
) -> float:
    """The smallest difference between two values that are compared to choose slots, at any step.

    These are usages (those that write heads allocate by), the last value that a cut keeps and the first that it drops,
    and, with `recency`, the weight of a slot and the least that counts as an access. Equal zeros are no tie: they are 0
    in every engine.
    """
    if not isinstance(spec, DNCSpec):
        return float("inf")
    gaps = [np.inf]

    def note(low: Any, high: Any) -> None:
        apart = np.abs(high - low)[(high != 0) | (low != 0)]
        gaps.append(float(apart.min(initial=np.inf)))

    def watched(values: Any, count: int) -> Any:
        if count < values.shape[-1]:
            falling = -np.sort(-values, axis=-1)
            note(falling[..., count], falling[..., count - 1])
        return _LARGEST(values, count)

    with mock.patch.object(sparse, "largest", watched), mock.patch.object(content, "largest", watched):
        _, _, tape = reference.forward(
            spec, params, inputs, state, keep_tape=True, bypass_mask=mask, lengths=lengths
        )
    for step in tape.steps if tape is not None else ():
        after = step.access.after
        if spec.recency:
            note(ACCESSED, after.write_weights + after.read_weights.sum(axis=1))
        else:
            for turn in (turn for memory in memory_tapes(step.access) for turn in memory.writing.turns):
                usages = np.sort(turn.usage, axis=-1)
                gaps.append(float(np.diff(usages, axis=-1).min(initial=np.inf)))
    return min(gaps)
