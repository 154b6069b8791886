"""Where the heads read, along the links of one sequence and by content; and which slots were written last.

K entries, N slots, R read heads. See links.py for how links are kept.
"""

from numdnc.engines.cpu.kernels.compiling import inlined, kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.sparse.sets import cut_to_largest, forget_slots, number_slots
from numdnc.engines.cpu.kernels.sparse.types import NONE


@kernel
def update_precedence(after, row, before):
    """p = (1 - sum w^w) p + w^w, cut to the K largest."""
    keep, count = constant(1, after.precedence), 0
    slots, values = row.slots, row.values[0]
    for k in range(len(after.write_slots)):
        keep -= after.write_weights[k]
    for k in range(len(after.write_slots)):
        if after.write_weights[k] != 0:
            slots[count], values[count] = after.write_slots[k], after.write_weights[k]
            row.place[slots[count]] = count
            count += 1
    for k in range(len(before.precedence_slots)):
        j = before.precedence_slots[k]
        if before.precedence[k] != 0:
            if row.place[j] == NONE:
                slots[count], values[count] = j, keep * before.precedence[k]
                row.place[j] = count
                count += 1
            else:
                values[row.place[j]] += keep * before.precedence[k]
    for n in range(count):
        row.place[slots[n]] = NONE
    cut_to_largest(after.precedence_slots, after.precedence, row.order, slots, values, count)


@kernel
def update_precedence_backward(d_precedence, d_write_weights, d_precedence_now, row, before, after):
    """Adds to d_precedence (K,) of the slots before and to d_write_weights; d_precedence_now is of those after."""
    keep, d_keep = constant(1, d_precedence), constant(0, d_precedence)
    K = len(d_precedence)
    for k in range(K):
        keep -= after.write_weights[k]
    number_slots(row.place, after.precedence_slots, after.precedence)
    for k in range(K):
        if before.precedence[k] != 0:
            position = row.place[before.precedence_slots[k]]
            if position != NONE:
                d_precedence[k] += keep * d_precedence_now[position]
                d_keep += d_precedence_now[position] * before.precedence[k]
    for k in range(K):
        if after.write_weights[k] != 0:
            position = row.place[after.write_slots[k]]
            if position != NONE:
                d_write_weights[k] += d_precedence_now[position]
            d_write_weights[k] -= d_keep
    forget_slots(row.place, after.precedence_slots, after.precedence)


@inlined
def _follow(now, row, before, head, count, backward, content, forward):
    """Add the slots written before and after those that the head read last to the list in `place`."""
    K = now.link_slots.shape[1]
    for m in range(K):
        weight, slot = before.read_weights[head, m], before.read_slots[head, m]
        if weight != 0:
            for k in range(K):
                j = now.link_slots[slot, k]
                if j != NONE:
                    count = _place_empty(row, count, j, backward, content, forward)
                    backward[row.place[j]] += weight * now.link_values[slot, k]
                position = now.link_columns[slot, k]
                if position != NONE:
                    i = position // K
                    count = _place_empty(row, count, i, backward, content, forward)
                    forward[row.place[i]] += weight * now.link_values[i, position % K]
    return count


@inlined
def _place_empty(row, count, slot, backward, content, forward):
    if row.place[slot] == NONE:
        row.place[slot], row.slots[count] = count, slot
        backward[count], content[count], forward[count] = 0, 0, 0
        count += 1
    return count


@kernel
def read_weights(now, step, row, before, after, modes, head):
    """w^r = pi[backward] bwd + pi[content] c^r + pi[forward] fwd of a head, cut to the K largest.

    bwd = L^T w^r and fwd = L w^r, with the read weights before.
    """
    weights, backward, content, forward = row.values[0], row.values[1], row.values[2], row.values[3]
    count, found, slots = 0, step.content_weights[head], step.content_slots[head]
    for k in range(len(slots)):
        if found[k] != 0:
            count = _place_empty(row, count, slots[k], backward, content, forward)
            content[row.place[slots[k]]] = found[k]
    count = _follow(now, row, before, head, count, backward, content, forward)
    for n in range(count):
        row.place[row.slots[n]] = NONE
        weights[n] = modes[0] * backward[n] + modes[1] * content[n] + modes[2] * forward[n]
    cut_to_largest(after.read_slots[head], after.read_weights[head], row.order, row.slots, weights, count)
    for k in range(len(slots)):
        n = row.order[k]
        step.read_backward[head, k] = backward[n] if n != NONE else constant(0, backward)
        step.read_content[head, k] = content[n] if n != NONE else constant(0, backward)
        step.read_forward[head, k] = forward[n] if n != NONE else constant(0, backward)


@kernel
def read_weights_backward(
    d_modes, d_content, d_link, d_read_weights, d_weights, now, step, row, before, after, modes, head
):
    """Sets d_modes and d_content (K,), adds to d_link and to d_read_weights (K,) of the slots before.

    d_weights (K,) is of the slots after; `now` holds the links after the step.
    """
    K = now.link_slots.shape[1]
    for mode in range(3):
        d_modes[mode] = 0
    for k in range(K):
        if after.read_weights[head, k] != 0:
            d_modes[0] += d_weights[k] * step.read_backward[head, k]
            d_modes[1] += d_weights[k] * step.read_content[head, k]
            d_modes[2] += d_weights[k] * step.read_forward[head, k]
    number_slots(row.place, after.read_slots[head], after.read_weights[head])
    for k in range(K):
        d_content[k] = 0
        if step.content_weights[head, k] != 0:
            n = row.place[step.content_slots[head, k]]
            if n != NONE:
                d_content[k] = modes[1] * d_weights[n]
    for m in range(K):
        weight, slot = before.read_weights[head, m], before.read_slots[head, m]
        if weight != 0:
            for k in range(K):
                j = now.link_slots[slot, k]
                if j != NONE and row.place[j] != NONE:
                    d = modes[0] * d_weights[row.place[j]]
                    d_link[slot, k] += d * weight
                    d_read_weights[m] += d * now.link_values[slot, k]
                position = now.link_columns[slot, k]
                if position != NONE and row.place[position // K] != NONE:
                    d = modes[2] * d_weights[row.place[position // K]]
                    d_link[position // K, position % K] += d * weight
                    d_read_weights[m] += d * now.link_values[position // K, position % K]
    forget_slots(row.place, after.read_slots[head], after.read_weights[head])
