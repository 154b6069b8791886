"""Two products of small matrices, x W and x W^T, which take most of the time.

Four rows of x at a time meet four rows of w, so that each number loaded serves four times. At the batches a recurrent
net has, that is faster than a BLAS, which copies w into another order first.
"""

from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant


@kernel
def add_product(z, x, w):
    """z += x w; x (rows, K); z (rows, ..) and w (K, ..), both contiguous, in the columns that they both have."""
    (rows, K), b = x.shape, 0
    while b + 4 <= rows:
        _add_product_4(z[b : b + 4], x[b : b + 4, 0:K], w)
        b += 4
    if b + 2 <= rows:
        _add_product_2(z[b : b + 2], x[b : b + 2, 0:K], w)
        b += 2
    if b < rows:
        _add_product_1(z[b], x[b : b + 1, 0:K], w)


@kernel
def add_product_transposed(z, x, w):
    """z += x w^T; z (rows, C), x (rows, K) contiguous, w (C, K or more) contiguous."""
    (rows, C), b = z.shape, 0
    while b + 4 <= rows:
        _add_product_transposed_4(z[b : b + 4, 0:C], x[b : b + 4], w)
        b += 4
    if b + 2 <= rows:
        _add_product_transposed_2(z[b : b + 2, 0:C], x[b : b + 2], w)
        b += 2
    if b < rows:
        _add_product_transposed_1(z[b : b + 1, 0:C], x[b], w)


@kernel
def _add_product_4(z, x, w):
    K, C = x.shape[1], min(z.shape[1], w.shape[1])
    k = 0
    while k + 4 <= K:
        a0, a1, a2, a3 = x[0, k], x[0, k + 1], x[0, k + 2], x[0, k + 3]
        b0, b1, b2, b3 = x[1, k], x[1, k + 1], x[1, k + 2], x[1, k + 3]
        c0, c1, c2, c3 = x[2, k], x[2, k + 1], x[2, k + 2], x[2, k + 3]
        d0, d1, d2, d3 = x[3, k], x[3, k + 1], x[3, k + 2], x[3, k + 3]
        rows = w[k : k + 4]
        for c in range(C):
            w0, w1, w2, w3 = rows[0, c], rows[1, c], rows[2, c], rows[3, c]
            z[0, c] += a0 * w0 + a1 * w1 + a2 * w2 + a3 * w3
            z[1, c] += b0 * w0 + b1 * w1 + b2 * w2 + b3 * w3
            z[2, c] += c0 * w0 + c1 * w1 + c2 * w2 + c3 * w3
            z[3, c] += d0 * w0 + d1 * w1 + d2 * w2 + d3 * w3
        k += 4
    while k < K:
        a, b, d, e = x[0, k], x[1, k], x[2, k], x[3, k]
        row = w[k]
        for c in range(C):
            z[0, c] += a * row[c]
            z[1, c] += b * row[c]
            z[2, c] += d * row[c]
            z[3, c] += e * row[c]
        k += 1


@kernel
def _add_product_2(z, x, w):
    K, C = x.shape[1], min(z.shape[1], w.shape[1])
    k = 0
    while k + 4 <= K:
        a0, a1, a2, a3 = x[0, k], x[0, k + 1], x[0, k + 2], x[0, k + 3]
        b0, b1, b2, b3 = x[1, k], x[1, k + 1], x[1, k + 2], x[1, k + 3]
        rows = w[k : k + 4]
        for c in range(C):
            w0, w1, w2, w3 = rows[0, c], rows[1, c], rows[2, c], rows[3, c]
            z[0, c] += a0 * w0 + a1 * w1 + a2 * w2 + a3 * w3
            z[1, c] += b0 * w0 + b1 * w1 + b2 * w2 + b3 * w3
        k += 4
    while k < K:
        a, b = x[0, k], x[1, k]
        row = w[k]
        for c in range(C):
            z[0, c] += a * row[c]
            z[1, c] += b * row[c]
        k += 1


@kernel
def _add_product_1(z, x, w):
    K, C = x.shape[1], min(len(z), w.shape[1])
    k = 0
    while k + 8 <= K:
        x0, x1, x2, x3 = x[0, k], x[0, k + 1], x[0, k + 2], x[0, k + 3]
        x4, x5, x6, x7 = x[0, k + 4], x[0, k + 5], x[0, k + 6], x[0, k + 7]
        rows = w[k : k + 8]
        for c in range(C):
            low = x0 * rows[0, c] + x1 * rows[1, c] + x2 * rows[2, c] + x3 * rows[3, c]
            high = x4 * rows[4, c] + x5 * rows[5, c] + x6 * rows[6, c] + x7 * rows[7, c]
            z[c] += low + high
        k += 8
    while k < K:
        value, row = x[0, k], w[k]
        for c in range(C):
            z[c] += value * row[c]
        k += 1


@kernel
def _add_product_transposed_4(z, x, w):
    C, K = z.shape[1], x.shape[1]
    zero = constant(0, x)
    c = 0
    while c + 4 <= C:
        rows = w[c : c + 4]
        s00, s01, s02, s03 = zero, zero, zero, zero
        s10, s11, s12, s13 = zero, zero, zero, zero
        s20, s21, s22, s23 = zero, zero, zero, zero
        s30, s31, s32, s33 = zero, zero, zero, zero
        for k in range(K):
            x0, x1, x2, x3 = x[0, k], x[1, k], x[2, k], x[3, k]
            w0, w1, w2, w3 = rows[0, k], rows[1, k], rows[2, k], rows[3, k]
            s00 += x0 * w0
            s01 += x0 * w1
            s02 += x0 * w2
            s03 += x0 * w3
            s10 += x1 * w0
            s11 += x1 * w1
            s12 += x1 * w2
            s13 += x1 * w3
            s20 += x2 * w0
            s21 += x2 * w1
            s22 += x2 * w2
            s23 += x2 * w3
            s30 += x3 * w0
            s31 += x3 * w1
            s32 += x3 * w2
            s33 += x3 * w3
        z[0, c] += s00
        z[0, c + 1] += s01
        z[0, c + 2] += s02
        z[0, c + 3] += s03
        z[1, c] += s10
        z[1, c + 1] += s11
        z[1, c + 2] += s12
        z[1, c + 3] += s13
        z[2, c] += s20
        z[2, c + 1] += s21
        z[2, c + 2] += s22
        z[2, c + 3] += s23
        z[3, c] += s30
        z[3, c + 1] += s31
        z[3, c + 2] += s32
        z[3, c + 3] += s33
        c += 4
    while c < C:
        row = w[c]
        s0, s1, s2, s3 = zero, zero, zero, zero
        for k in range(K):
            s0 += x[0, k] * row[k]
            s1 += x[1, k] * row[k]
            s2 += x[2, k] * row[k]
            s3 += x[3, k] * row[k]
        z[0, c] += s0
        z[1, c] += s1
        z[2, c] += s2
        z[3, c] += s3
        c += 1


@kernel
def _add_product_transposed_2(z, x, w):
    C, K = z.shape[1], x.shape[1]
    zero = constant(0, x)
    c = 0
    while c + 4 <= C:
        rows = w[c : c + 4]
        s00, s01, s02, s03 = zero, zero, zero, zero
        s10, s11, s12, s13 = zero, zero, zero, zero
        for k in range(K):
            x0, x1 = x[0, k], x[1, k]
            w0, w1, w2, w3 = rows[0, k], rows[1, k], rows[2, k], rows[3, k]
            s00 += x0 * w0
            s01 += x0 * w1
            s02 += x0 * w2
            s03 += x0 * w3
            s10 += x1 * w0
            s11 += x1 * w1
            s12 += x1 * w2
            s13 += x1 * w3
        z[0, c] += s00
        z[0, c + 1] += s01
        z[0, c + 2] += s02
        z[0, c + 3] += s03
        z[1, c] += s10
        z[1, c + 1] += s11
        z[1, c + 2] += s12
        z[1, c + 3] += s13
        c += 4
    while c < C:
        row = w[c]
        s0, s1 = zero, zero
        for k in range(K):
            s0 += x[0, k] * row[k]
            s1 += x[1, k] * row[k]
        z[0, c] += s0
        z[1, c] += s1
        c += 1


@kernel
def _add_product_transposed_1(z, x, w):
    C, K = z.shape[1], len(x)
    zero = constant(0, x)
    c = 0
    while c + 4 <= C:
        rows = w[c : c + 4]
        s0, s1, s2, s3 = zero, zero, zero, zero
        for k in range(K):
            s0 += x[k] * rows[0, k]
            s1 += x[k] * rows[1, k]
            s2 += x[k] * rows[2, k]
            s3 += x[k] * rows[3, k]
        z[0, c] += s0
        z[0, c + 1] += s1
        z[0, c + 2] += s2
        z[0, c + 3] += s3
        c += 4
    while c < C:
        row, total = w[c], zero
        for k in range(K):
            total += x[k] * row[k]
        z[0, c] += total
        c += 1
