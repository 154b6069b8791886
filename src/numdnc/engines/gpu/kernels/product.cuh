// Matrix products of all sequences at once, a tile of 32 x 32 for each block.
#pragma once

#include "grid.cuh"

constexpr int TILE = 32, CHUNK = 64;
constexpr int PITCH = TILE + 4;       // keeps four numbers aligned, and spreads a column over the banks
constexpr int GROUPS = THREADS / 64;  // 64 threads have 4 x 4 numbers each; every group adds up its share of the rows of B

static_assert(CHUNK * TILE % THREADS == 0, "threads load the same share");
static_assert(SCRATCH >= 2 * CHUNK * PITCH && SCRATCH >= GROUPS * TILE * TILE, "both of them are put there");

struct alignas(4 * sizeof(real)) Four {
    real of[4];
};

struct Tile {
    real sums[4][4];
};

DEVICE int count_tiles(int rows, int columns) {
    return (rows + TILE - 1) / TILE * ((columns + TILE - 1) / TILE);
}

// tile += A B, where left(r, k) is A and right(k, c) is B, both 0 outside. B lies in memory by columns or by rows.
template <bool BY_COLUMNS, class Left, class Right>
DEVICE void add_product(Tile &tile, int count, real *scratch, Left left, Right right) {
    real *a = scratch, *b = scratch + CHUNK * PITCH;
    int inside = threadIdx.x % 64, row = inside / 8 * 4, column = inside % 8 * 4;
    constexpr int SHARE = CHUNK * TILE / THREADS;
    real next_a[SHARE], next_b[SHARE];  // of the next chunk, on their way while this one is multiplied
    auto load = [&](int first) {
        for (int i = 0; i < SHARE; i++) {
            int at = threadIdx.x + i * THREADS, k = first + at % CHUNK;
            next_a[i] = k < count ? left(at / CHUNK, k) : 0;
            if (!BY_COLUMNS) k = first + at / TILE;
            next_b[i] = k < count ? right(k, BY_COLUMNS ? at / CHUNK : at % TILE) : 0;
        }
    };
    load(0);
    for (int first = 0; first < count; first += CHUNK) {
        sync();
        for (int i = 0; i < SHARE; i++) {
            int at = threadIdx.x + i * THREADS;
            a[at % CHUNK * PITCH + at / CHUNK] = next_a[i];
            if (BY_COLUMNS) b[at % CHUNK * PITCH + at / CHUNK] = next_b[i];
            else b[at / TILE * PITCH + at % TILE] = next_b[i];
        }
        if (first + CHUNK < count) load(first + CHUNK);
        sync();
        for (int k = threadIdx.x / 64; k < CHUNK; k += GROUPS) {
            Four x = *(const Four *)(a + k * PITCH + row), y = *(const Four *)(b + k * PITCH + column);
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++) tile.sums[i][j] += x.of[i] * y.of[j];
        }
    }
}

// The sums of all groups, as (TILE, TILE) at the beginning of scratch.
DEVICE void finish_product(const Tile &tile, real *scratch) {
    int group = threadIdx.x / 64, inside = threadIdx.x % 64, row = inside / 8 * 4, column = inside % 8 * 4;
    sync();
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) scratch[(group * TILE + row + i) * TILE + column + j] = tile.sums[i][j];
    sync();
    EACH(i, TILE * TILE) {
        for (int other = 1; other < GROUPS; other++) scratch[i] += scratch[other * TILE * TILE + i];
    }
    sync();
}
