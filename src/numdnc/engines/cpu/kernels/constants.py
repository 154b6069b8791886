"""Constants in the float type of the other operand: an integer would turn float32 into float64."""

from typing import Any

from numba import types
from numba.extending import overload


def constant(value: Any, like: Any) -> Any:
    """value in the float type of `like`, a number or an array."""
    raise NotImplementedError


@overload(constant)
def _constant(value, like):
    made = like.dtype if isinstance(like, types.Array) else like
    return lambda value, like: made(value)
