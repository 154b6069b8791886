"""Where the heads of an NTM attend: at slots similar to a key or where they did before, then shifted and sharpened.

Axes: B batch, K heads that look at once (R for reading, V for writing), N slots, W word, S shifts from -S//2 to S//2.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.reference.content import ContentTape, content_weights, content_weights_backward
from numdnc.reference.linkage import SharpenTape, sharpen, sharpen_backward


class Heads(NamedTuple):
    """The parts of the interface by which heads attend, or their gradients."""

    keys: Array  # (B, K, W)
    strengths: Array  # (B, K), >= 0
    interpolation: Array  # (B, K), in [0, 1]
    shifts: Array  # (B, K, S), each head sums to 1
    sharpening: Array  # (B, K), >= 1


class AddressTape(NamedTuple):
    """Values saved for the backward pass; weightings (B, K, N)."""

    heads: Heads
    before: Array
    content: ContentTape
    mixed: Array
    sharpened: SharpenTape


def address(memory: Array, before: Array, heads: Heads) -> tuple[Array, AddressTape]:
    """Weightings of the heads (Graves et al. 2014, "Addressing mechanisms").

        w^c = C(M, k, beta),   w^g = g w^c + (1 - g) w_{t-1},   w~ = shift(w^g, s),   w_t = sharpen(w~, gamma)

    memory (B, N, W), weightings before (B, K, N) and the result are >= 0 and sum to 1 over N.
    """
    found, content_tape = content_weights(memory, heads.keys, heads.strengths)
    g = heads.interpolation[:, :, None]
    mixed = g * found + (1 - g) * before
    weights, sharpen_tape = sharpen(shift(mixed, heads.shifts), heads.sharpening)
    return weights, AddressTape(heads, before, content_tape, mixed, sharpen_tape)


def address_backward(tape: AddressTape, d_weights: Array) -> tuple[Array, Array, Heads]:
    """Gradients with respect to memory, weightings before and the heads' parts of the interface.

    dw^c = g dw^g,   dw_{t-1} = (1 - g) dw^g,   dg = sum_n dw^g[n] (w^c[n] - w_{t-1}[n])
    """
    d_shifted, d_sharpening = sharpen_backward(tape.sharpened, d_weights)
    d_mixed, d_shifts = shift_backward(tape.mixed, tape.heads.shifts, d_shifted)
    g = tape.heads.interpolation[:, :, None]
    d_interpolation = (d_mixed * (tape.content.weights - tape.before)).sum(axis=2)
    d_memory, d_keys, d_strengths = content_weights_backward(tape.content, g * d_mixed)
    d_heads = Heads(d_keys, d_strengths, d_interpolation, d_shifts, d_sharpening)
    return d_memory, (1 - g) * d_mixed, d_heads


def shift(weights: Array, shifts: Array) -> Array:
    """Move weightings from slot to slot, from the last to the first (Graves et al. 2014, "Focusing by Location").

        shift(w, s)[n] = sum_j s[j] w[(n - j) mod N]      j from -S//2 to S//2

    weights (B, K, N), shifts (B, K, S), S odd; shift +1 moves the weight of slot 0 to slot 1.
    """
    sources = shift_sources(shifts.shape[2], weights.shape[2])
    return (shifts[:, :, None] @ weights[:, :, sources])[:, :, 0]


def shift_backward(weights: Array, shifts: Array, d_shifted: Array) -> tuple[Array, Array]:
    """Gradients with respect to weights and shifts.

    dw[n] = sum_j s[j] dout[(n + j) mod N],   ds[j] = sum_n dout[n] w[(n - j) mod N]
    """
    sources = shift_sources(shifts.shape[2], weights.shape[2])
    d_weights = shift(d_shifted, shifts[:, :, ::-1])
    return d_weights, (weights[:, :, sources] @ d_shifted[:, :, :, None])[:, :, :, 0]


def shift_sources(S: int, N: int) -> NDArray[np.integer]:
    """The slot (S, N) from which each shift brings weight to each slot."""
    offsets = np.arange(S) - S // 2
    sources: NDArray[np.integer] = (np.arange(N) - offsets[:, None]) % N
    return sources
