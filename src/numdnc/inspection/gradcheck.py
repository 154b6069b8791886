"""Compare the analytical gradients of an engine with numerical ones of the definition, in float64.

The loss depends on every output and on the whole final state; its gradients by every parameter, every input and every
array of the initial state are checked. A model with bypass dropout gets a random mask, and a bidirectional
one random lengths.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from numdnc import reference
from numdnc.engines import Engine
from numdnc.init import draw_bypass_mask, init_params, initial_state, initial_state_backward
from numdnc.params import Array, zero_state
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.reference.memories import memory_tapes
from numdnc.reference.sparse import cap_links, cut, list_links
from numdnc.spec import DNCSpec, Spec
from numdnc.tasks import Batch
from numdnc.training.gradient import loss_and_gradient
from numdnc.tree import leaves, map_leaves, named_leaves

TOLERANCE = 1e-6
"""Largest relative error that passes, |a - n| / max(|a|, |n|)."""
SMALLEST = 1e-5
"""Where both gradients are smaller than this, numerical noise dominates a relative error: they must agree to
SMALLEST * TOLERANCE and do not count as a valid check of the relative error."""
STEPS = (2e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
"""Step sizes of the differences, tried in turn until two estimates in a row agree."""


class Row(NamedTuple):
    """Result for one array; errors are relative, NaN if no check was valid."""

    name: str
    numerical: tuple[float, float]  # range
    analytical: tuple[float, float]  # range
    least: float
    mean: float
    worst: float
    valid: int
    checked: int
    passed: bool


def gradcheck(
    spec: Spec, engine: Engine, *, steps: int, batch: int, samples: int, seed: int, blank: bool = False
) -> Iterator[Row]:
    """Check each array on `samples` of its numbers, or on all if it has fewer, and yield a row for it.

    Sequences of `steps` steps begin with a random state, or with the empty one if `blank` (a parameter that acts only
    on remembered values then needs several steps to matter).
    """
    rng = np.random.default_rng(seed)
    params = map_leaves(
        lambda leaf: leaf + 0.2 * rng.standard_normal(leaf.shape), init_params(spec, seed, np.float64)
    )
    state = zero_state(spec, batch, np.float64) if blank else random_state(spec, batch, rng)
    inputs = rng.standard_normal((steps, batch, spec.input_size))
    mask = draw_bypass_mask(spec, steps, batch, rng, np.float64)
    targets = rng.integers(0, spec.output_size, (steps, batch))
    lengths = rng.integers(1, steps, batch, endpoint=True) if spec.bidirectional else None
    pull = map_leaves(lambda leaf: rng.standard_normal(leaf.shape) / leaf.size, state)

    def begin() -> Any:
        """The state before the first step: the learned initial state plus `state`."""
        return map_leaves(np.add, initial_state(spec, params, batch), state)

    def loss() -> tuple[float, list[Any]]:
        """The loss, and the choices made at each step: where one of them changes, there is no gradient."""
        outputs, final, tape = reference.forward(
            *(spec, params, inputs, begin()), keep_tape=True, bypass_mask=mask, lengths=lengths
        )
        nats, _ = softmax_cross_entropy(outputs, targets)
        pulled = sum(float((a * b).sum()) for a, b in zip(leaves(pull), leaves(final), strict=True))
        assert tape is not None
        return nats + pulled, [choice for step in tape.steps for choice in _choices(spec, step)]

    found = loss_and_gradient(
        *(spec, params, engine, Batch(inputs, targets), mean_cross_entropy),
        state=begin(),
        d_final_state=pull,
        bypass_mask=mask,
        lengths=lengths,
    )
    d_params = initial_state_backward(spec, found.gradient, found.d_state)
    _, choices = loss()
    arrays = named_leaves((params, (inputs,), state))
    gradients = leaves((d_params, (found.d_inputs,), found.d_state))
    for (name, array), gradient in zip(arrays, gradients, strict=True):
        owner, _, rest = name.partition(".")
        title = {"0": rest, "1": "inputs", "2": f"state.{rest}"}[owner]
        numbers = np.flatnonzero(_has_gradient(spec, title, array))
        if len(numbers) or not array.size:
            chosen = rng.choice(numbers, min(len(numbers), samples), replace=False)
            yield _check(title, array, gradient, loss, choices, chosen)


def mean_cross_entropy(outputs: Array, batch: Batch) -> tuple[float, float, Array]:
    """A `Loss`: softmax cross-entropy over all steps, whatever the batch's mask."""
    nats, d_outputs = softmax_cross_entropy(outputs, batch.targets)
    return nats, batch.targets.size, d_outputs


def _choices(spec: Spec, step: Any) -> list[Any]:
    """The order of the slots by usage, and with `sparsity` the slots and links that are not cut, in one step's tape."""
    if not isinstance(spec, DNCSpec):
        return []
    return [choice for tape in memory_tapes(step.access) for choice in _choices_of_memory(spec, tape)]


def _choices_of_memory(spec: DNCSpec, tape: Any) -> list[Any]:
    writing, after = tape.writing, tape.after
    choices = [turn.tape.order for turn in writing.turns] if spec.usage_writing else []
    if spec.sparsity is not None:
        contents = [tape.read_content, *([writing.content] if spec.usage_writing else [])]
        weightings = [getattr(content, "content", content).weights for content in contents]
        weightings += [after.write_weights, after.read_weights, *leaves(after.precedence)]
        choices += [weights != 0 for weights in weightings] + leaves((after.link_slots, after.age))
    return choices


def _has_gradient(spec: Spec, title: str, array: Array) -> Any:
    """Which numbers of an array have a gradient: of a sparse state not those that are 0, slots and ages."""
    _, of_state, part = title.partition("state.")
    if not of_state or spec.sparsity is None:
        return np.ones(array.shape, bool)
    if part in ("link_slots", "age"):
        return np.zeros(array.shape, bool)
    sparse = part in ("write_weights", "read_weights", "precedence", "link_values")
    return array != 0 if sparse else np.ones(array.shape, bool)


def random_state(spec: Spec, batch: int, rng: np.random.Generator) -> Any:
    """A random state that satisfies every invariant, with distinct usages and ages."""
    state = map_leaves(
        lambda leaf: 0.5 * rng.standard_normal(leaf.shape), zero_state(spec, batch, np.float64)
    )
    if not spec.has_memory:
        return state

    N, K = spec.memory_size, spec.sparsity
    shape = (batch, N, N) if K is not None or not spec.links else state.link.shape
    rows = (batch, spec.memories) if spec.memories > 1 else (batch,)

    def weighting(like: Array) -> Array:
        draw = rng.random(like.shape)
        weights: Array = 0.9 * draw / draw.sum(axis=-1, keepdims=True)
        return cut(weights, K)

    def links() -> dict[str, Array]:
        draw = rng.random(shape) * (1 - np.eye(N))
        most = max(draw.sum(axis=-2).max(), draw.sum(axis=-1).max())
        link = 0.9 * draw / most if most else draw
        if K is None:
            return {"link": link}
        slots, values = list_links(cap_links(link, K), K)
        return {"link_slots": slots, "link_values": values}

    ranks = rng.permuted(np.tile(np.arange(N), (*rows, 1)), axis=-1)
    parts = links() if spec.links else {}
    parts |= {"usage": (ranks + 0.5) / N, "age": ranks.astype(np.float64)}
    for name, like in named_leaves(state):
        if name in ("precedence", "write_weights", "read_weights"):
            parts[name] = weighting(like)
    own = dict(named_leaves(state))
    return state._replace(**{name: part for name, part in parts.items() if name in own})


def _check(
    name: str,
    array: Array,
    gradient: Array,
    loss: Callable[[], tuple[float, list[Any]]],
    choices: list[Any],
    chosen: Array,
) -> Row:
    pairs = [
        (_numerical(array.reshape(-1), k, loss, choices), float(gradient.reshape(-1)[k])) for k in chosen
    ]
    known = [(n, a) for n, a in pairs if n is not None]
    errors = [abs(a - n) / max(abs(a), abs(n)) for n, a in known if max(abs(a), abs(n)) >= SMALLEST]
    tiny_agree = all(abs(a - n) <= SMALLEST * TOLERANCE for n, a in known if max(abs(a), abs(n)) < SMALLEST)
    numerical, analytical = [n for n, _ in known] or [np.nan], [a for _, a in known] or [np.nan]
    return Row(
        name,
        (min(numerical), max(numerical)),
        (min(analytical), max(analytical)),
        min(errors, default=np.nan),
        float(np.mean(errors)) if errors else np.nan,
        max(errors, default=np.nan),
        len(errors),
        len(pairs),
        tiny_agree and max(errors, default=0.0) <= TOLERANCE and all(np.isfinite(a) for _, a in known),
    )


def _numerical(
    flat: Array, k: int, loss: Callable[[], tuple[float, list[Any]]], choices: list[Any]
) -> float | None:
    """The derivative by flat[k], by the four-point rule; None where the choices of slots change around it.

    The result is taken from the two successive step sizes whose estimates agree best, whatever the analytical value.
    """
    kept = flat[k]
    estimates: list[float] = []
    best: tuple[float, float | None] = (np.inf, None)
    for h in STEPS:
        values, smooth = [], True
        for offset in (-2, -1, 1, 2):
            flat[k] = kept + offset * h
            value, perturbed = loss()
            values.append(value)
            smooth = smooth and all(map(np.array_equal, choices, perturbed))
        flat[k] = kept
        if not smooth:
            estimates.clear()
            continue
        estimates.append((values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h))
        if len(estimates) > 1:
            gap = abs(estimates[-1] - estimates[-2])
            if gap < best[0]:
                best = (gap, estimates[-1])
            if gap <= 0.1 * TOLERANCE * max(abs(estimates[-1]), SMALLEST):
                break
    return best[1]
