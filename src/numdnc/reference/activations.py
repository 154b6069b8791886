"""Activations, each with its derivative as a function of the activated value, and the affine map.

Every `*_backward` takes the gradient of a loss with respect to the result (`d_...`) and returns that with respect to
the argument.
"""

from typing import Any

import numpy as np

from numdnc.params import Affine, Array, Inputs, LayerParams
from numdnc.reference.normalisation import layer_norm, layer_norm_backward


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z) = e^min(z, 0) / (1 + e^-|z|), in [0, 1]: cannot overflow, and is accurate near 0 too."""
    return np.exp(np.minimum(z, 0)) / (1 + np.exp(-np.abs(z)))  # type: ignore[no-any-return]


def sigmoid_backward(s: Array, d_s: Array) -> Array:
    """ds/dz = s (1 - s)."""
    return d_s * s * (1 - s)


def tanh_backward(t: Array, d_t: Array) -> Array:
    """dt/dz = 1 - t^2."""
    return d_t * (1 - t * t)


def softplus(z: Array) -> Array:
    """log(1 + e^z), in [0, inf): the map for strengths that may be small; overflow-free."""
    return np.logaddexp(0, z, dtype=z.dtype)


def softplus_backward(s: Array, d_s: Array) -> Array:
    """ds/dz = sigmoid(z) = 1 - e^-s."""
    return -d_s * np.expm1(-s)


def oneplus(z: Array) -> Array:
    """1 + log(1 + e^z), in [1, inf): the paper's map for strengths; overflow-free."""
    return 1 + np.logaddexp(0, z, dtype=z.dtype)


def oneplus_backward(s: Array, d_s: Array) -> Array:
    """ds/dz = sigmoid(z) = 1 - e^(1 - s)."""
    return -d_s * np.expm1(1 - s)


def softmax(z: Array) -> Array:
    """e^z / sum e^z over the last axis; the maximum is subtracted first, so nothing overflows."""
    exponentials = np.exp(z - z.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]


def softmax_backward(p: Array, d_p: Array) -> Array:
    """dz = p (dp - sum p dp), over the last axis."""
    return p * (d_p - (p * d_p).sum(axis=-1, keepdims=True))  # type: ignore[no-any-return]


def affine(params: LayerParams, *parts: Array) -> Array:
    """z = [parts concatenated] W + b; parts (B, ..). An integer part (B,) means one-hot rows and selects rows of W.

    With a gain (the variation `normalisation`), z = layer_norm([parts] W, gain, b).
    """
    if isinstance(params.gain, np.ndarray):
        product = _add_product(np.zeros_like(params.bias), params.weights, parts)
        return layer_norm(product, params.gain, params.bias)
    return _add_product(params.bias, params.weights, parts)


def affine_backward(
    params: LayerParams, parts: tuple[Array, ...], d_z: Array
) -> tuple[Affine, tuple[Any, ...]]:
    """dW = parts^T dz, db = sum dz, d(parts) = dz W^T; symbols have no gradient (None).

    With a gain, the dz of the product is the one that layer norm returns.
    """
    d_bias, d_gain = d_z.sum(axis=0), params.gain
    if isinstance(params.gain, np.ndarray):
        product = _add_product(np.zeros_like(params.bias), params.weights, parts)
        d_z, d_gain, d_bias = layer_norm_backward(product, params.gain, d_z)
    d_weights = np.zeros_like(params.weights)
    d_parts: list[Any] = []
    blocks = zip(_row_blocks(params.weights, parts), _row_blocks(d_weights, parts), strict=True)
    for (part, rows), (_, d_rows) in blocks:
        if is_symbols(part):
            np.add.at(d_rows, np.asarray(part, np.intp), d_z)
            d_parts.append(None)
        else:
            np.matmul(part.T, d_z, out=d_rows)
            d_parts.append(d_z @ rows.T)
    return Affine(d_weights, d_bias, d_gain), tuple(d_parts)


def is_symbols(x: Inputs) -> bool:
    """Whether inputs are integers, which mean one-hot rows."""
    return bool(np.issubdtype(x.dtype, np.integer))


def _add_product(z: Array, weights: Array, parts: tuple[Array, ...]) -> Array:
    """z + [parts concatenated] W."""
    for part, rows in _row_blocks(weights, parts):
        z = z + (rows[part] if is_symbols(part) else part @ rows)
    return z


def _row_blocks(weights: Array, parts: tuple[Array, ...]) -> list[tuple[Array, Array]]:
    """Pair each part with its rows of W; symbols get the rows that the others leave."""
    known = sum(part.shape[1] for part in parts if not is_symbols(part))
    blocks, start = [], 0
    for part in parts:
        stop = start + (len(weights) - known if is_symbols(part) else part.shape[1])
        blocks.append((part, weights[start:stop]))
        start = stop
    return blocks
