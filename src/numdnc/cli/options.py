"""Options that several commands share."""

import ast
import inspect
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from numdnc.engines import ENGINE_NAMES
from numdnc.errors import UserError
from numdnc.spec import SPECS, VARIATIONS, DNCSpec, MemoryOptions, Spec

MOST_LAYERS = 1000
ENGINES = "{" + ",".join(ENGINE_NAMES) + "}"

DataFolder = Annotated[Path | None, arg(name="data")]
AsJson = Annotated[bool, arg(name="json")]
EngineName = Annotated[str, arg(aliases=["-e"], metavar=ENGINES)]
Device = Annotated[str | None, arg(metavar="{cpu,cuda,cuda:1,..}")]


def attribute_docs(kind: type[Any]) -> dict[str, str]:
    """Field -> the docstring below it, of the fields that a class itself declares."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(text.value.value, str)
    }


_HELP = {
    name: f"{text.removesuffix('.')} (dnc only)." for name, text in attribute_docs(MemoryOptions).items()
}


@dataclass(frozen=True, kw_only=True)
class _NetworkOptions:
    """What every model has."""

    model: Annotated[str, arg(aliases=["-m"], metavar="{rnn,lstm,dnc}")] = "dnc"
    """The kind of model."""
    hidden: Annotated[int, arg(aliases=["-H"])] = 128
    """Hidden units of each controller layer."""
    layers: int = 1
    """Controller layers."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions(MemoryOptions, _NetworkOptions):
    """What the model is.

    Options from --controller on are those of a dnc; from --masking on they make variations of the paper's.
    """

    controller: Annotated[str, arg(metavar="{lstm,rnn,feedforward}", help=_HELP["controller"])] = "lstm"  # type: ignore[assignment]  # checked by DNCSpec
    memory_size: Annotated[int, arg(aliases=["-N"], help=_HELP["memory_size"])] = 16
    word_size: Annotated[int, arg(aliases=["-W"], help=_HELP["word_size"])] = 16
    read_heads: Annotated[int, arg(aliases=["-R"], help=_HELP["read_heads"])] = 2

    def spec(self, input_size: int, output_size: int) -> Spec:
        """The spec for a task's sizes."""
        if self.model not in SPECS:
            raise UserError(f"model must be one of {', '.join(SPECS)}, got {self.model!r}.")
        if not 1 <= self.layers <= MOST_LAYERS:
            raise UserError(f"layers must be from 1 to {MOST_LAYERS}, got {self.layers}.")
        sizes: dict[str, Any] = {
            "input_size": input_size,
            "output_size": output_size,
            "hidden_sizes": (self.hidden,) * self.layers,
        }
        if SPECS[self.model].has_memory:
            return DNCSpec(
                **sizes, **{field.name: getattr(self, field.name) for field in fields(MemoryOptions)}
            )
        for name in VARIATIONS:
            if getattr(self, name) != getattr(MemoryOptions, name):
                raise UserError(
                    f"{name} must be left out with --model {self.model}, which has no memory, "
                    f"got {getattr(self, name)}."
                )
        return SPECS[self.model](**sizes)


def engine_on(engine: str, device: str | None) -> str:
    """The engine's name with the device it is to run on; only torch has others than the CPU."""
    if device is None:
        return engine
    if engine.partition(":")[0] != "torch":
        raise UserError(f"--device must be given with --engine torch, got engine {engine}. Add it.")
    return f"torch:{device}"
