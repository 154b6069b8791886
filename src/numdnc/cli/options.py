"""Options that several commands share."""

import ast
import inspect
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from numdnc.engines import ENGINE_NAMES
from numdnc.errors import UserError
from numdnc.model_options import VARIATIONS, HeadOptions, MemoryOptions, NTMOptions
from numdnc.spec import SPECS, Spec

MOST_LAYERS = 1000
ENGINES = "{" + ",".join(ENGINE_NAMES) + "}"

Corpus = Annotated[tuple[str, ...], arg(metavar="PATH ..")]
DataFolder = Annotated[Path | None, arg(name="data")]
AsJson = Annotated[bool, arg(name="json")]
EngineName = Annotated[str, arg(aliases=["-e"], metavar=ENGINES)]
Device = Annotated[str | None, arg(metavar="{cpu,cuda,cuda:1,..}")]


def attribute_docs(kind: type[Any]) -> dict[str, str]:
    """Field -> the docstring below it, of the fields that a dataclass and its bases declare."""
    bodies = [ast.parse(inspect.getsource(base)).body[0] for base in kind.__mro__[::-1] if is_dataclass(base)]
    return {
        field.target.id: " ".join(text.value.value.split())
        for definition in bodies
        if isinstance(definition, ast.ClassDef)
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(text.value.value, str)
    }


_HELP = {
    name: f"{text.removesuffix('.')} ({kinds} only)."
    for options, kinds in ((NTMOptions, "ntm"), (HeadOptions, "dnc and ntm"))
    for name, text in attribute_docs(options).items()
}
_NOT_SHARED = (*VARIATIONS, "write_heads", "shift_range")
"""Options that not all models with a memory have, or that a model without one refuses."""


@dataclass(frozen=True, kw_only=True)
class _NetworkOptions:
    """What every model has."""

    model: Annotated[str, arg(aliases=["-m"], metavar="{rnn,lstm,dnc,ntm}")] = "dnc"
    """The kind of model."""
    hidden: Annotated[int, arg(aliases=["-H"])] = 128
    """Hidden units of each controller layer."""
    layers: int = 1
    """Controller layers."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions(NTMOptions, MemoryOptions, _NetworkOptions):
    """What the model is.

    Options from --controller on are those of a model with a memory, dnc or ntm. Those from --masking on make variations
    of the paper's dnc; --shift-range is one of an ntm, which may learn its state too.
    """

    controller: Annotated[str, arg(metavar="{lstm,rnn,feedforward}", help=_HELP["controller"])] = "lstm"  # type: ignore[assignment]  # checked by the spec
    memory_size: Annotated[int, arg(aliases=["-N"], help=_HELP["memory_size"])] = 16
    word_size: Annotated[int, arg(aliases=["-W"], help=_HELP["word_size"])] = 16
    read_heads: Annotated[int, arg(aliases=["-R"], help=_HELP["read_heads"])] = 2
    write_heads: Annotated[int, arg(help=_HELP["write_heads"])] = 1
    shift_range: Annotated[int, arg(help=_HELP["shift_range"])] = 1

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
        kind = SPECS[self.model]
        own = {field.name for field in fields(kind)} - sizes.keys()
        for name in _NOT_SHARED:
            if name not in own and getattr(self, name) != getattr(ModelOptions, name):
                lacks = "does not have it" if kind.has_memory else "has no memory"
                raise UserError(
                    f"{name} must be left out with --model {self.model}, which {lacks}, "
                    f"got {getattr(self, name)}."
                )
        return kind(**sizes, **{name: getattr(self, name) for name in own})


def engine_on(engine: str, device: str | None) -> str:
    """The engine's name with the device it is to run on; only torch has others than the CPU."""
    if device is None:
        return engine
    if engine.partition(":")[0] != "torch":
        raise UserError(f"--device must be given with --engine torch, got engine {engine}. Add it.")
    return f"torch:{device}"
