// Dynamic allocation: which slots are in use, and which free one to write next.
#pragma once

#include "model.cuh"

// psi = prod_i (1 - f^i w^r_i), of one slot
DEVICE real retention_of(const Problem &p, const real *parts, const real *read_weights, int n) {
    real kept = 1;
    for (int i = 0; i < HEADS; i++) kept *= 1 - parts[p.part.free_gates + i] * read_weights[i * p.size.N + n];
    return kept;
}

// u_t = (u + w^w - u w^w) psi, in place; w^w and w^r are of the step before.
DEVICE void update_usage(const Problem &p, const Record &r) {
    EACH(n, p.size.N) {
        real u = r.usage[n], w = r.write_weights[n];
        r.usage[n] = (u + w - u * w) * retention_of(p, r.xi, r.read_weights, n);
    }
}

// With phi, the slots by rising usage, ties by index: the place of each slot, and the product of all usages before it.
DEVICE void rank_slots(const Problem &p, const Record &r) {
    EACH(n, p.size.N) {
        real own = r.usage[n], product = 1;
        int rank = 0;
        for (int other = 0; other < p.size.N; other++) {
            real usage = r.usage[other];
            if (usage < own || (usage == own && other < n)) rank++, product *= usage;
        }
        r.rank[n] = rank;
        r.before[n] = product;
    }
}

// du += gradient through a[n] = (1 - u[n]) before[n]. With v = ranked usage and da in ranked order,
//
// dv[k] = before[k] (S[k] - da[k]),   S[k] = sum_{j>k} da[j] (1 - v[j]) prod_{k<i<j} v[i]
//                                     S[k - 1] = da[k] (1 - v[k]) + v[k] S[k]
//
// S is found from the end by one warp, a part of the slots for each lane. usage (N) and d_ranked (N) are overwritten.
DEVICE void allocate_backward(
    const Problem &p, real *d_usage, const real *d_allocation, const Record &r, real *usage, real *d_ranked
) {
    int N = p.size.N;
    EACH(n, N) {
        int rank = (int)r.rank[n];
        usage[rank] = r.usage[n];
        d_ranked[rank] = d_allocation[n];
    }
    sync();
    if (warp() == 0) {
        int share = (N + 31) / 32, first = min(N, lane() * share), last = min(N, first + share);
        real sum = 0, product = 1;  // S before this part is sum + product S after it
        for (int k = last - 1; k >= first; k--) {
            sum = d_ranked[k] * (1 - usage[k]) + usage[k] * sum;
            product *= usage[k];
        }
        for (int step = 1; step < 32; step *= 2) {
            real next_sum = __shfl_down_sync(~0u, sum, step), next_product = __shfl_down_sync(~0u, product, step);
            if (lane() + step < 32) sum += product * next_sum, product *= next_product;
        }
        sum = __shfl_down_sync(~0u, sum, 1);
        if (lane() == 31) sum = 0;
        for (int k = last - 1; k >= first; k--) {
            real after = sum;
            sum = d_ranked[k] * (1 - usage[k]) + usage[k] * sum;
            d_ranked[k] = after - d_ranked[k];
        }
    }
    sync();
    EACH(n, N) d_usage[n] += r.before[n] * d_ranked[(int)r.rank[n]];
}

// Gradients by usage and write weights before, in place of those after; by the read weights before, added to those so
// far; by the free gates. s.d_retention is the gradient by psi from elsewhere; s.d_content is overwritten.
DEVICE void update_usage_backward(const Problem &p, const SharedBackward &s, const Record &before) {
    int N = p.size.N;
    const real *free_gates = s.xi + p.part.free_gates;
    EACH(n, N) {
        real u = before.usage[n], w = before.write_weights[n], d = s.d_usage[n];
        real d_retention = d * (u + w - u * w) + s.d_retention[n];
        real d_filled = d * s.retention[n];
        s.d_usage[n] = d_filled * (1 - w);
        s.d_write_weights[n] = d_filled * (1 - u);
        for (int i = 0; i < HEADS; i++) {
            real d_kept = d_retention;
            for (int j = 0; j < HEADS; j++)
                if (j != i) d_kept *= 1 - free_gates[j] * s.read_before[j * N + n];
            s.d_read_weights[i * N + n] -= d_kept * free_gates[i];
            s.d_content[i * N + n] = -d_kept * s.read_before[i * N + n];
        }
    }
    sync();
    EACH_WARP(i, HEADS) {
        real sum = 0;
        EACH_LANE(n, N) sum += s.d_content[i * N + n];
        sum = warp_sum(sum);
        if (lane() == 0) s.d_xi[p.part.free_gates + i] = sum;
    }
}
