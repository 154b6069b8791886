"""Sets of slots: lists without repetition, and the few best of many. Ties go to the lower slot."""

import numpy as np

from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.sparse.types import NONE


@kernel
def place_slot(slots, count, place, slot):
    """Add a slot to a list of `count` unless it is there, place[slot] its position; returns the new count."""
    if place[slot] == NONE:
        place[slot] = count
        slots[count] = slot
        return count + 1
    return count


@kernel
def place_slots(slots, count, place, more, weights):
    """The same with all slots of a weighting whose weights are not 0."""
    for k in range(len(more)):
        if weights[k] != 0:
            count = place_slot(slots, count, place, more[k])
    return count


@kernel
def forget_places(slots, count, place):
    """place = NONE again at the slots of a list."""
    for k in range(count):
        place[slots[k]] = NONE


@kernel
def number_slots(place, slots, weights):
    """place[slots] = their positions in a weighting, where the weights are not 0."""
    for k in range(len(slots)):
        if weights[k] != 0:
            place[slots[k]] = k


@kernel
def forget_slots(place, slots, weights):
    """place = NONE again at these slots."""
    for k in range(len(slots)):
        if weights[k] != 0:
            place[slots[k]] = NONE


@kernel
def clear_best(slots, scores):
    """No candidates yet: any score is better, NaN excepted."""
    for k in range(len(slots)):
        slots[k], scores[k] = NONE, constant(-np.inf, scores)


@kernel
def better_than(scores, limit):
    """Whether any is above the limit; a sum, since only that the compiler does for many at once."""
    one, none, found = constant(1, scores), constant(0, scores), constant(0, scores)
    for k in range(len(scores)):
        found += one if scores[k] > limit else none
    return found > 0


@kernel
def less_than(values, limit):
    """Whether any is below the limit."""
    one, none, found = constant(1, values), constant(0, values), constant(0, values)
    for k in range(len(values)):
        found += one if values[k] < limit else none
    return found > 0


@kernel
def insert_best(slots, scores, slot, score):
    """Insert a candidate into those found, best first, if it is better than the last."""
    k = len(slots)
    while k > 0 and (
        score > scores[k - 1] or (score == scores[k - 1] and (slots[k - 1] == NONE or slot < slots[k - 1]))
    ):
        if k < len(slots):
            slots[k], scores[k] = slots[k - 1], scores[k - 1]
        k -= 1
    if k < len(slots):
        slots[k], scores[k] = slot, score


@kernel
def cut_to_largest(cut_slots, cut_weights, order, slots, weights, count):
    """Cut a weighting of `count` slots to the largest, as many as fit; order (.., K) gets their positions.

    Where there are fewer, slot 0 with weight 0 stands for none.
    """
    K = len(cut_slots)
    for k in range(K):
        order[k] = NONE
    for position in range(count):
        weight, slot = weights[position], slots[position]
        k = K
        while k > 0 and (
            order[k - 1] == NONE
            or weight > weights[order[k - 1]]
            or (weight == weights[order[k - 1]] and slot < slots[order[k - 1]])
        ):
            if k < K:
                order[k] = order[k - 1]
            k -= 1
        if k < K:
            order[k] = position
    for k in range(K):
        position = order[k]
        if position == NONE:
            cut_slots[k], cut_weights[k] = 0, 0
        else:
            cut_slots[k], cut_weights[k] = slots[position], weights[position]
