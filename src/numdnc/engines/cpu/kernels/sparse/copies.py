"""Copying a state into the arrays of a sparse memory and out of them: compiled, for a memory may be large.

Axes: B batch, N slots, W word, K entries of a weighting or of a row of links.
"""

from numdnc.engines.cpu.kernels.compiling import loop_entry
from numdnc.engines.cpu.kernels.sparse.types import LANES, NONE
from numdnc.engines.cpu.kernels.sparse.words import slot_norm


@loop_entry
def to_blocks(blocks, memory):
    """blocks (B, blocks, W, LANES) = memory (B, N, W); the padding is 0."""
    (B, N, W), count = memory.shape, blocks.shape[1]
    for b in range(B):
        for c in range(count):
            block, first = blocks[b, c], c * LANES
            if first + LANES <= N:
                for w in range(W):
                    for lane in range(LANES):
                        block[w, lane] = memory[b, first + lane, w]
            else:
                for w in range(W):
                    for lane in range(LANES):
                        block[w, lane] = memory[b, first + lane, w] if first + lane < N else 0


@loop_entry
def from_blocks(memory, blocks):
    """memory (B, N, W) = blocks (B, blocks, W, LANES)."""
    B, N, W = memory.shape
    for b in range(B):
        for n in range(N):
            block, lane = blocks[b, n // LANES], n % LANES
            for w in range(W):
                memory[b, n, w] = block[w, lane]


@loop_entry
def find_inverse_norms(inverse_norms, blocks):
    """1 / sqrt(|M[n]|^2 + eps) of every slot, the padding included; inverse_norms (B, slots)."""
    for b in range(len(inverse_norms)):
        for n in range(inverse_norms.shape[1]):
            inverse_norms[b, n] = slot_norm(blocks[b], n)


@loop_entry
def find_entries(slots, weights, weighting):
    """slots and weights (rows, K) = the entries of a weighting (rows, N) that are not 0; then slot 0, weight 0."""
    for row in range(len(slots)):
        count = 0
        for n in range(weighting.shape[1]):
            if weighting[row, n] != 0 and count < slots.shape[1]:
                slots[row, count], weights[row, count] = n, weighting[row, n]
                count += 1
        for k in range(count, slots.shape[1]):
            slots[row, k], weights[row, k] = 0, 0


@loop_entry
def index_links(link_slots, link_columns, slots, values):
    """link_slots (B, N, K) = slots, NONE where the value is 0; link_columns lists the positions of each column."""
    B, N, K = values.shape
    for b in range(B):
        for i in range(N):
            for k in range(K):
                link_columns[b, i, k] = NONE
        for i in range(N):
            for k in range(K):
                link_slots[b, i, k] = NONE
                if values[b, i, k] != 0:
                    j, c = int(slots[b, i, k]), 0
                    link_slots[b, i, k] = j
                    while link_columns[b, j, c] != NONE:
                        c += 1
                    link_columns[b, j, c] = i * K + k


@loop_entry
def list_links(slots, listed, link_slots, values):
    """slots and listed (B, N, K) = the links of each row and their `values` by rising slot; then slot 0, value 0."""
    B, N, K = values.shape
    for b in range(B):
        for i in range(N):
            count = 0
            for k in range(K):
                j = link_slots[b, i, k]
                if j != NONE:
                    at = count
                    while at > 0 and slots[b, i, at - 1] > j:
                        slots[b, i, at], listed[b, i, at] = slots[b, i, at - 1], listed[b, i, at - 1]
                        at -= 1
                    slots[b, i, at], listed[b, i, at] = j, values[b, i, k]
                    count += 1
            for k in range(count, K):
                slots[b, i, k], listed[b, i, k] = 0, 0


@loop_entry
def unlist_links(values, listed, slots, link_slots):
    """values (B, N, K) = those of lists of links with these slots, each where `link_slots` has its slot; else 0."""
    B, N, K = values.shape
    for b in range(B):
        for i in range(N):
            for k in range(K):
                m = 0
                while m < K and slots[b, i, m] != link_slots[b, i, k]:
                    m += 1
                values[b, i, k] = listed[b, i, m] if m < K else 0
