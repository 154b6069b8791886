"""Activations, in place and vectorised.

exp is a polynomial after Cody and Waite (1980): x = n log 2 + r with |r| <= log(2) / 2, e^x = 2^n e^r, and 2^n is made
from its bits. e^r is Taylor's sum, to the degree where its error is below rounding: 7 in float32, 13 in float64.
"""

from math import exp, expm1, log, log1p, sqrt
from typing import Any

import numpy as np
from numba import float32, int32, int64
from numba.extending import overload

from numdnc.engines.cpu.kernels.compiling import exact_kernel, kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.spec import EPSILON

_LOG2_E = 1 / log(2)


def split_exp(x: Any) -> Any:
    """(s, q) with e^x = s (1 + q), s a power of 2, |q| < 0.42; x <= 0. Below the smallest normal number s = 0."""
    raise NotImplementedError


@exact_kernel
def _split_exp_float32(x):
    x = float32(-200) if x < float32(-200) else x  # NaN stays NaN
    n = np.floor(x * float32(_LOG2_E) + float32(0.5))
    r = x - n * float32(0.693359375) + n * float32(2.12194440e-4)
    q = float32(1 / 5040)
    q = q * r + float32(1 / 720)
    q = q * r + float32(1 / 120)
    q = q * r + float32(1 / 24)
    q = q * r + float32(1 / 6)
    q = q * r + float32(1 / 2)
    q = q * r + float32(1)
    power = np.int32((int32(max(n, float32(-127))) + int32(127)) << int32(23)).view(np.float32)
    return power, q * r


@exact_kernel
def _split_exp_float64(x):
    x = -1000.0 if x < -1000.0 else x
    n = np.floor(x * _LOG2_E + 0.5)
    r = x - n * 0.693147180369123816490 - n * 1.90821492927058770002e-10
    q = 1 / 6227020800
    q = q * r + 1 / 479001600
    q = q * r + 1 / 39916800
    q = q * r + 1 / 3628800
    q = q * r + 1 / 362880
    q = q * r + 1 / 40320
    q = q * r + 1 / 5040
    q = q * r + 1 / 720
    q = q * r + 1 / 120
    q = q * r + 1 / 24
    q = q * r + 1 / 6
    q = q * r + 1 / 2
    q = q * r + 1
    power = np.int64((int64(max(n, -1023.0)) + int64(1023)) << int64(52)).view(np.float64)
    return power, q * r


@overload(split_exp, inline="never")
def _split_exp(x):
    compiled = _split_exp_float32 if x == float32 else _split_exp_float64
    return lambda x: compiled(x)


@exact_kernel
def apply_sigmoid(v):
    """v = 1 / (1 + e^-v); with e^-|v|, which cannot overflow."""
    one = constant(1, v)
    for i in range(len(v)):
        power, q = split_exp(-abs(v[i]))
        e = power + power * q
        s = one / (one + e)
        v[i] = s if v[i] >= 0 else e * s


@exact_kernel
def apply_tanh(v):
    """v = tanh(v) = -m / (2 + m) with m = e^(-2 |v|) - 1, formed without cancellation."""
    one, two = constant(1, v), constant(2, v)
    for i in range(len(v)):
        power, q = split_exp(-two * abs(v[i]))
        m = power * q + (power - one)
        th = -m / (two + m)
        v[i] = th if v[i] >= 0 else -th


@exact_kernel
def _exponentials(v, largest):
    """v = e^(v - largest)."""
    for i in range(len(v)):
        power, q = split_exp(v[i] - largest)
        v[i] = power + power * q


@kernel
def apply_softmax(v):
    """v = e^v / sum e^v; the maximum is subtracted first."""
    largest = v[0]
    for i in range(1, len(v)):
        largest = max(largest, v[i])
    _exponentials(v, largest)
    total = constant(0, v)
    for i in range(len(v)):
        total += v[i]
    share = constant(1, v) / total
    for i in range(len(v)):
        v[i] *= share


@kernel
def softmax_backward(d_z, p):
    """dz = p (dp - sum p dp); d_z holds dp when called."""
    mean = constant(0, d_z)
    for i in range(len(p)):
        mean += p[i] * d_z[i]
    for i in range(len(p)):
        d_z[i] = p[i] * (d_z[i] - mean)


@kernel
def apply_oneplus(v):
    """v = 1 + log(1 + e^v), overflow-free."""
    one, zero = constant(1, v), constant(0, v)
    for i in range(len(v)):
        v[i] = one + max(v[i], zero) + log1p(exp(-abs(v[i])))


@kernel
def apply_softplus(v):
    """v = log(1 + e^v), overflow-free."""
    zero = constant(0, v)
    for i in range(len(v)):
        v[i] = max(v[i], zero) + log1p(exp(-abs(v[i])))


@kernel
def softplus_backward(d_z, s):
    """dz = ds (1 - e^-s), in place."""
    for i in range(len(s)):
        d_z[i] *= -expm1(-s[i])


@kernel
def sigmoid_backward(d_z, s):
    """dz = ds s (1 - s), in place."""
    one = constant(1, d_z)
    for i in range(len(s)):
        d_z[i] *= s[i] * (one - s[i])


@kernel
def oneplus_backward(d_z, s):
    """dz = ds (1 - e^(1 - s)), in place."""
    one = constant(1, d_z)
    for i in range(len(s)):
        d_z[i] *= -expm1(one - s[i])


@kernel
def layer_norm(z, standard, gain, bias):
    """n = (z - mean z) / sqrt(var z + eps), z = gain n + bias, in place; returns the standard deviation."""
    count, zero = constant(len(z), z), constant(0, z)
    mean, variance = zero, zero
    for i in range(len(z)):
        mean += z[i]
    mean /= count
    for i in range(len(z)):
        standard[i] = z[i] - mean
        variance += standard[i] * standard[i]
    deviation = sqrt(variance / count + constant(EPSILON, z))
    for i in range(len(z)):
        standard[i] /= deviation
        z[i] = gain[i] * standard[i] + bias[i]
    return deviation


@kernel
def layer_norm_backward(d_z, standard, deviation, gain):
    """dz = (dn - mean dn - n mean(n dn)) / deviation with dn = gain dout; d_z holds dout when called."""
    count, zero = constant(len(d_z), d_z), constant(0, d_z)
    mean, tilt = zero, zero
    for i in range(len(d_z)):
        d_z[i] *= gain[i]
        mean += d_z[i]
        tilt += d_z[i] * standard[i]
    mean /= count
    tilt /= count
    for i in range(len(d_z)):
        d_z[i] = (d_z[i] - mean - standard[i] * tilt) / deviation
