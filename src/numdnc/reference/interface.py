"""The interface: what the controller tells the memory at a step.

Axes: B batch, R read heads, W word.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from numdnc.params import Array
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
    read_modes: Array  # pi (B, R, 3): backward, content, forward; sums to 1 per head


def parse_interface(spec: DNCSpec, xi: Array) -> Interface:
    """Split xi (B, interface_size) and activate its parts (Graves et al. 2016, "Interface parameters").

    Strengths by oneplus; erase and gates by sigmoid; modes by a softmax over the three modes of one head.
    """
    B, R, W = len(xi), spec.read_heads, spec.word_size
    parts = np.split(xi, np.cumsum(list(spec.interface_sizes.values()))[:-1], axis=1)
    return Interface(
        read_keys=parts[0].reshape(B, R, W),
        read_strengths=oneplus(parts[1]),
        write_key=parts[2],
        write_strength=oneplus(parts[3][:, 0]),
        erase=sigmoid(parts[4]),
        write_vector=parts[5],
        free_gates=sigmoid(parts[6]),
        allocation_gate=sigmoid(parts[7][:, 0]),
        write_gate=sigmoid(parts[8][:, 0]),
        read_modes=softmax(parts[9].reshape(B, R, 3)),
    )


def parse_interface_backward(interface: Interface, d_interface: Interface) -> Array:
    """Gradient by xi (B, interface_size)."""
    now, d = interface, d_interface
    B = len(now.write_key)
    parts = [
        d.read_keys,
        oneplus_backward(now.read_strengths, d.read_strengths),
        d.write_key,
        oneplus_backward(now.write_strength, d.write_strength),
        sigmoid_backward(now.erase, d.erase),
        d.write_vector,
        sigmoid_backward(now.free_gates, d.free_gates),
        sigmoid_backward(now.allocation_gate, d.allocation_gate),
        sigmoid_backward(now.write_gate, d.write_gate),
        softmax_backward(now.read_modes, d.read_modes),
    ]
    return np.concatenate([part.reshape(B, prod(part.shape[1:])) for part in parts], axis=1)
