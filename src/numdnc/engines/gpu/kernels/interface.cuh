// The interface vector: a product for all sequences, then the activations of its parts for one.
#pragma once

#include "activations.cuh"
#include "model.cuh"
#include "product.cuh"

enum Activation { IDENTITY, SIGMOID, ONEPLUS, SOFTMAX };  // softmax over the three modes of a head

// xi = h_all W_xi + b_xi
DEVICE void interface_product(const Problem &p, real *scratch, int t) {
    const Sizes &size = p.size;
    for (int tile = blockIdx.x; tile < count_tiles(size.B, size.I); tile += gridDim.x) {
        int rows = (size.B + TILE - 1) / TILE, row = tile % rows * TILE, first = tile / rows * TILE;
        Tile sums = {};
        add_product<false>(
            sums, size.H, scratch,
            [&](int r, int k) -> real {
                return row + r < size.B ? row_of(p, p.array.hidden, t + 1, row + r, size.H)[k] : 0;
            },
            [&](int k, int c) -> real {
                return first + c < size.I ? p.array.interface_weights[(long long)k * size.I + first + c] : 0;
            });
        finish_product(sums, scratch);
        EACH(i, TILE * TILE) {
            int b = row + i / TILE, c = first + i % TILE;
            if (b < size.B && c < size.I)
                row_of(p, p.array.xi, t, b, size.I)[c] = scratch[i] + p.array.interface_bias[c];
        }
    }
}

// parts = activations of xi
DEVICE void parse_interface(const Problem &p, real *parts, const real *xi) {
    EACH(c, p.size.I) {
        real z = xi[c];
        switch (p.array.activation[c]) {
            case SIGMOID: parts[c] = sigmoid(z); break;
            case ONEPLUS: parts[c] = oneplus(z); break;
            case SOFTMAX: {
                const real *modes = xi + c - (c - p.part.read_modes) % 3;
                real most = max(modes[0], max(modes[1], modes[2]));
                parts[c] = exp(z - most) / (exp(modes[0] - most) + exp(modes[1] - most) + exp(modes[2] - most));
                break;
            }
            default: parts[c] = z;
        }
    }
}

DEVICE void parse_interface_backward(const Problem &p, real *d_xi, const real *parts, const real *d_parts) {
    EACH(c, p.size.I) {
        real value = parts[c], d = d_parts[c];
        switch (p.array.activation[c]) {
            case SIGMOID: d_xi[c] = sigmoid_backward(value, d); break;
            case ONEPLUS: d_xi[c] = oneplus_backward(value, d); break;
            case SOFTMAX: {
                int first = c - (c - p.part.read_modes) % 3;
                real mean = 0;
                for (int mode = first; mode < first + 3; mode++) mean += parts[mode] * d_parts[mode];
                d_xi[c] = value * (d - mean);
                break;
            }
            default: d_xi[c] = d;
        }
    }
}
