"""Instructions: a learned memory that is never written, from which each output reads the weights it is made with.

Axes: M steps and rows of a batch side by side, Y output, W word, S instructions.
"""

from typing import NamedTuple

import numpy as np

from numdnc.params import Array, InstructionParams
from numdnc.reference.activations import oneplus, oneplus_backward
from numdnc.reference.content import ContentTape, content_weights, content_weights_backward


class InstructionTape(NamedTuple):
    """Values saved for the backward pass."""

    rows: Array  # (S, W)
    vectors: Array  # (M, W)
    strengths: Array  # (M, Y), at least 1
    content: ContentTape  # of one memory, the rows, and M Y keys
    products: Array  # (M, S)


def follow_instructions(params: InstructionParams, told: Array) -> tuple[Array, InstructionTape]:
    """Outputs (.., Y) made with what each reads of the instructions (after ksluck/sl-dnhc).

        told = [v ; k_1 .. k_Y ; b_1 .. b_Y],   c_i = C(I, k_i, oneplus(b_i)),   y_i = (sum_s c_i[s] I[s]) . v + bias_i

    told (.., W + Y W + Y), of which v (W,) is what all outputs are made of; I (S, W); C is `content_weights`.
    """
    (S, W), Y = params.rows.shape, len(params.bias)
    flat = told.reshape(-1, told.shape[-1])
    vectors, keys, strengths = np.split(flat, [W, W + Y * W], axis=1)
    strengths = oneplus(strengths)
    weights, content = content_weights(params.rows[None], keys.reshape(1, -1, W), strengths.reshape(1, -1))
    products = vectors @ params.rows.T
    outputs = (weights.reshape(-1, Y, S) * products[:, None]).sum(axis=2) + params.bias
    tape = InstructionTape(params.rows, vectors, strengths, content, products)
    return outputs.reshape(*told.shape[:-1], Y), tape


def follow_instructions_backward(tape: InstructionTape, d_outputs: Array) -> tuple[InstructionParams, Array]:
    """Gradients with respect to the parameters and `told`.

    y_i = sum_s c_i[s] p[s] + bias_i with p = I v: the gradient by I has two parts, as content and as factor of v.
    """
    Y, (S, W) = d_outputs.shape[-1], tape.rows.shape
    d_y = d_outputs.reshape(-1, Y)
    weights = tape.content.weights.reshape(-1, Y, S)
    d_products = (d_y[:, :, None] * weights).sum(axis=1)
    d_weights = d_y[:, :, None] * tape.products[:, None]
    d_rows, d_keys, d_strengths = content_weights_backward(tape.content, d_weights.reshape(1, -1, S))
    d_told = [
        d_products @ tape.rows,
        d_keys.reshape(len(d_y), Y * W),
        oneplus_backward(tape.strengths, d_strengths.reshape(-1, Y)),
    ]
    d_params = InstructionParams(d_rows[0] + d_products.T @ tape.vectors, d_y.sum(axis=0))
    return d_params, np.concatenate(d_told, axis=1).reshape(*d_outputs.shape[:-1], W + Y * W + Y)
