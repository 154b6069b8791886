"""Parts that each write head has of its own: one array without the axis V if there is one head, else (B, V, ..).

Mechanisms work on a tuple of one array (B, ..) for each head. Axes: B batch, V write heads.
"""

import numpy as np

from numdnc.params import Array
from numdnc.spec import DNCSpec


def split_heads(spec: DNCSpec, part: Array) -> tuple[Array, ...]:
    """The arrays (B, ..) of the write heads."""
    return (part,) if spec.write_heads == 1 else tuple(np.moveaxis(part, 1, 0))


def join_heads(spec: DNCSpec, arrays: tuple[Array, ...]) -> Array:
    """The part that `split_heads` splits into these arrays."""
    return arrays[0] if spec.write_heads == 1 else np.stack(arrays, axis=1)


def stack_heads(spec: DNCSpec, part: Array) -> Array:
    """A part as (B, V, ..), for look-ups, which take several keys at once."""
    return part[:, None] if spec.write_heads == 1 else part
