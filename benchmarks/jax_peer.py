"""The peer of the benchmarks in JAX: `numdnc.jax.forward`, which is one `lax.scan` of JAX's own operations."""

from numdnc import jax


def forward(spec, params, inputs):
    """Outputs (T, B, Y) for inputs (T, B, X), from the initial state."""
    return jax.forward(spec, params, inputs)[0]
