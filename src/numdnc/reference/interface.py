"""The interface: what the controller tells the memory at a step.

Axes: B batch, R read heads, W word.
"""

from math import prod
from typing import Any, NamedTuple

import numpy as np

from numdnc.params import Array, OptionalArray
from numdnc.reference.activations import (
    oneplus,
    oneplus_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
)
from numdnc.spec import DNCSpec


class Interface(NamedTuple):
    """The parts of the interface vector xi, in its order, after their activations."""

    read_keys: Array  # k^r (B, R, W)
    read_strengths: Array  # beta^r (B, R), >= 1
    write_key: Array  # k^w (B, W)
    write_strength: Array  # beta^w (B,), >= 1
    erase: Array  # e (B, W), in [0, 1]
    write_vector: Array  # v (B, W)
    free_gates: Array  # f (B, R), in [0, 1]
    allocation_gate: Array  # g^a (B,), in [0, 1]
    write_gate: Array  # g^w (B,), in [0, 1]
    read_modes: OptionalArray = ()  # pi (B, R, 3): backward, content, forward; sums to 1 per head
    write_mask: OptionalArray = ()  # (B, 1, W), in [0, 1]
    read_masks: OptionalArray = ()  # (B, R, W), in [0, 1]
    forward_sharpness: OptionalArray = ()  # (B, R), >= 1
    backward_sharpness: OptionalArray = ()  # (B, R), >= 1


_IDENTITY: tuple[Any, Any] = (lambda z: z, lambda _, d_z: d_z)
_SIGMOID, _ONEPLUS, _SOFTMAX = (
    (sigmoid, sigmoid_backward),
    (oneplus, oneplus_backward),
    (softmax, softmax_backward),
)
_ACTIVATIONS: dict[str, tuple[Any, Any]] = {
    "read_keys": _IDENTITY,
    "read_strengths": _ONEPLUS,
    "write_key": _IDENTITY,
    "write_strength": _ONEPLUS,
    "erase": _SIGMOID,
    "write_vector": _IDENTITY,
    "free_gates": _SIGMOID,
    "allocation_gate": _SIGMOID,
    "write_gate": _SIGMOID,
    "read_modes": _SOFTMAX,
    "write_mask": _SIGMOID,
    "read_masks": _SIGMOID,
    "forward_sharpness": _ONEPLUS,
    "backward_sharpness": _ONEPLUS,
}
"""Of each part its activation, and what takes the gradient through it."""


def parse_interface(spec: DNCSpec, xi: Array) -> Interface:
    """Split xi (B, interface_size) and activate its parts (Graves et al. 2016, "Interface parameters").

    Strengths by oneplus; erase and gates by sigmoid; modes by a softmax over the three modes of one head. Masks by
    sigmoid and sharpness by oneplus (Csordas and Schmidhuber 2019).
    """
    ends = np.cumsum(list(spec.interface_sizes.values()))
    parts = {}
    for (name, shape), part in zip(
        spec.interface_shapes.items(), np.split(xi, ends[:-1], axis=1), strict=True
    ):
        activate, _ = _ACTIVATIONS[name]
        parts[name] = activate(part.reshape(len(xi), *shape))
    return Interface(**parts)


def parse_interface_backward(interface: Interface, d_interface: Interface) -> Array:
    """Gradient by xi (B, interface_size)."""
    d_parts = []
    for name, part, d_part in zip(Interface._fields, interface, d_interface, strict=True):
        if isinstance(part, np.ndarray):
            _, activate_backward = _ACTIVATIONS[name]
            d_parts.append(activate_backward(part, d_part).reshape(len(part), prod(part.shape[1:])))
    return np.concatenate(d_parts, axis=1)
