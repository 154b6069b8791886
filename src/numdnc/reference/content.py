"""Content addressing: weightings of the slots by similarity to a key.

Axes: B batch, K keys looked up at once (R for reading, V for writing), N slots, W word.
"""

from typing import NamedTuple

import numpy as np

from numdnc.params import Array, OptionalArray
from numdnc.reference.activations import softmax, softmax_backward
from numdnc.reference.sparse import largest
from numdnc.spec import EPSILON, DNCSpec


def look_up(
    spec: DNCSpec, memory: Array, keys: Array, strengths: Array, masks: OptionalArray
) -> tuple[Array, "ContentTape | MaskedContentTape"]:
    """Weightings (B, K, N) by content, with masks if the model has them."""
    if spec.masking:
        return masked_content_weights(memory, keys, strengths, masks, spec.mask_floor, spec.sparsity)
    return content_weights(memory, keys, strengths, spec.sparsity)


def look_up_backward(
    spec: DNCSpec, tape: "ContentTape | MaskedContentTape", d_weights: Array
) -> tuple[Array, Array, Array, OptionalArray]:
    """Gradients with respect to memory, keys, strengths and masks."""
    if isinstance(tape, MaskedContentTape):
        return masked_content_weights_backward(tape, d_weights, spec.mask_floor)
    return *content_weights_backward(tape, d_weights), ()


class ContentTape(NamedTuple):
    """Values saved for the backward pass."""

    memory: Array
    keys: Array
    strengths: Array
    key_norms: Array  # (B, K, 1)
    slot_norms: Array  # (B, 1, N)
    similarity: Array  # (B, K, N), in (-1, 1)
    weights: Array


def content_weights(
    memory: Array, keys: Array, strengths: Array, sparsity: int | None = None
) -> tuple[Array, ContentTape]:
    """Weightings by cosine similarity (Graves et al. 2016, "Content-based addressing").

        C(M, k, beta)[n] = softmax_n(beta D(k, M[n])),   D(a, b) = a.b / (sqrt(|a|^2 + eps) sqrt(|b|^2 + eps))

    memory (B, N, W), keys (B, K, W), strengths (B, K) >= 1; the result (B, K, N) is >= 0 and sums to 1 over N.
    An empty slot has similarity 0. With `sparsity` the softmax is over the slots of the K largest similarities alone,
    and the others have weight 0 (Rae et al. 2016).
    """
    key_norms = np.sqrt((keys**2).sum(axis=2) + EPSILON)[:, :, None]
    slot_norms = np.sqrt((memory**2).sum(axis=2) + EPSILON)[:, None, :]
    similarity = keys @ memory.swapaxes(1, 2) / (key_norms * slot_norms)
    scores = strengths[:, :, None] * similarity
    if sparsity is not None:
        scores = np.where(largest(similarity, sparsity), scores, -np.inf)
    weights = softmax(scores)
    return weights, ContentTape(memory, keys, strengths, key_norms, slot_norms, similarity, weights)


def content_weights_backward(tape: ContentTape, d_weights: Array) -> tuple[Array, Array, Array]:
    """Gradients with respect to memory, keys and strengths.

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


class MaskedContentTape(NamedTuple):
    """Values saved for the backward pass."""

    memory: Array
    keys: Array
    masks: Array  # (B, K, W), raised to the floor
    content: ContentTape  # of B K memories with one key each


def masked_content_weights(
    memory: Array, keys: Array, strengths: Array, masks: Array, floor: float, sparsity: int | None = None
) -> tuple[Array, MaskedContentTape]:
    """Weightings by the columns that a mask lets through (Csordas and Schmidhuber 2019, the variation `masking`).

        C(M, k, beta, m)[n] = softmax_n(beta D(k m, M[n] m)),   m <- floor + (1 - floor) m

    masks m (B, K, W) in [0, 1], floor in [0, 1]; the rest as in `content_weights`. Each key sees a memory of its own.
    """
    (B, K, W), N = keys.shape, memory.shape[1]
    masks = floor + (1 - floor) * masks
    seen = (memory[:, None] * masks[:, :, None]).reshape(B * K, N, W)
    weights, tape = content_weights(
        seen, (keys * masks).reshape(B * K, 1, W), strengths.reshape(B * K, 1), sparsity
    )
    return weights.reshape(B, K, N), MaskedContentTape(memory, keys, masks, tape)


def masked_content_weights_backward(
    tape: MaskedContentTape, d_weights: Array, floor: float
) -> tuple[Array, Array, Array, Array]:
    """Gradients with respect to memory, keys, strengths and masks."""
    B, K, N = d_weights.shape
    d_seen, d_seen_keys, d_strengths = content_weights_backward(tape.content, d_weights.reshape(B * K, 1, N))
    d_seen, d_seen_keys = d_seen.reshape(B, K, *tape.memory.shape[1:]), d_seen_keys.reshape(tape.keys.shape)
    d_memory = (d_seen * tape.masks[:, :, None]).sum(axis=1)
    d_masks = (d_seen * tape.memory[:, None]).sum(axis=2) + d_seen_keys * tape.keys
    return d_memory, d_seen_keys * tape.masks, d_strengths.reshape(B, K), (1 - floor) * d_masks
