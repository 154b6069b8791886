"""Sparse links of one sequence: at most K of each row and of each column. K entries, N slots, R read heads.

link[i, j]: "i was written after j". Row i holds its links as slots j and values; column j holds the positions i K + k
of its links there. A link keeps its position as long as it exists, and its gradient is kept at the same position. Every
position that a step overwrites is noted in its journal, from which `undo_links` takes the links back.
"""

from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.sparse.sets import cut_to_largest, forget_slots, number_slots
from numdnc.engines.cpu.kernels.sparse.types import NONE


@kernel
def _set_link(now, step, row, k, slot, value):
    """Overwrite position k of a row, noting what was there."""
    n = step.counts[2]
    step.journal_positions[n] = row * now.link_slots.shape[1] + k
    step.journal_slots[n], step.journal_values[n] = now.link_slots[row, k], now.link_values[row, k]
    step.counts[2] = n + 1
    now.link_slots[row, k], now.link_values[row, k] = slot, value


@kernel
def _set_column(now, step, column, k, position):
    """Overwrite entry k of a column, noting what was there."""
    n = step.counts[2]
    step.journal_positions[n] = -1 - (column * now.link_slots.shape[1] + k)
    step.journal_slots[n] = now.link_columns[column, k]
    step.counts[2] = n + 1
    now.link_columns[column, k] = position


@kernel
def undo_links(now, step):
    """The links as they were before the step."""
    K = now.link_slots.shape[1]
    for n in range(step.counts[2] - 1, -1, -1):
        position = step.journal_positions[n]
        if position < 0:
            position = -1 - position
            now.link_columns[position // K, position % K] = step.journal_slots[n]
        else:
            now.link_slots[position // K, position % K] = step.journal_slots[n]
            now.link_values[position // K, position % K] = step.journal_values[n]


@kernel
def _remove_link(now, step, row, k):
    """Take a link out of its row and its column."""
    column = now.link_slots[row, k]
    position = row * now.link_slots.shape[1] + k
    for c in range(now.link_columns.shape[1]):
        if now.link_columns[column, c] == position:
            _set_column(now, step, column, c, NONE)
    _set_link(now, step, row, k, NONE, constant(0, now.link_values))


@kernel
def _free_position(entries):
    """The first that is NONE; there must be one."""
    for k in range(len(entries)):
        if entries[k] == NONE:
            return k
    return NONE


@kernel
def scatter(at, slots, weights):
    """at[slots] = weights, where they are not 0."""
    for k in range(len(slots)):
        if weights[k] != 0:
            at[slots[k]] = weights[k]


@kernel
def unscatter(at, slots):
    """at[slots] = 0."""
    for k in range(len(slots)):
        at[slots[k]] = 0


@kernel
def update_links(now, step, row, before, after):
    """L[i, j] = (1 - w^w[i] - w^w[j]) L[i, j] + w^w[i] p[j],  L[i, i] = 0; rows, then columns cut to K.

    Rows first: only those of the slots written can get new links. A new link is put into its row; whether its column
    keeps it is settled at the end, column by column.
    """
    K = now.link_slots.shape[1]
    step.counts[2] = 0
    scatter(row.weight_at, after.write_slots, after.write_weights)
    scatter(row.precedence_at, before.precedence_slots, before.precedence)
    for k in range(K):
        if after.write_weights[k] != 0:
            _fade_column(now, step, row, after.write_slots[k], after.write_weights[k])
    for k in range(K):
        if after.write_weights[k] != 0:
            _update_row(now, step, row, before, after.write_slots[k], after.write_weights[k])
    for k in range(K):
        if before.precedence[k] != 0:
            _cap_column(now, step, row, after, before.precedence_slots[k])
    unscatter(row.weight_at, after.write_slots)
    unscatter(row.precedence_at, before.precedence_slots)


@kernel
def _fade_column(now, step, row, column, weight):
    """The links to a slot that is written, from slots that are not: L[i, j] = (1 - w^w[j]) L[i, j]."""
    K = now.link_slots.shape[1]
    for c in range(K):
        position = now.link_columns[column, c]
        if position != NONE and row.weight_at[position // K] == 0:
            i, k = position // K, position % K
            _fade_link(now, step, i, k, weight)


@kernel
def _fade_link(now, step, i, k, weight):
    value = (constant(1, weight) - weight) * now.link_values[i, k]
    if value == 0:
        _remove_link(now, step, i, k)
    else:
        _set_link(now, step, i, k, now.link_slots[i, k], value)


@kernel
def _update_row(now, step, row, before, i, weight):
    """The links of a slot that is written, those that stay in their positions and the new ones in the free ones."""
    one, K = constant(1, weight), now.link_slots.shape[1]
    slots, values, positions, kept = (
        row.slots[: 2 * K],
        row.values[0],
        row.order[: 2 * K],
        row.order[2 * K : 3 * K],
    )
    count = 0
    for k in range(K):
        j = now.link_slots[i, k]
        if j != NONE:
            slots[count], positions[count] = j, k
            left = (one - weight - row.weight_at[j]) * now.link_values[i, k]
            values[count] = left + weight * row.precedence_at[j]
            row.place[j] = count
            count += 1
    for k in range(K):
        j = before.precedence_slots[k]
        if before.precedence[k] != 0 and j != i and row.place[j] == NONE:
            slots[count], positions[count], values[count] = j, NONE, weight * before.precedence[k]
            count += 1
    for n in range(count):
        row.place[slots[n]] = NONE
    cut_slots, cut_values = row.slots[2 * K : 3 * K], row.values[1]
    cut_to_largest(cut_slots, cut_values[:K], kept, slots, values, count)
    for n in range(count):
        row.zeros[n] = 0
    for k in range(K):
        if kept[k] != NONE and values[kept[k]] != 0:
            row.zeros[kept[k]] = 1
    for n in range(count):  # first make room
        if positions[n] != NONE:
            if row.zeros[n]:
                _set_link(now, step, i, positions[n], slots[n], values[n])
            else:
                _remove_link(now, step, i, positions[n])
    for n in range(count):
        if positions[n] == NONE and row.zeros[n]:
            _set_link(now, step, i, _free_position(now.link_slots[i]), slots[n], values[n])


@kernel
def _cap_column(now, step, row, after, j):
    """Add the new links of a column, those of the rows written that it has not got yet, and keep the K largest."""
    K = now.link_slots.shape[1]
    rows, values, positions, kept = (
        row.slots[: 2 * K],
        row.values[0],
        row.order[: 2 * K],
        row.order[2 * K : 3 * K],
    )
    count = 0
    for c in range(K):
        position = now.link_columns[j, c]
        if position != NONE:
            rows[count], positions[count] = position // K, position
            values[count] = now.link_values[position // K, position % K]
            row.place[rows[count]] = count
            count += 1
    for n in range(K):
        i = after.write_slots[n]
        if after.write_weights[n] != 0 and row.place[i] == NONE:
            for k in range(K):
                if now.link_slots[i, k] == j:
                    rows[count], positions[count] = i, i * K + k
                    values[count] = now.link_values[i, k]
                    count += 1
    for n in range(count):
        row.place[rows[n]] = NONE
        row.zeros[n] = 0
    cut_rows, cut_values = row.slots[2 * K : 3 * K], row.values[1]
    cut_to_largest(cut_rows, cut_values[:K], kept, rows, values, count)
    for k in range(K):
        if kept[k] != NONE:
            row.zeros[kept[k]] = 1
    for n in range(count):
        if not row.zeros[n]:
            _remove_link(now, step, positions[n] // K, positions[n] % K)
    for n in range(count):
        if row.zeros[n] and _index_of(now.link_columns[j], positions[n]) == NONE:
            _set_column(now, step, j, _free_position(now.link_columns[j]), positions[n])


@kernel
def _index_of(entries, entry):
    for k in range(len(entries)):
        if entries[k] == entry:
            return k
    return NONE


@kernel
def update_links_backward(d_link, d_write_weights, d_precedence, now, step, row, before, after):
    """In place: d_link and the links go from after the step to before it. Adds to the other two, each (K,).

    Of a link that was there before, d_link becomes (1 - w^w[i] - w^w[j]) d_link; one that is new passes its gradient to
    w^w[i] and p[j] alone, and one that was cut had none.
    """
    K = now.link_slots.shape[1]
    slots_after = row.slots
    number_slots(row.place, before.precedence_slots, before.precedence)
    for n in range(K):
        i, weight = after.write_slots[n], after.write_weights[n]
        if weight != 0:
            for k in range(K):
                j = now.link_slots[i, k]
                slots_after[n * K + k] = j
                if j != NONE and row.place[j] != NONE:
                    d_precedence[row.place[j]] += d_link[i, k] * weight
    forget_slots(row.place, before.precedence_slots, before.precedence)
    undo_links(now, step)
    scatter(row.weight_at, after.write_slots, after.write_weights)
    scatter(row.precedence_at, before.precedence_slots, before.precedence)
    number_slots(row.place, after.write_slots, after.write_weights)
    for n in range(K):
        if after.write_weights[n] != 0:
            _row_backward(d_link, d_write_weights, now, row, slots_after[n * K : (n + 1) * K], after, n)
    for n in range(K):
        if after.write_weights[n] != 0:
            _column_backward(d_link, d_write_weights, now, row, after, n)
    forget_slots(row.place, after.write_slots, after.write_weights)
    unscatter(row.precedence_at, before.precedence_slots)
    unscatter(row.weight_at, after.write_slots)


@kernel
def _row_backward(d_link, d_write_weights, now, row, slots_after, after, n):
    """The links of the n-th slot written; `now` holds those before."""
    i, weight = after.write_slots[n], after.write_weights[n]
    one = constant(1, weight)
    for k in range(len(slots_after)):
        j, d = slots_after[k], d_link[i, k]
        d_link[i, k] = 0
        if j != NONE:
            d_write_weights[n] += d * row.precedence_at[j]
            if now.link_slots[i, k] == j:
                value = now.link_values[i, k]
                d_write_weights[n] -= d * value
                if row.weight_at[j] != 0:
                    d_write_weights[row.place[j]] -= d * value
                d_link[i, k] = d * (one - weight - row.weight_at[j])


@kernel
def _column_backward(d_link, d_write_weights, now, row, after, n):
    """The links to the n-th slot written, from slots that are not written."""
    K = now.link_slots.shape[1]
    j, weight = after.write_slots[n], after.write_weights[n]
    for c in range(K):
        position = now.link_columns[j, c]
        if position != NONE and row.weight_at[position // K] == 0:
            i, k = position // K, position % K
            d_write_weights[n] -= d_link[i, k] * now.link_values[i, k]
            d_link[i, k] *= constant(1, weight) - weight
