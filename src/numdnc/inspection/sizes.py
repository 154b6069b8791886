"""Sizes of a model: parameters, interface, state of a sequence, memory that training keeps for a step."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from numdnc.engines import Engine
from numdnc.engines.cpu.layouts import Arrays
from numdnc.init import draw_bypass_mask
from numdnc.params import zero_params, zero_state
from numdnc.spec import Spec
from numdnc.tree import leaves, named_leaves

MEASURED_STEPS = 24
"""Steps of the longest sequence that is run for the measurement."""


class Sizes(NamedTuple):
    """Sizes of one model on one engine in one dtype."""

    parameters: dict[str, tuple[int, ...]]
    """Shape of each array of parameters."""
    parameter_count: int
    interface: Mapping[str, int]
    """Width of each part of the interface vector, in order; empty without a memory."""
    state_bytes: dict[str, int]
    """Bytes of each array of one sequence's state."""
    step_bytes: int
    """Bytes of the tape for one step of one sequence, on average, since an engine may keep more of some steps."""


def sizes(spec: Spec, engine: Engine, dtype: DTypeLike) -> Sizes:
    """Sizes from the shapes of the arrays; the bytes of a step are measured on a short and a longer sequence."""
    params = zero_params(spec, dtype)
    return Sizes(
        parameters={name: leaf.shape for name, leaf in named_leaves(params)},
        parameter_count=sum(leaf.size for leaf in leaves(params)),
        interface=spec.interface_sizes,
        state_bytes={name: leaf.nbytes for name, leaf in named_leaves(zero_state(spec, 1, dtype))},
        step_bytes=_mean_step_bytes(spec, engine, params),
    )


def _mean_step_bytes(spec: Spec, engine: Engine, params: Any) -> int:
    few = MEASURED_STEPS // 3
    more = _tape_bytes(spec, engine, params, MEASURED_STEPS) - _tape_bytes(spec, engine, params, few)
    return more // (MEASURED_STEPS - few)


def _tape_bytes(spec: Spec, engine: Engine, params: Any, steps: int) -> int:
    """Bytes of all arrays in the tape of a sequence of zeros, each counted once."""
    dtype = params.output.bias.dtype
    inputs, state = np.zeros((steps, 1, spec.input_size), dtype), zero_state(spec, 1, dtype)
    mask = draw_bypass_mask(spec, steps, 1, np.random.default_rng(0), dtype)
    _, _, tape = engine.forward(spec, params, inputs, state, keep_tape=True, bypass_mask=mask)
    owners = {id(owner): owner.nbytes for owner in map(_owner, _arrays(tape))}
    return sum(owners.values())


def _arrays(tape: Any) -> Iterator[Any]:
    if isinstance(tape, np.ndarray):
        yield tape
    elif isinstance(tape, tuple | list | dict):
        for part in tape.values() if isinstance(tape, dict) else tape:
            yield from _arrays(part)
    elif isinstance(tape, Arrays):
        yield from _arrays(vars(tape))
    elif not isinstance(tape, int | float | type | np.dtype | Spec | None):
        raise TypeError(
            f"a tape is made of arrays, numbers, types, tuples, lists and dicts, got a {type(tape).__name__}"
        )


def _owner(array: Any) -> Any:
    """The array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
