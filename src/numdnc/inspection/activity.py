"""Internal values of a model over a few sequences, from which health figures and the diagnosis are computed.

Axes: T steps, B batch, N slots, S steps of all sequences together, without padding.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines import Engine
from numdnc.inspection.internals import run_steps, step_internals
from numdnc.inspection.sparsity import weight_sums
from numdnc.params import Array, cast_inputs
from numdnc.spec import Spec
from numdnc.tasks import Batch
from numdnc.tasks.sequences import loss_mask, sequence_lengths

SATURATED = 0.99
"""A hidden value of larger magnitude hardly passes any gradient."""
IN_USE = 0.5
"""A slot counts as in use if its usage is above this."""

_LARGE = (
    *("memory", "link", "link_slots", "link_values", "forward", "backward", "retention"),
    *("read_content", "write_content", "allocation"),
)
"""Not kept, since they are large or not needed."""


class Activity(NamedTuple):
    """Values of each step, named as in inspection/internals.py, with "outputs" and "memory_peak"."""

    real: NDArray[np.bool_]
    """(T, B): True up to the end of each sequence, False in its padding."""
    values: dict[str, Array]
    """Name -> (T, B, ..)."""

    def of(self, name: str) -> Array:
        """Values of one name without those of padding, (S, ..)."""
        values: Array = self.values[name][self.real]
        return values


def observe(spec: Spec, params: Any, engine: Engine, batch: Batch) -> Activity:
    """Run an engine over a batch step by step, from the initial state, and record the internal values.

    "memory_peak" (T, B) is the largest magnitude in the memory; of a sparse model there are also the sums of
    inspection/sparsity.py.
    """
    inputs = cast_inputs(batch.inputs, params)
    steps: list[dict[str, Array]] = []
    for t, step in enumerate(run_steps(spec, params, engine, inputs, sequence_lengths(batch))):
        found = {"outputs": step.outputs, **step_internals(spec, params, inputs[t], step)}
        if "memory" in found:
            found["memory_peak"] = np.abs(found["memory"]).max(axis=(1, 2))
        if spec.has_memory and spec.sparsity is not None:
            found |= weight_sums(spec, found, step.before)
        steps.append({name: part for name, part in found.items() if name not in _LARGE})
    return Activity(_real(batch), {name: np.array([step[name] for step in steps]) for name in steps[0]})


def concentration(weights: Array) -> float:
    """Share of the weight that lies on the largest slot of its step, in [1/N, 1]; 0 if all weights are 0.

    sum_t max_n w_t[n] / sum_t sum_n w_t[n]          weights (.., N)
    """
    return float(weights.max(axis=-1).sum() / max(weights.sum(), np.finfo(weights.dtype).tiny))


def in_use(usage: Array) -> Array:
    """Share of slots in use, in [0, 1]; usage (.., N), result (..)."""
    share: Array = (usage > IN_USE).mean(axis=-1)
    return share


def accessed(activity: Activity) -> Array:
    """Share of the slots that were accessed up to each step, (T, B) in [0, 1], of a model with `recency`.

    A slot that never was has, at step t, the age t + 1.
    """
    age = activity.values["age"]
    share: Array = (age <= np.arange(len(age))[:, None, None]).mean(axis=2)
    return share


def saturated(hidden: Array) -> float:
    """Share of saturated hidden values, which hardly pass any gradient, in [0, 1]."""
    return float((np.abs(hidden) > SATURATED).mean())


def _real(batch: Batch) -> NDArray[np.bool_]:
    """True up to the last step of each sequence at which the loss counts, (T, B)."""
    return np.logical_or.accumulate(loss_mask(batch)[::-1], axis=0)[::-1]
