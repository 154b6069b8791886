"""Models in JAX: functions of parameters, inputs and state that jit, vmap and grad take.

    outputs, state = numdnc.jax.forward(spec, params, inputs)           # JAX's operations, on any device
    outputs, state = numdnc.jax.engine_forward(spec, params, inputs)    # the compiled engine, on the CPU

Parameters and states are the trees of `numdnc.params` with JAX's arrays as leaves; `numdnc.init_params` makes some. See
docs/jax.md.
"""

from numdnc.errors import missing_package

try:
    import jax as _jax  # noqa: F401
except ImportError:
    raise missing_package("numdnc.jax", "jax") from None

from numdnc.jax.engine import engine_forward
from numdnc.jax.model import forward
from numdnc.jax.states import initial_state

__all__ = ["engine_forward", "forward", "initial_state"]
