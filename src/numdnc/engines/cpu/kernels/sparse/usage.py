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
    less_than,
    place_slots,
)
from numdnc.engines.cpu.kernels.sparse.types import LANES, NONE

PART = 1024
"""Usages that are multiplied before it is looked whether the product is 0 already."""


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
            d_read_weights[i],
            d_free_gates,
            i,
            d_retention,
            row.values[3],
            row.place,
            count,
            before,
            free_gates,
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
        if less_than(part, -negative[last]) or slots[last] == NONE:
            for n in range(len(part)):
                if -part[n] > negative[last] or slots[last] == NONE:
                    insert_best(slots, negative, first + n, -part[n])


@kernel
def lower_usages(usage, slot):
    """Product of the usages of all slots before this one in the order of usage, but for zeros."""
    own, product, N = usage[slot], 1.0, len(usage)
    for first in range(0, slot, PART):
        product *= _product_up_to(usage[first : min(first + PART, slot)], own)
        if product == 0:
            break
    for first in range(slot + 1, N, PART):
        if product == 0:
            break
        product *= _product_below(usage[first : min(first + PART, N)], own)
    return product


@kernel
def _product_up_to(usage, own):
    """Of those that are not 0 and at most `own`."""
    product = 1.0
    for n in range(len(usage)):
        u = usage[n]
        product *= np.float64(u) if u <= own and u != 0 else 1.0
    return product


@kernel
def _product_below(usage, own):
    product = 1.0
    for n in range(len(usage)):
        u = usage[n]
        product *= np.float64(u) if u < own and u != 0 else 1.0
    return product


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
    find_least_used(row.lowest, row.lowest_values, usage)
    for position in range(count):
        slot = row.slots[position]
        zeros = _lower_zeros(row.lowest, usage, slot)
        products[position] = lower_usages(usage, slot) if zeros < 2 else constant(0, usage)
        row.zeros[position] = zeros
        allocation[position] = (one - usage[slot]) * products[position] if zeros == 0 else constant(0, usage)
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
def _lower_zeros(lowest, usage, slot):
    """How many slots before this one in the order of usage have usage 0: 0, 1, or 2 for more."""
    zeros = 0
    for k in range(min(len(lowest), 2)):
        other = lowest[k]
        if other != NONE and usage[other] == 0 and (usage[slot] != 0 or other < slot):
            zeros += 1
    return zeros


@kernel
def allocate_backward(d_usage, d_allocation, usage, step, slots, pull, workspace):
    """Adds to d_usage (N,), from the gradient (K,) with respect to the allocations of the slots written.

    da[n]/du[n] = -prod of all lower usages;  da[n]/du[m] = (1 - u[n]) prod of all lower usages but u[m], m lower than n

    pull (K,) and workspace (LANES,) need not be set.
    """
    one, needed, N = constant(1, d_usage), False, len(usage)
    for k in range(len(slots)):
        pull[k] = 0
        if d_allocation[k] != 0 and step.lower_zeros[k] < 2:
            pull[k] = d_allocation[k] * (one - usage[slots[k]]) * step.lower_product[k]
            needed = needed or pull[k] != 0
            if step.lower_zeros[k] == 0:
                d_usage[slots[k]] -= d_allocation[k] * step.lower_product[k]
    if needed:
        for first in range(0, N, LANES):
            part, sums = usage[first : min(first + LANES, N)], workspace[: min(LANES, N - first)]
            clear(sums)
            for k in range(len(slots)):
                if pull[k] != 0:
                    _pull_lower(sums, part, usage[slots[k]], slots[k] - first, pull[k], step.lower_zeros[k])
            _divide_by_usages(d_usage[first : first + len(part)], sums, part)


@kernel
def _pull_lower(sums, usage, own, slot, pull, zeros):
    """Add to the slots of a part of the memory that come before `slot`, which has this position in that part.

    Where one usage is 0, to the slot of that one alone.
    """
    none = constant(0, pull)
    if zeros == 1:
        for n in range(len(usage)):
            if usage[n] == 0 and (own != 0 or n < slot):
                sums[n] += pull
    else:
        end = min(max(slot, 0), len(usage))
        for n in range(end):
            sums[n] += pull if usage[n] <= own else none
        for n in range(end, len(usage)):
            sums[n] += pull if usage[n] < own else none


@kernel
def _divide_by_usages(d_usage, sums, usage):
    """Add sums / usage, where that is not 0."""
    one = constant(1, usage)
    for n in range(len(usage)):
        d_usage[n] += sums[n] / (usage[n] if usage[n] != 0 else one)
