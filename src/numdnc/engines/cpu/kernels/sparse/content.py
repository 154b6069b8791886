"""Gradient of a content weighting of K slots. W word."""

from numdnc.engines.cpu.kernels.activations import softmax_backward
from numdnc.engines.cpu.kernels.arrays import clear, dot
from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.content import inverse_norm, raise_to_floor
from numdnc.engines.cpu.kernels.sparse.types import LANES
from numdnc.engines.cpu.kernels.sparse.words import add_to_word


@kernel
def content_weights_backward(
    d_memory, d_key, d_weights, weights, similarity, slots, norms, memory, key, strength
):
    """Adds to d_memory, sets d_key, overwrites d_weights; returns the gradient with respect to the strength."""
    softmax_backward(d_weights, weights)
    inverse = inverse_norm(dot(key, key))
    d_strength = dot(d_weights, similarity)
    pull = -strength * d_strength * inverse * inverse
    for w in range(len(key)):
        d_key[w] = pull * key[w]
    for k in range(len(slots)):
        if weights[k] != 0:
            d_similarity = strength * d_weights[k]
            d_product = d_similarity * inverse * norms[k]
            add_to_word(d_key, d_product, memory, slots[k])
            _add_word_gradient(
                d_memory, memory, slots[k], d_product, key, d_similarity * similarity[k] * norms[k] * norms[k]
            )
    return d_strength


@kernel
def _add_word_gradient(d_memory, memory, slot, d_product, key, shrink):
    d_block, block, lane = d_memory[slot // LANES], memory[slot // LANES], slot % LANES
    for w in range(len(key)):
        d_block[w, lane] += d_product * key[w] - shrink * block[w, lane]


@kernel
def masked_content_weights_backward(
    d_memory,
    d_key,
    d_mask,
    d_weights,
    along,
    squares,
    weights,
    similarity,
    slots,
    norms,
    memory,
    key,
    strength,
    mask,
    floor,
):
    """The same with a mask, see kernels/content.py; along P and squares Q (W,) are workspace."""
    softmax_backward(d_weights, weights)
    square = constant(0, strength)
    for w in range(len(key)):
        masked = key[w] * raise_to_floor(mask[w], floor)
        square += masked * masked
    inverse = inverse_norm(square)
    d_strength = dot(d_weights, similarity)
    pull = strength * d_strength * inverse * inverse
    clear(along)
    clear(squares)
    for k in range(len(slots)):
        if weights[k] != 0:
            d_similarity = strength * d_weights[k]
            d_product = d_similarity * inverse * norms[k]
            shrink = d_similarity * similarity[k] * norms[k] * norms[k]
            add_to_word(along, d_product, memory, slots[k])
            _add_masked_gradient(d_memory, squares, memory, slots[k], d_product, shrink, key, mask, floor)
    for w in range(len(key)):
        m = raise_to_floor(mask[w], floor)
        d_key[w] = m * m * (along[w] - key[w] * pull)
        d_m = key[w] * m * (along[w] + along[w]) - m * squares[w] - key[w] * key[w] * m * pull
        d_mask[w] = constant(1 - floor, d_m) * d_m
    return d_strength


@kernel
def _add_masked_gradient(d_memory, squares, memory, slot, d_product, shrink, key, mask, floor):
    d_block, block, lane = d_memory[slot // LANES], memory[slot // LANES], slot % LANES
    for w in range(len(key)):
        m = raise_to_floor(mask[w], floor)
        word = block[w, lane]
        squares[w] += shrink * word * word
        d_block[w, lane] += m * m * (d_product * key[w] - shrink * word)
