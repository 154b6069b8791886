"""The data of a model: trees of parameters and of state, and their sizes.

Axes: B batch, X input, Y output, H hidden units of a layer, N slots, W word, R read heads.
The gradient of a tree is a tree of the same kind. A part that a model does not have is an empty tuple.
"""

from collections.abc import Mapping
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
"""What the leaves of a state are: arrays, or tensors in a `DNCState[Tensor]`."""


class Affine(NamedTuple):
    """z = v W + b. Where v is several vectors side by side, the rows of W stand in the same order."""

    weights: Array  # (in, out)
    bias: Array  # (out,)
    gain: OptionalArray = ()  # (out,); with it, v W passes layer norm before the bias


class LSTMParams(NamedTuple):
    """An `Affine` with columns i, f, g, o, and what layer norm of the cell needs."""

    weights: Array  # (in, 4 H)
    bias: Array  # (4 H,)
    gain: OptionalArray = ()  # (4 H,)
    cell_gain: OptionalArray = ()  # (H,)
    cell_bias: OptionalArray = ()  # (H,)


LayerParams = LSTMParams | Affine


class LSTMState(NamedTuple, Generic[Leaf]):
    """What one LSTM layer carries."""

    hidden: Leaf  # (B, H), in [-1, 1] but for a learned start
    cell: Leaf  # (B, H)


class RNNState(NamedTuple, Generic[Leaf]):
    """What one tanh layer with recurrence carries."""

    hidden: Leaf  # (B, H), in [-1, 1] but for a learned start


LayerState = LSTMState[Leaf] | RNNState[Leaf] | tuple[()]
"""A feed-forward layer carries nothing."""


class LearnedState(NamedTuple):
    """Where every sequence starts, if that is learned: parts of the state, without the batch."""

    controller: tuple[LayerState, ...]  # each array (H,)
    memory: Array  # (N, W)


class RecurrentParams(NamedTuple):
    """Parameters of an RNN or LSTM. Layer rows: [input ; own hidden ; hidden below]."""

    controller: tuple[LayerParams, ...]
    output: Affine  # rows: h_all


class DNCParams(NamedTuple):
    """Parameters of a DNC. Layer rows: [input ; reads ; own hidden ; hidden below]."""

    controller: tuple[LayerParams, ...]
    interface: Affine  # rows: h_all; columns: spec.interface_sizes
    output: Affine  # rows: [h_all ; reads]
    initial: LearnedState | tuple[()] = ()


class RecurrentState(NamedTuple, Generic[Leaf]):
    """What an RNN or LSTM carries from step to step."""

    controller: tuple[LayerState[Leaf], ...]


class DNCState(NamedTuple, Generic[Leaf]):
    """What a DNC carries from step to step: the controller's state, and parts that all have the batch first."""

    controller: tuple[LayerState[Leaf], ...]
    memory: Annotated[Leaf, Part("N W")]
    usage: Annotated[Leaf, Part("N")]  # in [0, 1]
    precedence: Annotated[OptionalArray, Part("N", flag="links")]  # >= 0, sums to at most 1
    link: Annotated[OptionalArray, Part("N N", flag="links")]
    """link[i, j]: "i was written after j"; rows and columns sum to at most 1."""
    write_weights: Annotated[Leaf, Part("N")]  # >= 0, sums to at most 1
    read_weights: Annotated[Leaf, Part("R N")]  # >= 0, each head sums to at most 1
    reads: Annotated[Leaf, Part("R W")]


Params = RecurrentParams | DNCParams
State = RecurrentState | DNCState


def cast_inputs(inputs: Inputs, params: Any) -> Inputs:
    """Symbols as they are, vectors in the dtype that the parameters have."""
    if np.issubdtype(inputs.dtype, np.integer):
        return inputs
    return inputs.astype(params.output.bias.dtype, copy=False)


class Shape:
    """A leaf that says how large an array is, without being one."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes

    def zeros(self, dtype: DTypeLike) -> Array:
        """Such an array."""
        return np.zeros(self.sizes, dtype)


def param_shapes(spec: Spec) -> Any:
    """The tree of parameters of a model, a `Shape` for each array."""

    def affine(rows: int, columns: int, *, normalised: bool = False) -> Any:
        return Affine(_shape(rows, columns), _shape(columns), _shape(columns) if normalised else ())

    outside, below = spec.input_size + spec.reads_size, 0
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
    output = affine(spec.hidden_total + spec.reads_size, spec.output_size)
    if not spec.has_memory:
        return RecurrentParams(tuple(layers), output)
    interface = affine(spec.hidden_total, spec.interface_size, normalised=spec.normalisation)
    learned = LearnedState(_layer_shapes(spec), _shape(*state_part_shapes(spec)["memory"]))
    return DNCParams(tuple(layers), interface, output, learned if spec.learned_state else ())


def state_shapes(spec: Spec, batch: int) -> Any:
    """The tree of the state of so many sequences, a `Shape` for each array."""
    controller = _layer_shapes(spec, batch)
    if not spec.has_memory:
        return RecurrentState(controller)
    return memory_state(
        controller, {name: _shape(batch, *sizes) for name, sizes in state_part_shapes(spec).items()}
    )


def state_part_shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
    """Shape, without the batch, of each part of the memory's state that the model has."""
    if not spec.has_memory:
        return {}
    return {name: part.shape(spec.axis_sizes) for name, part in parts_of(DNCState, spec).items()}


def memory_state(controller: tuple[Any, ...], parts: Mapping[str, Any]) -> Any:
    """The `DNCState` of these parts; those that are not given are absent."""
    absent = dict.fromkeys(DNCState._fields, ())
    return DNCState(**{**absent, **parts, "controller": controller})


def zero_params(spec: Spec, dtype: DTypeLike = np.float32) -> Any:
    """The tree of parameters of a model, every number 0."""
    return map_leaves(lambda shape: shape.zeros(dtype), param_shapes(spec))


def zero_state(spec: Spec, batch: int, dtype: DTypeLike = np.float32) -> Any:
    """The blank state: nothing remembered, every slot free. Every sequence starts from it, unless that is learned."""
    return map_leaves(lambda shape: shape.zeros(dtype), state_shapes(spec, batch))


def _layer_shapes(spec: Spec, *batch: int) -> tuple[LayerState, ...]:
    """The state of every layer of a controller; `batch` is the axis before H, if any."""

    def layer(size: int) -> LayerState:
        shape = _shape(*batch, size)
        if spec.controller == "lstm":
            return LSTMState(shape, shape)
        return RNNState(shape) if spec.controller == "rnn" else ()

    return tuple(map(layer, spec.hidden_sizes))


def _shape(*sizes: int) -> Any:
    """A `Shape` where the type of the tree says array."""
    return Shape(*sizes)
