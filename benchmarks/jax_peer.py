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


def product(factors):
    """The product of a few arrays; JAX differentiates this much faster than `jnp.prod`."""
    return reduce(jnp.multiply, factors)


def access(spec, xi, state):
    """A step of the memory in the paper's order; axes: B batch, V write heads, R read heads, N slots, W word."""
    sigmoid = jax.nn.sigmoid
    memory, usage, precedence, link, write, read, _ = state
    B, V, N, W = *write.shape, spec.word_size
    free, erase = sigmoid(xi["free_gates"]), sigmoid(xi["erase"]).reshape(B, V, 1, W)
    written = 1 - product(1 - write[:, head] for head in range(V))
    usage = (usage + written - usage * written) * jnp.prod(1 - free[..., None] * read, 1)
    strengths = 1 + jax.nn.softplus(xi["write_strength"]).reshape(B, V)
    found = content(memory, xi["write_key"].reshape(B, V, W), strengths)
    shares, gates = (
        sigmoid(xi["allocation_gate"]).reshape(B, V, 1),
        sigmoid(xi["write_gate"]).reshape(B, V, 1),
    )
    pretended, writes = usage, []
    for head in range(V):  # each as if the ones before it had written
        free_slots, share, gate = allocation(pretended), shares[:, head], gates[:, head]
        writes.append(gate * (share * free_slots + (1 - share) * found[:, head]))
        pretended = 1 - (1 - pretended) * (1 - gate * share * free_slots)
    write = jnp.stack(writes, 1)
    memory *= product(1 - write[:, head, :, None] * erase[:, head] for head in range(V))
    memory += jnp.einsum("bvn,bvw->bnw", write, xi["write_vector"].reshape(B, V, W))
    link = (1 - write[..., None] - write[:, :, None]) * link + write[..., None] * precedence[:, :, None]
    link = jnp.where(jnp.eye(N, dtype=bool), 0, link)
    precedence = (1 - write.sum(-1, keepdims=True)) * precedence + write
    modes = jax.nn.softmax(xi["read_modes"], -1)
    found = content(memory, xi["read_keys"], 1 + jax.nn.softplus(xi["read_strengths"]))
    backward, forward = jnp.einsum("bvji,brj->brvi", link, read), jnp.einsum("bvij,brj->brvi", link, read)
    linked = modes[..., :V, None] * backward + modes[..., V + 1 :, None] * forward
    read = linked.sum(2) + modes[..., V : V + 1] * found
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
    R, V = spec.read_heads, spec.write_heads

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

    blank = zeros(N, W), zeros(N), zeros(V, N), zeros(V, N, N), zeros(V, N), zeros(R, N), zeros(R, W)
    given = (inputs,)
    if spec.bidirectional:
        given += (reverse_hidden(spec, params.reverse_controller, inputs),)
    return jax.lax.scan(step, ([(zeros(size),) * 2 for size in spec.hidden_sizes], blank), given)[1]
