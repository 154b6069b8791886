"""A second memory, whose turn in each step comes after that of the first (MT-DNC 2025, doi 10.3389/frai.2025.1635932).

Axes: B batch, E memories, R read heads, W word. Parts of the interface and the state have the axis E after the batch's;
the part P of the write vectors only where each memory has its own.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np

from numdnc.params import Array, DNCState
from numdnc.parts import Interface
from numdnc.reference.access import AccessTape, access, access_backward
from numdnc.spec import DNCSpec

Tree = TypeVar("Tree", bound=tuple[Any, ...])
"""A named tuple of arrays: an interface, a state."""


class MemoriesTape(NamedTuple):
    """Values saved for the backward pass: the interface, each memory's tape, the state after the step."""

    interface: Interface
    memories: tuple[AccessTape, AccessTape]
    after: DNCState


def memory_tapes(tape: AccessTape | MemoriesTape) -> tuple[AccessTape, ...]:
    """The tape of each memory."""
    return tape.memories if isinstance(tape, MemoriesTape) else (tape,)


def access_memories(spec: DNCSpec, interface: Interface, before: DNCState) -> tuple[DNCState, Any]:
    """One step of all memories, of which there are one or two."""
    if spec.memories == 1:
        return access(spec, interface, before)
    before_1, before_2 = split_memories(before)
    own = spec.second_memory == "own"
    interface_1, interface_2 = split_memories(interface if own else interface._replace(write_vector=()))
    if not own:
        interface_1 = interface_1._replace(write_vector=interface.write_vector)
    first, first_tape = access(spec, interface_1, before_1)
    if not own:
        interface_2 = interface_2._replace(write_vector=first.reads.prod(axis=1))
    second, second_tape = access(spec, interface_2, before_2)
    after = join_memories(first, second)
    return after, MemoriesTape(interface, (first_tape, second_tape), after)


def access_memories_backward(spec: DNCSpec, tape: Any, d_after: DNCState) -> tuple[Interface, DNCState]:
    """Gradients with respect to the interface and the state before, in reverse order."""
    if isinstance(tape, AccessTape):
        return access_backward(spec, tape, d_after)
    d_first, d_second = split_memories(d_after)
    d_interface_2, d_before_2 = access_backward(spec, tape.memories[1], d_second)
    if spec.second_memory == "reads":
        d_reads = product_over_heads_backward(tape.memories[0].after.reads, d_interface_2.write_vector)
        d_first = d_first._replace(reads=d_first.reads + d_reads)
    d_interface_1, d_before_1 = access_backward(spec, tape.memories[0], d_first)
    d_interface = join_memories(d_interface_1, d_interface_2)
    if spec.second_memory == "reads":
        d_interface = d_interface._replace(write_vector=d_interface_1.write_vector)
    return d_interface, join_memories(d_before_1, d_before_2)


def product_over_heads_backward(reads: Array, d_product: Array) -> Array:
    """Gradient with respect to reads (B, R, W) of their product over heads: that of a head takes all others."""
    others = [np.delete(reads, i, axis=1).prod(axis=1) for i in range(reads.shape[1])]
    return np.stack(others, axis=1) * d_product[:, None]


def split_memories(tree: Tree) -> tuple[Tree, Tree]:
    """What belongs to each memory; what is no array, such as the controller's state, goes with both."""

    def memory(e: int) -> Tree:
        return type(tree)(*(part if isinstance(part, tuple) else part[:, e] for part in tree))

    return memory(0), memory(1)


def join_memories(first: Tree, second: Tree) -> Tree:
    """The tree that `split_memories` splits into these."""
    pairs = zip(first, second, strict=True)
    return type(first)(
        *(one if isinstance(one, tuple) else np.stack([one, other], axis=1) for one, other in pairs)
    )
