"""Internal values of a step, computed by the definition from the states before and after it.

Engines need not return them, so any engine can be inspected. Axes: B batch, R read heads, V write heads, E memories,
N slots, W word, H hidden units of all layers, K links kept of a row.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines import Engine
from numdnc.init import initial_state
from numdnc.params import STATE_TYPES, Array, DNCState, Inputs, NTMState
from numdnc.parts import Interface, NTMInterface, OptionalArray, Part, parts_of
from numdnc.reference.activations import affine
from numdnc.reference.allocation import allocate_in_turn, retain
from numdnc.reference.bidirectional import reverse_hidden
from numdnc.reference.content import content_weights, look_up
from numdnc.reference.controller import controller_step
from numdnc.reference.dnc import dnc_step
from numdnc.reference.heads import join_heads, split_heads, stack_heads
from numdnc.reference.interface import parse_interface
from numdnc.reference.linkage import follow_links
from numdnc.reference.memories import join_memories, split_memories
from numdnc.reference.recency import least_recent
from numdnc.spec import DNCSpec, MemorySpec, NTMSpec, Spec
from numdnc.tree import named_leaves


class Weightings(NamedTuple):
    """Intermediate values of a step of a DNC's memory."""

    retention: Annotated[OptionalArray, Part("[E] N", flag="usage_writing")]
    allocation: Annotated[Array, Part("[E] [V] N")]
    """With `recency` 1 at the least recently used slot."""
    write_content: Annotated[OptionalArray, Part("[E] [V] N", flag="usage_writing")]
    read_content: Annotated[Array, Part("[E] R N")]
    forward: Annotated[OptionalArray, Part("[E] [V] R N", flag="links")]
    backward: Annotated[OptionalArray, Part("[E] [V] R N", flag="links")]


class NTMWeightings(NamedTuple):
    """Intermediate values of a step of an NTM's memory."""

    write_content: Annotated[Array, Part("V N")]
    read_content: Annotated[Array, Part("R N")]


WEIGHTINGS: dict[str, Any] = {"dnc": Weightings, "ntm": NTMWeightings}
"""The intermediate values of each kind of model with a memory."""


class Step(NamedTuple):
    """One step of a sequence."""

    outputs: Array  # (B, Y)
    before: Any
    """The state before the step, ..."""
    after: Any
    """... and after it."""
    reverse: Array  # (B, H) hidden values of the second direction; H = 0 without one


def run_steps(
    spec: Spec, params: Any, engine: Engine, inputs: Inputs, lengths: NDArray[np.integer]
) -> Iterator[Step]:
    """Run sequences from the initial state step by step; inputs (T, B, X) or symbols (T, B), lengths (B,).

    Since an engine computes a bidirectional model only as a whole, its steps are the definition's.
    """
    T, B = inputs.shape[:2]
    state = initial_state(spec, params, B)
    reverse = np.zeros((T, B, 0), params.output.bias.dtype)
    if isinstance(spec, DNCSpec) and spec.bidirectional:
        reverse, _ = reverse_hidden(spec, params.reverse_controller, inputs, lengths)
    for t in range(T):
        before = state
        if isinstance(spec, DNCSpec) and spec.bidirectional:
            outputs, state, _ = dnc_step(spec, params, inputs[t], before, reverse=reverse[t])
        else:
            (outputs,), state, _ = engine.forward(spec, params, inputs[t : t + 1], before, keep_tape=False)
        yield Step(outputs, before, state, reverse[t])


def recorded_parts(spec: Spec) -> dict[str, Part]:
    """Declared parts of the interface, the weightings and the memory's state of this model, by name."""
    if not spec.has_memory:
        return {}
    kinds = spec.interface_type, WEIGHTINGS[spec.kind], STATE_TYPES[spec.kind]
    return {name: part for kind in kinds for name, part in parts_of(kind, spec).items()}


def step_internals(spec: Spec, params: Any, x: Inputs, step: Step) -> dict[str, Array]:
    """Name -> array (B, ..) of a step with input x, (B, X) or symbols (B,)."""
    found = step_activations(spec, params, x, step)
    if spec.has_memory:
        found |= step_weightings(spec, found, step)
        found |= dict(named_leaves(step.after._replace(controller=())))
    return found


def step_activations(spec: Spec, params: Any, x: Inputs, step: Step) -> dict[str, Array]:
    """Hidden values, cells and the parts of the interface; the first part of `step_internals`."""
    hidden = np.concatenate([_hidden(spec, params, x, step.before, step.after), step.reverse], axis=1)
    found = {"hidden": hidden}
    if spec.controller == "lstm":
        found["cell"] = np.concatenate([layer.cell for layer in step.after.controller], axis=1)
    if spec.has_memory:
        found |= dict(named_leaves(parse_interface(spec, affine(params.interface, hidden))))
    return found


def step_weightings(spec: MemorySpec, activations: Mapping[str, Array], step: Step) -> dict[str, Array]:
    """Intermediate weightings of a step, from its activations and the states around it; see `step_internals`."""
    interface = spec.interface_type(**{name: activations[name] for name in spec.interface_parts})
    if isinstance(spec, NTMSpec):
        weightings: Any = _ntm_weightings(interface, step.before, step.after)
    else:
        weightings = _weightings_of_all(spec, interface, step.before, step.after)
    return dict(named_leaves(weightings))


def _hidden(spec: Spec, params: Any, x: Inputs, before: Any, after: Any) -> Array:
    """h_all of the controller (B, H); a feed-forward controller has none in its state and is run again."""
    if spec.controller != "feedforward":
        return np.concatenate([layer.hidden for layer in after.controller], axis=1)
    reads = before.reads.reshape(len(x), spec.reads_size)
    hidden, _, _ = controller_step(spec, params.controller, x, reads, before.controller)
    return hidden


def _ntm_weightings(interface: NTMInterface, before: NTMState, after: NTMState) -> NTMWeightings:
    writing, _ = content_weights(before.memory, interface.write_keys, interface.write_strengths)
    reading, _ = content_weights(after.memory, interface.read_keys, interface.read_strengths)
    return NTMWeightings(writing, reading)


def _weightings_of_all(spec: DNCSpec, interface: Interface, before: DNCState, after: DNCState) -> Weightings:
    if spec.memories == 1:
        return _weightings(spec, interface, before, after)
    trees = (interface._replace(write_vector=()), before, after)  # of which both may share the write vector
    first, second = zip(*map(split_memories, trees), strict=True)
    return join_memories(_weightings(spec, *first), _weightings(spec, *second))


def _weightings(spec: DNCSpec, interface: Interface, before: DNCState, after: DNCState) -> Weightings:
    """Each is computed from the engine's own values: the allocation from its usage, the directions from its links."""
    retention: OptionalArray = ()
    write_content: OptionalArray = ()
    if spec.recency:
        allocation = least_recent(before.age)
    else:
        retention, _ = retain(before.read_weights, interface.free_gates)
        gates = split_heads(spec, interface.allocation_gate * interface.write_gate)
        allocations, _ = allocate_in_turn(after.usage, gates)
        allocation = join_heads(spec, allocations)
        write_content, _ = look_up(
            spec,
            before.memory,
            stack_heads(spec, interface.write_key),
            stack_heads(spec, interface.write_strength),
            stack_heads(spec, interface.write_mask) if spec.masking else (),
        )
        write_content = join_heads(spec, tuple(np.moveaxis(write_content, 1, 0)))
    read_content, _ = look_up(
        spec, after.memory, interface.read_keys, interface.read_strengths, interface.read_masks
    )
    forward: OptionalArray = ()
    backward: OptionalArray = ()
    if spec.dense_links:
        links = split_heads(spec, after.link)
        *directions, _ = follow_links(spec, interface, links, before.read_weights)
        forward, backward = (join_heads(spec, direction) for direction in directions)
    elif spec.links:
        forward, backward = follow_lists(after.link_slots, after.link_values, before.read_weights)
    return Weightings(retention, allocation, write_content, read_content, forward, backward)


def follow_lists(slots: Array, values: Array, read_weights: Array) -> tuple[Array, Array]:
    """Forward and backward weightings (B, R, N) along lists of links (B, N, K), without a link matrix."""
    forward, backward = np.zeros_like(read_weights), np.zeros_like(read_weights)
    batch, row, entry = np.nonzero(values)
    column, strength = slots[batch, row, entry].astype(np.intp), values[batch, row, entry][:, None]
    along_heads = forward.swapaxes(1, 2), backward.swapaxes(1, 2), read_weights.swapaxes(1, 2)
    np.add.at(along_heads[0], (batch, row), strength * along_heads[2][batch, column])
    np.add.at(along_heads[1], (batch, column), strength * along_heads[2][batch, row])
    return forward, backward


def strongest_links(link: Array, most: int) -> tuple[NDArray[np.intp], Array]:
    """Slots and values (.., N, K) of the largest entries of each row of link (.., N, N), largest first, ties by slot.

    K is the smaller of `most` and N.
    """
    slots = np.argsort(-link, axis=-1, kind="stable")[..., :most]
    return slots, np.take_along_axis(link, slots, -1)
