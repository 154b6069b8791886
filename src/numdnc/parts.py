"""What a memory's interface and state are made of: each part's shape, activation, and the flag that brings it.

A part is declared once, in the annotation of its field: those of the interface here in `Interface`, those of the state
in `params.DNCState`. Sizes, offsets, parsing, blank states, traces and files follow from that.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
OptionalArray = Any
"""An `Array`, or `()` where the model does not have this part."""

Activation = Literal["identity", "sigmoid", "oneplus", "softmax"]
"""What is applied to a part of the interface vector; softmax runs over its last axis."""


class Part(NamedTuple):
    """The declaration of one array."""

    axes: str
    """Its axes after that of the batch: letters of `DNCSpec.axis_sizes`, or numbers; empty for one number."""
    activation: Activation = "identity"
    """For a part of the interface: what makes it from the interface vector."""
    flag: str = ""
    """The field or property of the spec that must be true for the model to have it; empty if all models have it."""

    def shape(self, axis_sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its shape without the batch."""
        return tuple(int(axis) if axis.isdigit() else axis_sizes[axis] for axis in self.axes.split())


class Interface(NamedTuple):
    """The parts of the interface vector xi, in its order, after their activations."""

    read_keys: Annotated[Array, Part("R W")]  # k^r
    read_strengths: Annotated[Array, Part("R", "oneplus")]  # beta^r, >= 1
    write_key: Annotated[Array, Part("W")]  # k^w
    write_strength: Annotated[Array, Part("", "oneplus")]  # beta^w, >= 1
    erase: Annotated[Array, Part("W", "sigmoid")]  # e
    write_vector: Annotated[Array, Part("W")]  # v
    free_gates: Annotated[Array, Part("R", "sigmoid")]  # f
    allocation_gate: Annotated[Array, Part("", "sigmoid")]  # g^a
    write_gate: Annotated[Array, Part("", "sigmoid")]  # g^w
    read_modes: Annotated[OptionalArray, Part("R 3", "softmax", "links")] = ()
    """pi: backward, content, forward."""
    write_mask: Annotated[OptionalArray, Part("1 W", "sigmoid", "masking")] = ()
    read_masks: Annotated[OptionalArray, Part("R W", "sigmoid", "masking")] = ()
    forward_sharpness: Annotated[OptionalArray, Part("R", "oneplus", "sharpness")] = ()  # >= 1
    backward_sharpness: Annotated[OptionalArray, Part("R", "oneplus", "sharpness")] = ()  # >= 1


@cache
def declared_parts(kind: Any) -> dict[str, Part]:
    """The parts that the annotations of a named tuple declare, in its order; fields without a `Part` are left out."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        name: entry
        for name in kind._fields
        for entry in getattr(hints[name], "__metadata__", ())
        if isinstance(entry, Part)
    }


def parts_of(kind: Any, spec: Any) -> dict[str, Part]:
    """Those of them that a model of this spec has."""
    return {
        name: part for name, part in declared_parts(kind).items() if not part.flag or getattr(spec, part.flag)
    }
