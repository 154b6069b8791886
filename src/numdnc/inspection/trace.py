"""Traces: inputs, outputs and internal values of a model at every step of one sequence.

Axes: T steps, E memories, R read heads, V write heads, N slots, W word, H hidden units of all layers, X input,
Y output, K links kept of a row, S slots kept of a large sparse memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines import Engine, get_engine
from numdnc.errors import UserError
from numdnc.inspection.internals import recorded_parts, run_steps, step_internals, strongest_links
from numdnc.inspection.touched import MANY_SLOTS, at_slots, touched_slots
from numdnc.params import cast_inputs
from numdnc.schema import Count, Size
from numdnc.spec import DNCSpec, Spec
from numdnc.tasks import Batch
from numdnc.tasks.sequences import loss_mask
from numdnc.tasks.targets import are_classes, errors, probabilities

MOST_LINKS = 2_000_000
"""Part of the schema: with more than this many link numbers, T E V N N, only the strongest of each row are kept, ..."""
STRONGEST = 4
"""... K of them."""
LARGEST = 1 << 30
"""Most bytes of floats in a trace."""


@dataclass(frozen=True, kw_only=True)
class About:
    """Description of a trace: its task, its sequence and its model."""

    task: str
    """Name of the task."""
    settings: dict[str, Any]
    """Settings of the task, as JSON."""
    sequence: str
    """Which sequence of the task it is, in words."""
    iteration: Count
    """Number of updates that the model was trained for."""
    engine: str
    """Name of the engine that computed it."""
    input_channels: tuple[str, ...]
    """Names of the X inputs, ..."""
    output_channels: tuple[str, ...]
    """... and of the Y outputs."""
    symbols: str | None = None
    """For a text, its vocabulary: character n is symbol n."""
    digits: Size | None = None
    """For a graph task, decimal digits of a label; inputs and outputs are triples as in tasks/graphs/encoding.py."""


class Trace(NamedTuple):
    """One sequence through one model; `array_shapes` lists the `arrays`, docs/notation.md explains them."""

    spec: Spec
    about: About
    arrays: dict[str, NDArray[Any]]
    slots: NDArray[np.int32] | None = None
    """The slots kept of a large sparse memory (S,), in 0..N-1, rising; None: all N. The arrays have S for N, and
    `link_slots` refers to positions in this list."""

    @property
    def steps(self) -> int:
        """T, at least 1."""
        return len(self.arrays["outputs"])

    @property
    def unit(self) -> str:
        """What the targets are: bits, classes (one or several a step), or the characters of a text."""
        if self.about.symbols is not None:
            return "characters"
        return "classes" if are_classes(self.arrays["targets"]) else "bits"

    @property
    def groups(self) -> int:
        """Number of classes of a step; 1 if targets are bits."""
        targets = self.arrays["targets"]
        return targets.shape[1] if are_classes(targets) and targets.ndim == 2 else 1

    @property
    def errors(self) -> tuple[int, int]:
        """Number of wrong predictions, and of all predictions."""
        counts = self.arrays["mask"].astype(bool)
        wrong = errors(self.arrays["outputs"][counts], self.arrays["targets"][counts])
        return int(wrong.sum()), wrong.size

    @property
    def note(self) -> str:
        """What was left out to keep the trace small; empty if nothing."""
        N = self.spec.memory_size
        if self.slots is not None:
            return f"slots: only the {len(self.slots):,} of {N:,} that the sequence touches are kept"
        if "link_slots" not in self.arrays or self.spec.sparsity is not None:
            return ""
        K = self.arrays["link_slots"].shape[-1]
        return f"links: only the strongest {K} of the {N} of each slot are kept"


def array_shapes(spec: Spec, steps: int, slots: int | None = None) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the float arrays in a trace of this model, apart from `inputs` and `targets`.

    `inputs` and `targets` are floats (T, X) and (T, Y), or integers (T,) if they are symbols or classes; targets of
    several classes a step are integers (T, G). `mask` (T,) is 1 where the loss counts. With more than MOST_LINKS link
    numbers, `link` is replaced by `link_slots` (T, [E,] [V,] N, K), integers, the slots of the strongest links of each
    row, strongest first, and `link_values`, the values of these links. A sparse model has these lists anyway, as in its
    state; if only some of its slots are kept, `slots` is their number S, which takes the place of N.
    """
    shapes: dict[str, tuple[int, ...]] = {
        "outputs": (spec.output_size,),
        "probabilities": (spec.output_size,),
        "hidden": (spec.hidden_total,),
    }
    if spec.controller == "lstm":
        shapes |= {"cell": (sum(spec.hidden_sizes),)}
    sizes = spec.axis_sizes if spec.has_memory else {}
    if slots is not None:
        sizes = sizes | {"N": slots}
    shapes |= {name: part.shape(sizes) for name, part in recorded_parts(spec).items()}
    shapes.pop("link_slots", None)
    if truncates_links(spec, steps):
        *rows, N = shapes.pop("link")
        shapes["link_values"] = (*rows, min(STRONGEST, N))
    return {name: (steps, *shape) for name, shape in shapes.items()}


def truncates_links(spec: Spec, steps: int) -> bool:
    """Whether the links of this many steps are too many to be kept completely."""
    if not spec.has_memory or not spec.dense_links:
        return False
    return steps * spec.memories * spec.write_heads * spec.memory_size**2 > MOST_LINKS


def memory_traces(trace: Trace) -> tuple[Trace, ...]:
    """A trace of each memory, as if the model had it alone; of a model with one or none, the trace itself.

    The write vectors of a second memory that is written what was `reads` from the first are in its trace.
    """
    spec = trace.spec
    if not isinstance(spec, DNCSpec) or spec.memories == 1:
        return (trace,)
    alone = replace(spec, second_memory="none")
    shared = {
        name
        for name, part in recorded_parts(spec).items()
        if part.axes_in(spec.axis_sizes)[0] not in ("E", "P")
    }
    own = (recorded_parts(spec).keys() | {"link_slots", "link_values"}) - shared
    first, second = (
        {name: array[:, e] if name in own else array for name, array in trace.arrays.items()}
        for e in range(2)
    )
    if "write_vector" in shared:
        second["write_vector"] = first["reads"].prod(1)
    return trace._replace(spec=alone, arrays=first), trace._replace(spec=alone, arrays=second)


def record(spec: Spec, params: Any, batch: Batch, about: About) -> Trace:
    """Run the only sequence of `batch` through a model step by step, from the initial state, and record all values.

    States and outputs are those of the engine that `about` names (of the definition, if the model is bidirectional);
    internal values are computed from them by the definition. Everything is stored in float32. For a sparse model of
    more than MANY_SLOTS slots the sequence is run twice: first to find the slots that it touches.
    """
    engine = get_engine(about.engine)
    inputs = cast_inputs(batch.inputs, params)
    steps = len(inputs)
    slots = None
    if spec.sparsity is not None and spec.memory_size > MANY_SLOTS:
        slots = touched_slots(spec, _internals(spec, params, engine, inputs))
    shapes = array_shapes(spec, steps, None if slots is None else len(slots))
    _check_size(steps, sum(map(prod, shapes.values())))
    arrays: dict[str, NDArray[Any]] = {
        "inputs": _small(batch.inputs[:, 0]),
        "targets": _small(batch.targets[:, 0]),
        "mask": loss_mask(batch)[:, 0].astype(np.uint8),
        **{name: np.empty(shape, np.float32) for name, shape in shapes.items()},
    }
    thinned = truncates_links(spec, steps)
    if "link_values" in shapes:
        arrays["link_slots"] = np.empty(arrays["link_values"].shape, np.int32)
    for t, found in enumerate(_internals(spec, params, engine, inputs)):
        found["probabilities"] = probabilities(found["outputs"], batch.targets[t])
        if thinned:
            found["link_slots"], found["link_values"] = strongest_links(found.pop("link"), STRONGEST)
        kept = found if slots is None else at_slots(spec, found, slots)
        for name, value in kept.items():
            arrays[name][t] = value[0].reshape(arrays[name].shape[1:])
    return Trace(spec, about, arrays, slots)


def _internals(
    spec: Spec, params: Any, engine: Engine, inputs: NDArray[Any]
) -> Iterator[dict[str, NDArray[Any]]]:
    """Outputs and internal values of each step."""
    for t, step in enumerate(run_steps(spec, params, engine, inputs, np.array([len(inputs)]))):
        yield {"outputs": step.outputs, **step_internals(spec, params, inputs[t], step)}


def _check_size(steps: int, numbers: int) -> None:
    if 4 * numbers > LARGEST:
        raise UserError(
            f"a trace must take at most {LARGEST >> 30} GiB, got {steps:,} steps of {4 * numbers // steps:,} bytes. "
            "Trace a shorter sequence."
        )


def _small(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.int32 if np.issubdtype(values.dtype, np.integer) else np.float32)
