"""Small specs, and random parameters, states and inputs for them. B batch, R read heads, N slots, W word."""

import dataclasses

import numpy as np

from numdnc import DNCSpec, LSTMSpec, NTMSpec, RNNSpec, map_leaves, zero_params, zero_state
from numdnc.model_options import MemoryOptions
from numdnc.parts import Interface
from numdnc.reference.memories import join_memories

SIZES = [(3, 2, 5, 4), (2, 1, 4, 3), (1, 4, 3, 2), (2, 4, 1, 3), (3, 2, 4, 1)]
"""B, R, N, W: all different and R never 3; with one head, a batch of one, one slot, one number per slot."""

CONTROLLERS = ("lstm", "rnn", "feedforward")

_COMMON = {"input_size": 7, "output_size": 8, "hidden_sizes": (9, 10)}
_MEMORY = _COMMON | {"memory_size": 4, "word_size": 6, "read_heads": 2}
MODELS = {
    **{f"dnc-{kind}": DNCSpec(**_MEMORY, controller=kind) for kind in CONTROLLERS},
    "lstm": LSTMSpec(**_COMMON),
    "rnn": RNNSpec(**_COMMON),
    "ntm-lstm": NTMSpec(**_MEMORY, write_heads=1),
    "ntm-feedforward": NTMSpec(
        **_MEMORY, controller="feedforward", write_heads=3, shift_range=2, learned_state=True
    ),
}
"""Every model by name: two layers, and no two sizes equal."""

_FLAGS = [field.name for field in dataclasses.fields(MemoryOptions) if isinstance(field.default, bool)]
FAMILY = {
    "masking": {"masking": True},
    "masking-floor": {"masking": True, "mask_floor": 0.1},
    "content-only": {"links": False},
    "bypass-dropout": {"bypass_dropout": 0.3},
    **{
        name.replace("_", "-"): {name: True} for name in _FLAGS if name not in ("masking", "links", "recency")
    },
    "sparsity": {"sparsity": 2},
    "recency": {"sparsity": 2, "recency": True},
    "write-heads": {"write_heads": 3},
    "instructions": {"instruction_slots": 3},  # ksluck/sl-dnhc
    "second-memory": {"second_memory": "own"},
    "second-memory-reads": {"second_memory": "reads"},  # MT-DNC 2025
}
"""The variations, each alone, as arguments of DNCSpec; a new flag is among them of itself."""

_M, _D, _S = (FAMILY[name] for name in ("masking", "deallocation", "sharpness"))
PUBLISHED = {
    "M+D": _M | _D,  # Csordas and Schmidhuber 2019
    "D+S": _D | _S,
    "M+D+S": _M | _D | _S,
    "ADNC": FAMILY["content-only"] | FAMILY["normalisation"] | FAMILY["bypass-dropout"],  # Franke et al. 2018
    "SAM": FAMILY["recency"] | FAMILY["content-only"],  # Rae et al. 2016
    "ADNC-2": {"write_heads": 2} | FAMILY["content-only"] | FAMILY["normalisation"],  # SiliconSloth/ADNC
}
PUBLISHED["MT-DNC"] = PUBLISHED["ADNC"] | FAMILY["second-memory-reads"]
PUBLISHED["BiADNC"] = PUBLISHED["ADNC"] | FAMILY["bidirectional"]
"""Mixes with published results."""

VARIATIONS = {name: DNCSpec(**_MEMORY, **flags) for name, flags in (FAMILY | PUBLISHED).items()}
"""A DNC for each of these."""


_MIXED = (
    "masking",
    "deallocation",
    "sharpness",
    "links",
    "normalisation",
    "learned_state",
    "recency",
    "bidirectional",
)


def random_spec(seed):
    """A DNC of any controller, any small sizes and any mix of variations, the same for the same seed."""
    rng = np.random.default_rng(seed)

    def flip():
        return bool(rng.random() < 0.5)

    masking, links = flip(), flip()
    instructions = [None, None, 1, 3, 6][np.random.default_rng([seed, 1]).integers(5)]
    outside = {"input_size": int(rng.integers(1, 5)), "output_size": int(rng.integers(2, 6))}
    hidden_sizes = tuple(map(int, rng.integers(2, 8, rng.integers(1, 4))))
    controller = str(rng.choice(CONTROLLERS))
    spec = DNCSpec(
        **outside,
        hidden_sizes=hidden_sizes,
        controller=controller,
        memory_size=int(rng.integers(1, 8)),
        word_size=int(rng.integers(1, 7)),
        read_heads=int(rng.integers(1, 5)),
        masking=masking,
        mask_floor=float(rng.choice([0, 0.2, 1])) if masking else 0,
        deallocation=flip(),
        sharpness=links and flip(),
        links=links,
        normalisation=flip(),
        bypass_dropout=float(rng.choice([0, 0.3, 0.6])),
        learned_state=flip(),
        **{name: flip() for name in _FLAGS if name not in _MIXED},
        bidirectional=controller == "lstm" and flip(),
        instruction_slots=instructions,
    )
    if spec.sharpness or spec.word_size == 1 or rng.random() < 0.6:  # words of one number are all alike
        # Several heads erase a word of one or two numbers to almost 0, where the cosine bends sharply.
        heads = int(rng.choice([1, 1, 2, 3]))
        heads = heads if spec.word_size > 2 else 1
        second = str(rng.choice(["none", "none", "own", "reads"])) if heads == 1 else "none"
        return dataclasses.replace(spec, write_heads=heads, second_memory=second)
    sparsity = int(rng.integers(1, spec.memory_size + 1))
    recency = flip()
    kept = spec.deallocation and not recency
    return dataclasses.replace(spec, sparsity=sparsity, recency=recency, deallocation=kept)


def weightings(rng, *shape):
    """Entries >= 0 whose sum over the last axis is less than 1."""
    return rng.dirichlet(np.ones(shape[-1] + 1), shape[:-1])[..., :-1]


def words(rng, *shape):
    """Numbers between 0.5 and 1.5 with random signs: far from 0, where the cosine bends sharply."""
    return rng.choice([-1, 1], shape) * rng.uniform(0.5, 1.5, shape)


def usages(rng, B, N):
    """Evenly spaced from exactly 0 to exactly 1 in random order: far from ties."""
    return rng.permuted(np.tile(np.linspace(0, 1, N), (B, 1)), axis=1)


def links(rng, *shape):
    """Link matrices (.., N, N): diagonal 0, rows and columns sum to less than 1."""
    N = shape[-1]
    return rng.random((*shape, N)) * (1 - np.eye(N)) / N


def some(rng, weights, count):
    """The same weights with all but `count` random ones of each row set to 0; None keeps all."""
    if count is None:
        return weights
    ranks = rng.permuted(np.broadcast_to(np.arange(weights.shape[-1]), weights.shape), axis=-1)
    return np.where(ranks < count, weights, 0)


def link_lists(rng, B, N, K):
    """Links as lists: at most K in each row and column, which sum to less than 1; none of a slot to itself."""
    slots, values = np.zeros((2, B, N, K))
    for b in range(B):
        ahead = rng.permutation(np.arange(1, N))[:K]  # slot i has links to i + each of these, round and round
        for i in range(N):
            linked = np.sort((i + ahead) % N)
            slots[b, i, : len(linked)], values[b, i, : len(linked)] = (
                linked,
                rng.uniform(0.1, 1, len(linked)) / N,
            )
    return slots, values


def ages(rng, B, N):
    """Whole numbers, all different."""
    return rng.permuted(np.tile(np.arange(float(N)), (B, 1)), axis=1)


def random_params(spec, rng, scale=0.5):
    """Parameters of which none is 0, biases included."""
    return map_leaves(lambda leaf: scale * rng.standard_normal(leaf.shape), zero_params(spec, np.float64))


def random_state(spec, rng, batch):
    """A state from the middle of a run: every part is in use."""
    if spec.memories > 1:
        one = dataclasses.replace(spec, second_memory="none")
        return join_memories(random_state(one, rng, batch), random_state(one, rng, batch))
    state = map_leaves(lambda leaf: rng.uniform(-1, 1, leaf.shape), zero_state(spec, batch, np.float64))
    if isinstance(spec, NTMSpec):
        N, R, V = spec.memory_size, spec.read_heads, spec.write_heads
        return state._replace(
            memory=words(rng, batch, N, spec.word_size),
            write_weights=weightings(rng, batch, V, N),
            read_weights=weightings(rng, batch, R, N),
        )
    if not isinstance(spec, DNCSpec):
        return state
    N, R, K = spec.memory_size, spec.read_heads, spec.sparsity
    heads = (spec.write_heads,) if spec.write_heads > 1 else ()
    parts = {
        "memory": words(rng, batch, N, spec.word_size),
        "write_weights": some(rng, weightings(rng, batch, *heads, N), K),
        "read_weights": some(rng, weightings(rng, batch, R, N), K),
    }
    parts |= {"age": ages(rng, batch, N)} if spec.recency else {"usage": usages(rng, batch, N)}
    if spec.links:
        parts["precedence"] = some(rng, weightings(rng, batch, *heads, N), K)
        if K is None:
            parts["link"] = links(rng, batch, *heads, N)
        else:
            parts["link_slots"], parts["link_values"] = link_lists(rng, batch, N, K)
    return state._replace(**parts)


def random_interface(spec, rng, B):
    """What a DNC with one memory may be told, after activation."""
    R, V, W = spec.read_heads, spec.write_heads, spec.word_size

    def heads(part):
        return part[:, 0] if V == 1 else part

    masks = {"write_mask": heads(rng.random((B, V, W))), "read_masks": rng.random((B, R, W))}
    sharpness = {f"{way}_sharpness": heads(1 + rng.random((B, V, R))) for way in ("forward", "backward")}
    return Interface(
        read_keys=words(rng, B, R, W),
        read_strengths=1 + rng.random((B, R)),
        write_key=heads(words(rng, B, V, W)),
        write_strength=heads(1 + rng.random((B, V))),
        erase=heads(rng.random((B, V, W))),
        write_vector=heads(rng.standard_normal((B, V, W))),
        free_gates=0.1 * rng.random((B, R)),  # usage stays far from ties
        allocation_gate=heads(rng.random((B, V))),
        write_gate=heads(rng.random((B, V))),
        read_modes=rng.dirichlet(np.ones(2 * V + 1), (B, R)) if spec.links else (),
        **(masks if spec.masking else {}),
        **(sharpness if spec.sharpness else {}),
    )


def random_inputs(spec, rng, T, batch, *, symbols=False):
    """Vectors, or symbols that stand for one-hot vectors."""
    if symbols:
        return rng.integers(spec.input_size, size=(T, batch))
    return rng.standard_normal((T, batch, spec.input_size))


def single(tree):
    """The same tree in float32; integers stay."""
    return map_leaves(lambda leaf: leaf.astype(np.float32) if leaf.dtype.kind == "f" else leaf, tree)
