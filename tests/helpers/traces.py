"""Traces for tests of plots and the inspector: of random models, and one made by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.examples import random_params
from numdnc import DNCSpec, NTMSpec
from numdnc.inspection.provenance import LEAST, NONE
from numdnc.inspection.trace import About, Trace, record
from numdnc.reinforcement import rollout
from numdnc.spec import SPECS, Spec
from numdnc.tasks import Batch
from numdnc.tasks.graphs import Traversal
from numdnc.tasks.shrdlu import Shrdlu
from numdnc.tasks.shrdlu.boards import PASS
from numdnc.tasks.shrdlu.words import pose

EVIL = "</script><script>numdncWasHere=1</script><img src=x onerror='numdncWasHere=1'><!--\u2028\u2029\"'&amp;\\\n"
"""What a text must not be able to do anything with."""


def about(spec: Spec, **fields: Any) -> About:
    names = {
        "input_channels": tuple(f"in {i}" for i in range(spec.input_size)),
        "output_channels": tuple(f"out {i}" for i in range(spec.output_size)),
    }
    described = {
        "task": "random",
        "settings": {"size": 1},
        "sequence": "first",
        "iteration": 5,
        "engine": "reference",
    }
    return About(**{**described, **names, **fields})


def bits_trace(
    kind: str = "dnc",
    *,
    steps: int = 12,
    N: int = 6,
    W: int = 4,
    R: int = 2,
    seed: int = 0,
    engine: str = "reference",
    **flags: Any,
) -> Trace:
    """Of a random model on random bits; with a memory the heads are made to read and write sharply."""
    sizes: dict[str, Any] = {"input_size": 3, "output_size": 4, "hidden_sizes": (16,)}
    if kind == "dnc":
        spec: Spec = DNCSpec(**sizes, memory_size=N, word_size=W, read_heads=R, **flags)
    elif kind == "ntm":
        spec = NTMSpec(**sizes, memory_size=N, word_size=W, read_heads=R, **flags)
    else:
        spec = SPECS[kind](**sizes)
    rng = np.random.default_rng(seed)
    params = random_params(spec, rng, 1.5)
    batch = Batch(
        rng.integers(2, size=(steps, 1, 3)).astype(np.float32),
        rng.integers(2, size=(steps, 1, 4)).astype(np.float32),
        mask=rng.random((steps, 1)) < 0.7,
    )
    trace = record(spec, params, batch, about(spec, engine=engine))
    return sharpened(trace) if spec.has_memory else trace


def sharpened(trace: Trace) -> Trace:
    """The same with weightings that are nearly of one slot, so that there is something to follow."""

    def sharp(weights: NDArray[Any]) -> NDArray[Any]:
        powers = (weights / np.maximum(weights.max(-1, keepdims=True), 1e-30)) ** np.float32(12)
        return powers / np.maximum(powers.sum(-1, keepdims=True), 1)

    arrays = {**trace.arrays}
    arrays["read_weights"] = sharp(arrays["read_weights"])
    arrays["write_weights"] = sharp(arrays["write_weights"])
    if "write_gate" in arrays:
        arrays["write_weights"] = arrays["write_weights"] * arrays["write_gate"][..., None]
    return trace._replace(arrays=arrays)


def class_trace(*, symbols: bool) -> Trace:
    """Of a random DNC that names classes, from symbols or vectors, one of which counts and goes beyond 1."""
    spec = DNCSpec(input_size=3, output_size=5, hidden_sizes=(8,), memory_size=4, word_size=3, read_heads=2)
    rng = np.random.default_rng(2)
    inputs = rng.integers(3, size=(10, 1)) if symbols else 4 * rng.random((10, 1, 3)).astype(np.float32) - 1
    batch = Batch(inputs, rng.integers(5, size=(10, 1)), mask=rng.random((10, 1)) < 0.8)
    return record(spec, random_params(spec, rng, 1.0), batch, about(spec))


def group_trace() -> Trace:
    """Of a random DNC that names two classes a step, each of three."""
    spec = DNCSpec(input_size=3, output_size=6, hidden_sizes=(8,), memory_size=4, word_size=3, read_heads=2)
    rng = np.random.default_rng(2)
    inputs = rng.random((10, 1, 3)).astype(np.float32)
    batch = Batch(inputs, rng.integers(3, size=(10, 1, 2)), mask=rng.random((10, 1)) < 0.8)
    names = tuple(f"{part} = {number}" for part in ("one", "other") for number in range(3))
    return record(spec, random_params(spec, rng, 1.0), batch, about(spec, output_channels=names))


def graph_trace(**settings: Any) -> Trace:
    """Of a random DNC that is to walk through a graph; its outputs are made right but for the last destination."""
    task = Traversal(**{"lesson": 3, "digits": 2, "min_path": 3, "max_path": 3, **settings})
    spec = DNCSpec(
        input_size=task.input_size,
        output_size=task.output_size,
        hidden_sizes=(8,),
        memory_size=8,
        word_size=4,
        read_heads=2,
    )
    rng = np.random.default_rng(4)
    batch = task.draw(rng, 1)
    described = about(
        spec,
        task="traversal",
        input_channels=task.input_channels,
        output_channels=task.output_channels,
        digits=task.digits,
    )
    trace = sharpened(record(spec, random_params(spec, rng, 1.0), batch, described))
    outputs = trace.arrays["outputs"].reshape(trace.steps, -1, 10)
    hot = 20 * np.eye(10, dtype=np.float32)[trace.arrays["targets"]]
    hot[-1, -1] = np.roll(hot[-1, -1], 1)
    answered = trace.arrays["mask"].astype(bool)[:, None, None]
    return with_arrays(trace, outputs=np.where(answered, hot, outputs).reshape(trace.steps, -1))


def board_trace() -> Trace:
    """Of a random DNC that plays mini-SHRDLU as it is told to."""
    shrdlu = Shrdlu(spare_moves=1)
    game = shrdlu.begin([pose("board 12/3/; a: 1 on 2; b: 2 right of 3; b: 1 left of 3; go b")])
    actions = iter([PASS] * 4 + [1] + [PASS] * 9)
    sizes, spec = (
        shrdlu.action_sizes,
        DNCSpec(input_size=97, output_size=7, hidden_sizes=(8,), memory_size=8, word_size=4, read_heads=2),
    )

    def step(inputs: Any, state: Any) -> Any:
        return np.zeros((*inputs.shape[:2], 7), np.float32), None

    done = rollout(step, game, sizes, lambda logits, allowed: np.array([[next(actions)]]))
    described = about(
        spec,
        task="shrdlu",
        input_channels=shrdlu.input_channels,
        output_channels=shrdlu.output_channels,
    )
    batch = Batch(done.inputs.astype(np.float32), done.episode.actions[..., 0])
    return sharpened(record(spec, random_params(spec, np.random.default_rng(4), 1.0), batch, described))


def text_trace(text: str = "the cat " + EVIL) -> Trace:
    """Of a random DNC on a text."""
    symbols = "".join(sorted(set(text)))
    spec = DNCSpec(
        input_size=len(symbols),
        output_size=len(symbols),
        hidden_sizes=(8,),
        memory_size=5,
        word_size=3,
        read_heads=1,
    )
    numbers = np.array([symbols.index(character) for character in text])[:, None]
    described = about(
        spec,
        task=f"text {EVIL}",
        symbols=symbols,
        settings={"corpus": EVIL},
        input_channels=tuple(symbols),
        output_channels=tuple(symbols),
    )
    params = random_params(spec, np.random.default_rng(1), 1.0)
    return record(spec, params, Batch(numbers[:-1], numbers[1:]), described)


def with_arrays(trace: Trace, **arrays: NDArray[Any]) -> Trace:
    """The trace with some of its arrays replaced."""
    return trace._replace(arrays={**trace.arrays, **arrays})


def named(trace: Trace, **fields: Any) -> Trace:
    """The trace with other things said about it."""
    return trace._replace(about=replace(trace.about, **fields))


def plain_origin(
    arrays: dict[str, NDArray[Any]], step: int, head: int, deallocation: bool
) -> tuple[int, int]:
    """The definition once more, slot by slot."""
    weights = arrays["read_weights"][step, head].tolist()
    slot = weights.index(max(weights))
    if weights[slot] < LEAST:
        return NONE, NONE
    left = []
    for write in range(step + 1):
        share = float(arrays["write_weights"][write, slot])
        for later in range(write + 1, step + 1):
            erased = sum(map(float, arrays["erase"][later])) / len(arrays["erase"][later])
            share *= 1 - float(arrays["write_weights"][later, slot]) * erased
            share *= float(arrays["retention"][later, slot]) if deallocation else 1
        left.append(share)
    if max(left) < LEAST:
        return slot, NONE
    return slot, max(write for write, share in enumerate(left) if share >= max(left) / 2)
