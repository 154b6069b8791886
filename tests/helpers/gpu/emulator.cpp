// The kernels of the engine gpu on the CPU: every thread of the grid is a context of its own, which runs until it waits.
//
// Which of the threads that can run is next is drawn from a seed. Threads that use what others have not finished yet,
// because a barrier is missing, therefore get other results for some seeds. Shared memory is NaN at first.
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#define EMULATOR
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(count)

namespace emulator {

struct Index {
    unsigned x;
};
struct Barrier {
    int wanted;
    std::vector<int> waiting;
};
struct Block {
    REAL *memory;
    Barrier barrier;
};
struct Warp {
    Barrier barrier;
    double value[32];
};
struct Thread {
    ucontext_t start;
    jmp_buf at;
    bool started;
    Index thread, block;
};

std::vector<Thread> threads;
std::vector<Block> blocks;
std::vector<Warp> warps;
std::vector<int> can_run;
std::mt19937 draw;
Index grid;
int now;
jmp_buf scheduler;
ucontext_t origin;
void (*kernel)();

void leave() {
    if (!_setjmp(threads[now].at)) _longjmp(scheduler, 1);
}

void wait(Barrier &barrier) {
    barrier.waiting.push_back(now);
    if ((int)barrier.waiting.size() == barrier.wanted) {
        can_run.insert(can_run.end(), barrier.waiting.begin(), barrier.waiting.end());
        barrier.waiting.clear();
    }
    leave();
}

Warp &own_warp() { return warps[now / 32]; }

template <class T>
T shuffle(T value, int from) {
    own_warp().value[now % 32] = value;
    wait(own_warp().barrier);
    T found = from < 32 ? (T)own_warp().value[from] : value;
    wait(own_warp().barrier);
    return found;
}

void enter() {
    kernel();
    _longjmp(scheduler, 1);
}

bool run(int count, int numbers, unsigned seed) {
    constexpr int STACK = 1 << 16;
    grid = {(unsigned)count};
    draw.seed(seed);
    threads = std::vector<Thread>(count * THREADS);
    blocks = std::vector<Block>(count);
    warps = std::vector<Warp>(count * THREADS / 32);
    std::vector<char> stacks((size_t)STACK * threads.size());
    for (Block &block : blocks) {
        size_t bytes = (numbers * sizeof(REAL) + 63) / 64 * 64;
        block = {(REAL *)aligned_alloc(64, bytes), {THREADS, {}}};
        std::fill(block.memory, block.memory + numbers, std::numeric_limits<REAL>::quiet_NaN());
    }
    for (Warp &warp : warps) warp.barrier.wanted = 32;
    can_run.clear();
    for (int i = 0; i < (int)threads.size(); i++) {
        Thread &thread = threads[i];
        getcontext(&thread.start);
        thread.start.uc_stack.ss_sp = stacks.data() + (size_t)STACK * i;
        thread.start.uc_stack.ss_size = STACK;
        makecontext(&thread.start, enter, 0);
        thread.thread = {(unsigned)i % THREADS}, thread.block = {(unsigned)i / THREADS};
        can_run.push_back(i);
    }
    _setjmp(scheduler);
    while (!can_run.empty()) {
        std::swap(can_run[draw() % can_run.size()], can_run.back());
        now = can_run.back();
        can_run.pop_back();
        if (threads[now].started) _longjmp(threads[now].at, 1);
        threads[now].started = true;
        swapcontext(&origin, &threads[now].start);
    }
    bool all_ended = true;  // or some wait for others that have ended
    for (Block &block : blocks) all_ended &= block.barrier.waiting.empty(), free(block.memory);
    for (Warp &warp : warps) all_ended &= warp.barrier.waiting.empty();
    return all_ended;
}

}  // namespace emulator

#define threadIdx (emulator::threads[emulator::now].thread)
#define blockIdx (emulator::threads[emulator::now].block)
#define gridDim (emulator::grid)

inline void __syncthreads() { emulator::wait(emulator::blocks[emulator::now / THREADS].barrier); }
inline void __threadfence() {}
inline void __nanosleep(unsigned) {
    emulator::can_run.push_back(emulator::now);
    emulator::leave();
}
inline unsigned atomicAdd(unsigned *to, unsigned value) { return (*to += value) - value; }
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    return emulator::shuffle(value, (emulator::now % 32) ^ mask);
}
template <class T>
T __shfl_down_sync(unsigned, T value, int step) {
    return emulator::shuffle(value, emulator::now % 32 + step);
}
inline REAL *block_memory() { return emulator::blocks[emulator::now / THREADS].memory; }

using std::exp, std::expm1, std::log1p, std::max, std::min, std::sqrt, std::tanh;

#include "sequence.cu"

static Problem problem;

extern "C" int launch(int backwards, const Problem *given, int blocks, int numbers, unsigned seed) {
    problem = *given;
    emulator::kernel = backwards ? +[] { backward(problem); } : +[] { forward(problem); };
    return emulator::run(blocks, numbers, seed);
}
