"""The slots that a sequence touches: all that a trace keeps of a large sparse memory.

Axes: N slots, S slots kept, K links of a row.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.inspection.internals import recorded_parts
from numdnc.params import Array
from numdnc.spec import Spec

MANY_SLOTS = 256
"""A trace of a sparse model with more slots than this keeps only those that its sequence touches."""
_WEIGHTINGS = (
    *("write_weights", "read_weights", "precedence", "allocation"),
    *("write_content", "read_content", "forward", "backward"),
)


def touched_slots(spec: Spec, steps: Iterable[Mapping[str, Array]]) -> NDArray[np.int32]:
    """Rising numbers (S,) of the slots where a weighting, the precedence or a link is not 0 at some step.

    `steps` are the internal values of each step, as in inspection/internals.py. With `recency` the slot that a step
    wipes is one of them: the allocation is 1 there. If no slot is touched, the result is slot 0.
    """
    N = spec.memory_size
    touched = np.zeros(N, bool)
    for found in steps:
        for name in _WEIGHTINGS:
            if name in found:
                touched |= (found[name].reshape(-1, N) != 0).any(axis=0)
        if spec.links:
            linked = found["link_values"] != 0
            touched |= linked.any(axis=(0, 2))
            touched[found["link_slots"][linked].astype(np.intp)] = True
    return np.flatnonzero(touched if touched.any() else np.arange(N) == 0).astype(np.int32)


def at_slots(spec: Spec, found: Mapping[str, Array], slots: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
    """Internal values (B, ..) with these slots alone; "link_slots" then refers to positions in `slots`."""
    kept: dict[str, NDArray[Any]] = dict(found)
    sizes = spec.axis_sizes if spec.has_memory else {}
    for name, part in recorded_parts(spec).items():
        axes = part.axes_in(sizes)
        if "N" in axes:
            kept[name] = found[name].take(slots, axis=1 + axes.index("N"))
    if spec.links:
        kept["link_slots"] = np.searchsorted(slots, kept["link_slots"])
    return kept
