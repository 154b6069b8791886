"""Small random things that a model could hold, for tests. Axes: T steps, B batch, R read heads, N slots, W word."""

import numpy as np

from numdnc import DNCSpec, LSTMSpec, RNNSpec, map_leaves, zero_params, zero_state

SIZES = [(3, 2, 5, 4), (2, 1, 4, 3), (1, 4, 3, 2), (2, 4, 1, 3), (3, 2, 4, 1)]
"""B, R, N, W: all different and R never 3; with one head, a batch of one, one slot, one number per slot."""

CONTROLLERS = ("lstm", "rnn", "feedforward")

_COMMON = {"input_size": 7, "output_size": 8, "hidden_sizes": (9, 10)}
MODELS = {
    **{
        f"dnc-{kind}": DNCSpec(**_COMMON, controller=kind, memory_size=4, word_size=6, read_heads=2)
        for kind in CONTROLLERS
    },
    "lstm": LSTMSpec(**_COMMON),
    "rnn": RNNSpec(**_COMMON),
}
"""Every model by name: two layers, and no two sizes equal."""


def weightings(rng, *shape):
    """Entries >= 0 whose sum over the last axis is less than 1."""
    return rng.dirichlet(np.ones(shape[-1] + 1), shape[:-1])[..., :-1]


def words(rng, *shape):
    """Numbers between 0.5 and 1.5 with random signs: far from 0, where the cosine bends sharply."""
    return rng.choice([-1, 1], shape) * rng.uniform(0.5, 1.5, shape)


def usages(rng, B, N):
    """Evenly spaced from exactly 0 to exactly 1 in random order: far from ties."""
    return rng.permuted(np.tile(np.linspace(0, 1, N), (B, 1)), axis=1)


def links(rng, B, N):
    """Diagonal 0, rows and columns sum to less than 1."""
    return rng.random((B, N, N)) * (1 - np.eye(N)) / N


def random_params(spec, rng, scale=0.5):
    """Parameters of which none is 0, biases included."""
    return map_leaves(lambda leaf: scale * rng.standard_normal(leaf.shape), zero_params(spec, np.float64))


def random_state(spec, rng, batch):
    """A state from the middle of a run: every part is in use."""
    state = map_leaves(lambda leaf: rng.uniform(-1, 1, leaf.shape), zero_state(spec, batch, np.float64))
    if not isinstance(spec, DNCSpec):
        return state
    N, R = spec.memory_size, spec.read_heads
    return state._replace(
        memory=words(rng, batch, N, spec.word_size),
        usage=usages(rng, batch, N),
        precedence=weightings(rng, batch, N),
        link=links(rng, batch, N),
        write_weights=weightings(rng, batch, N),
        read_weights=weightings(rng, batch, R, N),
    )


def random_inputs(spec, rng, T, batch, *, symbols=False):
    """Vectors, or symbols that stand for one-hot vectors."""
    if symbols:
        return rng.integers(spec.input_size, size=(T, batch))
    return rng.standard_normal((T, batch, spec.input_size))


def single(tree):
    """The same tree in float32; integers stay."""
    return map_leaves(lambda leaf: leaf.astype(np.float32) if leaf.dtype.kind == "f" else leaf, tree)
