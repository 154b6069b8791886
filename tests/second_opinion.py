"""A second opinion: RNN, LSTM and DNC written again from the paper's equations, in JAX, differentiated by JAX.

Shares no line with the package and is written another way: one sequence, one head, one slot and one link at a time
(`jax.vmap` makes them many), no sort (a slot's allocation asks which slots come before it), a matrix for each source
of a layer and each use of the interface. float64 throughout; slow, and meant to be obviously right.

A sequence's axes: T steps, X input, Y output, H hidden, N slots, W word, R read heads.
"""

import warnings
from collections import namedtuple
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what JAX says about itself on import is no failure of ours
    import jax
    import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)

SMALL = 1e-6


class Opinion(NamedTuple):
    """What JAX says; parameters, states and their gradients in this file's own layout."""

    softmax_loss: Any
    sigmoid_loss: Any
    outputs: Any
    state: Any
    d_params: Any
    d_inputs: Any
    d_state: Any


# Translation from the package's trees.


def cut(array: Any, axis: int, **sizes: int) -> dict[str, Any]:
    """Named slices of these sizes, in order, that use the axis up."""
    assert sum(sizes.values()) == array.shape[axis]
    pieces = np.split(np.asarray(array), np.cumsum(list(sizes.values()))[:-1], axis)
    return dict(zip(sizes, pieces, strict=True))


def translate_params(spec: Any, params: Any) -> dict[str, Any]:
    """Parameters, or their gradient, in this file's layout: a matrix per source of a layer and per use of xi.

    What there is several times (gates of a layer, heads) stands on a first axis.
    """
    layers = []
    for level, (layer, size) in enumerate(zip(params.controller, spec.hidden_sizes, strict=True)):
        sources = {"x": spec.input_size}
        if hasattr(spec, "read_heads"):
            sources["reads"] = spec.read_heads * spec.word_size
        if spec.controller != "feedforward":
            sources["own"] = size
        if level > 0:
            sources["below"] = spec.hidden_sizes[level - 1]
        gates = 4 if spec.controller == "lstm" else 1
        by_gate = {**cut(layer.weights, 0, **sources), "bias": layer.bias[None]}
        layers.append({name: np.stack(np.split(matrix, gates, 1)) for name, matrix in by_gate.items()})
    mine: dict[str, Any] = {
        "layers": layers,
        "output": params.output.weights,
        "output_bias": params.output.bias,
    }
    if hasattr(spec, "read_heads"):
        R, W = spec.read_heads, spec.word_size
        parts = {"read_key": R * W, "read_strength": R, "write_key": W, "write_strength": 1, "erase": W}
        parts |= {"write_vector": W, "free_gate": R, "allocation_gate": 1, "write_gate": 1, "modes": 3 * R}
        mine["xi"] = cut(np.vstack([params.interface.weights, params.interface.bias]), 1, **parts)
        for name in ("read_key", "read_strength", "free_gate", "modes"):
            mine["xi"][name] = np.stack(np.split(mine["xi"][name], R, 1))
    return mine


def translate_state(state: Any) -> dict[str, Any]:
    """A state, or its gradient, in this file's layout."""
    mine = state._asdict()
    for level, layer in enumerate(mine.pop("controller")):
        mine |= {f"{name}_{level}": value for name, value in zip(("hidden", "cell"), layer, strict=False)}
    return mine


def as_tree(mine: Any) -> Any:
    """Dictionaries and lists as the package's trees, with their names."""
    if isinstance(mine, dict):
        return namedtuple("Named", sorted(mine))(*(as_tree(mine[name]) for name in sorted(mine)))
    return tuple(map(as_tree, mine)) if isinstance(mine, (list, tuple)) else np.asarray(mine)


# The model: one row of the batch, one step.


def sigmoid(z: Any) -> Any:
    return 1 / (1 + jnp.exp(-z))


def oneplus(z: Any) -> Any:
    return 1 + jnp.log(1 + jnp.exp(z))


def controller(spec: Any, layers: Any, x: Any, before: dict[str, Any]) -> dict[str, Any]:
    """Hidden values (and cells) of each layer."""
    after: dict[str, Any] = {}
    for level, weights in enumerate(layers):
        sources = {"x": x, "own": before.get(f"hidden_{level}"), "below": after.get(f"hidden_{level - 1}")}
        sources["reads"] = before["reads"].ravel() if "reads" in before else None
        z = weights["bias"][:, 0] + sum(sources[name] @ weights[name] for name in weights if name != "bias")
        if spec.controller == "lstm":
            cell = sigmoid(z[1]) * before[f"cell_{level}"] + sigmoid(z[0]) * jnp.tanh(z[2])
            after |= {f"cell_{level}": cell, f"hidden_{level}": sigmoid(z[3]) * jnp.tanh(cell)}
        else:
            after |= {f"hidden_{level}": jnp.tanh(z[0])}
    return after


def content(memory: Any, key: Any, strength: Any) -> Any:
    """C(M, k, beta)[n], slot by slot."""

    def score(word: Any) -> Any:
        lengths = jnp.sqrt(jnp.sum(key * key) + SMALL) * jnp.sqrt(jnp.sum(word * word) + SMALL)
        return jnp.exp(strength * jnp.sum(key * word) / lengths)

    scores = jax.vmap(score)(memory)
    return scores / jnp.sum(scores)


def allocation(usage: Any) -> Any:
    """a[n] = (1 - u[n]) times the usage of every slot that is less used, or as much used with a lower index."""
    slots = jnp.arange(len(usage))

    def weight(n: Any) -> Any:
        first = (usage < usage[n]) | ((usage == usage[n]) & (slots < n))
        return (1 - usage[n]) * jnp.prod(jnp.where(first, usage, 1))

    return jax.vmap(weight)(slots)


def memory_step(xi: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The memory's equations in the paper's order."""
    slots = jnp.arange(len(before["usage"]))
    write_before, precedence_before = before["write_weights"], before["precedence"]

    retention = 1
    for free_gate, reading in zip(xi["free_gate"], before["read_weights"], strict=True):
        retention *= 1 - sigmoid(free_gate) * reading
    usage = (before["usage"] + write_before - before["usage"] * write_before) * retention

    found = content(before["memory"], xi["write_key"], oneplus(xi["write_strength"])[0])
    share = sigmoid(xi["allocation_gate"])
    write = sigmoid(xi["write_gate"]) * (share * allocation(usage) + (1 - share) * found)

    def rewrite(weight: Any, word: Any) -> Any:
        return word * (1 - weight * sigmoid(xi["erase"])) + weight * xi["write_vector"]

    def link_entry(i: Any, j: Any, old: Any) -> Any:
        entry = (1 - write[i] - write[j]) * old + write[i] * precedence_before[j]
        return jnp.where(i == j, 0, entry)

    memory = jax.vmap(rewrite)(write, before["memory"])
    link = jax.vmap(lambda i, row: jax.vmap(partial(link_entry, i))(slots, row))(slots, before["link"])
    precedence = (1 - jnp.sum(write)) * precedence_before + write

    def look(last: Any, key: Any, strength: Any, modes: Any) -> tuple[Any, Any]:
        backward, by_content, forward = jnp.exp(modes) / jnp.sum(jnp.exp(modes))
        came_after = jax.vmap(lambda row: jnp.sum(row * last))(link)
        came_before = jax.vmap(lambda column: jnp.sum(column * last), in_axes=1)(link)
        reading = backward * came_before + by_content * content(memory, key, oneplus(strength)[0])
        reading += forward * came_after
        return reading, jnp.sum(reading[:, None] * memory, 0)

    reading, reads = jax.vmap(look)(before["read_weights"], xi["read_key"], xi["read_strength"], xi["modes"])
    after = {"memory": memory, "usage": usage, "precedence": precedence, "link": link}
    return after | {"write_weights": write, "read_weights": reading, "reads": reads}


def step(spec: Any, params: Any, before: dict[str, Any], x: Any) -> tuple[dict[str, Any], Any]:
    after = controller(spec, params["layers"], x, before)
    everything = [after[f"hidden_{level}"] for level in range(len(params["layers"]))]
    if "xi" in params:
        told = jnp.concatenate([*everything, jnp.ones(1)])
        after |= memory_step({part: told @ weights for part, weights in params["xi"].items()}, before)
        everything.append(after["reads"].ravel())
    if spec.controller == "feedforward":
        after = {name: value for name, value in after.items() if not name.startswith("hidden")}
    return after, jnp.concatenate(everything) @ params["output"] + params["output_bias"]


def sequences(spec: Any, params: Any, inputs: Any, state: Any) -> tuple[Any, Any]:
    """Outputs (T, B, Y) and the final state of all rows."""
    row = partial(jax.lax.scan, partial(step, spec, params))
    after, outputs = jax.vmap(row, in_axes=(0, 1), out_axes=(0, 1))(state, inputs)
    return outputs, after


# Losses: the mean over what counts.


def softmax_loss(outputs: Any, targets: Any, counts: Any) -> Any:
    likelihood = jnp.exp(outputs) / jnp.sum(jnp.exp(outputs), -1, keepdims=True)
    hits = jnp.sum(likelihood * jax.nn.one_hot(targets, outputs.shape[-1]), -1)
    return -jnp.sum(jnp.log(hits) * counts) / jnp.sum(counts)


def sigmoid_loss(outputs: Any, bits: Any, counts: Any) -> Any:
    on = sigmoid(outputs)
    losses = -(bits * jnp.log(on) + (1 - bits) * jnp.log(1 - on))
    return jnp.sum(losses * counts[..., None]) / (jnp.sum(counts) * outputs.shape[-1])


def quick_jit(function: Any) -> Any:
    """Compiled without optimisation: compiling is nearly all that JAX costs here."""
    return jax.jit(
        function,
        compiler_options={"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False},
    )


@cache
def compiled(spec: Any) -> Any:
    """Gradients of the loss of `ask`, and what was computed on the way."""

    def loss(
        params: Any, inputs: Any, state: Any, targets: Any, bits: Any, counts: Any, shares: Any, d_state: Any
    ) -> tuple[Any, Any]:
        outputs, after = sequences(spec, params, inputs, state)
        losses = softmax_loss(outputs, targets, counts), sigmoid_loss(outputs, bits, counts)
        told = sum(jnp.sum(after[name] * d_state[name]) for name in after)
        return shares[0] * losses[0] + shares[1] * losses[1] + told, (*losses, outputs, after)

    return quick_jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))


def ask(
    spec: Any,
    params: Any,
    inputs: Any,
    state: Any,
    d_state: Any,
    targets: Any,
    bits: Any,
    counts: Any,
    shares: Any,
) -> Opinion:
    """The opinion on shares[0] softmax loss + shares[1] sigmoid loss + d_state . final state."""
    (d_params, d_inputs, d_before), (*losses, outputs, after) = compiled(spec)(
        translate_params(spec, params),
        inputs,
        translate_state(state),
        targets,
        bits,
        counts,
        jnp.asarray(shares, float),
        translate_state(d_state),
    )
    return Opinion(*losses, outputs, after, d_params, d_inputs, d_before)
