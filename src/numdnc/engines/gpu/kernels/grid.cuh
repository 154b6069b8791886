// Threads, warps, blocks and the grid: loops over them, sums over them, the barrier of all blocks.
//
// Compiled with THREADS (of a block, a multiple of 64), HEADS (read heads), REAL (float or double) and SCRATCH (numbers
// that the threads of a block exchange) defined.
#pragma once

#define DEVICE static __device__ __forceinline__

typedef REAL real;

constexpr int WARPS = THREADS / 32;
constexpr int COLUMNS = HEADS > 4 ? 2 : 4;  // of a strip, in the registers of each lane
constexpr int STRIP = 32 * COLUMNS;         // lane l holds columns l, l + 32, ..
constexpr real EPSILON = 1e-6, LOWEST = -1e30;

#define EACH(i, count) for (int i = threadIdx.x; i < (count); i += THREADS)
#define EACH_WARP(i, count) for (int i = threadIdx.x / 32; i < (count); i += WARPS)
#define EACH_LANE(i, count) for (int i = threadIdx.x % 32; i < (count); i += 32)

static_assert(SCRATCH >= WARPS * STRIP, "every warp puts a strip there");

#ifndef EMULATOR  // which has a function of this name
extern __shared__ __align__(32) real memory_of_block[];
DEVICE real *block_memory() { return memory_of_block; }
#endif

DEVICE int lane() { return threadIdx.x % 32; }
DEVICE int warp() { return threadIdx.x / 32; }
DEVICE void sync() { __syncthreads(); }

// The sum over the lanes of a warp, in every lane.
DEVICE real warp_sum(real value) {
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step);
    return value;
}

// The least power of two that is not below a count.
__device__ constexpr int padded(int count) { return count > 1 ? 2 * padded((count + 1) / 2) : 1; }

// Sums of COUNT numbers over the lanes of a warp. values has a power of two of them, those beyond COUNT 0. The sums end up
// in values[0] of different lanes; returned is which of them a lane has to pass on, or -1. Lanes exchange halves of what
// they have, then single numbers: COUNT + 4 exchanges or so, where COUNT sums would take 5 COUNT.
template <int COUNT>
DEVICE int warp_sums(real (&values)[padded(COUNT)]) {
    int which = 0, step = 16;
#pragma unroll
    for (int half = padded(COUNT) / 2; half > 0; half /= 2, step /= 2) {
        bool upper = lane() & step;
#pragma unroll
        for (int k = 0; k < half; k++) {
            real other = __shfl_xor_sync(~0u, upper ? values[k] : values[half + k], step);
            values[k] = (upper ? values[half + k] : values[k]) + other;
        }
        which += upper ? half : 0;
    }
    bool passes_on = which < COUNT && (lane() & (2 * step - 1)) == 0;
    for (; step > 0; step /= 2) values[0] += __shfl_xor_sync(~0u, values[0], step);
    return passes_on ? which : -1;
}

DEVICE real warp_max(real value) {
    for (int step = 16; step > 0; step /= 2) {
        real other = __shfl_xor_sync(~0u, value, step);
        value = other > value ? other : value;
    }
    return value;
}

// to[first + c] += sum over the warps of what they hold of column c of a strip; partial holds WARPS strips.
DEVICE void add_over_warps(real *to, int first, int count, const real (&values)[COLUMNS], real *partial) {
    for (int q = 0; q < COLUMNS; q++) partial[warp() * STRIP + lane() + 32 * q] = values[q];
    sync();
    EACH(c, min(STRIP, count - first)) {
        real sum = 0;
        for (int i = 0; i < WARPS; i++) sum += partial[i * STRIP + c];
        to[first + c] += sum;
    }
    sync();
}

// Waits for all blocks, which must run at the same time; what any thread wrote before is seen by all threads after.
// `wanted` is how many arrivals the calls so far have counted; `arrived` is 0 at first.
DEVICE void grid_barrier(unsigned *arrived, unsigned &wanted) {
    wanted += gridDim.x;
    sync();
    if (threadIdx.x == 0) {
        __threadfence();
        atomicAdd(arrived, 1u);
        while (*(volatile unsigned *)arrived < wanted) __nanosleep(20);
        __threadfence();
    }
    sync();
}
