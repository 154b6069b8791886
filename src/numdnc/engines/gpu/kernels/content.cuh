// Content addressing: weightings of the slots by similarity to a key.
#pragma once

#include "memory.cuh"

// 1 / sqrt(|M[n]|^2 + eps)
DEVICE void inverse_slot_norms(const Problem &p, real *norms, const real *memory) {
    EACH(n, p.size.N) {
        real sum = 0;
        for (int w = 0; w < p.size.W; w++) sum += memory[n * p.size.P + w] * memory[n * p.size.P + w];
        norms[n] = 1 / sqrt(sum + EPSILON);
    }
}

DEVICE real inverse_key_norm(const real *key, int W) {
    real sum = 0;
    EACH_LANE(w, W) sum += key[w] * key[w];
    return 1 / sqrt(warp_sum(sum) + EPSILON);
}

// C(M, k, beta)[n] = softmax_n(beta D(k, M[n])),   D(a, b) = a.b / (sqrt(|a|^2 + eps) sqrt(|b|^2 + eps))
//
// K keys (K, W), strengths (K); similarity D and weights (K, N).
template <int K>
DEVICE void look_up(
    const Problem &p, real *weights, real *similarity, const real *memory, const real *slot_norms, const real *keys,
    const real *strengths
) {
    int N = p.size.N, W = p.size.W;
    EACH(n, N) {
        real sums[K] = {};
        for (int w = 0; w < W; w++) {
            real value = memory[n * p.size.P + w];
            for (int k = 0; k < K; k++) sums[k] += keys[k * W + w] * value;
        }
        for (int k = 0; k < K; k++) similarity[k * N + n] = sums[k] * slot_norms[n];
    }
    sync();
    EACH_WARP(k, K) {
        real key_norm = inverse_key_norm(keys + k * W, W), most = LOWEST, sum = 0;
        EACH_LANE(n, N) {
            real found = similarity[k * N + n] *= key_norm;
            most = max(most, strengths[k] * found);
        }
        most = warp_max(most);
        EACH_LANE(n, N) sum += weights[k * N + n] = exp(strengths[k] * similarity[k * N + n] - most);
        sum = warp_sum(sum);
        EACH_LANE(n, N) weights[k * N + n] /= sum;
    }
}

// dM += ..; d_keys and d_strengths; d_weights (K, N) is overwritten. norms and shrink have K numbers each.
//
// dD/da = b / (|a| |b|) - D a / |a|^2, with the norms that hold eps, and the same for b
template <int K>
DEVICE void look_up_backward(
    const Problem &p, real *d_memory, real *d_keys, real *d_strengths, real *d_weights, const real *weights,
    const real *similarity, const real *memory, const real *slot_norms, const real *keys, const real *strengths,
    real *norms, real *shrink, real *partial
) {
    int N = p.size.N, W = p.size.W;
    EACH_WARP(k, K) {
        real key_norm = inverse_key_norm(keys + k * W, W), mean = 0, d_strength = 0, pull = 0;
        EACH_LANE(n, N) mean += weights[k * N + n] * d_weights[k * N + n];
        mean = warp_sum(mean);
        EACH_LANE(n, N) {
            real d_score = weights[k * N + n] * (d_weights[k * N + n] - mean);
            real d_similarity = d_weights[k * N + n] = d_score * strengths[k];
            d_strength += d_score * similarity[k * N + n];
            pull += d_similarity * similarity[k * N + n];
        }
        d_strength = warp_sum(d_strength), pull = warp_sum(pull);
        if (lane() == 0) d_strengths[k] = d_strength, norms[k] = key_norm, shrink[k] = pull * key_norm * key_norm;
    }
    EACH(i, K * W) d_keys[i] = 0;
    sync();
    EACH(n, N) {
        real norm = slot_norms[n], pull = 0, d_product[K];
        for (int k = 0; k < K; k++) {
            pull += d_weights[k * N + n] * similarity[k * N + n] * norm * norm;
            d_product[k] = d_weights[k * N + n] *= norms[k] * norm;
        }
        const real *__restrict__ slot = memory + n * p.size.P;
        real *__restrict__ d_slot = d_memory + n * p.size.P;
        for (int w = 0; w < W; w++) {
            real sum = -slot[w] * pull;
            for (int k = 0; k < K; k++) sum += d_product[k] * keys[k * W + w];
            d_slot[w] += sum;
        }
    }
    sync();
    add_weighted_rows<K>(N, W, p.size.P, d_keys, d_weights, memory, partial);
    EACH(i, K * W) d_keys[i] -= keys[i] * shrink[i / W];
}
