"""Internal values of a model over a few sequences, from which health figures and the diagnosis are computed.

Axes: T steps, B batch, R read heads, V write heads, N slots, S steps of all sequences together, without padding.
Nothing of (T, B, N) is kept, since a memory may be large.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines import Engine
from numdnc.inspection.internals import Step, run_steps, step_activations, step_weightings
from numdnc.inspection.sparsity import weight_sums
from numdnc.params import Array, cast_inputs
from numdnc.spec import DNCSpec, MemorySpec, Spec
from numdnc.tasks import Batch
from numdnc.tasks.sequences import loss_mask, sequence_lengths
from numdnc.tree import named_leaves

SATURATED = 0.99
"""A hidden value of larger magnitude hardly passes any gradient."""
_OF_EACH_MEMORY = {f"{kind}_{figure}" for kind in ("write", "read") for figure in ("largest", "total")}
_OF_EACH_MEMORY |= {"memory_peak", "usage", "in_use"}
IN_USE = 0.5
"""A slot counts as in use if its usage is above this."""


class Activity(NamedTuple):
    """Values of each step: "outputs", the activations of inspection/internals.py, and figures of the memory."""

    real: NDArray[np.bool_]
    """(T, B): True up to the end of each sequence, False in its padding."""
    values: dict[str, Array]
    """Name -> (T, B, ..)."""

    def of(self, name: str) -> Array:
        """Values of one name without those of padding, (S, ..)."""
        values: Array = self.values[name][self.real]
        return values

    def of_memory(self, spec: MemorySpec, e: int) -> "Activity":
        """Those of memory e of a model of this spec, as if it had it alone; of a model with one, all."""
        if not isinstance(spec, DNCSpec) or spec.memories == 1:
            return self
        parts = spec.interface_parts.items()
        own = {
            name for name, part in parts if part.axes_in(spec.axis_sizes)[0] in ("E", "P")
        } | _OF_EACH_MEMORY
        values = {name: array[:, :, e] if name in own else array for name, array in self.values.items()}
        return self._replace(values=values)


def observe(spec: Spec, params: Any, engine: Engine, batch: Batch, *, cut: bool = False) -> Activity:
    """Run an engine over a batch step by step, from the initial state, and record activations and figures.

    The figures of a memory: "memory_peak" (T, B), the largest magnitude in it; "write_largest" and "write_total",
    the largest weight of a write and the sum of all, (T, B), of an NTM (T, B, V); "read_largest" and "read_total"
    (T, B, R). Of a DNC also, (T, B), in [0, 1]: "usage", the mean over the slots, and "in_use", the share of slots
    that are; with `recency` instead "accessed", the share of slots accessed so far. Of two memories all these have the
    axis E after B. With `cut`, of a sparse model, also the sums of inspection/sparsity.py.
    """
    inputs = cast_inputs(batch.inputs, params)
    steps: list[dict[str, Array]] = []
    for t, step in enumerate(run_steps(spec, params, engine, inputs, sequence_lengths(batch))):
        found = {"outputs": step.outputs, **step_activations(spec, params, inputs[t], step)}
        if spec.has_memory:
            if cut and spec.sparsity is not None:
                internals = found | step_weightings(spec, found, step) | dict(named_leaves(step.after))
                found |= weight_sums(spec, internals, step.before)
            found |= _figures(spec, step, t)
        steps.append(found)
    return Activity(_real(batch), {name: np.array([step[name] for step in steps]) for name in steps[0]})


def _figures(spec: MemorySpec, step: Step, t: int) -> dict[str, Array]:
    after = step.after
    axes = (-2, -1)
    figures = {"memory_peak": np.maximum(after.memory.max(axes), -after.memory.min(axes))}
    for kind in ("write", "read"):
        weights = getattr(after, f"{kind}_weights")
        figures |= {f"{kind}_largest": weights.max(-1), f"{kind}_total": weights.sum(-1)}
    if spec.recency:
        figures["accessed"] = (after.age <= t).mean(-1)  # a slot that never was has the age t + 1
    elif spec.usage_writing:
        figures |= {"usage": after.usage.mean(-1), "in_use": (after.usage > IN_USE).mean(-1)}
    return figures


def concentration(largest: Array, total: Array) -> float:
    """Share of the weight that lies on the largest slot of its step, in [1/N, 1]; 0 if all weights are 0.

    sum_t max_n w_t[n] / sum_t sum_n w_t[n]          largest and total: max_n w_t[n] and sum_n w_t[n]
    """
    return float(largest.sum() / max(total.sum(), np.finfo(total.dtype).tiny))


def saturated(hidden: Array) -> float:
    """Share of saturated hidden values, which hardly pass any gradient, in [0, 1]."""
    return float((np.abs(hidden) > SATURATED).mean())


def _real(batch: Batch) -> NDArray[np.bool_]:
    """True up to the last step of each sequence at which the loss counts, (T, B)."""
    return np.logical_or.accumulate(loss_mask(batch)[::-1], axis=0)[::-1]
