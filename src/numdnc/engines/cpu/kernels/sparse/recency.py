"""The order in which the slots of one sequence were accessed: a linked list, so that a step takes O(1). N slots."""

from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.sparse.sets import forget_places, place_slots
from numdnc.spec import ACCESSED


@kernel
def least_recent(recency):
    """The slot at the old end of the list."""
    return recency.newer[len(recency.newer) - 1]


@kernel
def note_access(recency, row, after, number):
    """Move the slots accessed to the new end: those where w^w + sum_i w^r_i > 0.005, by rising slot."""
    total = row.values[0]
    count = place_slots(row.slots, 0, row.place, after.write_slots, after.write_weights)
    for i in range(len(after.read_slots)):
        count = place_slots(row.slots, count, row.place, after.read_slots[i], after.read_weights[i])
    for n in range(count):
        total[n] = 0
    for k in range(len(after.write_slots)):
        if after.write_weights[k] != 0:
            total[row.place[after.write_slots[k]]] += after.write_weights[k]
    for i in range(len(after.read_slots)):
        for k in range(after.read_slots.shape[1]):
            if after.read_weights[i, k] != 0:
                total[row.place[after.read_slots[i, k]]] += after.read_weights[i, k]
    forget_places(row.slots, count, row.place)
    found = 0
    for n in range(count):
        if total[n] > constant(ACCESSED, total):
            slot, k = row.slots[n], found
            while k > 0 and row.order[k - 1] > slot:
                row.order[k] = row.order[k - 1]
                k -= 1
            row.order[k] = slot
            found += 1
    for k in range(found):
        _move_to_end(recency.newer, recency.older, row.order[k])
        recency.accessed[row.order[k]] = number


@kernel
def _move_to_end(newer, older, slot):
    """Take a slot out of the list and put it in at the new end; N stands for both ends."""
    end = len(newer) - 1
    newer[older[slot]], older[newer[slot]] = newer[slot], older[slot]
    newest = older[end]
    newer[newest], older[slot] = slot, newest
    newer[slot], older[end] = end, slot
