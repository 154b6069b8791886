// A whole sequence in one launch, forward or backward. Every block works on the products of all sequences; each of the
// first B blocks has one sequence, whose memory it keeps from step to step. All blocks wait for each other after each
// product, and where the next one needs what all of them have found.
#include "access.cuh"
#include "controller.cuh"

extern "C" __global__ void __launch_bounds__(THREADS) forward(Problem p) {
    const Sizes &size = p.size;
    bool has_sequence = blockIdx.x < size.B;
    Shared s = placed<Shared>(block_memory(), p.place.shared, p.array.outside + (long long)blockIdx.x * size.U, p.place.outside);
    Record r = placed<Record>(s.record, p.place.record);
    Links links = links_of(p, s.links, p.array.link);
    unsigned wanted = 0;
    if (has_sequence) {
        load_memory(p, s.memory, 0);
        if (size.F) load_links(links);
        sync();
        inverse_slot_norms(p, r.inverse_norms, s.memory);
        Record before = record_of(p, 0);
        EACH(n, size.N) r.usage[n] = before.usage[n], r.write_weights[n] = before.write_weights[n];
        EACH(n, size.F) r.precedence[n] = before.precedence[n];
        EACH(i, HEADS * size.N) r.read_weights[i] = before.read_weights[i];
        sync();
        if (size.S > 1) EACH(n, size.N) before.inverse_norms[n] = r.inverse_norms[n];
    }
    for (int t = 0; t < size.T; t++) {
        for (int l = 0; l < size.L; l++) {
            layer_step(p, s.partial, t, l);
            grid_barrier(p.array.arrived, wanted);
        }
        interface_product(p, s.partial, t);
        grid_barrier(p.array.arrived, wanted);
        if (has_sequence) access(p, s, r, links, t);
        grid_barrier(p.array.arrived, wanted);
    }
    if (has_sequence && size.F) store_links(links);
}

extern "C" __global__ void __launch_bounds__(THREADS) backward(Problem p) {
    const Sizes &size = p.size;
    int N = size.N, b = blockIdx.x;
    bool has_sequence = blockIdx.x < size.B;
    real *outside = p.array.outside + (long long)blockIdx.x * size.U;
    SharedBackward s = placed<SharedBackward>(block_memory(), p.place.shared, outside, p.place.outside);
    Links gradient = links_of(p, s.links, p.gradient.link);
    real *d_memory = p.gradient.memory + (long long)b * N * size.W;
    unsigned wanted = 0;
    if (has_sequence) {
        EACH_WARP(n, N) EACH_LANE(w, size.W) s.d_memory[n * size.P + w] = d_memory[n * size.W + w];
        EACH(n, N) s.d_usage[n] = p.gradient.usage[b * N + n];
        EACH(n, N) s.d_write_weights[n] = p.gradient.write_weights[b * N + n];
        EACH(i, HEADS * N) s.d_read_weights[i] = p.gradient.read_weights[b * HEADS * N + i];
        EACH(n, size.F) s.d_precedence[n] = p.gradient.precedence[b * N + n];
        if (size.F) load_links(gradient);
        sync();
    }
    for (int t = size.T - 1; t >= 0; t--) {
        if (has_sequence) access_backward(p, s, gradient, t);
        grid_barrier(p.array.arrived, wanted);
        for (int l = size.L - 1; l >= 0; l--) {
            layer_step_backward(p, s.partial, t, l);
            grid_barrier(p.array.arrived, wanted);
        }
        state_before_backward(p, s.partial, t);
        grid_barrier(p.array.arrived, wanted);
    }
    if (has_sequence) {
        EACH_WARP(n, N) EACH_LANE(w, size.W) d_memory[n * size.W + w] = s.d_memory[n * size.P + w];
        EACH(n, N) p.gradient.usage[b * N + n] = s.d_usage[n];
        EACH(n, N) p.gradient.write_weights[b * N + n] = s.d_write_weights[n];
        EACH(i, HEADS * N) p.gradient.read_weights[b * HEADS * N + i] = s.d_read_weights[i];
        EACH(n, size.F) p.gradient.precedence[b * N + n] = s.d_precedence[n];
        if (size.F) store_links(gradient);
    }
}
