"""Where the heads of an NTM attend, for one sequence. K heads at once, N slots, S shifts; memory by columns (W, N)."""

from numdnc.engines.cpu.kernels.arrays import clear, dot
from numdnc.engines.cpu.kernels.compiling import kernel
from numdnc.engines.cpu.kernels.constants import constant
from numdnc.engines.cpu.kernels.content import content_weights, content_weights_backward
from numdnc.engines.cpu.kernels.linkage import sharpen, sharpen_backward


@kernel
def address(
    weights,
    content,
    similarity,
    mixed,
    shifted,
    memory,
    inverse_norms,
    before,
    keys,
    strengths,
    interpolation,
    shifts,
    sharpening,
):
    """w^g = g C(M, k, beta) + (1 - g) w_{t-1}, shifted and sharpened; all weightings (K, N)."""
    content_weights(content, similarity, memory, inverse_norms, keys, strengths)
    for i in range(len(interpolation)):
        _interpolate(mixed[i], content[i], before[i], interpolation[i])
        _shift(shifted[i], mixed[i], shifts[i])
    sharpen(weights, shifted, sharpening)


@kernel
def address_backward(
    d_memory,
    d_weights,
    d_keys,
    d_strengths,
    d_interpolation,
    d_shifts,
    d_sharpening,
    d_content,
    shrink,
    weights,
    content,
    similarity,
    mixed,
    shifted,
    memory,
    inverse_norms,
    before,
    keys,
    strengths,
    interpolation,
    shifts,
    sharpening,
):
    """Adds to d_memory; d_weights goes from the weightings after to those before. Sets the gradients of the interface.

    d_content (K, N) and shrink (N,) are workspace.
    """
    sharpen_backward(d_weights, d_sharpening, shifted, sharpening, weights)
    for i in range(len(interpolation)):
        _shift_backward(d_content[i], d_shifts[i], mixed[i], shifts[i], d_weights[i])
        d_interpolation[i] = _interpolate_backward(
            d_content[i], d_weights[i], content[i], before[i], interpolation[i]
        )
    content_weights_backward(
        d_memory,
        d_keys,
        d_strengths,
        d_content,
        shrink,
        content,
        similarity,
        memory,
        inverse_norms,
        keys,
        strengths,
    )


@kernel
def _interpolate(mixed, content, before, gate):
    one = constant(1, mixed)
    for n in range(len(mixed)):
        mixed[n] = gate * content[n] + (one - gate) * before[n]


@kernel
def _interpolate_backward(d_content, d_before, content, before, gate):
    """d_content holds the gradient with respect to the mix; sets both, returns that of the gate."""
    one, d_gate = constant(1, gate), constant(0, gate)
    for n in range(len(content)):
        d = d_content[n]
        d_gate += d * (content[n] - before[n])
        d_before[n] = (one - gate) * d
        d_content[n] = gate * d
    return d_gate


@kernel
def _shift(shifted, weights, shifts):
    """sum_j s[j] w[(n - j) mod N], j from -S//2 to S//2."""
    clear(shifted)
    for j in range(len(shifts)):
        _add_rotated(shifted, weights, shifts[j], (j - len(shifts) // 2) % len(weights))


@kernel
def _shift_backward(d_weights, d_shifts, weights, shifts, d_shifted):
    """dw[n] = sum_j s[j] dout[(n + j) mod N],   ds[j] = sum_n dout[n] w[(n - j) mod N]."""
    clear(d_weights)
    N = len(weights)
    for j in range(len(shifts)):
        first = (j - len(shifts) // 2) % N
        _add_rotated(d_weights, d_shifted, shifts[j], (N - first) % N)
        d_shifts[j] = dot(d_shifted[first:], weights[: N - first]) + dot(
            d_shifted[:first], weights[N - first :]
        )


@kernel
def _add_rotated(to, source, share, first):
    """to[(n + first) mod N] += share source[n]."""
    rest = len(to) - first
    _add_scaled(to[first:], source[:rest], share)
    _add_scaled(to[:first], source[rest:], share)


@kernel
def _add_scaled(to, source, share):
    for n in range(len(to)):
        to[n] += share * source[n]
