"""Content addressing of one sequence. K keys at once, N slots, W word; memory by columns (W, N)."""

from math import sqrt

from numdnc.engines.cpu.kernels.activations import apply_softmax, softmax_backward
from numdnc.engines.cpu.kernels.arrays import clear, clear_rows, dot
from numdnc.engines.cpu.kernels.compiling import inlined, kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.products import add_product, add_product_transposed
from numdnc.spec import EPSILON


@kernel
def inverse_norm(square):
    """1 / sqrt(|v|^2 + eps)."""
    one = constant(1, square)
    return one / sqrt(square + constant(EPSILON, square))


@inlined
def look_up(sizes, weights, similarity, masked_norms, memory, inverse_norms, keys, strengths, masks):
    """Weightings by content, masked if the model has masks."""
    if sizes.masking:
        floor = sizes.mask_floor
        masked_content_weights(weights, similarity, masked_norms, memory, keys, strengths, masks, floor)
    else:
        content_weights(weights, similarity, memory, inverse_norms, keys, strengths)


@inlined
def look_up_backward(
    sizes,
    d_memory,
    d_keys,
    d_strengths,
    d_masks,
    d_weights,
    shrink,
    weights,
    similarity,
    masked_norms,
    memory,
    inverse_norms,
    keys,
    strengths,
    masks,
):
    """Adds to d_memory, sets d_keys, d_strengths and d_masks, overwrites d_weights; shrink (N,) is workspace."""
    if sizes.masking:
        masked_content_weights_backward(
            d_memory,
            d_keys,
            d_strengths,
            d_masks,
            d_weights,
            shrink,
            weights,
            similarity,
            masked_norms,
            memory,
            keys,
            strengths,
            masks,
            sizes.mask_floor,
        )
    else:
        content_weights_backward(
            d_memory,
            d_keys,
            d_strengths,
            d_weights,
            shrink,
            weights,
            similarity,
            memory,
            inverse_norms,
            keys,
            strengths,
        )


@kernel
def content_weights(weights, similarity, memory, inverse_norms, keys, strengths):
    """C(M, k, beta)[n] = softmax_n(beta D(k, M[n])),   D(a, b) = a.b / (sqrt(|a|^2 + eps) sqrt(|b|^2 + eps))."""
    clear_rows(similarity)
    add_product(similarity, keys, memory)
    for i in range(len(strengths)):
        inverse, strength = inverse_norm(dot(keys[i], keys[i])), strengths[i]
        row, scores = similarity[i], weights[i]
        for n in range(len(row)):
            row[n] *= inverse * inverse_norms[n]
            scores[n] = strength * row[n]
        apply_softmax(scores)


@kernel
def content_weights_backward(
    d_memory,
    d_keys,
    d_strengths,
    d_weights,
    shrink,
    weights,
    similarity,
    memory,
    inverse_norms,
    keys,
    strengths,
):
    """Adds to d_memory, sets d_keys and d_strengths, overwrites d_weights.

    dD/da = b / (|a| |b|) - D a / |a|^2     with the norms that hold eps, and the same for b
    """
    clear(shrink)
    for i in range(len(strengths)):
        d_row, row, key, d_key = d_weights[i], similarity[i], keys[i], d_keys[i]
        softmax_backward(d_row, weights[i])
        inverse = inverse_norm(dot(key, key))
        d_strengths[i] = dot(d_row, row)
        pull = -strengths[i] * d_strengths[i] * inverse * inverse
        for w in range(len(key)):
            d_key[w] = pull * key[w]
        _through_similarity(d_row, shrink, row, inverse_norms, strengths[i], inverse)
    add_product_transposed(d_keys, d_weights, memory)
    add_product(d_memory, keys.T, d_weights)
    for w in range(len(memory)):
        d_row, row = d_memory[w], memory[w]
        for n in range(len(row)):
            d_row[n] -= shrink[n] * row[n]


@kernel
def _through_similarity(d_row, shrink, similarity, inverse_norms, strength, inverse):
    """From scores to products of key and memory; shrink gathers dD D / |M[n]|^2."""
    for n in range(len(d_row)):
        d_similarity = strength * d_row[n]
        shrink[n] += d_similarity * similarity[n] * inverse_norms[n] * inverse_norms[n]
        d_row[n] = d_similarity * inverse * inverse_norms[n]


@kernel
def raise_to_floor(mask, floor):
    """m <- floor + (1 - floor) m, of one number."""
    return constant(floor, mask) + constant(1 - floor, mask) * mask


@kernel
def masked_content_weights(weights, similarity, inverse_norms, memory, keys, strengths, masks, floor):
    """C(M, k, beta, m)[n] = softmax_n(beta D(k m, M[n] m)): the mask squared in the product and in each norm."""
    clear_rows(similarity)
    clear_rows(inverse_norms)
    for i in range(len(strengths)):
        row, norms, scores, strength = similarity[i], inverse_norms[i], weights[i], strengths[i]
        square = constant(0, strength)
        for w in range(len(memory)):
            mask = raise_to_floor(masks[i, w], floor)
            key = keys[i, w] * mask
            square += key * key
            _add_masked(row, norms, memory[w], key * mask, mask * mask)
        inverse = inverse_norm(square)
        for n in range(len(row)):
            norms[n] = inverse_norm(norms[n])
            row[n] *= inverse * norms[n]
            scores[n] = strength * row[n]
        apply_softmax(scores)


@kernel
def _add_masked(products, squares, column, key, mask):
    for n in range(len(column)):
        products[n] += key * column[n]
        squares[n] += mask * column[n] * column[n]


@kernel
def masked_content_weights_backward(
    d_memory,
    d_keys,
    d_strengths,
    d_masks,
    d_weights,
    shrink,
    weights,
    similarity,
    inverse_norms,
    memory,
    keys,
    strengths,
    masks,
    floor,
):
    """Adds to d_memory, sets d_keys, d_strengths and d_masks, overwrites d_weights.

    With P[w] = sum_n dproduct[n] M[n, w], Q[w] = sum_n shrink[n] M[n, w]^2 and s = sum_n dD D / |k m|^2,

        dk = m^2 P - k m^2 s,   dm = 2 k m P - m Q - k^2 m s,   dM[n, w] = k m^2 dproduct[n] - m^2 M[n, w] shrink[n]
    """
    for i in range(len(strengths)):
        d_row, row = d_weights[i], similarity[i]
        softmax_backward(d_row, weights[i])
        square = constant(0, strengths[i])
        for w in range(len(memory)):
            key = keys[i, w] * raise_to_floor(masks[i, w], floor)
            square += key * key
        inverse = inverse_norm(square)
        d_strengths[i] = dot(d_row, row)
        pull = strengths[i] * d_strengths[i] * inverse * inverse
        clear(shrink)
        _through_similarity(d_row, shrink, row, inverse_norms[i], strengths[i], inverse)
        for w in range(len(memory)):
            key, mask = keys[i, w], raise_to_floor(masks[i, w], floor)
            along, squares = _masked_column_backward(
                d_memory[w], memory[w], d_row, shrink, key * mask * mask, mask * mask
            )
            d_keys[i, w] = mask * mask * (along - key * pull)
            d_mask = key * mask * (along + along) - mask * squares - key * key * mask * pull
            d_masks[i, w] = constant(1 - floor, masks) * d_mask


@kernel
def _masked_column_backward(d_column, column, d_products, shrink, key, mask):
    """Adds to d_column; gives P and Q of it."""
    along, squares = constant(0, key), constant(0, key)
    for n in range(len(column)):
        along += d_products[n] * column[n]
        squares += shrink[n] * column[n] * column[n]
        d_column[n] += key * d_products[n] - mask * column[n] * shrink[n]
    return along, squares
