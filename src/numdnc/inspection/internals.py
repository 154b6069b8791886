"""What happens inside a step, told from the states before and after it by the definition's own functions.

No engine gives this away, so any of them can be looked into. Axes: B batch, R read heads, N slots, W word, H hidden
units of all layers, K links kept of a row.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array, DNCParams, DNCState, Inputs
from numdnc.parts import Interface
from numdnc.reference.activations import affine
from numdnc.reference.allocation import allocate, retain
from numdnc.reference.content import look_up
from numdnc.reference.controller import controller_step
from numdnc.reference.interface import parse_interface
from numdnc.reference.linkage import directional_weights, sharpen
from numdnc.spec import DNCSpec, Spec


def step_internals(spec: Spec, params: Any, x: Inputs, before: Any, after: Any) -> dict[str, Array]:
    """Name -> array (B, ..) of the step that led from one state to the other with x (B, X) or symbols (B,)."""
    found = {"hidden": _hidden(spec, params, x, before, after)}
    if spec.controller == "lstm":
        found["cell"] = np.concatenate([layer.cell for layer in after.controller], axis=1)
    if isinstance(spec, DNCSpec):
        found |= _memory(spec, params, found["hidden"], before, after)
    return found


def _hidden(spec: Spec, params: Any, x: Inputs, before: Any, after: Any) -> Array:
    """h_all (B, H); a feed-forward controller leaves none in the state, so it is run again."""
    if spec.controller != "feedforward":
        return np.concatenate([layer.hidden for layer in after.controller], axis=1)
    reads = before.reads.reshape(len(x), spec.reads_size)
    hidden, _, _ = controller_step(spec, params.controller, x, reads, before.controller)
    return hidden


def _memory(
    spec: DNCSpec, params: DNCParams, hidden: Array, before: DNCState, after: DNCState
) -> dict[str, Array]:
    """The interface, the weightings it leads to, and the memory after the write.

    Each follows from what the engine had: the allocation from its usage, the directions from its links.
    """
    interface = parse_interface(spec, affine(params.interface, hidden))
    retention, _ = retain(before.read_weights, interface.free_gates)
    allocation, _ = allocate(after.usage)
    write_content, _ = look_up(
        spec,
        before.memory,
        interface.write_key[:, None],
        interface.write_strength[:, None],
        interface.write_mask,
    )
    read_content, _ = look_up(
        spec, after.memory, interface.read_keys, interface.read_strengths, interface.read_masks
    )
    return {
        **{name: part for name, part in interface._asdict().items() if isinstance(part, np.ndarray)},
        "retention": retention,
        "usage": after.usage,
        "allocation": allocation,
        "write_content": write_content,
        "write_weights": after.write_weights,
        "read_content": read_content,
        "read_weights": after.read_weights,
        "memory": after.memory,
        "reads": after.reads,
        **(_links(spec, interface, before, after) if spec.links else {}),
    }


def _links(spec: DNCSpec, interface: Interface, before: DNCState, after: DNCState) -> dict[str, Array]:
    forward, backward = directional_weights(after.link, before.read_weights)
    if spec.sharpness:
        forward, _ = sharpen(forward, interface.forward_sharpness)
        backward, _ = sharpen(backward, interface.backward_sharpness)
    return {"forward": forward, "backward": backward, "precedence": after.precedence, "link": after.link}


def strongest_links(link: Array, most: int) -> tuple[NDArray[np.intp], Array]:
    """Slots and values (B, N, K) of the largest entries of each row of link (B, N, N), largest first, ties by slot.

    K is `most`, or N if that is less.
    """
    slots = np.argsort(-link, axis=2, kind="stable")[:, :, :most]
    return slots, np.take_along_axis(link, slots, 2)
