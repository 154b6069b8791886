"""Traces: inputs, outputs and internal values of a model at every step of one sequence.

Axes: T steps, R read heads, N slots, W word, H hidden units of all layers, X input, Y output, K links kept of a row.
"""

from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines import get_engine
from numdnc.errors import UserError
from numdnc.inspection.internals import WEIGHTINGS, run_steps, step_internals, strongest_links
from numdnc.params import STATE_TYPES, cast_inputs
from numdnc.parts import parts_of
from numdnc.schema import Count, Size
from numdnc.spec import Spec
from numdnc.tasks import Batch
from numdnc.tasks.sequences import loss_mask
from numdnc.tasks.targets import are_classes, errors, probabilities

MOST_LINKS = 2_000_000
"""Part of the schema: with more than this many link numbers, T N N, only the strongest of each row are kept, ..."""
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
        if "link_slots" not in self.arrays or self.spec.sparsity is not None:
            return ""
        K, N = self.arrays["link_slots"].shape[2], self.spec.memory_size
        return f"links: only the strongest {K} of the {N} of each slot are kept"


def array_shapes(spec: Spec, steps: int) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the float arrays in a trace of this model, apart from `inputs` and `targets`.

    `inputs` and `targets` are floats (T, X) and (T, Y), or integers (T,) if they are symbols or classes; targets of
    several classes a step are integers (T, G). `mask` (T,) is 1 where the loss counts. With more than MOST_LINKS link
    numbers, `link` is replaced by `link_slots` (T, N, K), integers, the slots of the strongest links of each row,
    strongest first, and `link_values`, the values of these links. A sparse model has these lists anyway, as in its
    state.
    """
    shapes: dict[str, tuple[int, ...]] = {
        "outputs": (spec.output_size,),
        "probabilities": (spec.output_size,),
        "hidden": (spec.hidden_total,),
    }
    if spec.controller == "lstm":
        shapes |= {"cell": (sum(spec.hidden_sizes),)}
    if spec.has_memory:
        for kind in (spec.interface_type, WEIGHTINGS[spec.kind], STATE_TYPES[spec.kind]):
            shapes |= {
                # An axis of 1 is left out.
                name: part._replace(axes=part.axes.removeprefix("1 ")).shape(spec.axis_sizes)
                for name, part in parts_of(kind, spec).items()
            }
    shapes.pop("link_slots", None)
    if truncates_links(spec, steps):
        N, _ = shapes.pop("link")
        shapes["link_values"] = (N, min(STRONGEST, N))
    return {name: (steps, *shape) for name, shape in shapes.items()}


def truncates_links(spec: Spec, steps: int) -> bool:
    """Whether the links of this many steps are too many to be kept completely."""
    return spec.has_memory and spec.dense_links and steps * spec.memory_size**2 > MOST_LINKS


def record(spec: Spec, params: Any, batch: Batch, about: About) -> Trace:
    """Run the only sequence of `batch` through a model step by step, from the initial state, and record all values.

    States and outputs are those of the engine that `about` names (of the definition, if the model is bidirectional);
    internal values are computed from them by the
    definition. Everything is stored in float32.
    """
    engine = get_engine(about.engine)
    inputs = cast_inputs(batch.inputs, params)
    steps = len(inputs)
    shapes = array_shapes(spec, steps)
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
    for t, step in enumerate(run_steps(spec, params, engine, inputs, np.array([steps]))):
        found: dict[str, NDArray[Any]] = {
            "outputs": step.outputs,
            **step_internals(spec, params, inputs[t], step),
        }
        found["probabilities"] = probabilities(found["outputs"], batch.targets[t])
        if thinned:
            found["link_slots"], found["link_values"] = strongest_links(found.pop("link"), STRONGEST)
        for name, value in found.items():
            arrays[name][t] = value[0].reshape(arrays[name].shape[1:])
    return Trace(spec, about, arrays)


def _check_size(steps: int, numbers: int) -> None:
    if 4 * numbers > LARGEST:
        raise UserError(
            f"a trace must take at most {LARGEST >> 30} GiB, got {steps:,} steps of {4 * numbers // steps:,} bytes. "
            "Trace a shorter sequence."
        )


def _small(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.int32 if np.issubdtype(values.dtype, np.integer) else np.float32)
