"""The interface vector: the controller's instructions to the memory at one step.

Axes: B batch, R read heads, W word.
"""

from math import prod
from typing import Any

import numpy as np

from numdnc.parts import Activation, Array, Interface, NTMInterface, declared_parts
from numdnc.reference.activations import (
    oneplus,
    oneplus_backward,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
    softplus,
    softplus_backward,
)
from numdnc.spec import DNCSpec, NTMSpec

_ACTIVATIONS: dict[Activation, tuple[Any, Any]] = {
    "identity": (lambda z: z, lambda _, d_z: d_z),
    "sigmoid": (sigmoid, sigmoid_backward),
    "softplus": (softplus, softplus_backward),
    "oneplus": (oneplus, oneplus_backward),
    "softmax": (softmax, softmax_backward),
}
"""Each activation and its backward function."""


def parse_interface(spec: DNCSpec | NTMSpec, xi: Array) -> Any:
    """Split xi (B, interface_size) and activate its parts (Graves et al. 2016, "Interface parameters").

    The result is the named tuple that declares the parts and their activations, `spec.interface_type`.
    """
    parts = {}
    for name, part in spec.interface_parts.items():
        first = spec.interface_offsets[name]
        columns = xi[:, first : first + spec.interface_sizes[name]]
        activate, _ = _ACTIVATIONS[part.activation]
        parts[name] = activate(columns.reshape(len(xi), *spec.interface_shapes[name]))
    return spec.interface_type(**parts)


def parse_interface_backward(
    interface: Interface | NTMInterface, d_interface: Interface | NTMInterface
) -> Array:
    """Gradient with respect to xi (B, interface_size)."""
    d_parts = []
    for part, values, d_values in zip(
        declared_parts(type(interface)).values(), interface, d_interface, strict=True
    ):
        if isinstance(values, np.ndarray):
            _, activate_backward = _ACTIVATIONS[part.activation]
            d_parts.append(activate_backward(values, d_values).reshape(len(values), prod(values.shape[1:])))
    return np.concatenate(d_parts, axis=1)
