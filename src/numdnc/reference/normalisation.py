"""Layer norm: a vector scaled to mean 0 and variance 1, then each number by its own gain and bias.

Axes: B batch, C numbers of the vector.
"""

import numpy as np

from numdnc.params import Array
from numdnc.spec import EPSILON


def layer_norm(z: Array, gain: Array, bias: Array) -> Array:
    """Ba, Kiros and Hinton 2016, "Layer normalization":

        n = (z - mean(z)) / sqrt(var(z) + eps),   out = gain n + bias      mean and var over C

    z (B, C), gain and bias (C,); n has mean 0 and variance 1, or less if var(z) is not far above eps; equal numbers
    give the bias.
    """
    return gain * _standardise(z)[0] + bias


def layer_norm_backward(z: Array, gain: Array, d_out: Array) -> tuple[Array, Array, Array]:
    """Gradients with respect to z, gain and bias. With dn = gain dout and s = sqrt(var(z) + eps),

    dz = (dn - mean(dn) - n mean(n dn)) / s
    """
    n, deviation = _standardise(z)
    d_n = gain * d_out
    d_z = (d_n - d_n.mean(axis=1, keepdims=True) - n * (n * d_n).mean(axis=1, keepdims=True)) / deviation
    return d_z, (n * d_out).sum(axis=0), d_out.sum(axis=0)


def _standardise(z: Array) -> tuple[Array, Array]:
    """n (B, C) and the deviation sqrt(var(z) + eps) (B, 1)."""
    centred = z - z.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + EPSILON)
    return centred / deviation, deviation
