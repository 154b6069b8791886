"""Outputs made with instructions, for all steps at once, since no step sees another's; see
`numdnc.reference.instructions`.

Axes: M steps and rows of a batch side by side, Y output, W word, S instructions.
"""

from typing import NamedTuple

import numpy as np

from numdnc.params import Array, InstructionParams
from numdnc.spec import EPSILON


class InstructionTape(NamedTuple):
    """Values saved for the backward pass."""

    rows: Array  # (S, W)
    vectors: Array  # (M, W)
    keys: Array  # (M Y, W)
    strengths: Array  # (M Y, 1), before oneplus
    key_norms: Array  # (M Y, 1)
    row_norms: Array  # (S,)
    similarity: Array  # (M Y, S)
    weights: Array  # (M, Y, S)
    products: Array  # (M, S), of vectors and rows


def follow_instructions(params: InstructionParams, told: Array) -> tuple[Array, InstructionTape]:
    """Outputs (M, Y) for told (M, W + Y W + Y)."""
    rows, Y = params.rows, len(params.bias)
    W = rows.shape[1]
    vectors, keys, strengths = told[:, :W], told[:, W : W + Y * W].reshape(-1, W), told[:, W + Y * W :]
    strengths = strengths.reshape(-1, 1)
    key_norms, row_norms = _norms(keys)[:, None], _norms(rows)
    similarity = keys @ rows.T / (key_norms * row_norms)
    scores = (1 + np.logaddexp(strengths, 0)) * similarity
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    weights = weights.reshape(len(told), Y, len(rows))
    products = vectors @ rows.T
    outputs = np.einsum("mys,ms->my", weights, products) + params.bias
    return outputs, InstructionTape(
        rows, vectors, keys, strengths, key_norms, row_norms, similarity, weights, products
    )


def follow_instructions_backward(tape: InstructionTape, d_outputs: Array) -> tuple[InstructionParams, Array]:
    """Gradients with respect to the parameters and `told`, for d_outputs (M, Y)."""
    M, Y, S = tape.weights.shape
    d_products = np.einsum("mys,my->ms", tape.weights, d_outputs)
    d_scores = tape.weights * (d_outputs[:, :, None] * tape.products[:, None])
    d_scores -= tape.weights * d_scores.sum(axis=2, keepdims=True)
    d_scores = d_scores.reshape(M * Y, S)
    opened = 1 / (1 + np.exp(-np.abs(tape.strengths)))  # sigmoid of the size, which cannot overflow
    d_strengths = (d_scores * tape.similarity).sum(axis=1, keepdims=True)
    d_strengths *= np.where(tape.strengths >= 0, opened, 1 - opened)
    d_similarity = d_scores * (1 + np.logaddexp(tape.strengths, 0))
    d_dots = d_similarity / (tape.key_norms * tape.row_norms)
    shrink = d_similarity * tape.similarity
    d_keys = d_dots @ tape.rows - tape.keys * (shrink.sum(axis=1, keepdims=True) / tape.key_norms**2)
    d_rows = d_dots.T @ tape.keys - tape.rows * (shrink.sum(axis=0) / tape.row_norms**2)[:, None]
    d_told = np.concatenate(
        [d_products @ tape.rows, d_keys.reshape(M, Y * tape.rows.shape[1]), d_strengths.reshape(M, Y)], axis=1
    )
    return InstructionParams(d_rows + d_products.T @ tape.vectors, d_outputs.sum(axis=0)), d_told


def _norms(vectors: Array) -> Array:
    return np.sqrt((vectors**2).sum(axis=1) + EPSILON)  # type: ignore[no-any-return]
