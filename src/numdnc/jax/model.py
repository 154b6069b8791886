"""The definition in JAX's operations: RNN, LSTM and DNC over a sequence; JAX derives the gradient.

Axes: T steps, B batch, X input, Y output, H hidden.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from numdnc.errors import UserError
from numdnc.jax.memory import access, join_heads, split_heads
from numdnc.jax.states import checked_start
from numdnc.model_options import VARIATIONS
from numdnc.params import LSTMState, RNNState
from numdnc.spec import DNCSpec, Spec

_COMPUTED = ("learned_state", "bidirectional")
"""Variations of the DNC that `forward` computes, besides several write heads."""


def forward(
    spec: Spec, params: Any, inputs: Any, state: Any = None, lengths: Any = None
) -> tuple[Array, Any]:
    """Outputs (T, B, Y) and the state after the last step, differentiable by params, inputs and state.

    Args:
        spec: An RNN, an LSTM, or a DNC with any controller, layers, read and write heads, perhaps with learned_state or
            bidirectional, but no other variation. It is static: `jax.jit(forward, static_argnums=0)`.
        params: Its parameters.
        inputs: (T, B, X), or integers (T, B) in [0, X) that mean one-hot rows; others count as the nearest of these.
        state: As an earlier call returned it; None for the initial state.
        lengths: (B,), each from 0 to T: where the second direction of a bidirectional DNC begins in each row; None for
            T. Nothing else depends on it: all T steps of all rows are computed.

    Raises:
        UserError: For another model, and for wrong shapes or dtypes: all floats are float32, or all float64.

    """
    _refuse(spec)
    state = checked_start(spec, params, inputs, state, None, lengths)
    x_parts = tuple(_input_part(spec, layer, inputs) for layer in params.controller)
    reverse = _reverse_hidden(spec, params.reverse_controller, inputs, lengths) if spec.bidirectional else ()
    layers = _without_input_rows(spec, params.controller)
    B, nothing = inputs.shape[1], jnp.zeros((inputs.shape[1], 0), params.output.bias.dtype)

    def reads_of(state: Any) -> Array:
        return state.reads.reshape(B, spec.reads_size) if spec.has_memory else nothing

    def step(state: Any, given: Any) -> Any:
        parts, reverse = given
        hidden, controller = _controller_step(spec, layers, parts, reads_of(state), state.controller)
        state = state._replace(controller=controller)
        hidden = jnp.concatenate([hidden, reverse], -1) if spec.bidirectional else hidden
        if isinstance(spec, DNCSpec):
            xi = hidden @ params.interface.weights + params.interface.bias
            state = access(spec, xi, state)
        return state, jnp.concatenate([hidden, reads_of(state)], -1)

    if isinstance(spec, DNCSpec):
        state = split_heads(spec, state)
    state, seen = jax.lax.scan(step, state, (x_parts, reverse))
    if isinstance(spec, DNCSpec):
        state = join_heads(spec, state)
    return seen @ params.output.weights + params.output.bias, state


def _refuse(spec: Spec) -> None:
    """Raise UserError for a model that `forward` does not compute."""
    instead = "Leave it out, or take engine_forward."
    if spec.kind not in ("rnn", "lstm", "dnc"):
        raise UserError(
            f"spec must be an RNN, an LSTM or a DNC for numdnc.jax.forward, got {spec.kind}. {instead}"
        )
    for name in VARIATIONS if isinstance(spec, DNCSpec) else ():
        default, got = DNCSpec.__dataclass_fields__[name].default, getattr(spec, name)
        if name not in _COMPUTED and got != default:
            raise UserError(f"{name} must be {default} for numdnc.jax.forward, got {got!r}. {instead}")


def _input_part(spec: Spec, layer: Any, inputs: Array) -> Array:
    """What the inputs and the bias add to a layer's z, for all steps (T, B, columns)."""
    rows = layer.weights[: spec.input_size]
    if jnp.issubdtype(inputs.dtype, jnp.floating):
        return inputs @ rows + layer.bias
    return jnp.take(rows, inputs, axis=0, mode="clip") + layer.bias


def _without_input_rows(spec: Spec, layers: Any) -> list[Array]:
    """Weights of the layers by all but the inputs."""
    return [layer.weights[spec.input_size :] for layer in layers]


def _controller_step(
    spec: Spec, weights: list[Array], x_parts: tuple[Array, ...], reads: Array, state: Any
) -> tuple[Array, Any]:
    """Hidden values (B, hidden_total) and the state after; every layer sees input, reads, itself, the layer below."""
    hiddens: list[Array] = []
    after: list[Any] = []
    for matrix, x_part, before in zip(weights, x_parts, state, strict=True):
        own = () if spec.controller == "feedforward" else (before.hidden,)
        z = x_part + jnp.concatenate([reads, *own, *hiddens[-1:]], -1) @ matrix
        if spec.controller == "lstm":
            i, f, g, o = jnp.split(z, 4, -1)
            cell = jax.nn.sigmoid(f) * before.cell + jax.nn.sigmoid(i) * jnp.tanh(g)
            hiddens.append(jax.nn.sigmoid(o) * jnp.tanh(cell))
            after.append(LSTMState(hiddens[-1], cell))
        else:
            hiddens.append(jnp.tanh(z))
            after.append(RNNState(hiddens[-1]) if spec.controller == "rnn" else ())
    return jnp.concatenate(hiddens, -1), tuple(after)


def _reverse_hidden(spec: Spec, layers: Any, inputs: Array, lengths: Any) -> Array:
    """Hidden values (T, B, H) of a second direction, which begins at each row's last step; 0 beyond it."""
    T, B = inputs.shape[:2]
    weights, x_parts = (
        _without_input_rows(spec, layers),
        tuple(_input_part(spec, layer, inputs) for layer in layers),
    )
    inside = jnp.arange(T)[:, None, None] < (T if lengths is None else lengths[:, None])
    nothing = jnp.zeros((B, 0), x_parts[0].dtype)

    def step(state: Any, given: Any) -> Any:
        parts, inside = given
        hidden, state = _controller_step(spec, weights, parts, nothing, state)
        state = jax.tree.map(lambda part: jnp.where(inside, part, 0), state)
        return state, jnp.where(inside, hidden, 0)

    blank = tuple(LSTMState(*jnp.zeros((2, B, size), nothing.dtype)) for size in spec.hidden_sizes)
    return jax.lax.scan(step, blank, (x_parts, inside), reverse=True)[1]
