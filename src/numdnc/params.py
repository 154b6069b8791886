"""The data of a model: trees of parameters and states, and their shapes.

Axes: B batch, X input, Y output, H hidden units of a layer, E memories, N slots, W word, R read heads, V write heads,
K entries of a row that is kept sparse, S instructions. The axes E and V of a DNC's state are left out where it has one
memory or write head.
The gradient of a tree is a tree of the same type. A part that a model does not have is an empty tuple.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numdnc.parts import Array as Array
from numdnc.parts import OptionalArray as OptionalArray
from numdnc.parts import Part, parts_of
from numdnc.spec import GATES, Spec
from numdnc.tree import map_leaves

Inputs = NDArray[Any]
"""Floats (T, B, X), or integer symbols (T, B) that mean one-hot rows."""
if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    Leaf = TypeVarWithDefault("Leaf", default=Array)
else:
    Leaf = TypeVar("Leaf")
"""Type of the leaves of a state: arrays, or tensors in a `DNCState[Tensor]`."""


class Affine(NamedTuple):
    """z = v W + b. If v is several vectors concatenated, the rows of W are in the same order."""

    weights: Array  # (in, out)
    bias: Array  # (out,)
    gain: OptionalArray = ()  # (out,); if present, layer norm is applied to v W before the bias


class LSTMParams(NamedTuple):
    """An `Affine` with columns i, f, g, o, and the parameters of the cell's layer norm."""

    weights: Array  # (in, 4 H)
    bias: Array  # (4 H,)
    gain: OptionalArray = ()  # (4 H,)
    cell_gain: OptionalArray = ()  # (H,)
    cell_bias: OptionalArray = ()  # (H,)


LayerParams = LSTMParams | Affine


class LSTMState(NamedTuple, Generic[Leaf]):
    """State of one LSTM layer."""

    hidden: Leaf  # (B, H), in [-1, 1] unless the initial state is learned
    cell: Leaf  # (B, H)


class RNNState(NamedTuple, Generic[Leaf]):
    """State of one recurrent tanh layer."""

    hidden: Leaf  # (B, H), in [-1, 1] unless the initial state is learned


LayerState = LSTMState[Leaf] | RNNState[Leaf] | tuple[()]
"""A feed-forward layer has no state."""


class LearnedState(NamedTuple):
    """The learned part of the initial state, without the batch axis."""

    controller: tuple[LayerState, ...]  # each array (H,)
    memory: Array  # (N, W); of two (E, N, W)
    reads: OptionalArray = ()  # (R, W), of an NTM


class InstructionParams(NamedTuple):
    """A learned memory that is never written, and the bias of the outputs made with it."""

    rows: Array  # (S, W)
    bias: Array  # (Y,)


class RecurrentParams(NamedTuple):
    """Parameters of an RNN or LSTM. Layer rows: [input ; own hidden ; hidden below]."""

    controller: tuple[LayerParams, ...]
    output: Affine  # rows: h_all


class DNCParams(NamedTuple):
    """Parameters of a DNC or an NTM. Layer rows: [input ; reads ; own hidden ; hidden below]."""

    controller: tuple[LayerParams, ...]
    interface: Affine  # rows: h_all; columns: spec.interface_sizes
    output: Affine  # rows: [h_all ; reads]; columns: the outputs or, with `instruction_slots`, what these are told
    initial: LearnedState | tuple[()] = ()
    reverse_controller: tuple[LayerParams, ...] = ()
    """With `bidirectional`; layer rows: [input ; own hidden ; hidden below]."""
    instructions: InstructionParams | tuple[()] = ()


class RecurrentState(NamedTuple, Generic[Leaf]):
    """State of an RNN or LSTM."""

    controller: tuple[LayerState[Leaf], ...]


class DNCState(NamedTuple, Generic[Leaf]):
    """State of a DNC: the controller's, and the parts of the memory's, each with the batch as its first axis."""

    controller: tuple[LayerState[Leaf], ...]
    memory: Annotated[Leaf, Part("[E] N W")]
    usage: Annotated[OptionalArray, Part("[E] N", flag="usage_writing")]  # in [0, 1]
    precedence: Annotated[OptionalArray, Part("[E] [V] N", flag="links")]  # >= 0, each head sums to at most 1
    link: Annotated[OptionalArray, Part("[E] [V] N N", flag="dense_links")]
    """link[i, j]: "i was written after j"; rows and columns sum to at most 1."""
    write_weights: Annotated[Leaf, Part("[E] [V] N")]  # >= 0, each head sums to at most 1
    read_weights: Annotated[Leaf, Part("[E] R N")]  # >= 0, each head sums to at most 1
    reads: Annotated[Leaf, Part("[E] R W")]
    age: Annotated[
        OptionalArray, Part("N", flag="recency")
    ] = ()  # steps since the last access, whole numbers
    link_slots: Annotated[OptionalArray, Part("N K", flag="sparse_links")] = ()
    """Row i lists the slots j, whole numbers that rise, for which link[i, j] is not 0; then come zeros. .."""
    link_values: Annotated[OptionalArray, Part("N K", flag="sparse_links")] = ()
    """.. and these are the weights; 0 where there is no link."""


class NTMState(NamedTuple, Generic[Leaf]):
    """State of an NTM: the controller's, and the parts of the memory's, each with the batch as its first axis."""

    controller: tuple[LayerState[Leaf], ...]
    memory: Annotated[Leaf, Part("N W")]
    write_weights: Annotated[Leaf, Part("V N")]  # >= 0, each head sums to 1
    read_weights: Annotated[Leaf, Part("R N")]  # >= 0, each head sums to 1
    reads: Annotated[Leaf, Part("R W")]


Params = RecurrentParams | DNCParams
State = RecurrentState | DNCState | NTMState
STATE_TYPES: dict[str, Any] = {"dnc": DNCState, "ntm": NTMState}
"""The state of each kind of model with a memory."""


def cast_inputs(inputs: Inputs, params: Any) -> Inputs:
    """Cast vectors to the dtype of the parameters; return symbols unchanged."""
    if np.issubdtype(inputs.dtype, np.integer):
        return inputs
    return inputs.astype(params.output.bias.dtype, copy=False)


class Shape:
    """A leaf of a tree that gives the shape of an array in its place."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes

    def zeros(self, dtype: DTypeLike) -> Array:
        """Return an array of zeros of this shape."""
        return np.zeros(self.sizes, dtype)


def param_shapes(spec: Spec) -> Any:
    """Tree of a model's parameters with a `Shape` in place of each array."""

    def affine(rows: int, columns: int, *, normalised: bool = False) -> Any:
        return Affine(_shape(rows, columns), _shape(columns), _shape(columns) if normalised else ())

    def controller(outside: int) -> tuple[LayerParams, ...]:
        below = 0
        layers: list[LayerParams] = []
        for size in spec.hidden_sizes:
            own = 0 if spec.controller == "feedforward" else size
            columns = GATES[spec.controller] * size
            if spec.controller == "lstm":
                gates = affine(outside + own + below, columns, normalised=spec.normalisation)
                cell = (_shape(size), _shape(size)) if spec.normalisation else ((), ())
                layers.append(LSTMParams(*gates, *cell))
            else:
                layers.append(affine(outside + own + below, columns))
            below = size
        return tuple(layers)

    layers = controller(spec.input_size + spec.reads_size)
    output = affine(spec.hidden_total + spec.reads_size, spec.output_columns)
    if not spec.has_memory:
        return RecurrentParams(layers, output)
    interface = affine(spec.hidden_total, spec.interface_size, normalised=spec.normalisation)
    return DNCParams(
        layers,
        interface,
        output,
        _learned_shapes(spec) if spec.learned_state else (),
        controller(spec.input_size) if spec.bidirectional else (),
        _instruction_shapes(spec),
    )


def state_shapes(spec: Spec, batch: int) -> Any:
    """Tree of the state of a batch of this size with a `Shape` in place of each array."""
    controller = _layer_shapes(spec, batch)
    if not spec.has_memory:
        return RecurrentState(controller)
    return memory_state(
        spec, controller, {name: _shape(batch, *sizes) for name, sizes in state_part_shapes(spec).items()}
    )


def state_part_shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
    """Shape without the batch axis of each part of the memory's state; empty for a model without a memory."""
    if not spec.has_memory:
        return {}
    return {
        name: part.shape(spec.axis_sizes) for name, part in parts_of(STATE_TYPES[spec.kind], spec).items()
    }


def memory_state(spec: Spec, controller: tuple[Any, ...], parts: Mapping[str, Any]) -> Any:
    """Make the state of a model with a memory of the parts given; all others are absent."""
    kind = STATE_TYPES[spec.kind]
    return kind(**{**dict.fromkeys(kind._fields, ()), **parts, "controller": controller})


def zero_params(spec: Spec, dtype: DTypeLike = np.float32) -> Any:
    """Tree of a model's parameters, all 0."""
    return map_leaves(lambda shape: shape.zeros(dtype), param_shapes(spec))


def zero_state(spec: Spec, batch: int, dtype: DTypeLike = np.float32) -> Any:
    """The state of zeros. A DNC, RNN or LSTM starts sequences from it unless its initial state is learned."""
    return map_leaves(lambda shape: shape.zeros(dtype), _known_state_shapes(spec, batch))


_known_state_shapes = lru_cache(maxsize=8)(state_shapes)


def _layer_shapes(spec: Spec, *batch: int) -> tuple[LayerState, ...]:
    """State of every controller layer; `batch` is the axis before H, if any."""

    def layer(size: int) -> LayerState:
        shape = _shape(*batch, size)
        if spec.controller == "lstm":
            return LSTMState(shape, shape)
        return RNNState(shape) if spec.controller == "rnn" else ()

    return tuple(map(layer, spec.hidden_sizes))


def _learned_shapes(spec: Spec) -> LearnedState:
    parts = state_part_shapes(spec)
    reads = _shape(*parts["reads"]) if spec.kind == "ntm" else ()
    return LearnedState(_layer_shapes(spec), _shape(*parts["memory"]), reads)


def _instruction_shapes(spec: Spec) -> InstructionParams | tuple[()]:
    if spec.instruction_slots is None:
        return ()
    return InstructionParams(_shape(spec.instruction_slots, spec.word_size), _shape(spec.output_size))


def _shape(*sizes: int) -> Any:
    """Make a `Shape`, typed as the array that it stands for."""
    return Shape(*sizes)
