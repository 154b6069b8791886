"""Where sequences start, and checks of what is passed in."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from numdnc import init
from numdnc.engines.check import check_forward
from numdnc.spec import Spec
from numdnc.tree import map_leaves


def initial_state(spec: Spec, params: Any, batch: int) -> Any:
    """State in which the sequences of a batch start; what a model has learned of it has a gradient."""
    blank = map_leaves(_stand_in, params)
    state = map_leaves(jnp.asarray, init.initial_state(spec, blank, batch))
    if not spec.learned_state:
        return state

    def spread(learned: Any) -> Any:
        return jnp.broadcast_to(learned, (batch, *learned.shape))

    return init.with_learned(state, map_leaves(spread, params.initial))


def check(spec: Spec, params: Any, inputs: Any, state: Any, bypass_mask: Any, lengths: Any) -> None:
    """Raise UserError unless shapes and dtypes fit, as engines do; while JAX traces, values are unknown."""
    given = map_leaves(_stand_in, (params, inputs, state))
    mask, rows = (None if part is None else _stand_in(part) for part in (bypass_mask, lengths))
    check_forward(spec, *given, mask, rows)


def _stand_in(array: Any) -> Any:
    """An array of zeros of the same shape and dtype that takes no memory; anything else as it is."""
    if not hasattr(array, "dtype") or not hasattr(array, "shape"):
        return array
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)
