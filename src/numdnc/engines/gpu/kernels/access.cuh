// One step of a block's memory, in the paper's order, and backwards.
#pragma once

#include "allocation.cuh"
#include "content.cuh"
#include "interface.cuh"
#include "linkage.cuh"

// w^r = pi[backward] bwd + pi[content] c^r + pi[forward] fwd
DEVICE void read_weights(const Problem &p, const Record &r) {
    int N = p.size.N;
    EACH(i, HEADS * N) {
        const real *modes = r.xi + p.part.read_modes + 3 * (i / N);
        r.read_weights[i] = p.size.F == 0 ? r.read_content[i]
            : modes[0] * r.backward[i] + modes[1] * r.read_content[i] + modes[2] * r.forward[i];
    }
}

// d_weights (R, N) becomes 0, to add up the gradient by the read weights before.
DEVICE void read_weights_backward(const Problem &p, const SharedBackward &s, const Record &r) {
    int N = p.size.N;
    EACH_WARP(h, HEADS) {
        const real *modes = s.xi + p.part.read_modes + 3 * h;
        real d_modes[3] = {};
        EACH_LANE(n, N) {
            int i = h * N + n;
            real d = s.d_read_weights[i];
            s.d_read_weights[i] = 0;
            s.d_content[i] = d;
            if (p.size.F == 0) continue;
            d_modes[0] += d * r.backward[i];
            d_modes[1] += d * r.read_content[i];
            d_modes[2] += d * r.forward[i];
            s.d_backward[i] = modes[0] * d;
            s.d_content[i] = modes[1] * d;
            s.d_forward[i] = modes[2] * d;
        }
        for (int mode = 0; mode < 3 && p.size.F; mode++) {
            real sum = warp_sum(d_modes[mode]);
            if (lane() == 0) s.d_xi[p.part.read_modes + 3 * h + mode] = sum;
        }
    }
}

// Free, allocate, write, link, read. r holds the state before, then that after.
DEVICE void access(const Problem &p, const Shared &s, const Record &r, const Links &links, int t) {
    const Sizes &size = p.size;
    bool tape = size.S > 1, kept = tape || t == size.T - 1;
    const real *xi = r.xi;
    parse_interface(p, r.xi, row_of(p, p.array.xi, t, blockIdx.x, size.I));
    sync();
    look_up<1>(
        p, r.write_content, r.write_similarity, s.memory, r.inverse_norms, xi + p.part.write_key,
        xi + p.part.write_strength
    );
    update_usage(p, r);
    sync();
    rank_slots(p, r);
    sync();
    write_weights(p, r);
    sync();
    write(p, s.memory, r, kept ? state_of(p, p.array.memory, t + 1, size.N * size.W) : nullptr);
    sync();
    inverse_slot_norms(p, r.inverse_norms, s.memory);
    sync();
    look_up<HEADS>(
        p, r.read_content, r.read_similarity, s.memory, r.inverse_norms, xi + p.part.read_keys,
        xi + p.part.read_strengths
    );
    if (size.F) {
        real *before = row_of(p, p.array.kept_links, t / size.K, blockIdx.x, size.N * size.N);
        update_and_follow_links(links, r, tape && t % size.K == 0 ? before : nullptr, s.partial);
        update_precedence(r, size.N);
    }
    sync();
    read_weights(p, r);
    sync();
    read(p, row_of(p, p.array.reads, t + 1, blockIdx.x, HEADS * size.W), r.read_weights, s.memory, s.partial);
    if (kept) {
        real *record = state_of(p, p.array.records, t + 1, size.D);
        EACH(i, size.D) record[i] = s.record[i];
    }
}

// The same in reverse order. s has the gradients by the state after, then by that before; `gradient` that by the links.
DEVICE void access_backward(const Problem &p, const SharedBackward &s, const Links &gradient, int t) {
    const Sizes &size = p.size;
    int N = size.N, reads = HEADS * size.W;
    Record r = record_of(p, t + 1), before = record_of(p, t);
    const real *d_reads = p.gradient.reads + blockIdx.x * reads;
    const real *d_reads_out = row_of(p, p.gradient.reads_out, t, blockIdx.x, reads);
    EACH(i, reads) s.d_reads[i] = d_reads[i] + d_reads_out[i];
    EACH(i, size.I) s.xi[i] = r.xi[i];
    EACH(i, HEADS * N) s.read_before[i] = before.read_weights[i];
    EACH(n, N) s.write_weights[n] = r.write_weights[n];
    load_memory(p, s.memory, t + 1);
    sync();
    read_backward(p, s.d_memory, s.d_read_weights, r.read_weights, s.memory, s.d_reads);
    sync();
    read_weights_backward(p, s, r);
    sync();
    if (size.F) {
        update_precedence_backward(s.d_precedence, s.d_write_weights, before.precedence, s.write_weights, N);
        if (t == size.T - 1 || (t + 1) % size.K == 0) recompute_links(p, t / size.K * size.K);
        sync();
        update_and_follow_links_backward(
            gradient, s.d_read_weights, s.d_write_weights, s.d_precedence, s.d_forward, s.d_backward,
            row_of(p, p.gradient.segment, t % size.K, blockIdx.x, N * N), s.read_before, s.write_weights,
            before.precedence, s.partial
        );
    }
    look_up_backward<HEADS>(
        p, s.d_memory, s.d_xi + p.part.read_keys, s.d_xi + p.part.read_strengths, s.d_content, r.read_content,
        r.read_similarity, s.memory, r.inverse_norms, s.xi + p.part.read_keys, s.xi + p.part.read_strengths, s.norms,
        s.shrink, s.partial
    );
    sync();
    load_memory(p, s.memory, t);
    sync();
    write_backward(p, s);
    write_weights_backward(p, s.d_xi, s.d_allocation, s.d_content, s.d_write_weights, r);
    sync();
    look_up_backward<1>(
        p, s.d_memory, s.d_xi + p.part.write_key, s.d_xi + p.part.write_strength, s.d_content, r.write_content,
        r.write_similarity, s.memory, before.inverse_norms, s.xi + p.part.write_key, s.xi + p.part.write_strength,
        s.norms, s.shrink, s.partial
    );
    allocate_backward(p, s.d_usage, s.d_allocation, r, s.ranked_usage, s.ranked);
    sync();
    update_usage_backward(p, s, before);
    sync();
    parse_interface_backward(p, row_of(p, p.gradient.xi, t, blockIdx.x, size.I), s.xi, s.d_xi);
}
