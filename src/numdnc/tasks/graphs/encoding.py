"""Encode triples of labels as channels, and decode them.

A triple is source, edge, destination; a label is D decimal digits, most significant first, each one-hot over ten
channels; an absent label is zeros. The inputs have two more channels, flags. Axes: T steps, B batch, D digits, X input,
Y output, G digits of a triple, 3 D.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array

PARTS = ("source", "edge", "destination")
ABSENT = -1
"""In place of a label that is not given."""
FLAGS = 2
PHASE, ANSWER = -2, -1
"""The last input channels: 1 at the first step of the question; 1 where an answer is due."""
END = (0, 0, 0)
"""Ends an answer of unknown length; no graph has this edge, since no edge joins a node with itself."""


def channel_counts(digits: int) -> tuple[int, int]:
    """Widths of inputs and outputs, X and Y, with labels of `digits` digits."""
    return 30 * digits + FLAGS, 30 * digits


def to_digits(
    labels: NDArray[np.integer] | Sequence[Sequence[int]] | Sequence[int], digits: int
) -> NDArray[np.int64]:
    """Labels (.., 3) -> digits (.., G); ABSENT for each digit of an absent label."""
    labels = np.asarray(labels, np.int64)
    powers = 10 ** np.arange(digits - 1, -1, -1)
    found = np.where(labels[..., None] == ABSENT, ABSENT, labels[..., None] // powers % 10)
    return found.reshape(*labels.shape[:-1], -1)


def to_labels(found: NDArray[np.integer]) -> NDArray[np.int64]:
    """Digits (.., G) -> labels (.., 3); ABSENT where any digit is ABSENT."""
    parts = found.reshape(*found.shape[:-1], 3, -1)
    powers = 10 ** np.arange(parts.shape[-1] - 1, -1, -1)
    return np.where((parts == ABSENT).any(axis=-1), ABSENT, (parts * powers).sum(axis=-1))


def one_hot(labels: NDArray[np.integer] | Sequence[Sequence[int]] | Sequence[int], digits: int) -> Array:
    """Labels (.., 3) -> one-hot digits (.., Y), zeros for absent labels."""
    found = to_digits(labels, digits)
    hot: Array = (found[..., None] == np.arange(10)).astype(np.float32)
    return hot.reshape(*found.shape[:-1], -1)


def decode(inputs: Array) -> NDArray[np.int64]:
    """Inputs (.., X) -> labels (.., 3), ABSENT where all channels of a label are 0."""
    hot = inputs[..., :-FLAGS].reshape(*inputs.shape[:-1], -1, 10)
    return to_labels(np.where(hot.any(axis=-1), hot.argmax(axis=-1), ABSENT))


def predicted_labels(outputs: Array) -> NDArray[np.int64]:
    """Outputs (.., Y) -> labels (.., 3) of the likeliest digits."""
    return to_labels(outputs.reshape(*outputs.shape[:-1], -1, 10).argmax(axis=-1))


def channel_names(digits: int) -> tuple[str, ...]:
    """Names of the Y channels: "source 100s = 0", .."""
    powers = [f" {10**place}s" if digits > 1 else "" for place in range(digits - 1, -1, -1)]
    return tuple(f"{part}{power} = {value}" for part in PARTS for power in powers for value in range(10))
