"""Temporal links of one sequence, a few rows at a time, so that all that uses them finds them in the cache.

R read heads, N slots. link[i, j]: "i was written after j".
"""

from math import log

from numdnc.engines.cpu.kernels.activations import apply_softmax, softmax_backward
from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.products import add_product, add_product_transposed
from numdnc.spec import EPSILON


@kernel
def update_link(rows, first, column, write_weights, weights, precedence):
    """L[i, j] = (1 - w^w[i] - w^w[j]) L[i, j] + w^w[i] p[j],  L[i, i] = 0; in place.

    Of the rows from slot `first` on the columns from slot `column` on, to which `weights` and `precedence` belong.
    """
    for r in range(len(rows)):
        _update_row(rows[r], write_weights[first + r], weights, precedence)
    _clear_diagonal(rows, first, column, len(weights))


@kernel
def _update_row(row, weight, weights, precedence):
    keep = constant(1, row) - weight
    for j in range(len(weights)):
        row[j] = (keep - weights[j]) * row[j] + weight * precedence[j]


@kernel
def copy_updated_link(rows, before, first, column, write_weights, weights, precedence):
    """The same, from `before` into `rows`."""
    for r in range(len(rows)):
        _copy_updated_row(rows[r], before[r], write_weights[first + r], weights, precedence)
    _clear_diagonal(rows, first, column, len(weights))


@kernel
def _copy_updated_row(row, before, weight, weights, precedence):
    keep = constant(1, row) - weight
    for j in range(len(weights)):
        row[j] = (keep - weights[j]) * before[j] + weight * precedence[j]


@kernel
def _clear_diagonal(rows, first, column, columns):
    for r in range(len(rows)):
        if column <= first + r < column + columns:
            rows[r, first + r - column] = 0


@kernel
def update_link_backward(
    d_link,
    d_by_columns,
    d_by_rows,
    d_rows,
    d_columns,
    d_precedence,
    first,
    column,
    before,
    after,
    d_forward,
    d_backward,
    pair,
    factors,
    write_weights,
    weights,
    precedence,
):
    """The same rows and columns backwards; dw^r is gathered by columns (R, columns) and by rows (R, N).

    With dL = dL + dfwd w^r^T + w^r dbwd^T,  dL[i, i] = 0:   dL before = dL (1 - w^w[i] - w^w[j])
        dw^r    += dfwd L + dbwd L^T
        dw^w[i] += sum_j dL (p[j] - L before),   dw^w[j] -= sum_i dL L before,   dp[j] += sum_i w^w[i] dL
    """
    last = first + len(before)
    add_product(d_link, factors, pair)
    add_product(d_by_columns, d_forward[:, first:last], after)
    add_product_transposed(d_by_rows[:, first:last], d_backward, after)
    _clear_diagonal(d_link, first, column, len(weights))
    whole = len(before) - len(before) % 4
    for r in range(0, whole, 4):
        _update_rows_backward(
            d_link[r : r + 4],
            before[r : r + 4],
            d_rows,
            first + r,
            write_weights,
            weights,
            precedence,
            d_columns,
            d_precedence,
        )
    for r in range(whole, len(before)):
        weight = write_weights[first + r]
        d_rows[first + r] += _update_row_backward(
            d_link[r], before[r], weight, weights, precedence, d_columns, d_precedence
        )


@kernel
def _update_rows_backward(
    d_link, before, d_rows, first, write_weights, weights, precedence, d_columns, d_precedence
):
    """Four rows at once, so that values of columns are loaded and stored once for all four."""
    one, zero = constant(1, d_link), constant(0, d_link)
    w0, w1, w2, w3 = (
        write_weights[first],
        write_weights[first + 1],
        write_weights[first + 2],
        write_weights[first + 3],
    )
    keep0, keep1, keep2, keep3 = one - w0, one - w1, one - w2, one - w3
    total0, total1, total2, total3 = zero, zero, zero, zero
    for j in range(len(weights)):
        p, w = precedence[j], weights[j]
        d0, d1, d2, d3 = d_link[0, j], d_link[1, j], d_link[2, j], d_link[3, j]
        lost0, lost1, lost2, lost3 = (
            d0 * before[0, j],
            d1 * before[1, j],
            d2 * before[2, j],
            d3 * before[3, j],
        )
        total0 += d0 * p - lost0
        total1 += d1 * p - lost1
        total2 += d2 * p - lost2
        total3 += d3 * p - lost3
        d_columns[j] -= lost0 + lost1 + lost2 + lost3
        d_precedence[j] += w0 * d0 + w1 * d1 + w2 * d2 + w3 * d3
        d_link[0, j] = d0 * (keep0 - w)
        d_link[1, j] = d1 * (keep1 - w)
        d_link[2, j] = d2 * (keep2 - w)
        d_link[3, j] = d3 * (keep3 - w)
    d_rows[first] += total0
    d_rows[first + 1] += total1
    d_rows[first + 2] += total2
    d_rows[first + 3] += total3


@kernel
def _update_row_backward(d_row, row, weight, weights, precedence, d_columns, d_precedence):
    keep = constant(1, d_row) - weight
    total = constant(0, d_row)
    for j in range(len(weights)):
        d = d_row[j]
        lost = d * row[j]
        total += d * precedence[j] - lost
        d_columns[j] -= lost
        d_precedence[j] += weight * d
        d_row[j] = d * (keep - weights[j])
    return total


@kernel
def update_precedence(precedence, precedence_before, write_weights):
    """p = (1 - sum w^w) p + w^w."""
    one = constant(1, precedence)
    total = constant(0, write_weights)
    for n in range(len(write_weights)):
        total += write_weights[n]
    keep = one - total
    for n in range(len(write_weights)):
        precedence[n] = keep * precedence_before[n] + write_weights[n]


@kernel
def update_precedence_backward(d_precedence, d_write_weights, precedence_before, write_weights):
    """In place: d_precedence goes from the precedence after to the one before. Adds to d_write_weights."""
    one = constant(1, d_precedence)
    total, d_keep = constant(0, write_weights), constant(0, write_weights)
    for n in range(len(write_weights)):
        total += write_weights[n]
        d_keep += d_precedence[n] * precedence_before[n]
    keep = one - total
    for n in range(len(write_weights)):
        d_write_weights[n] += d_precedence[n] - d_keep
        d_precedence[n] *= keep


@kernel
def _log_raised(weight):
    """log(max(d, 0) + eps)."""
    return log(max(weight, constant(0, weight)) + constant(EPSILON, weight))


@kernel
def sharpen(sharp, weights, sharpness):
    """S(d, s)[n] = softmax_n(s log(d[n] + eps)); each (R, N), sharpness (R,)."""
    for i in range(len(sharpness)):
        row = sharp[i]
        for n in range(len(row)):
            row[n] = sharpness[i] * _log_raised(weights[i, n])
        apply_softmax(row)


@kernel
def sharpen_backward(d_weights, d_sharpness, weights, sharpness, sharp):
    """In place: d_weights goes from the sharpened weights to the others. Sets d_sharpness."""
    for i in range(len(sharpness)):
        d_row, row = d_weights[i], weights[i]
        softmax_backward(d_row, sharp[i])
        zero = constant(0, row)
        total = zero
        for n in range(len(row)):
            total += d_row[n] * _log_raised(row[n])
            raised = max(row[n], constant(0, row)) + constant(EPSILON, row)
            d_row[n] = zero if row[n] < 0 else d_row[n] * sharpness[i] / raised
        d_sharpness[i] = total
