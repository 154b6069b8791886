"""Search: the slots that are most similar to each key, exactly, in one pass over the memory of one sequence.

Axes: Q keys (R for reading, then one for writing), N slots, W word, L candidates, K entries of a weighting.
"""

import numpy as np

from numdnc.engines.cpu.kernels.activations import apply_softmax
from numdnc.engines.cpu.kernels.arrays import clear_rows, dot
from numdnc.engines.cpu.kernels.compiling import kernel, optimised_kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.content import inverse_norm, raise_to_floor
from numdnc.engines.cpu.kernels.products import add_product
from numdnc.engines.cpu.kernels.sparse.sets import better_than, clear_best, insert_best
from numdnc.engines.cpu.kernels.sparse.types import LANES, NONE


@kernel
def mask_keys(masked_keys, squared_masks, keys, masks, floor):
    """k m^2 and m^2 with m <- floor + (1 - floor) m, of some keys: all that a masked similarity needs of them."""
    for i in range(len(keys)):
        for w in range(keys.shape[1]):
            mask = raise_to_floor(masks[i, w], floor)
            squared_masks[i, w] = mask * mask
            masked_keys[i, w] = keys[i, w] * mask * mask


@kernel
def score_block(sizes, scores, norms, squares, interface, row, memory, inverse_norms, block):
    """scores (Q, LANES) = k . M[n] / |M[n]|, with norms (Q, LANES) of masked words if the model has masks."""
    R, words = sizes.heads, memory[block]
    clear_rows(scores)
    if sizes.masking:
        clear_rows(norms)
        for w in range(len(words)):
            for lane in range(LANES):
                squares[w, lane] = words[w, lane] * words[w, lane]
        add_product(scores, row.masked_keys, words)
        add_product(norms, row.squared_masks, squares)
        for i in range(len(scores)):
            for lane in range(LANES):
                norms[i, lane] = inverse_norm(norms[i, lane])
                scores[i, lane] *= norms[i, lane]
    else:
        add_product(scores[:R], interface.read_keys, words)
        if len(scores) > R:
            add_product(scores[R:], interface.write_key, words)
        first = block * LANES
        for i in range(len(scores)):
            for lane in range(LANES):
                scores[i, lane] *= inverse_norms[first + lane]


@optimised_kernel
def search(sizes, slots, best, scores, norms, squares, interface, row, memory, inverse_norms, first, last):
    """The candidates of each key, best first, among the blocks from `first` to `last`: slots and best (Q, L)."""
    for i in range(len(slots)):
        clear_best(slots[i], best[i])
    for block in range(first, last):
        score_block(sizes, scores, norms, squares, interface, row, memory, inverse_norms, block)
        count = min(sizes.slots - block * LANES, LANES)
        for i in range(len(slots)):
            _keep_best(slots[i], best[i], scores[i], block * LANES, count)


@kernel
def _keep_best(slots, best, scores, first, count):
    last = len(slots) - 1
    if better_than(scores, best[last]) or slots[last] == NONE:
        for lane in range(count):
            if scores[lane] > best[last] or slots[last] == NONE:
                insert_best(slots, best, first + lane, scores[lane])


@kernel
def merge_candidates(slots, best, more_slots, more_best):
    """Add the candidates that another thread has found."""
    for i in range(len(slots)):
        for k in range(slots.shape[1]):
            if more_slots[i, k] != NONE:
                insert_best(slots[i], best[i], more_slots[i, k], more_best[i, k])


@kernel
def choose_unchanged(slots, scores, candidates, best, place):
    """The best candidates that are not in the list of `place`, as many as fit."""
    found = 0
    clear_best(slots, scores)
    for k in range(len(candidates)):
        slot = candidates[k]
        if found < len(slots) and slot != NONE and place[slot] == NONE:
            slots[found], scores[found] = slot, best[k]
            found += 1


@kernel
def weigh(weights, similarity, slots, key, strength, masked_key):
    """C = softmax(beta D) over the slots chosen, D = score / |k|; weights holds the scores when called.

    masked_key k m^2 is empty without masks. Where all scores are NaN no slot was chosen, and the weights are NaN.
    """
    square = dot(key, masked_key) if len(masked_key) else dot(key, key)
    inverse = inverse_norm(square)
    for k in range(len(slots)):
        if slots[k] == NONE:
            slots[k], weights[k] = 0, constant(np.nan, square)
        similarity[k] = weights[k] * inverse
        weights[k] = strength * similarity[k]
    apply_softmax(weights)
