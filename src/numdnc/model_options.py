"""The options that a model is made with, besides its sizes of input, hidden layers and output.

Their docstrings are the help of the command line.
"""

from dataclasses import dataclass, fields
from typing import Literal

ControllerKind = Literal["lstm", "rnn", "feedforward"]
SecondMemory = Literal["none", "own", "reads"]


@dataclass(frozen=True, kw_only=True)
class HeadOptions:
    """The options that all models with a memory have."""

    controller: ControllerKind = "lstm"
    """The network that drives the memory: lstm, rnn or feedforward."""
    memory_size: int = 16
    """N, number of memory slots."""
    word_size: int = 16
    """W, numbers per slot."""
    read_heads: int = 1
    """R, number of read heads."""
    write_heads: int = 1
    """V, number of write heads."""


@dataclass(frozen=True, kw_only=True)
class MemoryOptions(HeadOptions):
    """The options of a DNC besides its input, hidden layers and output.

    The defaults give the paper's DNC. Options from `masking` on are variations of it.
    """

    masking: bool = False
    """Compare keys with the memory only in the columns that a learned mask lets through (Csordas and Schmidhuber
    2019)."""
    mask_floor: float = 0.0
    """Weight of a column that is masked, in [0, 1]; needs masking."""
    deallocation: bool = False
    """Erase a slot when it is freed (Csordas and Schmidhuber 2019)."""
    sharpness: bool = False
    """Sharpen the forward and backward weightings by learned strengths (Csordas and Schmidhuber 2019); needs links."""
    links: bool = True
    """Temporal links between slots; without them heads read by content alone (Franke, Niehues and Waibel 2018)."""
    normalisation: bool = False
    """Layer norm on the interface and in an LSTM controller (Franke, Niehues and Waibel 2018)."""
    bypass_dropout: float = 0.0
    """Share of the hidden values, in [0, 1), dropped in training on their way past the memory to the output (Franke,
    Niehues and Waibel 2018)."""
    learned_state: bool = False
    """Learn the memory and the controller's state at the start of a sequence, from batches that begin sequences (of a
    text: the first window of an epoch)."""
    sparsity: int | None = None
    """K, in 1..N: cut every read and write weighting to its K largest entries, and every row and column of the links
    (after Rae et al. 2016). A step then keeps no more for larger N, and passes over the memory once."""
    recency: bool = False
    """Write to the least recently used slot or to where was read last, as SAM does (Rae et al. 2016); needs sparsity.
    With links it is SDNC."""
    bidirectional: bool = False
    """Let memory and output also see a second LSTM, which reads the inputs from the last to the first (Franke, Niehues
    and Waibel 2018); for whole sequences only, so not for texts."""
    second_memory: SecondMemory = "none"
    """Let heads of its own write to and read from a second memory, of the same size, after the first (MT-DNC 2025):
    `own` write vectors, or the product over heads of what the step `reads` from the first."""

    instruction_slots: int | None = None
    """S: give the model a learned memory of this many words that is never written, from which each output reads by
    content the weights that it is made with (after ksluck/sl-dnhc)."""


VARIATIONS = tuple(field.name for field in fields(MemoryOptions))[5:]
"""The options that change the paper's model."""


@dataclass(frozen=True, kw_only=True)
class NTMOptions(HeadOptions):
    """The options of an NTM besides its input, hidden layers and output."""

    shift_range: int = 1
    """Largest shift of a head in one step, in slots; S = 2 shift_range + 1 shifts."""
    learned_state: bool = False
    """Learn the memory, what was read and the controller's state at the start of a sequence."""
