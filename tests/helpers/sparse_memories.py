"""Sparse memories of the engine `cpu` beside the definition, of other sizes and contents than in the contract."""

from typing import Any

import numpy as np

from numdnc import DNCSpec, init_params, map_leaves
from numdnc.engines import get_engine
from numdnc.engines.cpu.engine import CPUEngine
from numdnc.engines.cpu.kernels.sparse.types import LANES
from numdnc.inspection.ablation import OFF as OFF
from numdnc.inspection.ablation import interface_columns
from numdnc.tree import named_leaves

SIZES: dict[str, Any] = {
    "input_size": 3,
    "output_size": 4,
    "hidden_sizes": (6,),
    "word_size": 5,
    "read_heads": 2,
}
MANY_SLOTS = 2 * LANES + 22
"""Three blocks, of which the last is not full."""
TOLERANCE = 1e-12
"""The largest error measured is 8e-15."""


def spec_of(slots: int, sparsity: int, **flags: Any) -> DNCSpec:
    return DNCSpec(**SIZES, memory_size=slots, sparsity=sparsity, **flags)


def worst_error(
    spec: DNCSpec, state: Any, steps: int = 6, threads: int = 1, seed: int = 0, **held: float
) -> float:
    """The largest difference from the definition of any output, part of the state or gradient.

    `held` are raw values that parts of the interface are held at.
    """
    rng, batch = np.random.default_rng(seed), len(state.memory)
    params = map_leaves(
        lambda leaf: leaf + 0.3 * rng.standard_normal(leaf.shape), init_params(spec, 0, np.float64)
    )
    for name, value in held.items():
        columns = interface_columns(spec)[name]
        params.interface.weights[:, columns], params.interface.bias[columns] = 0, value
    inputs = rng.standard_normal((steps, batch, spec.input_size))
    d_outputs = rng.standard_normal((steps, batch, spec.output_size))
    d_state = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), state)
    found = []
    for engine in (get_engine("reference"), CPUEngine(threads=threads)):
        outputs, final, tape = engine.forward(spec, params, inputs, state, keep_tape=True)
        gradients = engine.backward(spec, params, tape, d_outputs, d_state)
        found.append((outputs, final, *gradients))
    wanted, got = map(named_leaves, found)
    return max(
        float(np.abs(a - b).max(initial=0)) / max(1.0, float(np.abs(a).max(initial=0)))
        for (_, a), (_, b) in zip(wanted, got, strict=True)
    )


def with_equal_words(state: Any) -> Any:
    """The state with words each of which stands in every block."""
    B, N, W = state.memory.shape
    words = np.random.default_rng(0).standard_normal((LANES, W))
    return state._replace(memory=np.tile(words, (B, N // LANES, 1)))
