// Activations, and derivatives as functions of the activated value.
#pragma once

#include "grid.cuh"

DEVICE real sigmoid(real z) { return exp(z < 0 ? z : 0) / (1 + exp(z < 0 ? z : -z)); }
DEVICE real sigmoid_backward(real s, real d_s) { return d_s * s * (1 - s); }
DEVICE real tanh_backward(real t, real d_t) { return d_t * (1 - t * t); }
DEVICE real oneplus(real z) { return 1 + (z > 0 ? z : 0) + log1p(exp(z > 0 ? -z : z)); }
DEVICE real oneplus_backward(real s, real d_s) { return -d_s * expm1(1 - s); }
