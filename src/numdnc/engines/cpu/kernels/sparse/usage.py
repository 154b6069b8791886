"""Usage and allocation of one sequence, exactly, where only few slots are freed or written. N slots, K entries.

A slot that is neither read nor written keeps its usage. The allocation of a slot needs the usages of all that are used
less, which one pass over the usages finds; the largest allocations are those of the least used slots.
"""

import numpy as np

from numdnc.engines.cpu.kernels.arrays import clear
from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.sparse.sets import (
    clear_best,
    forget_places,
    insert_best,
    place_slots,
)
from numdnc.engines.cpu.kernels.sparse.types import LANES, NONE


@kernel
def update_usage(usage, step, row, before, free_gates):
    """u = (u + w^w - u w^w) psi,  psi = prod_i (1 - f^i w^r_i), of the slots written and read before."""
    one = constant(1, usage)
    slots, retention, written = step.usage_slots, step.retention, row.values[0]
    count = place_slots(slots, 0, row.place, before.write_slots, before.write_weights)
    for i in range(len(free_gates)):
        count = place_slots(slots, count, row.place, before.read_slots[i], before.read_weights[i])
    for position in range(count):
        retention[position], written[position] = 1, 0
    for k in range(len(before.write_slots)):
        if before.write_weights[k] != 0:
            written[row.place[before.write_slots[k]]] = before.write_weights[k]
    for i in range(len(free_gates)):
        for k in range(before.read_slots.shape[1]):
            if before.read_weights[i, k] != 0:
                position = row.place[before.read_slots[i, k]]
                retention[position] *= one - free_gates[i] * before.read_weights[i, k]
    for position in range(count):
        u, w = usage[slots[position]], written[position]
        step.usage_before[position] = u
        usage[slots[position]] = (u + w - u * w) * retention[position]
    forget_places(slots, count, row.place)
    step.counts[0] = count


@kernel
def update_usage_backward(
    d_usage, d_write_weights, d_read_weights, d_free_gates, d_kept, usage, step, row, before, free_gates
):
    """In place: usage and d_usage go from after the step to before it. Sets d_write_weights and d_free_gates.

    Adds to d_read_weights (R, K). d_kept is the gradient with respect to the retention where it erases freed words.
    """
    one = constant(1, d_usage)
    slots, count = step.usage_slots, step.counts[0]
    written, d_written, d_retention = row.values[0], row.values[1], row.values[2]
    for position in range(count):
        row.place[slots[position]] = position
        written[position] = 0
    for k in range(len(before.write_slots)):
        if before.write_weights[k] != 0:
            written[row.place[before.write_slots[k]]] = before.write_weights[k]
    for position in range(count):
        slot, u, w = slots[position], step.usage_before[position], written[position]
        d, psi = d_usage[slot], step.retention[position]
        d_retention[position] = d * (u + w - u * w) + d_kept[position]
        d_written[position] = d * psi * (one - u)
        d_usage[slot] = d * psi * (one - w)
        usage[slot] = u
    for k in range(len(before.write_slots)):
        d_write_weights[k] = 0
        if before.write_weights[k] != 0:
            d_write_weights[k] = d_written[row.place[before.write_slots[k]]]
    for i in range(len(free_gates)):
        _retain_backward(
            d_read_weights[i], d_free_gates, i, d_retention, row.values[3], row.place, count, before, free_gates
        )
    forget_places(slots, count, row.place)


@kernel
def _retain_backward(d_weights, d_free_gates, head, d_retention, others, place, count, before, free_gates):
    """d(1 - f^i w^r_i) = dpsi prod_{j != i} (1 - f^j w^r_j); adds to d_weights."""
    one, total = constant(1, d_weights), constant(0, d_weights)
    for position in range(count):
        others[position] = d_retention[position]
    for j in range(len(free_gates)):
        if j != head:
            for k in range(before.read_slots.shape[1]):
                if before.read_weights[j, k] != 0:
                    position = place[before.read_slots[j, k]]
                    others[position] *= one - free_gates[j] * before.read_weights[j, k]
    for k in range(before.read_slots.shape[1]):
        weight = before.read_weights[head, k]
        if weight != 0:
            pull = others[place[before.read_slots[head, k]]]
            d_weights[k] -= pull * free_gates[head]
            total += pull * weight
    d_free_gates[head] = -total


@kernel
def find_least_used(slots, negative, usage):
    """The least used slots, as many as fit, by rising usage; `negative` gets -usage."""
    clear_best(slots, negative)
    last = len(slots) - 1
    for first in range(0, len(usage), LANES):
        part = usage[first : first + LANES]
        least = part[0]
        for n in range(1, len(part)):
            least = min(least, part[n])
        if -least > negative[last] or slots[last] == NONE:
            for n in range(len(part)):
                if -part[n] > negative[last] or slots[last] == NONE:
                    insert_best(slots, negative, first + n, -part[n])


@kernel
def lower_usages(usage, slot):
    """Product of the usages of all slots before this one in the order of usage, but for zeros; and how many zeros."""
    own = usage[slot]
    product, zeros = 1.0, 0
    if own == 0:
        for n in range(slot):
            zeros += usage[n] == 0
        return product, zeros
    for n in range(slot):
        factor = np.float64(usage[n])
        zeros += factor == 0
        product *= factor if factor <= own and factor != 0 else 1.0
    for n in range(slot + 1, len(usage)):
        factor = np.float64(usage[n])
        zeros += factor == 0
        product *= factor if factor < own and factor != 0 else 1.0
    return product, zeros


@kernel
def allocation_candidates(step, row, usage, content_slots, content_weights):
    """The slots that may be among the K most written, in row.slots; how many.

    row.values gets at each a, c, prod of lower usages but for zeros; row.zeros how many zeros these have. They are
    the slots found by content, and the K least used of all others.
    """
    one = constant(1, usage)
    K = len(content_slots)
    allocation, content, products = row.values[1], row.values[2], row.values[3]
    count = place_slots(row.slots, 0, row.place, content_slots, content_weights)
    for k in range(K):
        if content_weights[k] != 0:
            content[row.place[content_slots[k]]] = content_weights[k]
    for position in range(count):
        product, zeros = lower_usages(usage, row.slots[position])
        products[position], row.zeros[position] = product, min(zeros, 2)
        own = one - usage[row.slots[position]]
        allocation[position] = own * products[position] if zeros == 0 else constant(0, usage)
    find_least_used(row.lowest, row.lowest_values, usage)
    found, product, zeros = count, 1.0, 0
    for k in range(len(row.lowest)):
        slot = row.lowest[k]
        if slot != NONE and found < count + K:
            u = usage[slot]
            if row.place[slot] == NONE:
                row.slots[found], content[found] = slot, 0
                products[found], row.zeros[found] = product, min(zeros, 2)
                allocation[found] = (one - u) * products[found] if zeros == 0 else constant(0, usage)
                found += 1
            zeros += u == 0
            product *= 1.0 if u == 0 else u
    forget_places(row.slots, count, row.place)
    return found


@kernel
def allocate_backward(d_usage, d_allocation, usage, step, slots, lower):
    """Adds to d_usage (N,), from the gradient (K,) with respect to the allocations of the slots written.

    da[n]/du[n] = -prod of all lower usages;  da[n]/du[m] = (1 - u[n]) prod of all lower usages but u[m], m lower than n
    """
    one, needed = constant(1, d_usage), False
    clear(lower)
    for k in range(len(slots)):
        if d_allocation[k] != 0 and step.lower_zeros[k] < 2:
            lower[k] = d_allocation[k] * (one - usage[slots[k]]) * step.lower_product[k]
            needed = True
            if step.lower_zeros[k] == 0:
                d_usage[slots[k]] -= d_allocation[k] * step.lower_product[k]
    if needed:
        for first in range(0, len(usage), LANES):
            last = min(first + LANES, len(usage))
            for k in range(len(slots)):
                if lower[k] != 0:
                    _through_lower_usages(
                        d_usage[first:last], usage[first:last], slots[k] - first, usage[slots[k]], lower[k],
                        step.lower_zeros[k],
                    )


@kernel
def _through_lower_usages(d_usage, usage, slot, own, pull, zeros):
    """Of the slots of a part of the memory, in which `slot` would have this position."""
    zero, one = constant(0, pull), constant(1, pull)
    for n in range(len(usage)):
        u = usage[n]
        is_lower = u < own or (u == own and n < slot)
        factor = zero
        if zeros == 0:
            factor = one / u if is_lower else zero
        else:
            factor = one if is_lower and u == 0 else zero
        d_usage[n] += pull * factor
