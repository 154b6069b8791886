"""Triples of labels as numbers, and back.

A triple is source, edge, destination; a label is so many decimal digits, most significant first, each one-hot among
ten channels; an absent label is zeros. Two flags follow in the inputs. Axes: T steps, B batch, D digits, X input, Y
output, G digits of a triple, 3 D.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array

PARTS = ("source", "edge", "destination")
ABSENT = -1
"""Stands for a label that is not given."""
FLAGS = 2
PHASE, ANSWER = -2, -1
"""Channels of the inputs, from their end: 1 at the first step of the question; 1 where an answer is wanted."""
END = (0, 0, 0)
"""Ends an answer of unknown length: no edge joins a node with itself, so no graph holds it."""


def channel_counts(digits: int) -> tuple[int, int]:
    """X and Y, the widths of inputs and outputs with labels of so many digits."""
    return 30 * digits + FLAGS, 30 * digits


def to_digits(
    labels: NDArray[np.integer] | Sequence[Sequence[int]] | Sequence[int], digits: int
) -> NDArray[np.int64]:
    """(.., 3) labels -> (.., G) digits; ABSENT for each digit of a label that is absent."""
    labels = np.asarray(labels, np.int64)
    powers = 10 ** np.arange(digits - 1, -1, -1)
    found = np.where(labels[..., None] == ABSENT, ABSENT, labels[..., None] // powers % 10)
    return found.reshape(*labels.shape[:-1], -1)


def to_labels(found: NDArray[np.integer]) -> NDArray[np.int64]:
    """(.., G) digits -> (.., 3) labels; ABSENT where a digit is."""
    parts = found.reshape(*found.shape[:-1], 3, -1)
    powers = 10 ** np.arange(parts.shape[-1] - 1, -1, -1)
    return np.where((parts == ABSENT).any(axis=-1), ABSENT, (parts * powers).sum(axis=-1))


def one_hot(labels: NDArray[np.integer] | Sequence[Sequence[int]] | Sequence[int], digits: int) -> Array:
    """(.., 3) labels -> (.., Y) of 0 and 1."""
    found = to_digits(labels, digits)
    hot: Array = (found[..., None] == np.arange(10)).astype(np.float32)
    return hot.reshape(*found.shape[:-1], -1)


def decode(inputs: Array) -> NDArray[np.int64]:
    """(.., X) inputs -> (.., 3) labels, ABSENT where all channels of a label are 0."""
    hot = inputs[..., :-FLAGS].reshape(*inputs.shape[:-1], -1, 10)
    return to_labels(np.where(hot.any(axis=-1), hot.argmax(axis=-1), ABSENT))


def predicted_labels(outputs: Array) -> NDArray[np.int64]:
    """(.., Y) outputs -> (.., 3) labels: the likeliest digits."""
    return to_labels(outputs.reshape(*outputs.shape[:-1], -1, 10).argmax(axis=-1))


def channel_names(digits: int) -> tuple[str, ...]:
    """A name for each of the Y channels: "source 100s = 0", .."""
    powers = [f" {10**place}s" if digits > 1 else "" for place in range(digits - 1, -1, -1)]
    return tuple(f"{part}{power} = {value}" for part in PARTS for power in powers for value in range(10))
