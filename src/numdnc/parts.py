"""Declarations of the parts of a memory's interface and state: shape, activation, and the flag that adds the part.

Each part is declared once, in the annotation of its field: parts of the interface in `Interface` (of a DNC) and
`NTMInterface` below, parts of the state in `params.DNCState` and `params.NTMState`. Sizes, offsets, parsing, blank
states, checkpoints and traces are derived from them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
OptionalArray = Any
"""An `Array`, or `()` where the model does not have this part."""

Activation = Literal["identity", "sigmoid", "softplus", "oneplus", "softmax"]
"""The function that activates a part of the interface vector; softmax is over the last axis."""


class Part(NamedTuple):
    """The declaration of one array."""

    axes: str
    """Axes after the batch axis: letters of the spec's `axis_sizes`, or numbers; empty for a single number. An axis in
    brackets is left out where its size is 1."""
    activation: Activation = "identity"
    """How a part of the interface is activated."""
    flag: str = ""
    """The field or property of the spec that adds the part; empty if every memory has it."""

    def shape(self, axis_sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape without the batch axis."""
        axes = self.axes_in(axis_sizes)
        return tuple(int(axis) if axis.isdigit() else axis_sizes[axis] for axis in axes)

    def axes_in(self, axis_sizes: Mapping[str, int]) -> tuple[str, ...]:
        """Return the axes without those that are left out."""
        left_out = {f"[{axis}]" for axis, size in axis_sizes.items() if size == 1}
        return tuple(axis.strip("[]") for axis in self.axes.split() if axis not in left_out)


class Interface(NamedTuple):
    """The activated parts of a DNC's interface vector xi, in order."""

    read_keys: Annotated[Array, Part("[E] R W")]  # k^r
    read_strengths: Annotated[Array, Part("[E] R", "oneplus")]  # beta^r, >= 1
    write_key: Annotated[OptionalArray, Part("[E] [V] W", flag="usage_writing")] = ()  # k^w
    write_strength: Annotated[OptionalArray, Part("[E] [V]", "oneplus", "usage_writing")] = ()  # beta^w, >= 1
    erase: Annotated[OptionalArray, Part("[E] [V] W", "sigmoid", "usage_writing")] = ()  # e
    write_vector: Annotated[OptionalArray, Part("[P] [V] W")] = ()  # v
    free_gates: Annotated[OptionalArray, Part("[E] R", "sigmoid", "usage_writing")] = ()  # f
    allocation_gate: Annotated[OptionalArray, Part("[E] [V]", "sigmoid")] = ()  # g^a
    write_gate: Annotated[OptionalArray, Part("[E] [V]", "sigmoid")] = ()  # g^w
    read_modes: Annotated[OptionalArray, Part("[E] R M", "softmax", "links")] = ()
    """pi: backward along the links of each write head, content, forward along the links of each; M = 2 V + 1."""
    write_mask: Annotated[OptionalArray, Part("[E] [V] W", "sigmoid", "write_masking")] = ()
    read_masks: Annotated[OptionalArray, Part("[E] R W", "sigmoid", "masking")] = ()
    forward_sharpness: Annotated[OptionalArray, Part("[E] [V] R", "oneplus", "sharpness")] = ()  # >= 1
    backward_sharpness: Annotated[OptionalArray, Part("[E] [V] R", "oneplus", "sharpness")] = ()  # >= 1


class NTMInterface(NamedTuple):
    """The activated parts of an NTM's interface vector xi, in order."""

    read_keys: Annotated[Array, Part("R W")]  # k^r
    read_strengths: Annotated[Array, Part("R", "softplus")]  # beta^r, >= 0
    read_interpolation: Annotated[Array, Part("R", "sigmoid")]  # g^r
    read_shifts: Annotated[Array, Part("R S", "softmax")]  # s^r
    read_sharpening: Annotated[Array, Part("R", "oneplus")]  # gamma^r, >= 1
    write_keys: Annotated[Array, Part("V W")]  # k^w
    write_strengths: Annotated[Array, Part("V", "softplus")]  # beta^w, >= 0
    write_interpolation: Annotated[Array, Part("V", "sigmoid")]  # g^w
    write_shifts: Annotated[Array, Part("V S", "softmax")]  # s^w
    write_sharpening: Annotated[Array, Part("V", "oneplus")]  # gamma^w, >= 1
    erase: Annotated[Array, Part("V W", "sigmoid")]  # e
    write_vectors: Annotated[Array, Part("V W")]  # a


_declared: dict[Any, dict[str, Part]] = {}
"""What `declared_parts` has returned; a dict, since torch.compile looks into what functools caches."""


def declared_parts(kind: Any) -> dict[str, Part]:
    """Parts declared by the annotations of a named tuple, by name and in order; fields without a `Part` are skipped."""
    if kind not in _declared:
        hints = get_type_hints(kind, include_extras=True)
        _declared[kind] = {
            name: entry
            for name in kind._fields
            for entry in getattr(hints[name], "__metadata__", ())
            if isinstance(entry, Part)
        }
    return _declared[kind]


def parts_of(kind: Any, spec: Any) -> dict[str, Part]:
    """Declared parts that a model of this spec has."""
    return {
        name: part for name, part in declared_parts(kind).items() if not part.flag or getattr(spec, part.flag)
    }
