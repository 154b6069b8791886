"""A peer for the benchmarks: the paper's DNC, with several write heads or two directions, as a careful JAX user would.

One `lax.scan` over time, batched einsums, XLA's fusion, JAX's own differentiation, and no code of this package.
Parameters are the package's trees, which JAX accepts directly, so that outputs and gradients can be compared.
"""

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

SMALL = 1e-6


def lengths(vectors):
    return jnp.sqrt(jnp.sum(vectors**2, -1) + SMALL)


def content(memory, keys, strengths):
    """C(M, k, beta) of several keys (B, K, W) at once: (B, K, N)."""
    cosine = jnp.einsum("bkw,bnw->bkn", keys, memory)
    cosine /= lengths(keys)[..., None] * lengths(memory)[:, None]
    return jax.nn.softmax(strengths[..., None] * cosine, -1)


def allocation(usage):
    order = jnp.argsort(usage, stable=True)
    rising = jnp.take_along_axis(usage, order, 1)
    before = jnp.cumprod(jnp.pad(rising[:, :-1], ((0, 0), (1, 0)), constant_values=1), 1)
    return jnp.put_along_axis(jnp.zeros_like(usage), order, (1 - rising) * before, 1, inplace=False)


def controller(layers, x, state):
    """Deep LSTM: every layer reads x, its own hidden values and the layer below; all hidden values, and new states."""
    below, after = [], []
    for layer, (hidden, cell) in zip(layers, state, strict=True):
        gates = jnp.concatenate([x, hidden, *below[-1:]], -1) @ layer.weights + layer.bias
        i, f, g, o = jnp.split(gates, 4, -1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        below.append(jax.nn.sigmoid(o) * jnp.tanh(cell))
        after.append((below[-1], cell))
    return jnp.concatenate(below, -1), after


def interface(spec, xi):
    """The parts of the interface vector before activation, each (B, *its shape)."""
    shapes = spec.interface_shapes
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]
    pieces = jnp.split(xi, ends, -1)
    return {
        name: piece.reshape(-1, *shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)
    }


def access(spec, xi, state):
    """A step of the memory in the paper's order; axes: B batch, R read heads, N slots, W word.

    There is an array for each write head rather than an axis for them, as XLA is slower with one.
    """
    sigmoid, heads = jax.nn.sigmoid, range(spec.write_heads)
    memory, usage, precedence, link, write, read, _ = state
    B, V, N, W = len(memory), spec.write_heads, spec.memory_size, spec.word_size
    free, erase = sigmoid(xi["free_gates"]), sigmoid(xi["erase"]).reshape(B, V, W)
    words, keys = xi["write_vector"].reshape(B, V, W), xi["write_key"].reshape(B, V, W)
    written = 1 - reduce(jnp.multiply, [1 - weights for weights in write])
    usage = (usage + written - usage * written) * jnp.prod(1 - free[..., None] * read, 1)
    found = content(memory, keys, 1 + jax.nn.softplus(xi["write_strength"]).reshape(B, V))
    shares, gates = (sigmoid(xi[name]).reshape(B, V, 1) for name in ("allocation_gate", "write_gate"))
    pretended, write = usage, []
    for head in heads:  # each as if the ones before it had written
        free_slots, share, gate = allocation(pretended), shares[:, head], gates[:, head]
        write.append(gate * (share * free_slots + (1 - share) * found[:, head]))
        pretended = 1 - (1 - pretended) * (1 - gate * share * free_slots)
    memory *= reduce(jnp.multiply, [1 - write[head][..., None] * erase[:, head, None] for head in heads])
    memory += sum(write[head][..., None] * words[:, head, None] for head in heads)
    link = [
        ((1 - w[:, :, None] - w[:, None]) * old + w[:, :, None] * p[:, None])
        * (1 - jnp.eye(N, dtype=w.dtype))
        for w, old, p in zip(write, link, precedence, strict=True)
    ]
    precedence = [(1 - w.sum(-1, keepdims=True)) * p + w for w, p in zip(write, precedence, strict=True)]
    modes = jax.nn.softmax(xi["read_modes"], -1)
    found = content(memory, xi["read_keys"], 1 + jax.nn.softplus(xi["read_strengths"]))
    followed = [jnp.einsum("bji,brj->bri", each, read) for each in link]
    followed += [found, *(jnp.einsum("bij,brj->bri", each, read) for each in link)]
    read = sum(modes[..., mode, None] * weights for mode, weights in enumerate(followed))
    reads = jnp.einsum("brn,bnw->brw", read, memory)
    return memory, usage, precedence, link, write, read, reads


def reverse_hidden(spec, layers, inputs):
    """Hidden values (T, B, H) of a second direction, which reads the inputs from the last to the first."""

    def step(state, x):
        hidden, state = controller(layers, x, state)
        return state, hidden

    blank = [(jnp.zeros((inputs.shape[1], size), inputs.dtype),) * 2 for size in spec.hidden_sizes]
    return jax.lax.scan(step, blank, inputs, reverse=True)[1]


def forward(spec, params, inputs):
    """Outputs (T, B, Y) for inputs (T, B, X), from the initial state of zeros."""
    B, N, W = inputs.shape[1], spec.memory_size, spec.word_size
    R = spec.read_heads

    def zeros(*shape):
        return jnp.zeros((B, *shape), inputs.dtype)

    def step(state, given):
        layers, memory = state
        x, *reverse = given
        hidden, layers = controller(
            params.controller, jnp.concatenate([x, memory[-1].reshape(B, -1)], -1), layers
        )
        hidden = jnp.concatenate([hidden, *reverse], -1)
        xi = hidden @ params.interface.weights + params.interface.bias
        memory = access(spec, interface(spec, xi), memory)
        seen = jnp.concatenate([hidden, memory[-1].reshape(B, -1)], -1)
        return (layers, memory), seen @ params.output.weights + params.output.bias

    each = range(spec.write_heads)
    blank = (
        zeros(N, W),
        zeros(N),
        [zeros(N) for _ in each],
        [zeros(N, N) for _ in each],
        [zeros(N) for _ in each],
    )
    blank += zeros(R, N), zeros(R, W)
    given = (inputs,)
    if spec.bidirectional:
        given += (reverse_hidden(spec, params.reverse_controller, inputs),)
    return jax.lax.scan(step, ([(zeros(size),) * 2 for size in spec.hidden_sizes], blank), given)[1]
