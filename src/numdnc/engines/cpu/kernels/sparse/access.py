"""One step of a sparse memory, for one sequence, and back; read it beside reference/access.py and writing.py.

`now` is the memory, which is changed in place; `before` and `after` are rows of `SparseState` around the step, and
`step` is one of `SparseStep`. Between `prepare_search` and `access`, search.py finds the candidates of each key.
"""

from numdnc.engines.cpu.kernels.arrays import clear, clear_rows
from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.sparse.content import (
    content_weights_backward,
    masked_content_weights_backward,
)
from numdnc.engines.cpu.kernels.sparse.links import update_links, update_links_backward
from numdnc.engines.cpu.kernels.sparse.reading import (
    read_weights,
    read_weights_backward,
    update_precedence,
    update_precedence_backward,
)
from numdnc.engines.cpu.kernels.sparse.recency import least_recent, note_access
from numdnc.engines.cpu.kernels.sparse.search import choose_unchanged, mask_keys, score_block, weigh
from numdnc.engines.cpu.kernels.sparse.sets import (
    forget_places,
    forget_slots,
    insert_best,
    number_slots,
)
from numdnc.engines.cpu.kernels.sparse.types import LANES, NONE
from numdnc.engines.cpu.kernels.sparse.usage import (
    allocate_backward,
    allocation_candidates,
    update_usage,
    update_usage_backward,
)
from numdnc.engines.cpu.kernels.sparse.words import add_to_word, add_word, masked_norm, word_dot
from numdnc.engines.cpu.kernels.sparse.writing import (
    note_changes,
    recency_candidates,
    restore_words,
    write,
    write_backward,
    write_weights,
    write_weights_backward,
)


@kernel
def prepare_search(sizes, row, interface):
    """What the search needs of masked keys."""
    if sizes.masking:
        R, floor = sizes.heads, sizes.mask_floor
        mask_keys(
            row.masked_keys[:R], row.squared_masks[:R], interface.read_keys, interface.read_masks, floor
        )
        if not sizes.recency:
            mask_keys(
                row.masked_keys[R:], row.squared_masks[R:], interface.write_key, interface.write_mask, floor
            )


@kernel
def write_step(sizes, now, step, recency, row, interface, before, after, candidates, best):
    """Free, allocate, write. candidates and best are those of the write key."""
    if sizes.recency:
        step.counts[0], step.counts[3] = 0, least_recent(recency)
        count = recency_candidates(row, before, step.counts[3])
    else:
        R = sizes.heads
        update_usage(now.usage, step, row, before, interface.free_gates)
        slots, weights = step.content_slots[R], step.content_weights[R]
        choose_unchanged(slots, weights, candidates, best, row.place)  # nothing has changed yet
        _keep_norms(sizes, step.content_norms[R], now, interface.write_mask, 0, slots)
        _weigh(sizes, step, row, R, interface.write_key[0], interface.write_strength[0])
        count = allocation_candidates(step, row, now.usage, slots, weights)
    write_weights(after, step, row, count, interface.allocation_gate[0], interface.write_gate[0])
    note_changes(sizes, now, step, row, after)
    write(sizes, now, step, after, interface.erase[0], interface.write_vector[0])


@kernel
def read_content(sizes, now, step, row, interface, candidates, best, scores, norms, squares):
    """Content weightings of the read keys, by the candidates found before the write and the slots it has changed.

    Those slots are scored as the search does it, block by block, so that equal words have equal scores.
    """
    count = step.counts[1]
    for i in range(sizes.heads):
        choose_unchanged(step.content_slots[i], step.content_weights[i], candidates[i], best[i], row.place)
    done = NONE
    for c in range(count):
        block = step.changed_slots[c] // LANES
        if block != done:
            score_block(sizes, scores, norms, squares, interface, row, now.memory, now.inverse_norms, block)
            done = block
        slot = step.changed_slots[c]
        for i in range(sizes.heads):
            insert_best(step.content_slots[i], step.content_weights[i], slot, scores[i, slot % LANES])
    forget_places(step.changed_slots, count, row.place)
    for i in range(sizes.heads):
        _keep_norms(sizes, step.content_norms[i], now, interface.read_masks, i, step.content_slots[i])
        _weigh(sizes, step, row, i, interface.read_keys[i], interface.read_strengths[i])


@kernel
def _weigh(sizes, step, row, i, key, strength):
    """Turn the scores of the slots chosen into weights."""
    masked_key = row.masked_keys[i] if sizes.masking else key[:0]
    weigh(step.content_weights[i], step.similarity[i], step.content_slots[i], key, strength, masked_key)


@kernel
def read_step(sizes, now, step, recency, row, interface, before, after, reads, number):
    """Link, find where to read, and read."""
    if sizes.links:
        update_links(now, step, row, before, after)
        update_precedence(after, row, before)
    for i in range(sizes.heads):
        if sizes.links:
            read_weights(now, step, row, before, after, interface.read_modes[i], i)
        else:
            for k in range(after.read_slots.shape[1]):
                after.read_slots[i, k] = step.content_slots[i, k]
                after.read_weights[i, k] = step.content_weights[i, k]
        clear(reads[i])
        for k in range(after.read_slots.shape[1]):
            if after.read_weights[i, k] != 0:
                add_to_word(reads[i], after.read_weights[i, k], now.memory, after.read_slots[i, k])
    if sizes.recency:
        note_access(recency, row, after, number)


@kernel
def read_step_backward(sizes, d_interface, gradient, d_reads, interface, now, step, row, before, after):
    """`read_step` backwards, to the content weights, the write weights, the links and the read weights before."""
    for i in range(sizes.heads):
        d_weights = gradient.read_weights_now[i]
        for k in range(len(d_weights)):
            d_weights[k] = 0
            slot, weight = after.read_slots[i, k], after.read_weights[i, k]
            if weight != 0:
                d_weights[k] = gradient.read_weights[i, k] + word_dot(d_reads[i], now.memory, slot)
                add_word(gradient.memory, slot, weight, d_reads[i])
    clear_rows(gradient.read_weights)
    if sizes.links:
        for k in range(len(gradient.precedence)):
            gradient.precedence_now[k], gradient.precedence[k] = gradient.precedence[k], 0
    for i in range(sizes.heads):
        if sizes.links:
            read_weights_backward(
                d_interface.read_modes[i],
                gradient.content[i],
                gradient.link,
                gradient.read_weights[i],
                gradient.read_weights_now[i],
                now,
                step,
                row,
                before,
                after,
                interface.read_modes[i],
                i,
            )
        else:
            for k in range(gradient.content.shape[1]):
                gradient.content[i, k] = gradient.read_weights_now[i, k]
    for i in range(sizes.heads):
        _content_backward(sizes, d_interface, gradient, interface, now, step, i)


@kernel
def write_step_backward(sizes, d_interface, gradient, interface, now, step, row, before, after):
    """`write_step` backwards; the memory and the links are taken back to before the step.

    gradient.write_weights is of the weights after, by the step after.
    """
    d_weights, d_kept, R = gradient.write_weights_now, row.values[5], sizes.heads
    for k in range(len(d_weights)):
        d_weights[k], gradient.write_weights[k] = gradient.write_weights[k], 0
    if sizes.links:
        update_precedence_backward(
            gradient.precedence, d_weights, gradient.precedence_now, row, before, after
        )
        update_links_backward(gradient.link, d_weights, gradient.precedence, now, step, row, before, after)
    restore_words(now, step)
    write_backward(
        sizes,
        gradient.memory,
        d_weights,
        d_kept,
        d_interface.erase[0],
        d_interface.write_vector[0],
        now.memory,
        step,
        row,
        gradient.word[:2],
        after,
        interface.erase[0],
        interface.write_vector[0],
    )
    d_allocation, d_content = row.values[0], row.values[1]
    d_interface.allocation_gate[0], d_interface.write_gate[0] = write_weights_backward(
        d_allocation, d_content, d_weights, after, step, interface.allocation_gate[0], interface.write_gate[0]
    )
    if sizes.recency:
        _read_before_backward(gradient.read_weights, d_content, row, before, after)
    else:
        _gather_content(gradient.content[R], d_content, row, step.content_slots[R], after)
        allocate_backward(
            gradient.usage, d_allocation, now.usage, step, after.write_slots, gradient.pull, gradient.lanes
        )
        _content_backward(sizes, d_interface, gradient, interface, now, step, R)
        update_usage_backward(
            gradient.usage,
            gradient.write_weights,
            gradient.read_weights,
            d_interface.free_gates,
            d_kept,
            now.usage,
            step,
            row,
            before,
            interface.free_gates,
        )


@kernel
def _gather_content(d_content, d_written, row, slots, after):
    """From the gradient at the slots written to that at the slots found by content."""
    number_slots(row.place, after.write_slots, after.write_weights)
    for k in range(len(slots)):
        d_content[k] = 0
        if row.place[slots[k]] != NONE:
            d_content[k] = d_written[row.place[slots[k]]]
    forget_slots(row.place, after.write_slots, after.write_weights)


@kernel
def _read_before_backward(d_read_weights, d_mean, row, before, after):
    """Adds to d_read_weights (R, K), from the gradient with respect to their mean at the slots written."""
    heads, K = before.read_slots.shape
    share = d_mean.dtype.type(1) / d_mean.dtype.type(heads)
    number_slots(row.place, after.write_slots, after.write_weights)
    for i in range(heads):
        for k in range(K):
            if before.read_weights[i, k] != 0:
                position = row.place[before.read_slots[i, k]]
                if position != NONE:
                    d_read_weights[i, k] += share * d_mean[position]
    forget_slots(row.place, after.write_slots, after.write_weights)


@kernel
def _content_backward(sizes, d_interface, gradient, interface, now, step, i):
    """A content weighting backwards, that of read key i or, for i = R, of the write key."""
    if i < sizes.heads:
        _key_backward(
            sizes,
            d_interface.read_keys[i],
            d_interface.read_strengths,
            d_interface.read_masks,
            i,
            gradient,
            interface.read_keys[i],
            interface.read_strengths[i],
            interface.read_masks,
            now,
            step,
            i,
        )
    else:
        _key_backward(
            sizes,
            d_interface.write_key[0],
            d_interface.write_strength,
            d_interface.write_mask,
            0,
            gradient,
            interface.write_key[0],
            interface.write_strength[0],
            interface.write_mask,
            now,
            step,
            i,
        )


@kernel
def _key_backward(sizes, d_key, d_strengths, d_masks, head, gradient, key, strength, masks, now, step, i):
    if sizes.masking:
        d_strengths[head] = masked_content_weights_backward(
            gradient.memory,
            d_key,
            d_masks[head],
            gradient.content[i],
            gradient.word[2],
            gradient.word[3],
            step.content_weights[i],
            step.similarity[i],
            step.content_slots[i],
            step.content_norms[i],
            now.memory,
            key,
            strength,
            masks[head],
            sizes.mask_floor,
        )
    else:
        d_strengths[head] = content_weights_backward(
            gradient.memory,
            d_key,
            gradient.content[i],
            step.content_weights[i],
            step.similarity[i],
            step.content_slots[i],
            step.content_norms[i],
            now.memory,
            key,
            strength,
        )


@kernel
def _keep_norms(sizes, found, now, masks, head, slots):
    """The inverse norms of these slots, as the key of this head sees them."""
    for k in range(len(slots)):
        if slots[k] == NONE:
            found[k] = 0
        elif sizes.masking:
            found[k] = masked_norm(now.memory, slots[k], masks[head], sizes.mask_floor)
        else:
            found[k] = now.inverse_norms[slots[k]]
