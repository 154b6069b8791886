"""Dynamic memory allocation of one sequence: which slots are free, and how much.

R read heads, V write heads, N slots.
"""

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
    """u <- u + w^w - u w^w for each write head, then u psi; write weights (V, N)."""
    V = len(write_weights_before)
    if V == 1:
        weights = write_weights_before[0]
        for n in range(len(usage)):
            u, w = usage_before[n], weights[n]
            usage[n] = (u + w - u * w) * retention[n]
    else:
        _fill_before(usage, usage_before, write_weights_before, V)
        for n in range(len(usage)):
            usage[n] *= retention[n]


@kernel
def update_usage_backward(
    d_usage, d_write_weights, d_retention, filled, usage_before, write_weights_before, retention
):
    """In place: d_usage goes from the usage after to the usage before. Sets the other two; filled (N,) is workspace."""
    last = len(write_weights_before) - 1
    weights, d_weights = write_weights_before[last], d_write_weights[last]
    if last == 0:
        _fill_and_free_backward(d_usage, d_weights, d_retention, usage_before, weights, retention)
    else:
        _fill_before(filled, usage_before, write_weights_before, last)
        _fill_and_free_backward(d_usage, d_weights, d_retention, filled, weights, retention)
    for v in range(last - 1, -1, -1):
        _fill_before(filled, usage_before, write_weights_before, v)
        _fill_backward(d_usage, d_write_weights[v], filled, write_weights_before[v])


@kernel
def _fill_and_free_backward(d_usage, d_weights, d_retention, filled, weights, retention):
    """In place: d_usage goes from (u + w - u w) psi to u, which is `filled`. Sets the other two."""
    one = constant(1, d_usage)
    for n in range(len(d_usage)):
        u, w, d = filled[n], weights[n], d_usage[n]
        d_filled = d * retention[n]
        d_retention[n] = d * (u + w - u * w)
        d_weights[n] = d_filled * (one - u)
        d_usage[n] = d_filled * (one - w)


@kernel
def _fill_before(filled, usage, write_weights, head):
    """What the writes of the heads before this one fill."""
    for n in range(len(filled)):
        filled[n] = usage[n]
    for v in range(head):
        weights = write_weights[v]
        for n in range(len(filled)):
            u, w = filled[n], weights[n]
            filled[n] = u + w - u * w


@kernel
def _fill_backward(d_filled, d_weights, filled, weights):
    """In place: d_filled goes from after the write to before it. Sets d_weights."""
    one = constant(1, d_filled)
    for n in range(len(d_filled)):
        d_weights[n] = d_filled[n] * (one - filled[n])
        d_filled[n] *= one - weights[n]


@kernel
def pretend_write(pretended, usage, allocation, gate):
    """u_{v+1} = u_v + (1 - u_v) g a_v: the usage as if a write head had written what it allocates."""
    one = constant(1, usage)
    for n in range(len(usage)):
        pretended[n] = usage[n] + (one - usage[n]) * gate * allocation[n]


@kernel
def pretend_write_backward(d_usage, d_allocation, usage, allocation, gate):
    """In place: d_usage goes from u_{v+1} to u_v. Adds to d_allocation, returns the gradient with respect to g."""
    one = constant(1, usage)
    d_gate = constant(0, usage)
    for n in range(len(usage)):
        d = d_usage[n] * (one - usage[n])
        d_gate += d * allocation[n]
        d_allocation[n] += d * gate
        d_usage[n] *= one - gate * allocation[n]
    return d_gate


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
def sort_slots(order, usage, rank):
    """order = slots by rising usage, ties by index.

    A slot's rank is how many come before it. All pairs are compared, four slots at a time with all after them, which
    takes longer in theory than a clever sort and less time up to a thousand slots, since nothing is branched on.
    With NaN among the usages, which has no rank, the slots stay as they are.
    """
    slots, total = len(order), constant(0, usage)
    for n in range(slots):
        rank[n], order[n] = n, n
        total += usage[n]
    if total != total:
        return
    whole = slots - slots % 4
    for first in range(0, whole, 4):
        _rank_pairs(rank, usage, first, first + 4)
        _rank_against(
            rank[first : first + 4], rank[first + 4 :], usage[first : first + 4], usage[first + 4 :]
        )
    _rank_pairs(rank, usage, whole, slots)
    for n in range(slots):
        order[rank[n]] = n


@kernel
def _rank_pairs(rank, usage, first, last):
    for n in range(first, last):
        for m in range(n + 1, last):
            if usage[m] < usage[n]:
                rank[m] -= 1
                rank[n] += 1


@kernel
def _rank_against(rank, ranks_after, usage, usage_after):
    """Four slots with all slots after them: of a pair, the later one moves up where it is used less."""
    one, none = constant(1, rank), constant(0, rank)
    usage_0, usage_1, usage_2, usage_3 = usage[0], usage[1], usage[2], usage[3]
    lower_0, lower_1, lower_2, lower_3 = none, none, none, none
    for n in range(len(usage_after)):
        u = usage_after[n]
        before_0 = one if u < usage_0 else none
        before_1 = one if u < usage_1 else none
        before_2 = one if u < usage_2 else none
        before_3 = one if u < usage_3 else none
        ranks_after[n] -= before_0 + before_1 + before_2 + before_3
        lower_0 += before_0
        lower_1 += before_1
        lower_2 += before_2
        lower_3 += before_3
    rank[0] += lower_0
    rank[1] += lower_1
    rank[2] += lower_2
    rank[3] += lower_3
