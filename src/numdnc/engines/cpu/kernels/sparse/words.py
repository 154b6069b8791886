"""Words of a memory in blocks: the word of slot n is column n % LANES of block n // LANES, (W, LANES).

Axes: W word.
"""

from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.content import inverse_norm, raise_to_floor
from numdnc.engines.cpu.kernels.sparse.types import LANES


@kernel
def load_word(word, memory, slot):
    """word = M[slot]."""
    block, lane = memory[slot // LANES], slot % LANES
    for w in range(len(word)):
        word[w] = block[w, lane]


@kernel
def store_word(memory, slot, word):
    """M[slot] = word."""
    block, lane = memory[slot // LANES], slot % LANES
    for w in range(len(word)):
        block[w, lane] = word[w]


@kernel
def add_word(memory, slot, factor, word):
    """M[slot] += factor word."""
    block, lane = memory[slot // LANES], slot % LANES
    for w in range(len(word)):
        block[w, lane] += factor * word[w]


@kernel
def add_to_word(word, factor, memory, slot):
    """word += factor M[slot]."""
    block, lane = memory[slot // LANES], slot % LANES
    for w in range(len(word)):
        word[w] += factor * block[w, lane]


@kernel
def word_dot(word, memory, slot):
    """word . M[slot]."""
    block, lane = memory[slot // LANES], slot % LANES
    total = constant(0, word)
    for w in range(len(word)):
        total += word[w] * block[w, lane]
    return total


@kernel
def masked_norm(memory, slot, mask, floor):
    """1 / sqrt(|M[slot] m|^2 + eps) with m <- floor + (1 - floor) m."""
    block, lane = memory[slot // LANES], slot % LANES
    square = constant(0, mask)
    for w in range(len(mask)):
        seen = block[w, lane] * raise_to_floor(mask[w], floor)
        square += seen * seen
    return inverse_norm(square)


@kernel
def slot_norm(memory, slot):
    """1 / sqrt(|M[slot]|^2 + eps)."""
    block, lane = memory[slot // LANES], slot % LANES
    square = constant(0, memory)
    for w in range(len(block)):
        square += block[w, lane] * block[w, lane]
    return inverse_norm(square)


@kernel
def scale_word(memory, slot, factor):
    """M[slot] *= factor."""
    block, lane = memory[slot // LANES], slot % LANES
    for w in range(block.shape[0]):
        block[w, lane] *= factor
