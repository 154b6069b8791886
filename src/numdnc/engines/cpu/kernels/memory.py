"""Writing to and reading from the memory of one sequence, given where.

R read heads, V write heads, N slots, W word; memory by columns (W, N).
"""

from numdnc.engines.cpu.kernels.arrays import clear, copy, dot
from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.content import inverse_norm


@kernel
def multiply_reads(product, reads):
    """product (W,) = the product over heads of reads (R, W)."""
    copy(product, reads[0])
    for i in range(1, len(reads)):
        for w in range(len(product)):
            product[w] *= reads[i, w]


@kernel
def multiply_reads_backward(d_reads, reads, d_product):
    """Adds to d_reads: for each head the gradient of the product times what all other heads read."""
    R, W = reads.shape
    for i in range(R):
        for w in range(W):
            gradient = d_product[w]
            for j in range(R):
                if j != i:
                    gradient *= reads[j, w]
            d_reads[i, w] += gradient


@kernel
def write_weights(weights, allocation, content, allocation_gate, write_gate):
    """w^w = g^w (g^a a + (1 - g^a) c^w)."""
    one = constant(1, weights)
    for n in range(len(weights)):
        mixed = allocation_gate * allocation[n] + (one - allocation_gate) * content[n]
        weights[n] = write_gate * mixed


@kernel
def write_weights_backward(
    d_allocation, d_content, allocation, content, allocation_gate, write_gate, d_weights
):
    """Sets d_allocation and d_content; returns the gradients with respect to allocation gate and write gate."""
    one = constant(1, d_allocation)
    d_allocation_gate, d_write_gate = constant(0, write_gate), constant(0, write_gate)
    for n in range(len(d_weights)):
        d_mixed = d_weights[n] * write_gate
        d_allocation_gate += d_mixed * (allocation[n] - content[n])
        d_write_gate += d_weights[n] * (
            allocation_gate * allocation[n] + (one - allocation_gate) * content[n]
        )
        d_allocation[n] = d_mixed * allocation_gate
        d_content[n] = d_mixed * (one - allocation_gate)
    return d_allocation_gate, d_write_gate


@kernel
def write(memory, before, weights, erase, vector):
    """M = M (1 - w^w e^T) + w^w v^T."""
    for w in range(len(memory)):
        _write_column(memory[w], before[w], weights, erase[w], vector[w])


@kernel
def _write_column(column, before, weights, erase, value):
    one = constant(1, column)
    for n in range(len(column)):
        column[n] = before[n] * (one - weights[n] * erase) + weights[n] * value


@kernel
def deallocate_and_write(memory, before, retention, weights, erase, vector):
    """The same after erasing freed slots: M = psi M (1 - w^w e^T) + w^w v^T (variation `deallocation`)."""
    for w in range(len(memory)):
        _deallocate_and_write_column(memory[w], before[w], retention, weights, erase[w], vector[w])


@kernel
def _deallocate_and_write_column(column, before, retention, weights, erase, value):
    one = constant(1, column)
    for n in range(len(column)):
        column[n] = before[n] * retention[n] * (one - weights[n] * erase) + weights[n] * value


@kernel
def inverse_slot_norms(inverse_norms, memory):
    """1 / sqrt(|M[n]|^2 + eps) of every slot."""
    clear(inverse_norms)
    for w in range(len(memory)):
        _add_squares(inverse_norms, memory[w])
    for n in range(len(inverse_norms)):
        inverse_norms[n] = inverse_norm(inverse_norms[n])


@kernel
def _add_squares(squares, column):
    for n in range(len(column)):
        squares[n] += column[n] * column[n]


@kernel
def write_backward(d_memory, d_weights, d_erase, d_vector, before, weights, erase, vector):
    """In place: d_memory goes from the memory after to the one before. Adds to d_weights, sets the others."""
    for w in range(len(before)):
        d_erase[w], d_vector[w] = _write_column_backward(
            d_memory[w], d_weights, before[w], weights, erase[w], vector[w]
        )


@kernel
def _write_column_backward(d_column, d_weights, before, weights, erase, value):
    one = constant(1, d_column)
    d_erase, d_value = constant(0, erase), constant(0, erase)
    for n in range(len(before)):
        d, at = d_column[n], weights[n]
        d_weights[n] += d * (value - before[n] * erase)
        d_erase -= at * d * before[n]
        d_value += at * d
        d_column[n] = d * (one - at * erase)
    return d_erase, d_value


@kernel
def deallocate_and_write_backward(
    d_memory, d_retention, d_weights, d_erase, d_vector, before, retention, weights, erase, vector
):
    """The same for `deallocate_and_write`; adds to d_retention too."""
    for w in range(len(before)):
        d_erase[w], d_vector[w] = _deallocate_and_write_column_backward(
            d_memory[w], d_retention, d_weights, before[w], retention, weights, erase[w], vector[w]
        )


@kernel
def _deallocate_and_write_column_backward(
    d_column, d_retention, d_weights, before, retention, weights, erase, value
):
    one = constant(1, d_column)
    d_erase, d_value = constant(0, erase), constant(0, erase)
    for n in range(len(before)):
        d, at = d_column[n], weights[n]
        kept = before[n] * retention[n]
        d_weights[n] += d * (value - kept * erase)
        d_erase -= at * d * kept
        d_value += at * d
        d_kept = d * (one - at * erase)
        d_retention[n] += d_kept * before[n]
        d_column[n] = d_kept * retention[n]
    return d_erase, d_value


@kernel
def read_weights(weights, modes, backward, content, forward):
    """w^r = sum_v pi[backward v] bwd_v + pi[content] c^r + sum_v pi[forward v] fwd_v.

    Weights and content (R, N), backward and forward (V, R, N), modes (R, 2 V + 1).
    """
    V = len(backward)
    for i in range(len(weights)):
        _read_weights_row(
            weights[i], backward[0, i], content[i], forward[0, i], modes[i, 0], modes[i, V], modes[i, V + 1]
        )
        for v in range(1, V):
            _add_directions(weights[i], backward[v, i], forward[v, i], modes[i, v], modes[i, V + 1 + v])


@kernel
def _read_weights_row(weights, backward, content, forward, to_backward, to_content, to_forward):
    for n in range(len(weights)):
        weights[n] = to_backward * backward[n] + to_content * content[n] + to_forward * forward[n]


@kernel
def _add_directions(weights, backward, forward, to_backward, to_forward):
    for n in range(len(weights)):
        weights[n] += to_backward * backward[n] + to_forward * forward[n]


@kernel
def read_weights_backward(
    d_modes, d_backward, d_content, d_forward, modes, backward, content, forward, d_weights
):
    """Sets the gradients with respect to modes and all weightings."""
    V = len(backward)
    for i in range(len(d_weights)):
        d_row = d_weights[i]
        d_modes[i, 0] = dot(d_row, backward[0, i])
        d_modes[i, V] = dot(d_row, content[i])
        d_modes[i, V + 1] = dot(d_row, forward[0, i])
        _read_weights_row_backward(
            d_backward[0, i], d_content[i], d_forward[0, i], d_row, modes[i, 0], modes[i, V], modes[i, V + 1]
        )
        for v in range(1, V):
            d_modes[i, v] = dot(d_row, backward[v, i])
            d_modes[i, V + 1 + v] = dot(d_row, forward[v, i])
            _scale(d_backward[v, i], d_row, modes[i, v])
            _scale(d_forward[v, i], d_row, modes[i, V + 1 + v])


@kernel
def _read_weights_row_backward(d_backward, d_content, d_forward, d_row, to_backward, to_content, to_forward):
    for n in range(len(d_row)):
        d_backward[n] = to_backward * d_row[n]
        d_content[n] = to_content * d_row[n]
        d_forward[n] = to_forward * d_row[n]


@kernel
def _scale(scaled, row, factor):
    for n in range(len(row)):
        scaled[n] = factor * row[n]
