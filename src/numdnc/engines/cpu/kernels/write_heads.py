"""Writing by several heads in one step, for one sequence. V write heads, N slots, W word; memory by columns (W, N)."""

from numdnc.engines.cpu.kernels.arrays import copy, multiply
from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant


@kernel
def write_heads(memory, before, weights, erase, vectors):
    """M = M prod_v (1 - w_v e_v^T) + sum_v w_v a_v^T; weights (V, N), erase and vectors (V, W)."""
    for w in range(len(memory)):
        copy(memory[w], before[w])
        for v in range(len(weights)):
            _erase_column(memory[w], weights[v], erase[v, w])
        for v in range(len(weights)):
            _add_to_column(memory[w], weights[v], vectors[v, w])


@kernel
def write_heads_backward(d_memory, d_weights, d_erase, d_vectors, d_kept, before, weights, erase, vectors):
    """In place: d_memory goes from the memory after to the one before. Adds to d_weights, sets d_erase and d_vectors.

    dK_v = dM M_{t-1} prod_{u != v} (1 - w_u e_u^T), of which d_kept (N,) holds one column.
    """
    for w in range(len(d_memory)):
        column = d_memory[w]
        for v in range(len(weights)):
            multiply(d_kept, column, before[w])
            for u in range(len(weights)):
                if u != v:
                    _erase_column(d_kept, weights[u], erase[u, w])
            d_erase[v, w], d_vectors[v, w] = _head_backward(
                d_weights[v], column, d_kept, weights[v], erase[v, w], vectors[v, w]
            )
        for v in range(len(weights)):
            _erase_column(column, weights[v], erase[v, w])


@kernel
def _erase_column(column, weights, erase):
    one = constant(1, column)
    for n in range(len(column)):
        column[n] *= one - weights[n] * erase


@kernel
def _add_to_column(column, weights, value):
    for n in range(len(column)):
        column[n] += weights[n] * value


@kernel
def _head_backward(d_weights, d_column, d_kept, weights, erase, value):
    """Adds to d_weights; returns the gradients with respect to one number each of erase and write vector."""
    d_erase, d_value = constant(0, erase), constant(0, erase)
    for n in range(len(weights)):
        d_weights[n] += d_column[n] * value - d_kept[n] * erase
        d_erase -= weights[n] * d_kept[n]
        d_value += weights[n] * d_column[n]
    return d_erase, d_value


@kernel
def deallocate(kept, memory, retention):
    """The memory without what was freed: M psi (variation `deallocation`)."""
    for w in range(len(kept)):
        multiply(kept[w], memory[w], retention)


@kernel
def deallocate_backward(d_memory, d_retention, memory, retention):
    """In place: d_memory goes from the memory kept to the one before. Adds to d_retention."""
    for w in range(len(d_memory)):
        _deallocate_column_backward(d_memory[w], d_retention, memory[w], retention)


@kernel
def _deallocate_column_backward(d_column, d_retention, column, retention):
    for n in range(len(d_column)):
        d_retention[n] += d_column[n] * column[n]
        d_column[n] *= retention[n]
