"""What a model is: frozen specs, validated when made, and the sizes that follow from them."""

from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar, Literal, get_args

from numdnc.errors import UserError

EPSILON = 1e-6
"""The one epsilon, added to every squared norm: a zero row compares as 0 and its gradient stays bounded."""

ControllerKind = Literal["lstm", "rnn", "feedforward"]

GATES: dict[ControllerKind, int] = {"lstm": 4, "rnn": 1, "feedforward": 1}
"""Blocks of pre-activations per hidden unit: the LSTM's i, f, g, o, or the one tanh."""


def _check_size(owner: str, name: str, value: object) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise UserError(f"{owner}.{name} must be a whole number of at least 1, got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class _Spec:
    """What all models share: input, controller layers, output."""

    input_size: int
    """X, width of an input vector, or number of symbols where inputs are integers."""
    output_size: int
    """Y, width of an output vector."""
    hidden_sizes: tuple[int, ...] = (128,)
    """H of each controller layer, lowest first."""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        _check_size(owner, "input_size", self.input_size)
        _check_size(owner, "output_size", self.output_size)
        if not isinstance(self.hidden_sizes, tuple | list) or not self.hidden_sizes:
            raise UserError(
                f"{owner}.hidden_sizes must be a tuple of one size per layer, got {self.hidden_sizes!r}."
            )
        object.__setattr__(self, "hidden_sizes", tuple(self.hidden_sizes))
        for size in self.hidden_sizes:
            _check_size(owner, "hidden_sizes", size)

    @property
    def hidden_total(self) -> int:
        """Width of h_all, the hidden values of all layers side by side."""
        return sum(self.hidden_sizes)


@dataclass(frozen=True, kw_only=True)
class RNNSpec(_Spec):
    """A deep tanh network with recurrence (Elman 1990), with the paper's skip connections."""

    kind: ClassVar[str] = "rnn"
    controller: ClassVar[ControllerKind] = "rnn"
    reads_size: ClassVar[int] = 0


@dataclass(frozen=True, kw_only=True)
class LSTMSpec(_Spec):
    """A deep LSTM with the skip connections of the paper's controller (Graves et al. 2016, Methods)."""

    kind: ClassVar[str] = "lstm"
    controller: ClassVar[ControllerKind] = "lstm"
    reads_size: ClassVar[int] = 0


@dataclass(frozen=True, kw_only=True)
class DNCSpec(_Spec):
    """The Differentiable Neural Computer (Graves et al. 2016): a controller with an external memory."""

    kind: ClassVar[str] = "dnc"

    controller: ControllerKind = "lstm"
    """The network that drives the memory."""
    memory_size: int = 16
    """N, number of memory slots."""
    word_size: int = 16
    """W, numbers per slot."""
    read_heads: int = 1
    """R, number of read heads."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.controller not in get_args(ControllerKind):
            kinds = ", ".join(get_args(ControllerKind))
            raise UserError(f"DNCSpec.controller must be one of {kinds}, got {self.controller!r}.")
        for name in ("memory_size", "word_size", "read_heads"):
            _check_size("DNCSpec", name, getattr(self, name))

    @property
    def reads_size(self) -> int:
        """R W, width of all read vectors side by side."""
        return self.read_heads * self.word_size

    @property
    def interface_sizes(self) -> dict[str, int]:
        """Width of each part of the interface vector xi, in its order."""
        R, W = self.read_heads, self.word_size
        return {
            "read_keys": R * W,
            "read_strengths": R,
            "write_key": W,
            "write_strength": 1,
            "erase": W,
            "write_vector": W,
            "free_gates": R,
            "allocation_gate": 1,
            "write_gate": 1,
            "read_modes": 3 * R,
        }

    @property
    def interface_size(self) -> int:
        """R W + 3 W + 5 R + 3."""
        return sum(self.interface_sizes.values())


Spec = RNNSpec | LSTMSpec | DNCSpec

SPECS: dict[str, type[Spec]] = {spec.kind: spec for spec in (RNNSpec, LSTMSpec, DNCSpec)}
"""The models by the name they have on the command line and in checkpoints."""
