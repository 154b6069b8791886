// Temporal links: the order in which slots were written, and the slots written after or before those read.
//
// Some rows of the matrix are in shared memory, the others in global memory. Warps share the rows; each lane has some
// columns of a strip, with all that belongs to them in registers.
#pragma once

#include "model.cuh"

// Rows of a matrix (N, N).
struct Links {
    int N;
    int kept;      // rows in shared memory, the first
    real *shared;
    real *global;
    __device__ real *row(int i) const { return i < kept ? shared + i * N : global + (long long)i * N; }
};

DEVICE Links links_of(const Problem &p, real *shared, real *global) {
    int N = p.size.N;
    return Links{N, p.size.Q, shared, global + (long long)blockIdx.x * N * N};
}

DEVICE void load_links(const Links &links) {
    EACH(i, links.kept * links.N) links.shared[i] = links.global[i];
}

DEVICE void store_links(const Links &links) {
    EACH(i, links.kept * links.N) links.global[i] = links.shared[i];
}

// The columns of a vector (N) that this lane has of a strip, 0 beyond the end.
DEVICE void load_columns(real (&to)[COLUMNS], const real *vector, int first, int N) {
    for (int q = 0; q < COLUMNS; q++) {
        int j = first + lane() + 32 * q;
        to[q] = j < N ? vector[j] : 0;
    }
}

// L[i, j] = (1 - w^w[i] - w^w[j]) L[i, j] + w^w[i] p[j],   L[i, i] = 0
DEVICE real updated_link(real link, real w_i, real w_j, real p_j, bool diagonal) {
    return diagonal ? 0 : (1 - w_i - w_j) * link + w_i * p_j;
}

// Updates the links, keeps them as they were in `kept` (N, N), if any, and follows them: fwd = L w^r, bwd = L^T w^r.
DEVICE void update_and_follow_links(const Links &links, const Record &r, real *kept, real *partial) {
    int N = links.N;
    EACH(i, HEADS * N) r.backward[i] = 0;
    sync();
    for (int first = 0; first < N; first += STRIP) {
        real w_j[COLUMNS], p_j[COLUMNS], read_j[HEADS][COLUMNS], backward[HEADS][COLUMNS] = {};
        load_columns(w_j, r.write_weights, first, N);
        load_columns(p_j, r.precedence, first, N);
        for (int h = 0; h < HEADS; h++) load_columns(read_j[h], r.read_weights + h * N, first, N);
        EACH_WARP(i, N) {
            real *row = links.row(i), w_i = r.write_weights[i], read_i[HEADS], forward[padded(HEADS)] = {};
            for (int h = 0; h < HEADS; h++) read_i[h] = r.read_weights[h * N + i];
            for (int q = 0; q < COLUMNS; q++) {
                int j = first + lane() + 32 * q;
                if (j >= N) continue;
                real link = row[j];
                if (kept) kept[(long long)i * N + j] = link;
                row[j] = link = updated_link(link, w_i, w_j[q], p_j[q], i == j);
                for (int h = 0; h < HEADS; h++) {
                    forward[h] += link * read_j[h][q];
                    backward[h][q] += link * read_i[h];
                }
            }
            int h = warp_sums<HEADS>(forward);
            if (h >= 0) r.forward[h * N + i] = (first ? r.forward[h * N + i] : 0) + forward[0];
        }
        for (int h = 0; h < HEADS; h++) add_over_warps(r.backward + h * N, first, N, backward[h], partial);
    }
}

// Gradients of both, added to those by read weights before, write weights and precedence before; D, the gradient by the
// links after, becomes that by the links before, which are `links` (N, N).
//
// D += sum_h dfwd_h w^r_h^T + w^r_h dbwd_h^T,   D[i, i] = 0;   dw^r_h += L^T dfwd_h + L dbwd_h
// dw[i] += sum_j D (p[j] - L_before),   dw[j] -= sum_i D L_before,   dp[j] += sum_i w[i] D,   D = D (1 - w[i] - w[j])
DEVICE void update_and_follow_links_backward(
    const Links &gradient, real *d_read_weights, real *d_write_weights, real *d_precedence, const real *d_forward,
    const real *d_backward, const real *links, const real *read_weights, const real *write_weights,
    const real *precedence, real *partial
) {
    int N = gradient.N;
    for (int first = 0; first < N; first += STRIP) {
        real w_j[COLUMNS], p_j[COLUMNS], read_j[HEADS][COLUMNS], backward_j[HEADS][COLUMNS];
        real d_w[COLUMNS] = {}, d_p[COLUMNS] = {}, d_read[HEADS][COLUMNS] = {};
        load_columns(w_j, write_weights, first, N);
        load_columns(p_j, precedence, first, N);
        for (int h = 0; h < HEADS; h++) {
            load_columns(read_j[h], read_weights + h * N, first, N);
            load_columns(backward_j[h], d_backward + h * N, first, N);
        }
        EACH_WARP(i, N) {
            real *row = gradient.row(i), w_i = write_weights[i], read_i[HEADS], forward_i[HEADS];
            real d_row[padded(HEADS + 1)] = {};  // by the read weights of i, then by its write weight
            for (int h = 0; h < HEADS; h++) read_i[h] = read_weights[h * N + i], forward_i[h] = d_forward[h * N + i];
            for (int q = 0; q < COLUMNS; q++) {
                int j = first + lane() + 32 * q;
                if (j >= N) continue;
                real before = links[(long long)i * N + j], link = updated_link(before, w_i, w_j[q], p_j[q], i == j);
                real d = row[j];
                for (int h = 0; h < HEADS; h++) {
                    d += forward_i[h] * read_j[h][q] + read_i[h] * backward_j[h][q];
                    d_read[h][q] += forward_i[h] * link;
                    d_row[h] += backward_j[h][q] * link;
                }
                if (i == j) d = 0;
                d_row[HEADS] += d * (p_j[q] - before);
                d_w[q] -= d * before;
                d_p[q] += w_i * d;
                row[j] = d * (1 - w_i - w_j[q]);
            }
            int h = warp_sums<HEADS + 1>(d_row);
            if (h >= 0 && h < HEADS) d_read_weights[h * N + i] += d_row[0];
            if (h == HEADS) d_write_weights[i] += d_row[0];
        }
        add_over_warps(d_write_weights, first, N, d_w, partial);
        add_over_warps(d_precedence, first, N, d_p, partial);
        for (int h = 0; h < HEADS; h++) add_over_warps(d_read_weights + h * N, first, N, d_read[h], partial);
    }
}

// The links before each step of a segment that begins at step `begin`, from those kept there: segment (K, B, N, N).
DEVICE void recompute_links(const Problem &p, int begin) {
    constexpr int ROWS = 8;  // of a strip at once, so that what belongs to a column is loaded once for all of them
    int N = p.size.N, end = min(p.size.T, begin + p.size.K);
    const real *kept = row_of(p, p.array.kept_links, begin / p.size.K, blockIdx.x, N * N);
    for (int first = 0; first < N; first += STRIP) {
        for (int top = warp() * ROWS; top < N; top += WARPS * ROWS) {
            real link[ROWS][COLUMNS];
            for (int i = 0; i < ROWS; i++)
                for (int q = 0; q < COLUMNS; q++) {
                    int j = first + lane() + 32 * q;
                    link[i][q] = top + i < N && j < N ? kept[(top + i) * N + j] : 0;
                }
            for (int t = begin; t < end; t++) {
                real *segment = row_of(p, p.gradient.segment, t - begin, blockIdx.x, N * N);
                const real *weights = record_of(p, t + 1).write_weights;
                real w_j[COLUMNS], p_j[COLUMNS];
                load_columns(w_j, weights, first, N);
                load_columns(p_j, record_of(p, t).precedence, first, N);
                for (int i = 0; i < ROWS && top + i < N; i++)
                    for (int q = 0; q < COLUMNS; q++) {
                        int j = first + lane() + 32 * q;
                        if (j < N) segment[(top + i) * N + j] = link[i][q];
                        link[i][q] = updated_link(link[i][q], weights[top + i], w_j[q], p_j[q], top + i == j);
                    }
            }
        }
    }
}

// p = (1 - sum w^w) p + w^w. Every warp finds the sum.
DEVICE void update_precedence(const Record &r, int N) {
    real sum = 0;
    EACH_LANE(n, N) sum += r.write_weights[n];
    real keep = 1 - warp_sum(sum);
    EACH(n, N) r.precedence[n] = keep * r.precedence[n] + r.write_weights[n];
}

// Gradients by the precedence before, in place of d_precedence, and by the write weights, added.
DEVICE void update_precedence_backward(
    real *d_precedence, real *d_write_weights, const real *precedence, const real *write_weights, int N
) {
    real sum = 0, d_keep = 0;
    EACH_LANE(n, N) {
        sum += write_weights[n];
        d_keep += d_precedence[n] * precedence[n];
    }
    real keep = 1 - warp_sum(sum);
    d_keep = warp_sum(d_keep);
    sync();
    EACH(n, N) {
        d_write_weights[n] += d_precedence[n] - d_keep;
        d_precedence[n] *= keep;
    }
}
