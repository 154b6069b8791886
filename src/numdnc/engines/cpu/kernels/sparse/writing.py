"""Where to write, and writing it. Axes: R read heads, K entries of a weighting, W word, C slots changed."""

from numdnc.engines.cpu.kernels.arrays import clear, dot
from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.sparse.sets import (
    cut_to_largest,
    forget_places,
    place_slot,
    place_slots,
)
from numdnc.engines.cpu.kernels.sparse.types import LANES, NONE
from numdnc.engines.cpu.kernels.sparse.words import (
    add_word,
    load_word,
    scale_word,
    slot_norm,
    store_word,
    word_dot,
)


@kernel
def write_weights(after, step, row, count, allocation_gate, write_gate):
    """w^w = g^w (g^a a + (1 - g^a) c) of `count` candidates, cut to the K largest; see `allocation_candidates`."""
    one = constant(1, write_gate)
    weights, allocation, content, products = row.values[0], row.values[1], row.values[2], row.values[3]
    for position in range(count):
        mixed = allocation_gate * allocation[position] + (one - allocation_gate) * content[position]
        weights[position] = write_gate * mixed
    cut_to_largest(after.write_slots, after.write_weights, row.order, row.slots, weights, count)
    for k in range(len(after.write_slots)):
        position = row.order[k]
        step.write_allocation[k], step.write_content[k] = 0, 0
        if position != NONE:
            step.write_allocation[k], step.write_content[k] = allocation[position], content[position]
        if len(step.lower_product):
            step.lower_product[k], step.lower_zeros[k] = 0, 2
            if position != NONE:
                step.lower_product[k], step.lower_zeros[k] = products[position], row.zeros[position]


@kernel
def recency_candidates(row, before, oldest):
    """The least recently used slot and those read before, in row.slots; how many.

    row.values gets I^U and the mean of the read weights at each.
    """
    heads = len(before.read_slots)
    share = constant(1, before.read_weights) / before.read_weights.dtype.type(heads)
    newest, read = row.values[1], row.values[2]
    count = place_slot(row.slots, 0, row.place, oldest)
    for i in range(heads):
        count = place_slots(row.slots, count, row.place, before.read_slots[i], before.read_weights[i])
    for position in range(count):
        newest[position], read[position] = 0, 0
    newest[0] = 1
    for i in range(heads):
        for k in range(before.read_slots.shape[1]):
            if before.read_weights[i, k] != 0:
                read[row.place[before.read_slots[i, k]]] += share * before.read_weights[i, k]
    forget_places(row.slots, count, row.place)
    return count


@kernel
def write_weights_backward(d_allocation, d_content, d_weights, after, step, allocation_gate, write_gate):
    """Sets d_allocation and d_content (K,); returns the gradients with respect to allocation gate and write gate."""
    one = constant(1, write_gate)
    d_allocation_gate, d_write_gate = constant(0, write_gate), constant(0, write_gate)
    for k in range(len(d_weights)):
        d_allocation[k], d_content[k] = 0, 0
        if after.write_weights[k] != 0:
            a, c = step.write_allocation[k], step.write_content[k]
            d_mixed = d_weights[k] * write_gate
            d_allocation_gate += d_mixed * (a - c)
            d_write_gate += d_weights[k] * (allocation_gate * a + (one - allocation_gate) * c)
            d_allocation[k] = d_mixed * allocation_gate
            d_content[k] = d_mixed * (one - allocation_gate)
    return d_allocation_gate, d_write_gate


@kernel
def note_changes(sizes, now, step, row, after):
    """Keep the words that are about to change: those written, and those freed or wiped. Leaves them in `place`."""
    count = place_slots(step.changed_slots, 0, row.place, after.write_slots, after.write_weights)
    if sizes.deallocation:
        for position in range(step.counts[0]):
            count = place_slot(step.changed_slots, count, row.place, step.usage_slots[position])
    if sizes.recency:
        count = place_slot(step.changed_slots, count, row.place, step.counts[3])
    for c in range(count):
        load_word(step.changed_words[c], now.memory, step.changed_slots[c])
    step.counts[1] = count


@kernel
def write(sizes, now, step, after, erase, vector):
    """M = M (1 - w^w e^T) + w^w v^T, after freed words were erased or the least recently used one was wiped."""
    memory = now.memory
    if sizes.deallocation:
        for position in range(step.counts[0]):
            scale_word(memory, step.usage_slots[position], step.retention[position])
    if sizes.recency:
        scale_word(memory, step.counts[3], constant(0, vector))
    for k in range(len(after.write_slots)):
        if after.write_weights[k] != 0:
            if sizes.recency:
                add_word(memory, after.write_slots[k], after.write_weights[k], vector)
            else:
                _write_word(memory, after.write_slots[k], after.write_weights[k], erase, vector)
    if not sizes.masking:
        for c in range(step.counts[1]):
            now.inverse_norms[step.changed_slots[c]] = slot_norm(memory, step.changed_slots[c])


@kernel
def _write_word(memory, slot, weight, erase, vector):
    block, lane, one = memory[slot // LANES], slot % LANES, constant(1, weight)
    for w in range(len(vector)):
        block[w, lane] = block[w, lane] * (one - weight * erase[w]) + weight * vector[w]


@kernel
def restore_words(now, step):
    """The memory as it was before the step; the norms, which only a search needs, stay."""
    for c in range(step.counts[1]):
        store_word(now.memory, step.changed_slots[c], step.changed_words[c])


@kernel
def write_backward(
    sizes, d_memory, d_weights, d_kept, d_erase, d_vector, memory, step, row, words, after, erase, vector
):
    """In place: d_memory goes from the memory after to the one before, which `memory` holds already.

    Adds to d_weights (K,), sets d_erase and d_vector; sets d_kept, the gradient with respect to the retention of
    step.usage_slots where that erases freed words. words (2, W) is workspace.
    """
    W = len(vector)
    word, d_word = words[0], words[1]
    clear(d_vector)
    clear(d_erase)
    if sizes.deallocation:
        for position in range(step.counts[0]):
            row.place[step.usage_slots[position]] = position
    for k in range(len(after.write_slots)):
        weight, slot = after.write_weights[k], after.write_slots[k]
        if weight != 0:
            load_word(d_word, d_memory, slot)
            if sizes.recency:
                d_weights[k] += dot(d_word, vector)
                for w in range(W):
                    d_vector[w] += weight * d_word[w]
            else:
                load_word(word, memory, slot)
                if sizes.deallocation and row.place[slot] != NONE:
                    retention = step.retention[row.place[slot]]
                    for w in range(W):
                        word[w] *= retention
                d_weights[k] += _write_word_backward(d_word, d_erase, d_vector, word, weight, erase, vector)
                store_word(d_memory, slot, d_word)
    if sizes.recency:
        scale_word(d_memory, step.counts[3], constant(0, vector))
    if not sizes.recency:
        for position in range(step.counts[0]):
            d_kept[position] = 0
    if sizes.deallocation:
        for position in range(step.counts[0]):
            slot = step.usage_slots[position]
            row.place[slot] = NONE
            load_word(word, memory, slot)
            d_kept[position] = word_dot(word, d_memory, slot)
            scale_word(d_memory, slot, step.retention[position])


@kernel
def _write_word_backward(d_word, d_erase, d_vector, word, weight, erase, vector):
    """In place: d_word to the word before; returns the gradient with respect to the weight."""
    one, d_weight = constant(1, weight), constant(0, weight)
    for w in range(len(d_word)):
        d = d_word[w]
        d_weight += d * (vector[w] - word[w] * erase[w])
        d_erase[w] -= weight * d * word[w]
        d_vector[w] += weight * d
        d_word[w] = d * (one - weight * erase[w])
    return d_weight
