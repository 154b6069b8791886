"""Let a model write molecules, several side by side.

Axes: B molecules, A those that have not ended, Y tokens.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.reference.activations import softmax
from numdnc.tasks import Forward
from numdnc.tasks.molecules.likelihood import log_probabilities
from numdnc.tasks.molecules.smiles import END
from numdnc.tree import map_leaves


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
    nll, going = np.zeros(count), np.arange(count)
    read = np.concatenate([np.full((1, count), END, begin.dtype), written[: len(begin)]])
    outputs, state = forward(read, None)
    for step in range(len(begin), max_tokens + 1):
        logits = outputs[-1].astype(np.float64)
        chosen = _draw_tokens(logits, temperature, rng)
        nll[going] -= log_probabilities(logits, chosen)
        written[step, going] = chosen
        on = chosen != END
        going = going[on]
        if not len(going) or step == max_tokens:
            break
        if not on.all():
            state = map_leaves(lambda array, on=on: np.ascontiguousarray(array[on]), state)
        outputs, state = forward(written[step, going][None], state)
    ended = np.ones(count, bool)
    ended[going] = False
    lengths = np.where(ended, (written == END).argmax(axis=0), max_tokens)
    return Samples([written[:length, row] for row, length in enumerate(lengths)], ended, nll)


def _draw_tokens(
    logits: NDArray[np.float64], temperature: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    """A token for each row of logits (A, Y)."""
    chosen: NDArray[np.intp]
    if temperature == 0:
        chosen = logits.argmax(axis=-1)
        return chosen
    with np.errstate(over="ignore"):  # the likeliest is at 0; -inf is never drawn
        cumulated = softmax((logits - logits.max(axis=-1, keepdims=True)) / temperature).cumsum(axis=-1)
    drawn = rng.random((len(logits), 1)) * cumulated[:, -1:]
    chosen = (drawn < cumulated).argmax(axis=-1)
    return chosen
