"""Leave out parts of a trace whose page would be too large, the least important first.

Axes: T steps, N slots, W word, K links kept of a row.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.inspection.internals import strongest_links
from numdnc.inspection.trace import STRONGEST

LARGE = ("memory", "link", "link_slots", "link_values")
"""Arrays with N numbers for each slot or word; they are first kept for fewer steps."""
SPARSEST = 16
"""... down to one step in this many."""
SECONDARY = (
    *("retention", "precedence", "write_content", "read_content", "forward", "backward"),
    *(
        "read_keys",
        "read_masks",
        "write_key",
        "write_keys",
        "write_mask",
        "erase",
        "write_vector",
        "write_vectors",
        "reads",
        "hidden",
        "cell",
    ),
)
"""Arrays that most questions do not need."""


class Truncated(NamedTuple):
    """A trace, or the part of it that is kept."""

    arrays: dict[str, NDArray[Any]]
    every: int
    """Arrays in LARGE are kept for steps 0, `every`, 2 `every`, .."""
    steps: int
    """Number of steps kept, the first ones."""
    note: str
    """What was left out, in words; empty if nothing."""


def truncations(arrays: dict[str, NDArray[Any]]) -> Iterator[Truncated]:
    """Yield the complete trace, then smaller and smaller parts of it, down to its first step."""
    T = len(arrays["outputs"])
    notes: list[str] = []
    yield Truncated(arrays, 1, T, "")
    if "link" in arrays:
        slots, values = strongest_links(arrays["link"], STRONGEST)
        arrays = {name: array for name, array in arrays.items() if name != "link"}
        arrays |= {"link_slots": slots.astype(np.int32), "link_values": values.astype(np.float32)}
        notes = [f"links: only the strongest {slots.shape[-1]} of each slot are kept"]
        yield Truncated(arrays, 1, T, "; ".join(notes))
    every, whole = 1, arrays
    while "memory" in arrays and every < min(SPARSEST, T):
        every *= 2
        arrays = whole | {name: whole[name][::every] for name in LARGE if name in whole}
        rare = f"memory and links: of one step in {every}"
        yield Truncated(arrays, every, T, "; ".join([*notes, rare]))
    if every > 1:
        notes.append(rare)
    if any(name in arrays for name in SECONDARY):
        arrays = {name: array for name, array in arrays.items() if name not in SECONDARY}
        notes.append("controller, keys, words and the parts of the weightings are left out")
        yield Truncated(arrays, every, T, "; ".join(notes))
    steps = T
    while steps > 1:
        steps = (steps + 1) // 2
        arrays = {
            name: array[: -(-steps // every) if name in LARGE else steps] for name, array in arrays.items()
        }
        yield Truncated(arrays, every, steps, "; ".join([*notes, f"only the first {steps} of {T} steps"]))
