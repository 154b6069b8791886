// Writing to the memory and reading from it at given weightings. A memory has `stride` numbers from row to row.
#pragma once

#include "allocation.cuh"

// The memory of state number t of this block's sequence.
DEVICE void load_memory(const Problem &p, real *memory, int t) {
    const real *from = state_of(p, p.array.memory, t, p.size.N * p.size.W);
    EACH_WARP(n, p.size.N) EACH_LANE(w, p.size.W) memory[n * p.size.P + w] = from[n * p.size.W + w];
}

// to[k] += sum_n weights[k, n] M[n], for K weightings; to (K, W), which must be 0 or a sum so far.
template <int K>
DEVICE void add_weighted_rows(
    int N, int W, int stride, real *to, const real *weights, const real *memory, real *partial
) {
    for (int first = 0; first < W; first += STRIP) {
        real sums[K][COLUMNS] = {};
        EACH_WARP(n, N) {
            for (int q = 0; q < COLUMNS; q++) {
                int w = first + lane() + 32 * q;
                if (w >= W) continue;
                for (int k = 0; k < K; k++) sums[k][q] += weights[k * N + n] * memory[n * stride + w];
            }
        }
        for (int k = 0; k < K; k++) add_over_warps(to + k * W, first, W, sums[k], partial);
    }
}

// r_i = M^T w^r_i
DEVICE void read(const Problem &p, real *reads, const real *weights, const real *memory, real *partial) {
    EACH(i, HEADS * p.size.W) reads[i] = 0;
    sync();
    add_weighted_rows<HEADS>(p.size.N, p.size.W, p.size.P, reads, weights, memory, partial);
}

// dM += sum_i w^r_i dr_i^T,   dw^r_i += M dr_i
DEVICE void read_backward(
    const Problem &p, real *d_memory, real *d_weights, const real *weights, const real *memory, const real *d_reads
) {
    int N = p.size.N, W = p.size.W;
    EACH(n, N) {
        real at[HEADS], d_at[HEADS] = {};
        for (int i = 0; i < HEADS; i++) at[i] = weights[i * N + n];
        const real *__restrict__ slot = memory + n * p.size.P;
        real *__restrict__ d_slot = d_memory + n * p.size.P;
        for (int w = 0; w < W; w++) {
            real value = slot[w], d_value = 0;
            for (int i = 0; i < HEADS; i++) {
                real d_read = d_reads[i * W + w];
                d_at[i] += value * d_read;
                d_value += at[i] * d_read;
            }
            d_slot[w] += d_value;
        }
        for (int i = 0; i < HEADS; i++) d_weights[i * N + n] += d_at[i];
    }
}

// w^w = g^w (g^a a + (1 - g^a) c^w),   a = (1 - u) before
DEVICE void write_weights(const Problem &p, const Record &r) {
    real to_any = r.xi[p.part.write_gate], to_free = r.xi[p.part.allocation_gate];
    EACH(n, p.size.N) {
        real allocation = (1 - r.usage[n]) * r.before[n];
        r.write_weights[n] = to_any * (to_free * allocation + (1 - to_free) * r.write_content[n]);
    }
}

// Gradients by the gates, into d_xi, by the allocation, and by the content weighting, which may replace d_weights.
// One warp does it all.
DEVICE void write_weights_backward(
    const Problem &p, real *d_xi, real *d_allocation, real *d_content, const real *d_weights, const Record &r
) {
    if (warp() > 0) return;
    real to_any = r.xi[p.part.write_gate], to_free = r.xi[p.part.allocation_gate];
    real d_any = 0, d_free = 0;
    EACH_LANE(n, p.size.N) {
        real allocation = (1 - r.usage[n]) * r.before[n], content = r.write_content[n], d = d_weights[n];
        d_any += d * (to_free * allocation + (1 - to_free) * content);
        d_free += d * to_any * (allocation - content);
        d_allocation[n] = d * to_any * to_free;
        d_content[n] = d * to_any * (1 - to_free);
    }
    d_any = warp_sum(d_any), d_free = warp_sum(d_free);
    if (lane() == 0) d_xi[p.part.write_gate] = d_any, d_xi[p.part.allocation_gate] = d_free;
}

// M = M (1 - w e^T) + w v^T, where freed slots may be wiped first: M psi for M; also to `kept` (N, W), if any.
DEVICE void write(const Problem &p, real *memory, const Record &r, real *kept) {
    const real *erase = r.xi + p.part.erase, *vector = r.xi + p.part.write_vector;
    EACH_WARP(n, p.size.N) {
        real at = r.write_weights[n];
        real share = p.size.deallocation ? retention_of(p, r.xi, r.read_weights, n) : 1;
        EACH_LANE(w, p.size.W) {
            real &value = memory[n * p.size.P + w];
            value = share * value * (1 - at * erase[w]) + at * vector[w];
            if (kept) kept[n * p.size.W + w] = value;
        }
    }
}

// dw += dM v - (dM M psi) e,   de = -(dM M psi)^T w,   dv = dM^T w,   dpsi = sum_w dM (1 - w e^T) M
//
// Then dM = dM (1 - w e^T) psi. M is the memory before; psi is 1 unless freed slots are wiped.
DEVICE void write_backward(const Problem &p, const SharedBackward &s) {
    int N = p.size.N, W = p.size.W, stride = p.size.P;
    const real *erase = s.xi + p.part.erase, *vector = s.xi + p.part.write_vector;
    real *d_erase = s.d_xi + p.part.erase, *d_vector = s.d_xi + p.part.write_vector;
    EACH(n, N) {
        real retention = s.retention[n] = retention_of(p, s.xi, s.read_before, n);
        real share = p.size.deallocation ? retention : 1;
        real at = s.write_weights[n], sum = 0, d_share = 0;
        for (int w = 0; w < W; w++) {
            real d = s.d_memory[n * stride + w], value = s.memory[n * stride + w];
            sum += d * (vector[w] - share * value * erase[w]);
            d_share += d * (1 - at * erase[w]) * value;
        }
        s.d_write_weights[n] += sum;
        s.d_retention[n] = p.size.deallocation ? d_share : 0;
    }
    EACH(w, W) d_erase[w] = d_vector[w] = 0;
    sync();
    for (int first = 0; first < W; first += STRIP) {
        real erased[COLUMNS] = {}, added[COLUMNS] = {};
        EACH_WARP(n, N) {
            real at = s.write_weights[n], share = p.size.deallocation ? s.retention[n] : 1;
            for (int q = 0; q < COLUMNS; q++) {
                int w = first + lane() + 32 * q;
                if (w >= W) continue;
                real &d = s.d_memory[n * stride + w];
                added[q] += at * d;
                erased[q] -= at * d * share * s.memory[n * stride + w];
                d *= share * (1 - at * erase[w]);
            }
        }
        add_over_warps(d_vector, first, W, added, s.partial);
        add_over_warps(d_erase, first, W, erased, s.partial);
    }
}
