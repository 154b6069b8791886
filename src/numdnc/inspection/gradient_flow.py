"""Gradient flow: how strong the gradient is on each part of the parameters; a part without a gradient never trains.

Axes: X input, R read heads, W word, H hidden units of a layer.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from numdnc.engines import Engine
from numdnc.inspection.ablation import interface_columns, of_memory
from numdnc.params import Array
from numdnc.spec import GATES, MemorySpec, Spec
from numdnc.tasks import Batch
from numdnc.training.gradient import Loss, loss_and_gradient
from numdnc.tree import map_leaves, named_leaves

NEGLIGIBLE = 1e-6
"""A part whose gradient is at most this share of the strongest part's hardly trains."""


class GradientFlow(NamedTuple):
    """Strength of the gradient on each part of the parameters."""

    strengths: dict[str, float]
    """Part -> root mean square of the gradient over its numbers and the batches."""
    dead_units: tuple[str, ...]
    """Hidden units whose gradient is exactly 0, while other units of their layer have one."""
    largest: float
    """Largest magnitude of all gradients."""

    @property
    def strongest(self) -> float:
        """The largest of the strengths."""
        return max(self.strengths.values())

    @property
    def untrained(self) -> list[str]:
        """The parts and units with no gradient or a negligible one."""
        faint = [
            name for name, strength in self.strengths.items() if not strength > NEGLIGIBLE * self.strongest
        ]
        return [*faint, *self.dead_units]


def gradient_flow(
    spec: Spec, params: Any, engine: Engine, batches: Iterable[Batch], loss: Loss
) -> GradientFlow:
    """The strength of the gradient on each part, over several batches whose sequences start in the initial state."""
    gradients = [loss_and_gradient(spec, params, engine, batch, loss).gradient for batch in batches]
    squares = map_leaves(lambda *each: np.mean([g.astype(np.float64) ** 2 for g in each], axis=0), *gradients)
    strengths = {name: float(np.sqrt(part.mean())) for name, part in parameter_parts(spec, squares)}
    largest = max(float(np.abs(leaf).max()) for gradient in gradients for _, leaf in named_leaves(gradient))
    return GradientFlow(strengths, tuple(_dead_units(spec, squares)), largest)


def parameter_parts(spec: Spec, tree: Any) -> Iterator[tuple[str, Array]]:
    """Split a tree of parameters into parts by purpose: "output.weights (reads of head 0)", ..

    Weights of a controller layer and of the output are split by rows, those of the interface by columns.
    """
    for name, leaf in named_leaves(tree):
        owner = name.partition(".")[0]
        if owner == "interface" and spec.has_memory:
            for part, columns in _interface_parts(spec):
                yield f"{name} ({part})", leaf[..., columns]
        elif leaf.ndim == 2 and owner in ("controller", "reverse_controller", "output"):
            rows = _output_rows(spec)
            if owner != "output":
                rows = _layer_rows(spec, int(name.split(".")[1]), reads=owner == "controller")
            first = 0
            for part, count in rows:
                yield f"{name} ({part})", leaf[first : first + count]
                first += count
        else:
            yield name, leaf


def _interface_parts(spec: MemorySpec) -> Iterator[tuple[str, Any]]:
    """Name and columns of each part; parts that exist for each head are split by head."""
    for name, columns in interface_columns(spec).items():
        axes = spec.interface_parts[name].axes_in(spec.axis_sizes)
        if axes[:1] in (("E",), ("P",)):
            parts = [*zip(of_memory(spec), columns, strict=True)]
            axes = axes[1:]
        else:
            parts = [("", columns)]
        for of, part in parts:
            if axes[:1] in (("R",), ("V",)):
                yield from (
                    (f"{name} of head {head}{of}", part[head].reshape(-1)) for head in range(len(part))
                )
            else:
                yield f"{name}{of}", part.reshape(-1)


def _layer_rows(spec: Spec, layer: int, *, reads: bool) -> list[tuple[str, int]]:
    rows = [("input", spec.input_size), *(_read_rows(spec) if reads else [])]
    if spec.controller != "feedforward":
        rows.append(("own hidden values", spec.hidden_sizes[layer]))
    if layer:
        rows.append(("hidden values below", spec.hidden_sizes[layer - 1]))
    return rows


def _output_rows(spec: Spec) -> list[tuple[str, int]]:
    hidden = [(f"hidden values of layer {layer}", size) for layer, size in enumerate(spec.hidden_sizes)]
    if spec.bidirectional:
        hidden += [(f"{name}, second direction", size) for name, size in hidden]
    return hidden + _read_rows(spec)


def _read_rows(spec: Spec) -> list[tuple[str, int]]:
    if not spec.has_memory:
        return []
    return [
        (f"reads of head {head}{of}", spec.word_size)
        for of in of_memory(spec)
        for head in range(spec.read_heads)
    ]


def _dead_units(spec: Spec, squares: Any) -> Iterator[str]:
    """Units whose biases have no gradient, which means that none of their gates has one at any step."""
    for owner in ("controller", *(["reverse_controller"] if spec.bidirectional else [])):
        for number, (layer, size) in enumerate(zip(getattr(squares, owner), spec.hidden_sizes, strict=True)):
            dead = ~layer.bias.reshape(GATES[spec.controller], size).any(axis=0)
            if not dead.all():
                yield from (f"unit {unit} of {owner}.{number}" for unit in np.flatnonzero(dead))
