// Matrix products of all sequences at once, a tile of 32 x 32 for each block.
#pragma once

#include "grid.cuh"

constexpr int TILE = 32, CHUNK = 64;
constexpr int PITCH = TILE + 4;       // keeps four numbers aligned, and spreads a column over the banks
constexpr int GROUPS = THREADS / 64;  // 64 threads have 4 x 4 numbers each; every group adds up its share of the rows of B

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
    for (int first = 0; first < count; first += CHUNK) {
        sync();
        EACH(i, CHUNK * TILE) {
            int across = i / CHUNK, k = i % CHUNK;
            a[k * PITCH + across] = first + k < count ? left(across, first + k) : 0;
            if (!BY_COLUMNS) across = i % TILE, k = i / TILE;
            b[k * PITCH + across] = first + k < count ? right(first + k, across) : 0;
        }
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
