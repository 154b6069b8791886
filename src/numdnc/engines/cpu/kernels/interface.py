"""The interface vector of one sequence at one step, in place."""

from numdnc.engines.cpu.kernels.activations import (
    apply_oneplus,
    apply_sigmoid,
    apply_softmax,
    oneplus_backward,
    sigmoid_backward,
    softmax_backward,
)
from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.types import ONEPLUS, SIGMOID, SOFTMAX


@kernel
def parse_interface(xi, at):
    """Activate each part as `numdnc.parts.Interface` declares."""
    for i in range(len(at.activations)):
        kind, first, last, width = at.activations[i]
        if kind == SIGMOID:
            apply_sigmoid(xi[first:last])
        elif kind == ONEPLUS:
            apply_oneplus(xi[first:last])
        elif kind == SOFTMAX:
            for start in range(first, last, width):
                apply_softmax(xi[start : start + width])


@kernel
def parse_interface_backward(d_xi, xi, at):
    """Turn the gradient by the activated parts into that by the interface vector."""
    for i in range(len(at.activations)):
        kind, first, last, width = at.activations[i]
        if kind == SIGMOID:
            sigmoid_backward(d_xi[first:last], xi[first:last])
        elif kind == ONEPLUS:
            oneplus_backward(d_xi[first:last], xi[first:last])
        elif kind == SOFTMAX:
            for start in range(first, last, width):
                softmax_backward(d_xi[start : start + width], xi[start : start + width])
