"""The interface vector of one sequence at one step: its parts, and their activations in place."""

from typing import get_args

from numdnc.engines.cpu.kernels.activations import (
    apply_oneplus,
    apply_sigmoid,
    apply_softmax,
    apply_softplus,
    oneplus_backward,
    sigmoid_backward,
    softmax_backward,
    softplus_backward,
)
from numdnc.engines.cpu.kernels.arrays import as_matrix
from numdnc.engines.cpu.kernels.compiling import inlined, kernel, view_kernel
from numdnc.parts import Activation, Interface, NTMInterface

ACTIVATIONS = get_args(Activation)
_ONEPLUS, _SOFTPLUS, _SIGMOID, _SOFTMAX = (
    ACTIVATIONS.index(name) for name in ("oneplus", "softplus", "sigmoid", "softmax")
)


@kernel
def parse_interface(xi, spans):
    """Activate the parts in place. spans (.., 4): first, last, number of the activation, width of a softmax."""
    for s in range(len(spans)):
        first, last, activation, width = spans[s, 0], spans[s, 1], spans[s, 2], spans[s, 3]
        if activation == _ONEPLUS:
            apply_oneplus(xi[first:last])
        elif activation == _SOFTPLUS:
            apply_softplus(xi[first:last])
        elif activation == _SIGMOID:
            apply_sigmoid(xi[first:last])
        elif activation == _SOFTMAX:
            for i in range(first, last, width):
                apply_softmax(xi[i : i + width])


@kernel
def parse_interface_backward(d_xi, xi, spans):
    """Turn the gradient by the activated parts into that by xi before the activations."""
    for s in range(len(spans)):
        first, last, activation, width = spans[s, 0], spans[s, 1], spans[s, 2], spans[s, 3]
        if activation == _ONEPLUS:
            oneplus_backward(d_xi[first:last], xi[first:last])
        elif activation == _SOFTPLUS:
            softplus_backward(d_xi[first:last], xi[first:last])
        elif activation == _SIGMOID:
            sigmoid_backward(d_xi[first:last], xi[first:last])
        elif activation == _SOFTMAX:
            for i in range(first, last, width):
                softmax_backward(d_xi[i : i + width], xi[i : i + width])


@view_kernel
def split_interface(xi, at, sizes):
    """Views of the parts of xi, as `Interface` declares them; those that the model does not have are empty."""
    return split_memory_interface(xi, xi, at, sizes, 0)


@view_kernel
def split_memory_interface(xi, product, at, sizes, e):
    """The same of memory e. The product of what was read (W,) is the second one's write vector where it is used."""
    R, V, W, links, masks = sizes.heads, sizes.write_heads, sizes.word, sizes.links, sizes.masking
    usage, by_usage, sharp = 1 - sizes.recency, V * (1 - sizes.recency), V * sizes.sharpness
    vectors, first_vector = xi, at.write_vector + e * V * W
    if e * sizes.product:
        vectors, first_vector = product, 0
    return Interface(
        read_keys=_matrix_of(xi, at.read_keys, R, W, e),
        read_strengths=_part_of(xi, at.read_strengths, R, e),
        write_key=_matrix_of(xi, at.write_key, by_usage, W, e),
        write_strength=_part_of(xi, at.write_strength, by_usage, e),
        erase=_matrix_of(xi, at.erase, V, W * usage, e),
        write_vector=as_matrix(vectors, first_vector, V, W),
        free_gates=_part_of(xi, at.free_gates, R * usage, e),
        allocation_gate=_part_of(xi, at.allocation_gate, V, e),
        write_gate=_part_of(xi, at.write_gate, V, e),
        read_modes=_matrix_of(xi, at.read_modes, R * links, 2 * V + 1, e),
        write_mask=_matrix_of(xi, at.write_mask, masks * by_usage, W, e),
        read_masks=_matrix_of(xi, at.read_masks, R * masks, W, e),
        forward_sharpness=_matrix_of(xi, at.forward_sharpness, sharp, R, e),
        backward_sharpness=_matrix_of(xi, at.backward_sharpness, sharp, R, e),
    )


@inlined
def _part_of(xi, first, count, e):
    """Memory e's numbers of a part of which each memory has so many."""
    return xi[first + e * count : first + (e + 1) * count]


@inlined
def _matrix_of(xi, first, rows, columns, e):
    """The same as (rows, columns)."""
    return as_matrix(xi, first + e * rows * columns, rows, columns)


@view_kernel
def split_ntm_interface(xi, at, sizes):
    """Views of the parts of xi, as `NTMInterface` declares them."""
    R, V, W, S = sizes.heads, sizes.write_heads, sizes.word, sizes.shifts
    return NTMInterface(
        read_keys=as_matrix(xi, at.read_keys, R, W),
        read_strengths=xi[at.read_strengths : at.read_strengths + R],
        read_interpolation=xi[at.read_interpolation : at.read_interpolation + R],
        read_shifts=as_matrix(xi, at.read_shifts, R, S),
        read_sharpening=xi[at.read_sharpening : at.read_sharpening + R],
        write_keys=as_matrix(xi, at.write_keys, V, W),
        write_strengths=xi[at.write_strengths : at.write_strengths + V],
        write_interpolation=xi[at.write_interpolation : at.write_interpolation + V],
        write_shifts=as_matrix(xi, at.write_shifts, V, S),
        write_sharpening=xi[at.write_sharpening : at.write_sharpening + V],
        erase=as_matrix(xi, at.erase, V, W),
        write_vectors=as_matrix(xi, at.write_vectors, V, W),
    )
