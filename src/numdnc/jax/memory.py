"""One step of a DNC's memory in JAX's operations, in the paper's order (Graves et al. 2016, Methods).

Axes: B batch, V write heads, R read heads, K keys looked up at once, N slots, W word. See numdnc.reference for each
mechanism's equation and source. Of what each write head has of its own there is an array for each head, not an axis of
them: XLA is slower with one.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from numdnc.params import DNCState
from numdnc.parts import Activation
from numdnc.spec import EPSILON, DNCSpec

_OF_WRITE_HEADS = ("precedence", "link", "write_weights")


def split_heads(spec: DNCSpec, state: DNCState[Any]) -> DNCState[Any]:
    """A state as `access` takes it: a tuple of arrays in place of an axis of write heads."""
    parts = {name: getattr(state, name) for name in _OF_WRITE_HEADS}
    one = spec.write_heads == 1
    return state._replace(
        **{name: (part,) if one else tuple(jnp.unstack(part, axis=1)) for name, part in parts.items()}
    )


def join_heads(spec: DNCSpec, state: DNCState[Any]) -> DNCState[Any]:
    """The state that `split_heads` splits."""
    parts = {name: getattr(state, name) for name in _OF_WRITE_HEADS}
    one = spec.write_heads == 1
    return state._replace(**{name: part[0] if one else jnp.stack(part, 1) for name, part in parts.items()})


def access(spec: DNCSpec, xi: Array, before: DNCState[Any]) -> DNCState[Any]:
    """Free, allocate, write, link, read; xi (B, interface_size). The controller's state passes through unchanged."""
    interface = parse_interface(spec, xi)
    retention = jnp.prod(1 - interface["free_gates"][..., None] * before.read_weights, 1)
    written = 1 - reduce(jnp.multiply, [1 - w for w in before.write_weights])
    usage = (before.usage + written - before.usage * written) * retention
    writes = locate_writes(spec, interface, before.memory, usage)
    memory = write(
        before.memory, writes, *(_of_heads(spec, interface[name]) for name in ("erase", "write_vector"))
    )
    links = list(map(update_link, before.link, before.precedence, writes))
    precedence = [
        (1 - w.sum(-1, keepdims=True)) * p + w for w, p in zip(writes, before.precedence, strict=True)
    ]
    content = look_up(memory, interface["read_keys"], interface["read_strengths"])
    backward = [jnp.einsum("bji,brj->bri", link, before.read_weights) for link in links]
    forward = [jnp.einsum("bij,brj->bri", link, before.read_weights) for link in links]
    modes = interface["read_modes"]
    read_weights = sum(
        modes[..., mode, None] * weights for mode, weights in enumerate([*backward, content, *forward])
    )
    reads = jnp.einsum("brn,bnw->brw", read_weights, memory)
    return DNCState(
        before.controller, memory, usage, tuple(precedence), tuple(links), tuple(writes), read_weights, reads
    )


_ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "sigmoid": jax.nn.sigmoid,
    "oneplus": lambda z: 1 + jax.nn.softplus(z),
    "softmax": lambda z: jax.nn.softmax(z, -1),
}


def parse_interface(spec: DNCSpec, xi: Array) -> dict[str, Array]:
    """The parts of xi by name, after their activations; see `spec.interface_type`."""
    columns = jnp.split(xi, np.cumsum(list(spec.interface_sizes.values()))[:-1], -1)
    return {
        name: _ACTIVATIONS[part.activation](values.reshape(-1, *spec.interface_shapes[name]))
        for (name, part), values in zip(spec.interface_parts.items(), columns, strict=True)
    }


def locate_writes(spec: DNCSpec, interface: dict[str, Array], memory: Array, usage: Array) -> list[Array]:
    """Write weights (B, N) of each head; a head allocates as if the heads before it had written."""
    keys, strengths, to_free, to_any = (
        _of_heads(spec, interface[name])
        for name in ("write_key", "write_strength", "allocation_gate", "write_gate")
    )
    content = look_up(memory, keys, strengths)
    weights = []
    for head in range(spec.write_heads):
        share, gate = to_free[:, head, None], to_any[:, head, None]
        free = allocate(usage)
        weights.append(gate * (share * free + (1 - share) * content[:, head]))
        usage = 1 - (1 - usage) * (1 - gate * share * free)
    return weights


def _of_heads(spec: DNCSpec, part: Array) -> Array:
    """A part of the interface with its axis of write heads, (B, V, ..)."""
    return part[:, None] if spec.write_heads == 1 else part


def look_up(memory: Array, keys: Array, strengths: Array) -> Array:
    """Weightings (B, K, N): softmax over slots of strength times cosine; keys (B, K, W), strengths (B, K)."""
    cosine = jnp.einsum("bkw,bnw->bkn", keys, memory)
    cosine /= _norms(keys)[..., None] * _norms(memory)[:, None]
    return jax.nn.softmax(strengths[..., None] * cosine, -1)


def _norms(vectors: Array) -> Array:
    return jnp.sqrt(jnp.sum(vectors**2, -1) + EPSILON)


def allocate(usage: Array) -> Array:
    """a[phi[j]] = (1 - u[phi[j]]) prod_{i<j} u[phi[i]], phi = slots by rising usage, ties by index; usage (B, N)."""
    order = jnp.argsort(usage, stable=True)
    rising = jnp.take_along_axis(usage, order, 1)
    before = jnp.cumprod(jnp.pad(rising[:, :-1], ((0, 0), (1, 0)), constant_values=1), 1)
    return jnp.put_along_axis(jnp.zeros_like(usage), order, (1 - rising) * before, 1, inplace=False)


def write(memory: Array, weights: list[Array], erase: Array, vectors: Array) -> Array:
    """M prod_v (1 - w_v e_v^T) + sum_v w_v v_v^T; memory (B, N, W), of each head (B, N), others (B, V, W)."""
    places = [w[..., None] for w in weights]
    memory *= reduce(jnp.multiply, [1 - at * erase[:, head, None] for head, at in enumerate(places)])
    return memory + sum(at * vectors[:, head, None] for head, at in enumerate(places))


def update_link(link: Array, precedence: Array, weights: Array) -> Array:
    """L[i, j] = (1 - w[i] - w[j]) L[i, j] + w[i] p[j], L[i, i] = 0; "i was written after j"."""
    after, before = weights[:, :, None], weights[:, None]
    updated = (1 - after - before) * link + after * precedence[:, None]
    return updated * (1 - jnp.eye(link.shape[-1], dtype=link.dtype))
