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


@kernel
def parse_interface(xi, at, sizes):
    """Strengths by oneplus, erase and gates by sigmoid, the modes of a head by softmax; and the variations."""
    R, W = sizes.heads, sizes.word
    apply_oneplus(xi[at.read_strengths : at.read_strengths + R])
    apply_oneplus(xi[at.write_strength : at.write_strength + 1])
    apply_sigmoid(xi[at.erase : at.erase + W])
    apply_sigmoid(
        xi[at.free_gates : at.free_gates + R + 2]
    )  # and, next to them, the allocation and write gates
    if sizes.links:
        for i in range(R):
            apply_softmax(xi[at.read_modes + 3 * i : at.read_modes + 3 * i + 3])
    if sizes.masking:
        apply_sigmoid(xi[at.write_mask : at.write_mask + W])
        apply_sigmoid(xi[at.read_masks : at.read_masks + R * W])
    if sizes.sharpness:
        apply_oneplus(xi[at.forward_sharpness : at.forward_sharpness + R])
        apply_oneplus(xi[at.backward_sharpness : at.backward_sharpness + R])


@kernel
def parse_interface_backward(d_xi, xi, at, sizes):
    """The gradient by the activated parts made that by what they were made from."""
    R, W = sizes.heads, sizes.word
    _oneplus_part(d_xi, xi, at.read_strengths, R)
    _oneplus_part(d_xi, xi, at.write_strength, 1)
    _sigmoid_part(d_xi, xi, at.erase, W)
    _sigmoid_part(d_xi, xi, at.free_gates, R + 2)
    if sizes.links:
        for i in range(R):
            first = at.read_modes + 3 * i
            softmax_backward(d_xi[first : first + 3], xi[first : first + 3])
    if sizes.masking:
        _sigmoid_part(d_xi, xi, at.write_mask, W)
        _sigmoid_part(d_xi, xi, at.read_masks, R * W)
    if sizes.sharpness:
        _oneplus_part(d_xi, xi, at.forward_sharpness, R)
        _oneplus_part(d_xi, xi, at.backward_sharpness, R)


@kernel
def _sigmoid_part(d_xi, xi, first, count):
    sigmoid_backward(d_xi[first : first + count], xi[first : first + count])


@kernel
def _oneplus_part(d_xi, xi, first, count):
    oneplus_backward(d_xi[first : first + count], xi[first : first + count])
