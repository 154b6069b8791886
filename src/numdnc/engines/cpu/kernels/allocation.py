"""Dynamic memory allocation of one sequence: which slots are free, and how much. R read heads, N slots."""

from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant


@kernel
def retain(retention, read_weights, free_gates):
    """psi = prod_i (1 - f^i w^r_i)."""
    one = constant(1, retention)
    for n in range(len(retention)):
        retention[n] = 1
    for i in range(len(free_gates)):
        gate, weights = free_gates[i], read_weights[i]
        for n in range(len(retention)):
            retention[n] *= one - gate * weights[n]


@kernel
def retain_backward(d_read_weights, d_free_gates, d_retention, read_weights, free_gates, others):
    """d(1 - f^i w^r_i) = dpsi prod_{j != i} (1 - f^j w^r_j), head by head. Adds to d_read_weights."""
    one = constant(1, d_read_weights)
    heads, slots = read_weights.shape
    for i in range(heads):
        for n in range(slots):
            others[n] = d_retention[n]
        for j in range(heads):
            if j != i:
                gate, weights = free_gates[j], read_weights[j]
                for n in range(slots):
                    others[n] *= one - gate * weights[n]
        gate, weights, d_weights = free_gates[i], read_weights[i], d_read_weights[i]
        total = constant(0, others)
        for n in range(slots):
            total += others[n] * weights[n]
            d_weights[n] -= others[n] * gate
        d_free_gates[i] = -total


@kernel
def update_usage(usage, usage_before, write_weights_before, retention):
    """u = (u + w^w - u w^w) psi."""
    for n in range(len(usage)):
        u, w = usage_before[n], write_weights_before[n]
        usage[n] = (u + w - u * w) * retention[n]


@kernel
def update_usage_backward(
    d_usage, d_write_weights, d_retention, usage_before, write_weights_before, retention
):
    """d_usage, by the usage after when called, is by the usage before then; the other two are set."""
    one = constant(1, d_usage)
    for n in range(len(d_usage)):
        u, w, d = usage_before[n], write_weights_before[n], d_usage[n]
        d_filled = d * retention[n]
        d_retention[n] = d * (u + w - u * w)
        d_write_weights[n] = d_filled * (one - u)
        d_usage[n] = d_filled * (one - w)


@kernel
def allocate(allocation, order, usage):
    """a[phi[j]] = (1 - u[phi[j]]) prod_{i<j} u[phi[i]]."""
    one = constant(1, allocation)
    product = constant(1, usage)
    for j in range(len(order)):
        n = order[j]
        allocation[n] = (one - usage[n]) * product
        product *= usage[n]


@kernel
def allocate_backward(d_usage, d_allocation, order, usage, before):
    """Adds to d_usage, with v the ranked usage and da in that order (the definition's docs derive it),

    dv[k] = prod_{i<k} v[i] (pull[k] - da[k]),   pull[k - 1] = da[k] (1 - v[k]) + v[k] pull[k],  pull[last] = 0
    """
    one = constant(1, d_usage)
    product = constant(1, usage)
    for j in range(len(order)):
        before[j] = product
        product *= usage[order[j]]
    pull = constant(0, usage)
    for j in range(len(order) - 1, -1, -1):
        n = order[j]
        d_usage[n] += before[j] * (pull - d_allocation[n])
        pull = d_allocation[n] * (one - usage[n]) + usage[n] * pull


@kernel
def sort_slots(order, usage, other):
    """order = slots by rising usage, ties by index; it is a permutation of the slots when called, best a near one."""
    slots = len(order)
    for first in range(0, slots, _RUN):
        for j in range(first + 1, min(first + _RUN, slots)):
            n, k = order[j], j
            while k > first and _comes_before(n, order[k - 1], usage):
                order[k] = order[k - 1]
                k -= 1
            order[k] = n
    width = _RUN
    while width < slots:
        for first in range(0, slots - width, 2 * width):
            _merge(order, first, first + width, min(first + 2 * width, slots), usage, other)
        width *= 2


_RUN = 8
"""Slots that are sorted by insertion, before runs of them are merged."""


@kernel
def _comes_before(n, m, usage):
    return usage[n] < usage[m] or (usage[n] == usage[m] and n < m)


@kernel
def _merge(order, first, middle, last, usage, other):
    """Two sorted runs made one."""
    if not _comes_before(order[middle], order[middle - 1], usage):
        return
    for j in range(first, middle):
        other[j] = order[j]
    left, right = first, middle
    for j in range(first, last):
        if left == middle:
            return
        if right < last and _comes_before(order[right], other[left], usage):
            order[j] = order[right]
            right += 1
        else:
            order[j] = other[left]
            left += 1
