"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from numdnc.engines import ENGINE_NAMES
from numdnc.errors import UserError
from numdnc.spec import SPECS, DNCSpec, Spec

MOST_LAYERS = 1000
ENGINES = "{" + ",".join(ENGINE_NAMES) + "}"

DataFolder = Annotated[Path | None, arg(name="data")]
AsJson = Annotated[bool, arg(name="json")]
EngineName = Annotated[str, arg(aliases=["-e"], metavar=ENGINES)]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What the model is."""

    model: Annotated[str, arg(aliases=["-m"], metavar="{rnn,lstm,dnc}")] = "dnc"
    """rnn, lstm or dnc."""
    hidden: Annotated[int, arg(aliases=["-H"])] = 128
    """Hidden units of each controller layer."""
    layers: int = 1
    """Controller layers."""
    controller: Annotated[str, arg(metavar="{lstm,rnn,feedforward}")] = "lstm"
    """The network that drives the memory (dnc only)."""
    memory_size: Annotated[int, arg(aliases=["-N"])] = 16
    """Memory slots (dnc only)."""
    word_size: Annotated[int, arg(aliases=["-W"])] = 16
    """Numbers per slot (dnc only)."""
    read_heads: Annotated[int, arg(aliases=["-R"])] = 2
    """Read heads (dnc only)."""

    def spec(self, input_size: int, output_size: int) -> Spec:
        """The spec for a task's sizes."""
        if self.model not in SPECS:
            raise UserError(f"model must be one of {', '.join(SPECS)}, got {self.model!r}.")
        if not 1 <= self.layers <= MOST_LAYERS:
            raise UserError(f"layers must be from 1 to {MOST_LAYERS}, got {self.layers}.")
        hidden_sizes = (self.hidden,) * self.layers
        if self.model != "dnc":
            return SPECS[self.model](
                input_size=input_size, output_size=output_size, hidden_sizes=hidden_sizes
            )
        return DNCSpec(
            input_size=input_size,
            output_size=output_size,
            hidden_sizes=hidden_sizes,
            controller=self.controller,  # type: ignore[arg-type]  # the spec itself checks it
            memory_size=self.memory_size,
            word_size=self.word_size,
            read_heads=self.read_heads,
        )
