"""The update rules of training in one pass over memory; `numdnc.training.optimizers` has their equations.

Every array is a leaf of a tree, (n,): p parameters, g gradient, v, s, m moments, before the update and after it.
"""

import math

import numpy as np

from numdnc.engines.cpu.kernels.compiling import loop_entry
from numdnc.engines.cpu.kernels.constants import constant

_EPSILON = 1e-8


@loop_entry
def sgd(p, g, v, p_after, v_after, rate, mu):
    """v = mu v + g,  p -= rate v."""
    for i in range(len(p)):
        v_after[i] = mu * v[i] + g[i]
        p_after[i] = p[i] - rate * v_after[i]


@loop_entry
def adagrad(p, g, s, p_after, s_after, rate):
    """s = s + g^2,  p -= rate g / (sqrt(s) + eps)."""
    epsilon = constant(_EPSILON, p)
    for i in range(len(p)):
        s_after[i] = s[i] + g[i] * g[i]
        p_after[i] = p[i] - rate * (g[i] / (math.sqrt(s_after[i]) + epsilon))


@loop_entry
def rmsprop(p, g, s, v, p_after, s_after, v_after, rate, mu):
    """s = .9 s + .1 g^2,  v = mu v + g / (sqrt(s) + eps),  p -= rate v."""
    epsilon, old, new = constant(_EPSILON, p), constant(0.9, p), constant(0.1, p)
    for i in range(len(p)):
        s_after[i] = old * s[i] + new * g[i] * g[i]
        v_after[i] = mu * v[i] + g[i] / (math.sqrt(s_after[i]) + epsilon)
        p_after[i] = p[i] - rate * v_after[i]


@loop_entry
def adam(p, g, m, s, p_after, m_after, s_after, mean_scale, square_scale):
    """m = .9 m + .1 g,  s = .999 s + .001 g^2,  p -= mean_scale m / (sqrt(square_scale s) + eps)."""
    epsilon = constant(_EPSILON, p)
    old_mean, new_mean = constant(0.9, p), constant(0.1, p)
    old_square, new_square = constant(0.999, p), constant(0.001, p)
    for i in range(len(p)):
        m_after[i] = old_mean * m[i] + new_mean * g[i]
        s_after[i] = old_square * s[i] + new_square * g[i] * g[i]
        p_after[i] = p[i] - mean_scale * m_after[i] / (math.sqrt(square_scale * s_after[i]) + epsilon)


@loop_entry
def sum_of_squares(g):
    """sum g^2, in float64."""
    total = 0.0
    for i in range(len(g)):
        total += np.float64(g[i]) * g[i]
    return total
