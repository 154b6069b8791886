"""Let a model write molecules, several side by side.

Axes: B molecules, Y tokens.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.reference.activations import softmax
from numdnc.tasks import Forward
from numdnc.tasks.molecules.likelihood import log_probabilities
from numdnc.tasks.molecules.smiles import END


class Samples(NamedTuple):
    """Molecules that a model has written."""

    tokens: list[NDArray[np.integer]]
    """Numbers of the tokens of each, without END."""
    ended: NDArray[np.bool_]
    """Whether it ended by itself, (B,)."""
    nll: NDArray[np.float64]
    """-log p of the tokens that the model wrote, END included, at temperature 1, (B,)."""


def draw(
    forward: Forward,
    *,
    count: int,
    begin: NDArray[np.integer],
    max_tokens: int,
    temperature: float,
    rng: np.random.Generator,
) -> Samples:
    """Draw `count` molecules that begin with the tokens `begin`, at most `max_tokens` long.

    Each token is drawn from softmax(y / temperature), or is the likeliest if the temperature is 0, and is the model's
    next input.
    """
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise UserError(f"temperature must be a number of at least 0, got {temperature}.")
    if len(begin) > max_tokens:
        raise UserError(
            f"the beginning must have at most {max_tokens} tokens, as many as a molecule, got {len(begin)}. Shorten it."
        )
    written = np.full((max_tokens + 1, count), END, begin.dtype)
    written[: len(begin)] = begin[:, None]
    nll, going = np.zeros(count), np.ones(count, bool)
    read = np.concatenate([np.full((1, count), END, begin.dtype), written[: len(begin)]])
    outputs, state = forward(read, None)
    for step in range(len(begin), max_tokens + 1):
        chosen = np.where(going, _draw_tokens(outputs[-1], temperature, rng), END)
        nll -= np.where(going, log_probabilities(outputs[-1], chosen)[0], 0)
        written[step] = chosen
        going = chosen != END
        if not going.any() or step == max_tokens:
            break
        outputs, state = forward(written[step : step + 1], state)
    lengths = np.where(going, max_tokens, (written == END).argmax(axis=0))
    return Samples([written[:length, row] for row, length in enumerate(lengths)], ~going, nll)


def _draw_tokens(outputs: Array, temperature: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """A token for each molecule, from outputs (B, Y)."""
    logits = outputs.astype(np.float64)
    chosen: NDArray[np.intp]
    if temperature == 0:
        chosen = logits.argmax(axis=-1)
        return chosen
    with np.errstate(over="ignore"):  # the likeliest is at 0; -inf is never drawn
        cumulated = softmax((logits - logits.max(axis=-1, keepdims=True)) / temperature).cumsum(axis=-1)
    drawn = rng.random((len(logits), 1)) * cumulated[:, -1:]
    chosen = (drawn < cumulated).argmax(axis=-1)
    return chosen
