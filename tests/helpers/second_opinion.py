"""A second implementation of RNN, LSTM and DNC with all variations, from the papers, in JAX, with JAX's gradients.

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


def translate_layers(spec: Any, params: Any, *, reads: bool) -> list[dict[str, Any]]:
    """The layers of a controller, or their gradient; `reads`: whether they see what the memory has read."""
    layers = []
    for level, (layer, size) in enumerate(zip(params, spec.hidden_sizes, strict=True)):
        sources = {"x": spec.input_size}
        if reads:
            sources["reads"] = memories_of(spec) * spec.read_heads * spec.word_size
        if spec.controller != "feedforward":
            sources["own"] = size
        if level > 0:
            sources["below"] = spec.hidden_sizes[level - 1]
        gates = 4 if spec.controller == "lstm" else 1
        by_gate = {**cut(layer.weights, 0, **sources), "bias": layer.bias[None]}
        if has(layer.gain):
            by_gate["gain"] = layer.gain[None]
        mine_of_layer = {name: np.stack(np.split(matrix, gates, 1)) for name, matrix in by_gate.items()}
        if has(layer.gain):
            mine_of_layer |= {"cell_gain": layer.cell_gain, "cell_bias": layer.cell_bias}
        layers.append(mine_of_layer)
    return layers


def translate_params(spec: Any, params: Any) -> dict[str, Any]:
    """Parameters, or their gradient, in this file's layout: a matrix per source of a layer and per use of xi.

    What there is several times (gates of a layer, heads) stands on a first axis.
    """
    mine: dict[str, Any] = {
        "layers": translate_layers(spec, params.controller, reads=hasattr(spec, "read_heads")),
        "output": params.output.weights,
        "output_bias": params.output.bias,
    }
    if hasattr(spec, "read_heads"):
        if spec.bidirectional:
            mine["reverse"] = translate_layers(spec, params.reverse_controller, reads=False)
        R, V, W = spec.read_heads, spec.write_heads, spec.word_size
        parts = {"read_key": R * W, "read_strength": R}
        if not spec.recency:
            parts |= {"write_key": V * W, "write_strength": V, "erase": V * W}
        parts["write_vector"] = V * W
        if not spec.recency:
            parts["free_gate"] = R
        parts |= {"allocation_gate": V, "write_gate": V}
        if spec.links:
            parts["modes"] = (2 * V + 1) * R
        if spec.masking and not spec.recency:
            parts["write_mask"] = V * W
        if spec.masking:
            parts["read_mask"] = R * W
        if spec.sharpness:
            parts |= {"sharp_forward": V * R, "sharp_backward": V * R}
        if memories_of(spec) == 2:
            parts = {part + which: size for part, size in parts.items() for which in ("", SECOND)}
        if getattr(spec, "second_memory", "none") == "reads":
            del parts["write_vector" + SECOND]
        for name, row in params.interface._asdict().items():
            if has(row):
                mine[f"xi_{name}"] = cut(np.atleast_2d(row), 1, **parts)
                for part in parts:
                    kind = part.removesuffix(SECOND)
                    mine[f"xi_{name}"][part] = by_head(mine[f"xi_{name}"][part], kind, R, V)
        if getattr(spec, "instruction_slots", None) is not None:
            mine["instructions"] = {"rows": params.instructions.rows, "bias": params.instructions.bias}
        mine["start"] = translate_state(params.initial) if spec.learned_state else {}
    return mine


SECOND = "_of_second"
"""Ends the names of what the second memory is told."""


def memories_of(spec: Any) -> int:
    return 1 if getattr(spec, "second_memory", "none") == "none" else 2


PER_HEAD = {"read_key", "read_strength", "free_gate", "modes", "read_mask", "sharp_forward", "sharp_backward"}
"""Parts of the read heads, which stand on a first axis; the others are of the write heads."""


def by_head(columns: Any, part: str, readers: int, writers: int) -> Any:
    """What was side by side on axes of its own: that of the read heads, or that of the write heads, or both."""
    if part in ("sharp_forward", "sharp_backward"):
        pairs = [np.split(each, readers, 1) for each in np.split(columns, writers, 1)]
        return np.stack([np.stack(links) for links in zip(*pairs, strict=True)])
    return np.stack(np.split(columns, readers if part in PER_HEAD else writers, 1))


def has(part: Any) -> bool:
    """Whether a model has this part of a tree."""
    return not isinstance(part, tuple)


def translate_state(state: Any) -> dict[str, Any]:
    """A state, a learned start, or the gradient of one, in this file's layout."""
    mine = {name: part for name, part in state._asdict().items() if name != "controller" and has(part)}
    for level, layer in enumerate(state.controller):
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


def normalise(vectors: Any) -> Any:
    """Layer norm over all vectors of a tree together."""
    numbers = jnp.concatenate([jnp.ravel(vector) for vector in jax.tree.leaves(vectors)])
    variance = jnp.mean(numbers**2) - jnp.mean(numbers) ** 2
    return jax.tree.map(lambda vector: (vector - jnp.mean(numbers)) / jnp.sqrt(variance + SMALL), vectors)


def controller(spec: Any, layers: Any, x: Any, before: dict[str, Any]) -> dict[str, Any]:
    """Hidden values (and cells) of each layer."""
    after: dict[str, Any] = {}
    for level, weights in enumerate(layers):
        sources = {"x": x, "own": before.get(f"hidden_{level}"), "below": after.get(f"hidden_{level - 1}")}
        sources["reads"] = before["reads"].ravel() if "reads" in before else None
        z = sum(sources[name] @ weights[name] for name in weights if name in sources)
        if "gain" in weights:
            z = weights["gain"][:, 0] * normalise(z)
        z += weights["bias"][:, 0]
        if spec.controller == "lstm":
            cell = seen = sigmoid(z[1]) * before[f"cell_{level}"] + sigmoid(z[0]) * jnp.tanh(z[2])
            if "gain" in weights:
                seen = weights["cell_gain"] * normalise(cell) + weights["cell_bias"]
            after |= {f"cell_{level}": cell, f"hidden_{level}": sigmoid(z[3]) * jnp.tanh(seen)}
        else:
            after |= {f"hidden_{level}": jnp.tanh(z[0])}
    return after


def is_kept(values: Any, count: int | None) -> Any:
    """Whether each value is among the `count` largest: fewer than that are larger, or equal and come first.

    XLA may compute a value twice with another rounding, so none is compared with itself.
    """
    slots = jnp.arange(len(values))

    def kept(n: Any) -> Any:
        first = (slots != n) & ((values > values[n]) | ((values == values[n]) & (slots < n)))
        return jnp.sum(first) < (len(values) if count is None else count)

    return jax.vmap(kept)(slots)


def shorten(weights: Any, count: int | None) -> Any:
    """The `count` largest weights, the others 0; nothing is learned through a 0."""
    return weights if count is None else jnp.where(is_kept(weights, count) & (weights != 0), weights, 0)


def unlisted(numbers: Any, strengths: Any) -> Any:
    """The matrix of listed links (N, K)."""

    def row(columns: Any, values: Any) -> Any:
        return jnp.sum(jnp.where(jnp.arange(len(numbers)) == columns[:, None], values[:, None], 0), 0)

    return jax.vmap(row)(numbers, jnp.where(strengths != 0, strengths, 0))


def listed(matrix: Any, count: int) -> tuple[Any, Any]:
    """Each row's links as `count` slots, rising, and their strengths; then zeros."""

    def entry(row: Any, place: Any) -> tuple[Any, Any]:
        here = (row != 0) & (jnp.cumsum(row != 0) - 1 == place)
        return jnp.sum(jnp.where(here, jnp.arange(len(row)), 0.0)), jnp.sum(jnp.where(here, row, 0))

    return jax.vmap(lambda row: jax.vmap(partial(entry, row))(jnp.arange(count)))(matrix)


def content(memory: Any, key: Any, strength: Any, mask: Any, floor: float, count: int | None) -> Any:
    """C(M, k, beta)[n], slot by slot, over the `count` most similar; with a mask, if any, C(M, k, beta, m)[n]."""
    shown = 1 if mask is None else floor + (1 - floor) * sigmoid(mask).ravel()
    key = key * shown

    def alike(word: Any) -> Any:
        word = word * shown
        lengths = jnp.sqrt(jnp.sum(key * key) + SMALL) * jnp.sqrt(jnp.sum(word * word) + SMALL)
        return jnp.sum(key * word) / lengths

    cosines = jax.vmap(alike)(memory)
    scores = jnp.where(is_kept(cosines, count), jnp.exp(strength * cosines), 0)
    return scores / jnp.sum(scores)


def allocation(usage: Any) -> Any:
    """a[n] = (1 - u[n]) times the usage of every slot that is less used, or as much used with a lower index.

    As in `is_kept`, no usage is compared with itself. What differs by rounding alone counts as equal: of two slots one
    alone comes first, however often XLA computes them.
    """
    slots = jnp.arange(len(usage))

    def weight(n: Any) -> Any:
        above = usage[n] - usage
        first = (slots != n) & ((above > 1e-15) | ((jnp.abs(above) <= 1e-15) & (slots < n)))
        return (1 - usage[n]) * jnp.prod(jnp.where(first, usage, 1))

    return jax.vmap(weight)(slots)


def sharpen(weighting: Any, sharpness: Any) -> Any:
    """S(d, s); what rounding leaves below 0 is 0."""
    raised = jnp.where(weighting < 0, 0, weighting) + SMALL
    powers = (raised / jnp.max(raised)) ** oneplus(sharpness)
    return powers / jnp.sum(powers)


def memories_step(spec: Any, xi: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """One memory's step, or that of the first and then that of the second, side by side."""
    if memories_of(spec) == 1:
        return memory_step(spec, xi, before)
    told_first = {part: z for part, z in xi.items() if not part.endswith(SECOND)}
    told_second = {part.removesuffix(SECOND): z for part, z in xi.items() if part.endswith(SECOND)}
    states = {name: part for name, part in before.items() if not name.startswith(("hidden", "cell"))}
    first = memory_step(spec, told_first, {name: part[0] for name, part in states.items()})
    if spec.second_memory == "reads":
        multiplied = 1
        for word in first["reads"]:
            multiplied *= word
        told_second["write_vector"] = multiplied[None]
    second = memory_step(spec, told_second, {name: part[1] for name, part in states.items()})
    return {name: jnp.stack([first[name], second[name]]) for name in first}


def memory_step(spec: Any, xi: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The memory's equations in the paper's order."""
    slots, count = jnp.arange(len(before["memory"])), spec.sparsity
    if count is not None:
        weightings = {"write_weights", "read_weights", "precedence"} & before.keys()
        before |= {name: jnp.where(before[name] != 0, before[name], 0) for name in weightings}
    after = write_by_age(spec, xi, before) if spec.recency else write_by_usage(spec, xi, before)
    memory, write = after["memory"], after["write_weights"]

    def link_entry(write: Any, precedence: Any, i: Any, j: Any, old: Any) -> Any:
        entry = (1 - write[i] - write[j]) * old + write[i] * precedence[j]
        return jnp.where(i == j, 0, entry)

    def link_matrix(write: Any, precedence: Any, old: Any) -> Any:
        entry = partial(link_entry, write, precedence)
        return jax.vmap(lambda i, row: jax.vmap(partial(entry, i))(slots, row))(slots, old)

    if spec.links:
        old = before["link"] if count is None else unlisted(before["link_slots"], before["link_values"])
        writes, were_last = of_writers(spec, write), of_writers(spec, before["precedence"])
        links = jax.vmap(link_matrix)(writes, were_last, of_writers(spec, old))
        if count is None:
            after["link"] = of_all(spec, links)
        else:
            shorter = jax.vmap(partial(shorten, count=count))
            links = shorter(shorter(links[0]).T).T[None]
            after["link_slots"], after["link_values"] = listed(links[0], count)
        last = [(1 - jnp.sum(w)) * p + w for w, p in zip(writes, were_last, strict=True)]
        after["precedence"] = of_all(spec, jnp.stack([shorten(each, count) for each in last]))

    def look(last: Any, head: dict[str, Any]) -> tuple[Any, Any]:
        strength = oneplus(head["read_strength"])[0]
        reading = content(memory, head["read_key"], strength, head.get("read_mask"), spec.mask_floor, count)
        if spec.links:
            shares = jnp.exp(head["modes"]) / jnp.sum(jnp.exp(head["modes"]))
            mixed = shares[spec.write_heads] * reading
            for writer, link in enumerate(links):
                came_after = jax.vmap(lambda row: jnp.sum(row * last))(link)
                came_before = jax.vmap(lambda column: jnp.sum(column * last), in_axes=1)(link)
                if spec.sharpness:
                    came_after = sharpen(came_after, head["sharp_forward"][writer])
                    came_before = sharpen(came_before, head["sharp_backward"][writer])
                mixed += shares[writer] * came_before + shares[spec.write_heads + 1 + writer] * came_after
            reading = shorten(mixed, count)
        return reading, jnp.sum(reading[:, None] * memory, 0)

    heads = {part: xi[part] for part in PER_HEAD & xi.keys()}
    after["read_weights"], after["reads"] = jax.vmap(look)(before["read_weights"], heads)
    if spec.recency:
        touched = write + jnp.sum(after["read_weights"], 0) > 0.005
        after["age"] = jnp.where(touched, 0.0, jax.lax.stop_gradient(before["age"]) + 1)
    return after


def of_writers(spec: Any, part: Any) -> Any:
    """A part of the state with the write heads on a first axis, which is left out where there is one."""
    return part[None] if spec.write_heads == 1 else part


def of_all(spec: Any, part: Any) -> Any:
    """And back."""
    return part[0] if spec.write_heads == 1 else part


def write_by_usage(spec: Any, xi: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Memory, usage and write weights, in the paper's order."""
    retention = 1
    for free_gate, reading in zip(xi["free_gate"], before["read_weights"], strict=True):
        retention *= 1 - sigmoid(free_gate) * reading
    written, *more = of_writers(spec, before["write_weights"])
    for other in more:
        written = 1 - (1 - written) * (1 - other)
    usage = (before["usage"] + written - before["usage"] * written) * retention

    pretended, writes = usage, []
    for writer in range(spec.write_heads):
        mine = {name: part[writer] for name, part in xi.items() if name not in PER_HEAD}
        strength, mask = oneplus(mine["write_strength"])[0], mine.get("write_mask")
        found = content(before["memory"], mine["write_key"], strength, mask, spec.mask_floor, spec.sparsity)
        to_free, to_any = sigmoid(mine["allocation_gate"]), sigmoid(mine["write_gate"])
        free = allocation(pretended)
        writes.append(shorten(to_any * (to_free * free + (1 - to_free) * found), spec.sparsity))
        pretended = 1 - (1 - pretended) * (1 - to_any * to_free * free)

    def rewrite(weights: Any, word: Any, kept: Any) -> Any:
        word = word * kept if spec.deallocation else word
        erased = jnp.prod(1 - weights[:, None] * sigmoid(xi["erase"]), 0)
        return word * erased + jnp.sum(weights[:, None] * xi["write_vector"], 0)

    memory = jax.vmap(rewrite)(jnp.stack(writes, 1), before["memory"], retention)
    return {"memory": memory, "usage": usage, "write_weights": of_all(spec, jnp.stack(writes))}


def write_by_age(spec: Any, xi: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Memory and write weights of SAM: the slot that is oldest is emptied first."""
    oldest = jnp.where(is_kept(before["age"], 1), 1.0, 0.0)
    share = sigmoid(xi["allocation_gate"][0])
    read = jnp.mean(before["read_weights"], 0)
    mixed = sigmoid(xi["write_gate"][0]) * (share * oldest + (1 - share) * read)
    write = shorten(mixed, spec.sparsity)
    rewritten = jax.vmap(lambda word, old, weight: word * (1 - old) + weight * xi["write_vector"][0])
    return {"memory": rewritten(before["memory"], oldest, write), "write_weights": write}


def hidden_of(layers: Any, state: dict[str, Any]) -> Any:
    return jnp.concatenate([state[f"hidden_{level}"] for level in range(len(layers))])


def read_backward(spec: Any, layers: Any, inputs: Any, length: Any) -> Any:
    """Hidden values (T, H) of one row's second direction; at and beyond its length they are 0."""
    state = {
        f"{part}_{level}": jnp.zeros(size)
        for part in ("hidden", "cell")
        for level, size in enumerate(spec.hidden_sizes)
    }

    def turn(state: dict[str, Any], given: tuple[Any, Any]) -> tuple[dict[str, Any], Any]:
        x, t = given
        state = {name: part * (t < length) for name, part in controller(spec, layers, x, state).items()}
        return state, hidden_of(layers, state)

    return jax.lax.scan(turn, state, (inputs, jnp.arange(len(inputs))), reverse=True)[1]


def step(
    spec: Any, params: Any, before: dict[str, Any], given: tuple[Any, Any, Any]
) -> tuple[dict[str, Any], Any]:
    x, bypass, reverse = given
    after = controller(spec, params["layers"], x, before)
    hidden = jnp.concatenate([hidden_of(params["layers"], after), reverse])
    everything = hidden * bypass
    if "xi_weights" in params:
        xi = {part: hidden @ weights for part, weights in params["xi_weights"].items()}
        if "xi_gain" in params:
            xi = {part: z * params["xi_gain"][part][..., 0, :] for part, z in normalise(xi).items()}
        xi = {part: z + params["xi_bias"][part][..., 0, :] for part, z in xi.items()}
        after |= memories_step(spec, xi, before)
        everything = jnp.concatenate([everything, after["reads"].ravel()])
    if spec.controller == "feedforward":
        after = {name: value for name, value in after.items() if not name.startswith("hidden")}
    outputs = everything @ params["output"] + params["output_bias"]
    return after, follow(params["instructions"], outputs) if "instructions" in params else outputs


def follow(told_by: Any, told: Any) -> Any:
    """What each output makes of the vector all are made of, by the weights that it reads of the instructions."""
    rows, bias = told_by["rows"], told_by["bias"]
    width, count = rows.shape[1], len(bias)
    vector, keys, strengths = jnp.split(told, [width, width + count * width])

    def output(key: Any, strength: Any, bias: Any) -> Any:
        return content(rows, key, oneplus(strength), None, 0.0, None) @ rows @ vector + bias

    return jax.vmap(output)(keys.reshape(count, width), strengths, bias)


def sequences(spec: Any, params: Any, inputs: Any, state: Any, bypass: Any, lengths: Any) -> tuple[Any, Any]:
    """Outputs (T, B, Y) and the final state of all rows; what is learned of the start is added to `state`."""
    state = {name: part + params.get("start", {}).get(name, 0) for name, part in state.items()}
    row = partial(jax.lax.scan, partial(step, spec, params))
    reverse = jnp.zeros((*inputs.shape[:2], 0))
    if "reverse" in params:
        back = partial(read_backward, spec, params["reverse"])
        reverse = jax.vmap(back, in_axes=(1, 0), out_axes=1)(inputs, lengths)
    after, outputs = jax.vmap(row, in_axes=(0, 1), out_axes=(0, 1))(state, (inputs, bypass, reverse))
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
        params: Any,
        inputs: Any,
        state: Any,
        bypass: Any,
        lengths: Any,
        targets: Any,
        bits: Any,
        counts: Any,
        shares: Any,
        d_state: Any,
    ) -> tuple[Any, Any]:
        outputs, after = sequences(spec, params, inputs, state, bypass, lengths)
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
    bypass_mask: Any,
    lengths: Any,
    targets: Any,
    bits: Any,
    counts: Any,
    shares: Any,
) -> Opinion:
    """The opinion on shares[0] softmax loss + shares[1] sigmoid loss + d_state . final state."""
    everything = np.ones((*np.shape(inputs)[:2], spec.hidden_total))
    (d_params, d_inputs, d_before), (*losses, outputs, after) = compiled(spec)(
        translate_params(spec, params),
        inputs,
        translate_state(state),
        bypass_mask if has(bypass_mask) else everything,
        lengths if has(lengths) else np.full(inputs.shape[1], len(inputs)),
        targets,
        bits,
        counts,
        jnp.asarray(shares, float),
        translate_state(d_state),
    )
    return Opinion(*losses, outputs, after, d_params, d_inputs, d_before)
