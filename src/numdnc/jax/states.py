"""Where sequences start, and checks of what is passed in."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from numdnc import init
from numdnc.engines.check import check_forward
from numdnc.errors import UserError
from numdnc.spec import Spec
from numdnc.tree import map_leaves, named_leaves


def initial_state(spec: Spec, params: Any, batch: int) -> Any:
    """State in which the sequences of a batch start; what a model has learned of it has a gradient."""
    blank = map_leaves(_stand_in, params)
    state = map_leaves(jnp.asarray, init.initial_state(spec, blank, batch))
    if not spec.learned_state:
        return state

    def spread(learned: Any) -> Any:
        return jnp.broadcast_to(learned, (batch, *learned.shape))

    return init.with_learned(state, map_leaves(spread, params.initial))


def checked_start(spec: Spec, params: Any, inputs: Any, state: Any, bypass_mask: Any, lengths: Any) -> Any:
    """The state to start in, the initial one for None.

    UserError unless all shapes and dtypes fit, as of engines; while JAX traces, values are unknown.
    """
    first = next((leaf for _, leaf in named_leaves(params)), None)
    if getattr(first, "dtype", None) == np.float64 and not jax.config.read("jax_enable_x64"):
        raise UserError(
            "params must be of float32 while JAX computes in 32 bits, got float64. "
            'Call jax.config.update("jax_enable_x64", True) first.'
        )
    shape: tuple[int, ...] = getattr(inputs, "shape", ())
    if len(shape) not in (2, 3) or not hasattr(inputs, "dtype"):
        got = f"one of shape {shape}" if hasattr(inputs, "dtype") else f"a {type(inputs).__name__}"
        raise UserError(
            f"inputs must be an array (T, B) of integers or (T, B, {spec.input_size}), got {got}."
        )
    state = initial_state(spec, params, shape[1]) if state is None else state
    given = map_leaves(_stand_in, (params, inputs, state))
    mask, rows = (None if part is None else _stand_in(part) for part in (bypass_mask, lengths))
    check_forward(spec, *given, mask, rows)
    return state


def _stand_in(array: Any) -> Any:
    """An array of zeros of the same shape and dtype that takes no memory; anything else as it is."""
    if not hasattr(array, "dtype") or not hasattr(array, "shape"):
        return array
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)
