// The controller's layers, for all sequences: a block has tiles of 32 sequences and some units with all their gates.
#pragma once

#include "activations.cuh"
#include "model.cuh"
#include "product.cuh"

// z = [x ; reads ; own hidden ; hidden below] W + b, of which `gates` holds x and b, then i, f, g, o or tanh.
DEVICE void layer_step(const Problem &p, real *scratch, int t, int l) {
    const Sizes &size = p.size;
    int units = p.layer.units[l], unit = p.layer.unit[l], gate = p.layer.gate[l], below = p.layer.below[l];
    int reads = size.R * size.W, own = size.recurrent ? units : 0, wide = TILE / size.M;
    const real *weights = p.array.weights + p.layer.weights[l];
    for (int tile = blockIdx.x; tile < count_tiles(size.B, (units + wide - 1) / wide * TILE); tile += gridDim.x) {
        int rows = (size.B + TILE - 1) / TILE, row = tile % rows * TILE, first = tile / rows * wide;
        auto left = [&](int r, int k) -> real {
            int b = row + r;
            if (b >= size.B) return 0;
            if (k < reads) return row_of(p, p.array.reads, t, b, reads)[k];
            k -= reads;
            if (k < own) return row_of(p, p.array.hidden, t, b, size.H)[unit + k];
            return row_of(p, p.array.hidden, t + 1, b, size.H)[unit - below + k - own];
        };
        auto right = [&](int k, int c) -> real {
            int u = first + c % wide;
            return u < units ? weights[(long long)k * size.M * units + c / wide * units + u] : 0;
        };
        Tile sums = {};
        add_product<false>(sums, p.layer.rows[l], scratch, left, right);
        finish_product(sums, scratch);
        EACH(i, TILE * wide) {
            int r = i / wide, u = first + i % wide, b = row + r;
            if (b >= size.B || u >= units) continue;
            const real *z = scratch + r * TILE + i % wide;
            real *gates = row_of(p, p.array.gates, t, b, size.G) + gate + u;
            real &hidden = row_of(p, p.array.hidden, t + 1, b, size.H)[unit + u];
            if (size.M == 1) {
                hidden = gates[0] = tanh(gates[0] + z[0]);
                continue;
            }
            real in = gates[0] = sigmoid(gates[0] + z[0]);
            real forget = gates[units] = sigmoid(gates[units] + z[wide]);
            real candidate = gates[2 * units] = tanh(gates[2 * units] + z[2 * wide]);
            real out = gates[3 * units] = sigmoid(gates[3 * units] + z[3 * wide]);
            real cell = forget * row_of(p, p.array.cell, t, b, size.H)[unit + u] + in * candidate;
            row_of(p, p.array.cell, t + 1, b, size.H)[unit + u] = cell;
            hidden = out * tanh(cell);
        }
    }
}

// The gradient by z of a layer, from that by its hidden values: of the outputs, the interface vector, the layer above
// and the step after.
DEVICE void layer_step_backward(const Problem &p, real *scratch, int t, int l) {
    const Sizes &size = p.size;
    int units = p.layer.units[l], unit = p.layer.unit[l], gate = p.layer.gate[l];
    for (int tile = blockIdx.x; tile < count_tiles(size.B, units); tile += gridDim.x) {
        int rows = (size.B + TILE - 1) / TILE, row = tile % rows * TILE, first = tile / rows * TILE;
        Tile sums = {};
        add_product<true>(
            sums, size.I, scratch,
            [&](int r, int k) -> real {
                return row + r < size.B ? row_of(p, p.gradient.xi, t, row + r, size.I)[k] : 0;
            },
            [&](int k, int c) -> real {
                int u = unit + first + c;
                return first + c < units ? p.array.interface_weights[(long long)u * size.I + k] : 0;
            });
        if (l + 1 < size.L) {
            int columns = size.M * p.layer.units[l + 1], from = p.layer.rows[l + 1] - units;
            const real *weights = p.array.weights + p.layer.weights[l + 1];
            add_product<true>(
                sums, columns, scratch,
                [&](int r, int k) -> real {
                    real *d_z = row_of(p, p.gradient.gates, t, row + r, size.G) + p.layer.gate[l + 1];
                    return row + r < size.B ? d_z[k] : 0;
                },
                [&](int k, int c) -> real {
                    return first + c < units ? weights[(long long)(from + first + c) * columns + k] : 0;
                });
        }
        finish_product(sums, scratch);
        EACH(i, TILE * TILE) {
            int b = row + i / TILE, u = first + i % TILE;
            if (b >= size.B || u >= units) continue;
            real d_hidden = scratch[i] + row_of(p, p.gradient.hidden_out, t, b, size.H)[unit + u];
            if (size.recurrent) d_hidden += p.gradient.hidden[b * size.H + unit + u];
            const real *gates = row_of(p, p.array.gates, t, b, size.G) + gate + u;
            real *d_z = row_of(p, p.gradient.gates, t, b, size.G) + gate + u;
            if (size.M == 1) {
                d_z[0] = tanh_backward(gates[0], d_hidden);
                continue;
            }
            real in = gates[0], forget = gates[units], candidate = gates[2 * units], out = gates[3 * units];
            real tanh_cell = tanh(row_of(p, p.array.cell, t + 1, b, size.H)[unit + u]);
            real &d_state = p.gradient.cell[b * size.H + unit + u];
            real d_cell = d_state + tanh_backward(tanh_cell, d_hidden * out);
            d_z[0] = sigmoid_backward(in, d_cell * candidate);
            d_z[units] = sigmoid_backward(forget, d_cell * row_of(p, p.array.cell, t, b, size.H)[unit + u]);
            d_z[2 * units] = tanh_backward(candidate, d_cell * in);
            d_z[3 * units] = sigmoid_backward(out, d_hidden * tanh_cell);
            d_state = d_cell * forget;
        }
    }
}

// sums += dz W^T of layer l, for `count` rows of W from `from` on.
DEVICE void add_row_gradients(const Problem &p, Tile &sums, real *scratch, int t, int l, int row, int from, int count) {
    int columns = p.size.M * p.layer.units[l];
    const real *weights = p.array.weights + p.layer.weights[l];
    add_product<true>(
        sums, columns, scratch,
        [&](int r, int k) -> real {
            real *d_z = row_of(p, p.gradient.gates, t, row + r, p.size.G) + p.layer.gate[l];
            return row + r < p.size.B ? d_z[k] : 0;
        },
        [&](int k, int c) -> real { return c < count ? weights[(long long)(from + c) * columns + k] : 0; });
}

// The gradients by the reads and the hidden values of the step before.
DEVICE void state_before_backward(const Problem &p, real *scratch, int t) {
    const Sizes &size = p.size;
    int reads = size.R * size.W, rows = (size.B + TILE - 1) / TILE;
    int first_tile = 0;  // of the reads, then of each layer
    for (int l = -1; l < (size.recurrent ? size.L : 0); l++) {
        int count = l < 0 ? reads : p.layer.units[l], tiles = count_tiles(size.B, count);
        for (int tile = blockIdx.x; tile < first_tile + tiles; tile += gridDim.x) {
            if (tile < first_tile) continue;
            int row = (tile - first_tile) % rows * TILE, first = (tile - first_tile) / rows * TILE;
            Tile sums = {};
            if (l < 0)
                for (int above = 0; above < size.L; above++)
                    add_row_gradients(p, sums, scratch, t, above, row, first, count - first);
            else
                add_row_gradients(p, sums, scratch, t, l, row, reads + first, count - first);
            finish_product(sums, scratch);
            EACH(i, TILE * TILE) {
                int b = row + i / TILE, c = first + i % TILE;
                if (b >= size.B || c >= count) continue;
                if (l < 0) p.gradient.reads[b * reads + c] = scratch[i];
                else p.gradient.hidden[b * size.H + p.layer.unit[l] + c] = scratch[i];
            }
        }
        first_tile += tiles;
    }
}
