"""Temporal links: the order in which slots were written, and the slots written after or before those read.

Axes: B batch, R read heads, N slots. link[i, j]: "i was written after j".
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.parts import Array, Interface
from numdnc.reference.activations import softmax, softmax_backward
from numdnc.reference.heads import join_heads, split_heads
from numdnc.spec import EPSILON, DNCSpec


class LinkTape(NamedTuple):
    """Values saved for the backward pass."""

    link_before: Array
    precedence_before: Array
    write_weights: Array


def update_link(link: Array, precedence: Array, write_weights: Array) -> tuple[Array, LinkTape]:
    """Links after a write (Graves et al. 2016, "Temporal memory linkage").

        L[i, j] = (1 - w^w[i] - w^w[j]) L[i, j] + w^w[i] p[j],   L[i, i] = 0      p of the step before

    link (B, N, N), precedence and write_weights (B, N); entries stay in [0, 1], rows and columns sum to at most 1.
    """
    after, before = write_weights[:, :, None], write_weights[:, None, :]
    updated = (1 - after - before) * link + after * precedence[:, None, :]
    updated[:, _diagonal(link), _diagonal(link)] = 0
    return updated, LinkTape(link, precedence, write_weights)


def update_link_backward(tape: LinkTape, d_link: Array) -> tuple[Array, Array, Array]:
    """Gradients with respect to link before, precedence before and write weights."""
    d_link = d_link.copy()
    d_link[:, _diagonal(d_link), _diagonal(d_link)] = 0
    after, before = tape.write_weights[:, :, None], tape.write_weights[:, None, :]
    lost = d_link * tape.link_before
    d_after = (d_link @ tape.precedence_before[:, :, None])[:, :, 0] - lost.sum(axis=2)
    d_before = -lost.sum(axis=1)
    d_precedence = (tape.write_weights[:, None, :] @ d_link)[:, 0]
    return d_link * (1 - after - before), d_precedence, d_after + d_before


def update_precedence(precedence: Array, write_weights: Array) -> Array:
    """How much each slot was written last: p = (1 - sum w^w) p + w^w; (B, N), sums to at most 1."""
    return (1 - write_weights.sum(axis=1, keepdims=True)) * precedence + write_weights  # type: ignore[no-any-return]


def update_precedence_backward(
    precedence: Array, write_weights: Array, d_precedence: Array
) -> tuple[Array, Array]:
    """Gradients with respect to precedence before and write weights."""
    keep = 1 - write_weights.sum(axis=1, keepdims=True)
    d_keep = (d_precedence * precedence).sum(axis=1, keepdims=True)
    return d_precedence * keep, d_precedence - d_keep


def directional_weights(link: Array, read_weights: Array) -> tuple[Array, Array]:
    """Slots written after and before those read last: fwd = L w^r, bwd = L^T w^r; each (B, R, N)."""
    return read_weights @ link.swapaxes(1, 2), read_weights @ link


def directional_weights_backward(
    link: Array, read_weights: Array, d_forward: Array, d_backward: Array
) -> tuple[Array, Array]:
    """Gradients with respect to link and read weights."""
    d_link = d_forward.swapaxes(1, 2) @ read_weights + read_weights.swapaxes(1, 2) @ d_backward
    return d_link, d_forward @ link + d_backward @ link.swapaxes(1, 2)


class SharpenTape(NamedTuple):
    """Values saved for the backward pass."""

    weights: Array
    sharpness: Array
    sharp: Array


def sharpen(weights: Array, sharpness: Array) -> tuple[Array, SharpenTape]:
    """Sharpen a directional weighting (Csordas and Schmidhuber 2019, the variation `sharpness`).

        S(d, s)[n] = ((d[n] + eps) / max(d + eps))^s / sum of the same       = softmax_n(s log(d[n] + eps))

    weights d (B, R, N) >= 0, where a rounding error below 0 counts as 0; sharpness s (B, R) >= 1; the result sums to 1,
    over an empty link too, and is uniform where d is.
    """
    sharp = softmax(sharpness[:, :, None] * np.log(_clamped(weights)))
    return sharp, SharpenTape(weights, sharpness, sharp)


def sharpen_backward(tape: SharpenTape, d_sharp: Array) -> tuple[Array, Array]:
    """Gradients with respect to weights and sharpness."""
    d_scores = softmax_backward(tape.sharp, d_sharp)
    clamped = _clamped(tape.weights)
    d_sharpness = (d_scores * np.log(clamped)).sum(axis=2)
    d_weights = d_scores * tape.sharpness[:, :, None] / clamped
    return np.where(tape.weights < 0, 0, d_weights), d_sharpness


class FollowTape(NamedTuple):
    """Values saved for the backward pass."""

    links: tuple[Array, ...]
    read_weights: Array
    sharpened: tuple[tuple[SharpenTape, ...], tuple[SharpenTape, ...]] | None  # forward and backward


def follow_links(
    spec: DNCSpec, interface: Interface, links: tuple[Array, ...], read_weights: Array
) -> tuple[tuple[Array, ...], tuple[Array, ...], FollowTape]:
    """Forward and backward weightings (B, R, N) from where each head read last, sharpened with `sharpness`.

    There is a link matrix, and a weighting of each direction, for each write head.
    """
    forward, backward = zip(*(directional_weights(link, read_weights) for link in links), strict=True)
    sharpened = None
    if spec.sharpness:
        by = (split_heads(spec, part) for part in (interface.forward_sharpness, interface.backward_sharpness))
        forward, forward_tapes = zip(*map(sharpen, forward, next(by)), strict=True)
        backward, backward_tapes = zip(*map(sharpen, backward, next(by)), strict=True)
        sharpened = forward_tapes, backward_tapes
    return forward, backward, FollowTape(links, read_weights, sharpened)


def follow_links_backward(
    spec: DNCSpec, tape: FollowTape, d_forward: tuple[Array, ...], d_backward: tuple[Array, ...]
) -> tuple[tuple[Array, ...], Array, dict[str, Array]]:
    """Gradients with respect to links, read weights, and parts of the interface by name."""
    d_interface = {}
    if tape.sharpened is not None:
        forward_tapes, backward_tapes = tape.sharpened
        d_forward, d_sharpness = zip(*map(sharpen_backward, forward_tapes, d_forward), strict=True)
        d_interface["forward_sharpness"] = join_heads(spec, d_sharpness)
        d_backward, d_sharpness = zip(*map(sharpen_backward, backward_tapes, d_backward), strict=True)
        d_interface["backward_sharpness"] = join_heads(spec, d_sharpness)
    each = zip(tape.links, d_forward, d_backward, strict=True)
    d_links, d_read_weights = zip(
        *(directional_weights_backward(link, tape.read_weights, *d) for link, *d in each), strict=True
    )
    return d_links, sum(d_read_weights[1:], d_read_weights[0]), d_interface


def _clamped(weights: Array) -> Array:
    return np.maximum(weights, 0) + EPSILON


def _diagonal(link: Array) -> NDArray[np.intp]:
    return np.arange(link.shape[1])
