"""What a model is: frozen specs, validated when made, and the sizes that follow from them."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import accumulate
from math import prod
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args

from numdnc.errors import UserError
from numdnc.model_options import ControllerKind, HeadOptions, MemoryOptions, NTMOptions, SecondMemory
from numdnc.parts import Interface, NTMInterface, Part, parts_of

EPSILON = 1e-6
"""Added to every squared norm and variance that something is divided by, and to every weighting that is raised to a
power: a vector of zeros has similarity 0 and gradients stay bounded."""

ACCESSED = 0.005
"""With `recency`, a slot counts as accessed where its write weight and all its read weights sum to more than this."""

GATES: dict[ControllerKind, int] = {"lstm": 4, "rnn": 1, "feedforward": 1}
"""Pre-activations of each hidden unit: i, f, g and o of an LSTM, or one."""


def _size(owner: str, name: str, value: object) -> int:
    """Return a size as a plain int; UserError unless it is a whole number of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise UserError(f"{owner}.{name} must be a whole number of at least 1, got {value!r}.")
    return int(value)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True, kw_only=True)
class _Spec:
    """The fields that all models have: input, hidden layers, output."""

    input_size: int
    """X, width of an input vector, or number of symbols where inputs are integers."""
    output_size: int
    """Y, width of an output vector."""
    hidden_sizes: tuple[int, ...] = (128,)
    """H of each controller layer, lowest first."""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name in ("input_size", "output_size"):
            object.__setattr__(self, name, _size(owner, name, getattr(self, name)))
        if not isinstance(self.hidden_sizes, tuple | list) or not self.hidden_sizes:
            raise UserError(
                f"{owner}.hidden_sizes must be a tuple of one size per layer, got {self.hidden_sizes!r}."
            )
        sizes = tuple(_size(owner, "hidden_sizes", size) for size in self.hidden_sizes)
        object.__setattr__(self, "hidden_sizes", sizes)

    @property
    def hidden_total(self) -> int:
        """Width of h_all, the hidden values of all layers concatenated."""
        return sum(self.hidden_sizes)

    @property
    def output_columns(self) -> int:
        """Columns of the output layer, Y; with instructions what they are told, W + Y W + Y."""
        return self.output_size


@dataclass(frozen=True, kw_only=True)
class _WithoutMemory(_Spec):
    """Values of `DNCSpec`'s properties for a model without a memory."""

    has_memory: ClassVar[Literal[False]] = False
    memory_size: ClassVar[int] = 0
    reads_size: ClassVar[int] = 0
    interface_sizes: ClassVar[Mapping[str, int]] = {}
    interface_size: ClassVar[int] = 0
    links: ClassVar[bool] = False
    sparsity: ClassVar[None] = None
    recency: ClassVar[bool] = False
    normalisation: ClassVar[bool] = False
    bypass_dropout: ClassVar[float] = 0.0
    learned_state: ClassVar[bool] = False
    bidirectional: ClassVar[bool] = False
    memories: ClassVar[int] = 1
    instruction_slots: ClassVar[None] = None


@dataclass(frozen=True, kw_only=True)
class RNNSpec(_WithoutMemory):
    """A deep tanh network with recurrence (Elman 1990), with the paper's skip connections."""

    kind: ClassVar[str] = "rnn"
    controller: ClassVar[ControllerKind] = "rnn"


@dataclass(frozen=True, kw_only=True)
class LSTMSpec(_WithoutMemory):
    """A deep LSTM with the skip connections of the paper's controller (Graves et al. 2016, Methods)."""

    kind: ClassVar[str] = "lstm"
    controller: ClassVar[ControllerKind] = "lstm"


@dataclass(frozen=True, kw_only=True)
class _WithMemory(HeadOptions, _Spec):
    """A controller with an external memory: checks of its options, and sizes of its interface."""

    has_memory: ClassVar[Literal[True]] = True
    interface_type: ClassVar[Any]
    """The named tuple that declares the parts of the interface."""

    def __post_init__(self) -> None:
        super().__post_init__()
        owner = type(self).__name__
        if self.controller not in get_args(ControllerKind):
            kinds = ", ".join(get_args(ControllerKind))
            raise UserError(f"{owner}.controller must be one of {kinds}, got {self.controller!r}.")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, bool):
                if not isinstance(value, bool):
                    raise UserError(f"{owner}.{field.name} must be True or False, got {value!r}.")
            elif isinstance(field.default, int):
                object.__setattr__(self, field.name, _size(owner, field.name, value))

    @property
    def memories(self) -> int:
        """E, number of memories."""
        return 1

    @property
    def reads_size(self) -> int:
        """E R W, width of all read vectors of all memories concatenated."""
        return self.memories * self.read_heads * self.word_size

    @cached_property
    def axis_sizes(self) -> dict[str, int]:
        """Sizes of the axes that parts of the interface and of the state have."""
        heads = {"R": self.read_heads, "V": self.write_heads}
        return {"N": self.memory_size, "W": self.word_size, **heads}

    @cached_property
    def interface_parts(self) -> dict[str, Part]:
        """The parts of the interface vector xi in order: the paper's, then those of variations."""
        return parts_of(self.interface_type, self)

    @cached_property
    def interface_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each part of the interface vector."""
        return {name: part.shape(self.axis_sizes) for name, part in self.interface_parts.items()}

    @cached_property
    def interface_sizes(self) -> dict[str, int]:
        """Width of each part of the interface vector."""
        return {name: prod(shape) for name, shape in self.interface_shapes.items()}

    @cached_property
    def interface_offsets(self) -> dict[str, int]:
        """First column of each part of the interface vector."""
        ends = accumulate(self.interface_sizes.values(), initial=0)
        return dict(zip(self.interface_sizes, ends, strict=False))

    @cached_property
    def interface_size(self) -> int:
        """R W + 3 W + 5 R + 3 for the paper's DNC; R (W + S + 3) + V (3 W + S + 3) for an NTM."""
        return sum(self.interface_sizes.values())


@dataclass(frozen=True, kw_only=True)
class DNCSpec(MemoryOptions, _WithMemory):
    """The Differentiable Neural Computer (Graves et al. 2016): a controller with an external memory.

    The defaults of the variations (from `masking` on) give the paper's model. Variations can be combined freely, except
    for a mask floor without masks, sharpness without links or with sparsity, layer norm of a single unit, recency
    without sparsity or with deallocation, several write heads or a second memory with sparsity, several that write
    reads, and two directions of another controller than an LSTM.
    """

    kind: ClassVar[str] = "dnc"
    interface_type: ClassVar[Any] = Interface

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_variations()

    @property
    def output_columns(self) -> int:
        """Columns of the output layer, Y; with instructions what they are told, W + Y W + Y."""
        if self.instruction_slots is None:
            return self.output_size
        return self.word_size + self.output_size * (self.word_size + 1)

    def _check_variations(self) -> None:
        if not _is_number(self.mask_floor) or not 0 <= self.mask_floor <= 1:
            raise UserError(
                f"DNCSpec.mask_floor must lie in [0, 1], got {self.mask_floor!r}: "
                "it is the weight of a masked column, from none to all of it."
            )
        if self.mask_floor and not self.masking:
            raise UserError(
                f"DNCSpec.mask_floor must be 0 without masks, got {self.mask_floor}. Set masking=True too."
            )
        if self.sharpness and not self.links:
            raise UserError(
                "DNCSpec.sharpness must be False without links, got True: it sharpens their weightings. "
                "Leave out sharpness=True or links=False."
            )
        if self.normalisation and self.controller == "lstm" and min(self.hidden_sizes) < 2:
            raise UserError(
                f"DNCSpec.hidden_sizes must be 2 or more with normalisation, got {self.hidden_sizes}: "
                "layer norm of a single number is always 0."
            )
        if self.bidirectional and self.controller != "lstm":
            raise UserError(
                f"DNCSpec.bidirectional must be False with a controller of the kind {self.controller}, got True: the "
                "second direction is an LSTM like the first. Leave it out, or take the controller lstm."
            )
        if not _is_number(self.bypass_dropout) or not 0 <= self.bypass_dropout < 1:
            raise UserError(
                f"DNCSpec.bypass_dropout must lie in [0, 1), got {self.bypass_dropout!r}: "
                "with 1 no hidden value would ever reach the output."
            )
        for name in ("mask_floor", "bypass_dropout"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.instruction_slots is not None:
            object.__setattr__(
                self, "instruction_slots", _size("DNCSpec", "instruction_slots", self.instruction_slots)
            )
        self._check_sparsity()
        self._check_second_memory()

    def _check_second_memory(self) -> None:
        if self.second_memory not in get_args(SecondMemory):
            kinds = ", ".join(get_args(SecondMemory))
            raise UserError(f"DNCSpec.second_memory must be one of {kinds}, got {self.second_memory!r}.")
        if self.second_memory != "none" and self.sparsity is not None:
            raise UserError(
                f"DNCSpec.second_memory must be none with sparsity, got {self.second_memory}. Leave out one of them."
            )
        if self.second_memory == "reads" and self.write_heads > 1:
            raise UserError(
                f"DNCSpec.write_heads must be 1 where the second memory writes reads, got {self.write_heads}: all of "
                "its heads would write the same. Leave out one of them."
            )

    def _check_sparsity(self) -> None:
        if self.sparsity is None:
            if self.recency:
                raise UserError(
                    "DNCSpec.recency must be False without sparsity, got True. Set sparsity, for instance to 4."
                )
            return
        object.__setattr__(self, "sparsity", _size("DNCSpec", "sparsity", self.sparsity))
        if self.write_heads > 1:
            raise UserError(
                f"DNCSpec.write_heads must be 1 with sparsity, got {self.write_heads}: a sparse memory is written by "
                "one head. Leave out one of them."
            )
        if self.sparsity > self.memory_size:
            raise UserError(
                f"DNCSpec.sparsity must be at most memory_size, {self.memory_size}, got {self.sparsity}: "
                "it is how many slots a head can read. Lower it."
            )
        if self.sharpness:
            raise UserError(
                "DNCSpec.sharpness must be False with sparsity, got True: it spreads a weighting over all slots. "
                "Leave out one of them."
            )
        if self.recency and self.deallocation:
            raise UserError(
                "DNCSpec.deallocation must be False with recency, got True: nothing is freed, slots are overwritten. "
                "Leave out one of them."
            )

    @cached_property
    def axis_sizes(self) -> dict[str, int]:
        """Sizes of the axes that parts of the interface and of the state have."""
        more = {"E": self.memories, "P": 1 + (self.second_memory == "own"), "M": 2 * self.write_heads + 1}
        return {**super().axis_sizes, **more, "K": self.sparsity or 0}

    @property
    def memories(self) -> int:
        """E, number of memories: 1, or 2 with `second_memory`."""
        return 1 if self.second_memory == "none" else 2

    @property
    def dense_links(self) -> bool:
        """Whether the state holds a link matrix (N, N)."""
        return self.links and self.sparsity is None

    @property
    def sparse_links(self) -> bool:
        """Whether the state holds at most K links of each slot."""
        return self.links and self.sparsity is not None

    @property
    def usage_writing(self) -> bool:
        """Whether slots are allocated by usage and written by content, as in the paper."""
        return not self.recency

    @property
    def write_masking(self) -> bool:
        """Whether the write key has a mask."""
        return self.masking and not self.recency

    @property
    def hidden_total(self) -> int:
        """Width of h_all, the hidden values of all layers concatenated; of both directions if there are two."""
        return sum(self.hidden_sizes) * (1 + self.bidirectional)


@dataclass(frozen=True, kw_only=True)
class NTMSpec(NTMOptions, _WithMemory):
    """The Neural Turing Machine (Graves et al. 2014): a controller whose heads find slots by content and by shifts."""

    kind: ClassVar[str] = "ntm"
    interface_type: ClassVar[Any] = NTMInterface
    masking: ClassVar[bool] = False
    mask_floor: ClassVar[float] = 0.0
    deallocation: ClassVar[bool] = False
    links: ClassVar[bool] = False
    dense_links: ClassVar[bool] = False
    usage_writing: ClassVar[bool] = False
    sparsity: ClassVar[None] = None
    recency: ClassVar[bool] = False
    normalisation: ClassVar[bool] = False
    bypass_dropout: ClassVar[float] = 0.0
    bidirectional: ClassVar[bool] = False
    instruction_slots: ClassVar[None] = None

    @cached_property
    def axis_sizes(self) -> dict[str, int]:
        """Sizes of the axes that parts of the interface and of the state have."""
        return {**super().axis_sizes, "S": 2 * self.shift_range + 1}


Spec = RNNSpec | LSTMSpec | DNCSpec | NTMSpec

MemorySpec = DNCSpec | NTMSpec
"""A model with a memory."""

SPECS: dict[str, type[Spec]] = {spec.kind: spec for spec in (RNNSpec, LSTMSpec, DNCSpec, NTMSpec)}
"""The models by their names on the command line and in checkpoints."""
