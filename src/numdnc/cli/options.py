"""Options that several commands share."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from numdnc.engines import ENGINE_NAMES
from numdnc.errors import UserError
from numdnc.spec import SPECS, DNCSpec, LSTMSpec, Spec
from numdnc.training.run import Run
from numdnc.tree import leaves

EPISODES = "episodes"
"""The kind of a run whose task is made of separate sequences, as its checkpoint says; that of a text says nothing."""
BABI = "babi"
"""The kind of a run of bAbI."""
MOST_LAYERS = 1000
ENGINES = "{" + ",".join(ENGINE_NAMES) + "}"

DataFolder = Annotated[Path | None, arg(name="data")]
AsJson = Annotated[bool, arg(name="json")]
EngineName = Annotated[str, arg(aliases=["-e"], metavar=ENGINES)]
Device = Annotated[str | None, arg(metavar="{cpu,cuda,cuda:1,..}")]

_SHARED = {field.name for field in fields(LSTMSpec)}
_DNC_ONLY = [field.name for field in fields(DNCSpec) if field.name not in _SHARED]
_VARIATIONS = _DNC_ONLY[_DNC_ONLY.index("read_heads") + 1 :]
"""Refused where there is no memory, unlike the controller and the sizes, which have other defaults here."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What the model is."""

    model: Annotated[str, arg(aliases=["-m"], metavar="{rnn,lstm,dnc}")] = "dnc"
    """The kind of model."""
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
    masking: bool = False
    """Look-ups compare only the columns of the memory that a learned mask lets through (dnc only; Csordas and
    Schmidhuber 2019)."""
    mask_floor: float = 0.0
    """Weight of a column that is masked, from 0 to 1 (needs --masking)."""
    deallocation: bool = False
    """Erase a slot when it is freed (dnc only; Csordas and Schmidhuber 2019)."""
    sharpness: bool = False
    """Sharpen the weights that the links give (dnc with links only; Csordas and Schmidhuber 2019)."""
    links: bool = True
    """With --no-links there are no temporal links, and heads read by content alone (dnc only; Franke et al. 2018)."""
    normalisation: bool = False
    """Layer norm on the interface and in an LSTM controller (dnc only; Franke et al. 2018)."""
    bypass_dropout: float = 0.0
    """In training, drop this share of the hidden values on their way past the memory to the output (dnc only; Franke
    et al. 2018)."""
    learned_state: bool = False
    """Initial memory and controller state are learned (dnc only; from batches that begin sequences, which on a text is
    the first window of an epoch)."""

    def spec(self, input_size: int, output_size: int) -> Spec:
        """The spec for a task's sizes."""
        if self.model not in SPECS:
            raise UserError(f"model must be one of {', '.join(SPECS)}, got {self.model!r}.")
        if not 1 <= self.layers <= MOST_LAYERS:
            raise UserError(f"layers must be from 1 to {MOST_LAYERS}, got {self.layers}.")
        hidden_sizes = (self.hidden,) * self.layers
        chosen = {name: getattr(self, name) for name in _DNC_ONLY}
        if self.model != "dnc":
            for name in _VARIATIONS:
                if chosen[name] != getattr(DNCSpec, name):
                    raise UserError(
                        f"{name} must be left out with --model {self.model}, which has no memory, got {chosen[name]}."
                    )
            return SPECS[self.model](
                input_size=input_size, output_size=output_size, hidden_sizes=hidden_sizes
            )
        return DNCSpec(
            input_size=input_size,
            output_size=output_size,
            hidden_sizes=hidden_sizes,
            **chosen,
        )


def engine_on(engine: str, device: str | None) -> str:
    """The engine's name with the device it is to run on; only torch has others than the CPU."""
    if device is None:
        return engine
    if engine.partition(":")[0] != "torch":
        raise UserError(f"--device must be given with --engine torch, got engine {engine}. Add it.")
    return f"torch:{device}"


def check_batch(run: Run, batch: int) -> None:
    """Refuse a batch other than that of the state that lies beside it."""
    if len(leaves(run.state)[0]) != batch:
        raise UserError(f"the batch is {batch}, that of the state {len(leaves(run.state)[0])}")


def refuse_options(run: Run, given: Mapping[str, object], kind: str) -> None:
    """Refuse options that mean something for runs of another kind only; those that were not given are false."""
    for option, value in given.items():
        if value:
            raise UserError(
                f"{option} must be given for a run of {kind}, got one of {run.task.get('name')}. Leave it out."
            )
