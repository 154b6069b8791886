"""Content addressing: where does the memory hold something like this key?

Axes: B batch, K keys looked up at once (R for reading, 1 for writing), N slots, W word.
"""

from typing import NamedTuple

import numpy as np

from numdnc.params import Array
from numdnc.reference.activations import softmax, softmax_backward
from numdnc.spec import EPSILON


class ContentTape(NamedTuple):
    """What the backward pass needs."""

    memory: Array
    keys: Array
    strengths: Array
    key_norms: Array  # (B, K, 1)
    slot_norms: Array  # (B, 1, N)
    similarity: Array  # (B, K, N), in (-1, 1)
    weights: Array


def content_weights(memory: Array, keys: Array, strengths: Array) -> tuple[Array, ContentTape]:
    """Weightings by cosine similarity (Graves et al. 2016, "Content-based addressing").

        C(M, k, beta)[n] = softmax_n(beta D(k, M[n])),   D(a, b) = a.b / (sqrt(|a|^2 + eps) sqrt(|b|^2 + eps))

    memory (B, N, W), keys (B, K, W), strengths (B, K) >= 1; the result (B, K, N) is >= 0 and sums to 1 over N.
    An empty slot has similarity 0.
    """
    key_norms = np.sqrt((keys**2).sum(axis=2) + EPSILON)[:, :, None]
    slot_norms = np.sqrt((memory**2).sum(axis=2) + EPSILON)[:, None, :]
    similarity = keys @ memory.swapaxes(1, 2) / (key_norms * slot_norms)
    weights = softmax(strengths[:, :, None] * similarity)
    return weights, ContentTape(memory, keys, strengths, key_norms, slot_norms, similarity, weights)


def content_weights_backward(tape: ContentTape, d_weights: Array) -> tuple[Array, Array, Array]:
    """Gradients by memory, keys and strengths.

    dD/da = b / (|a| |b|) - D a / |a|^2     with the norms that hold eps, and the same for b
    """
    d_scores = softmax_backward(tape.weights, d_weights)
    d_strengths = (d_scores * tape.similarity).sum(axis=2)
    d_similarity = d_scores * tape.strengths[:, :, None]
    d_products = d_similarity / (tape.key_norms * tape.slot_norms)
    shrink = d_similarity * tape.similarity
    d_keys = d_products @ tape.memory - tape.keys * (shrink.sum(axis=2, keepdims=True) / tape.key_norms**2)
    slot_shrink = (shrink.sum(axis=1, keepdims=True) / tape.slot_norms**2).swapaxes(1, 2)
    d_memory = d_products.swapaxes(1, 2) @ tape.keys - tape.memory * slot_shrink
    return d_memory, d_keys, d_strengths
