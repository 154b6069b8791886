"""The arrays that kernels work on. Each is declared once, in the annotation of its field.

From a declaration follow an array's shape and place in memory (layouts.py), how a kernel finds it there (unpacking.py)
and the views of one sequence (rows.py). `plans.axis_sizes` gives the size of every axis:

    T steps, T1 = T + 1; S states and D steps that are kept: T + 1 and T with a tape, else 2 and 1, used in turn
    B batch, BE = B E, of E memories a sequence: that of sequence b and memory e is at b E + e
    N slots, W word, R read heads, RN = R N, V write heads, V_1 = V - 1, I interface vector
    L layers, H hidden units and G gates of all layers, P inputs of all layers, without those of the model

Kernels keep the memory by columns (W, N), so that every inner loop runs over slots; where a state comes in or goes out
it is (N, W).
"""

from functools import cache
from typing import Annotated, Any, NamedTuple, get_type_hints

from numdnc.parts import Interface, NTMInterface

Array = Any

LSTM, RNN, FEEDFORWARD = 0, 1, 2


class Axes(NamedTuple):
    """The declaration of an array."""

    names: str
    """Its axes: names, or numbers."""
    flag: str = ""
    """What a model must have to have this part; where it has not, the last axis is empty. Empty: all models have it."""
    dtype: str = ""
    """Empty: the model's float type."""


@cache
def declared(kind: Any) -> dict[str, Any]:
    """The fields of a named tuple: an `Axes` for an array, the kind of a tuple within, or the type of a number."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: getattr(hints[name], "__metadata__", (hints[name],))[0] for name in kind._fields}


_PARTS = dict.fromkeys((*Interface._fields, *NTMInterface._fields))
InterfaceOffsets = NamedTuple("InterfaceOffsets", [(name, int) for name in _PARTS])
"""The first number of each part of the interface vector; 0 where the model does not have the part."""


class Sizes(NamedTuple):
    """Numbers that say what is computed."""

    steps: int  # T
    kept_states: int  # S
    kept_steps: int  # D
    offsets: InterfaceOffsets
    kind: int  # of the controller: LSTM, RNN or FEEDFORWARD
    normalised_layers: int
    normalised: int  # the interface
    reads: int  # E R W
    memories: int = 1  # E
    slots: int = 0  # N
    word: int = 0  # W
    heads: int = 0  # R
    links: int = 0
    masking: int = 0
    deallocation: int = 0
    sharpness: int = 0
    recency: int = 0
    sparsity: int = 0
    mask_floor: float = 0.0
    segment: int = 1  # the link is kept before every step that is a multiple of this
    stride: int = 1  # within a segment that is computed again, before every multiple of this
    tile: int = 1  # columns of a tile of the link
    rows: int = 4  # of a tile that are worked on at once
    write_heads: int = 0  # V
    shifts: int = 0  # of an NTM's heads
    product: int = 0  # whether the second memory is written what was read from the first


class Controller(NamedTuple):
    """Parameters of the layers, side by side, and the contribution of the inputs to their pre-activations."""

    layers: Annotated[Array, Axes("L 8", dtype="int64")]
    """Each layer's numbers, in the order of `layer_layout`."""
    weights: Annotated[Array, Axes("all_weights")]  # per layer the rows (K, C) of all that is not input
    bias: Annotated[Array, Axes("G")]
    gain: Annotated[Array, Axes("G", "layer_norm")]
    cell_gain: Annotated[Array, Axes("H", "layer_norm")]
    cell_bias: Annotated[Array, Axes("H", "layer_norm")]
    input_products: Annotated[Array, Axes("all_input_products")]  # per layer rows (.., C)
    input_rows: Annotated[Array, Axes("T B", dtype="int64")]
    """The row of `input_products` of each step and sequence."""


class InterfaceParams(NamedTuple):
    """Parameters of the interface."""

    weights: Annotated[Array, Axes("H I_padded")]
    bias: Annotated[Array, Axes("I")]
    gain: Annotated[Array, Axes("I", "normalisation")]
    spans: Annotated[Array, Axes("spans 4", dtype="int64")]
    """First number, last, activation, and for a softmax the width."""


class ControllerTape(NamedTuple):
    """The controller's values."""

    layer_inputs: Annotated[Array, Axes("D B P")]  # per layer [reads ; own hidden ; below]
    gates: Annotated[Array, Axes("D B G")]  # i, f, g, o of an LSTM layer, after their activations; else unset
    hidden: Annotated[Array, Axes("T1 B H")]
    cell: Annotated[Array, Axes("S B H", "lstm")]
    tanh_cell: Annotated[Array, Axes("D B H", "lstm")]
    standard: Annotated[Array, Axes("D B G", "layer_norm")]  # layer norm of the gates
    deviation: Annotated[Array, Axes("D B L", "layer_norm")]
    cell_standard: Annotated[Array, Axes("D B H", "layer_norm")]  # the same of the cells
    cell_deviation: Annotated[Array, Axes("D B L", "layer_norm")]


class MemoryState(NamedTuple):
    """What the memory carries from step to step, and the norms of slots."""

    memory: Annotated[Array, Axes("S BE W N")]
    inverse_norms: Annotated[Array, Axes("S BE N")]  # 1 / sqrt(|M[n]|^2 + eps)
    usage: Annotated[Array, Axes("S BE N")]
    precedence: Annotated[Array, Axes("S BE V N", "links")]
    write_weights: Annotated[Array, Axes("S BE V N")]
    read_weights: Annotated[Array, Axes("S BE R N")]


class MemoryStep(NamedTuple):
    """What else a step of the memory computes."""

    interface: Annotated[Array, Axes("D B I")]  # the interface vector, after the activations
    interface_standard: Annotated[Array, Axes("D B I", "normalisation")]  # its layer norm
    interface_deviation: Annotated[Array, Axes("D B 1", "normalisation")]
    product: Annotated[
        Array, Axes("D B W", "product")
    ]  # over read heads of what was read from the first memory, for the second
    retention: Annotated[Array, Axes("D BE N")]
    pretended: Annotated[
        Array, Axes("D BE V_1 N")
    ]  # the usage that each write head but the first allocates by
    order: Annotated[Array, Axes("D BE V N", dtype="int32")]  # slots by rising usage, for each write head
    allocation: Annotated[Array, Axes("D BE V N")]
    write_content: Annotated[Array, Axes("D BE V N")]
    write_similarity: Annotated[Array, Axes("D BE V N")]
    write_norms: Annotated[Array, Axes("D BE V N", "masking")]  # inverse norms of the masked slots
    read_content: Annotated[Array, Axes("D BE R N")]
    read_similarity: Annotated[Array, Axes("D BE R N")]
    read_norms: Annotated[Array, Axes("D BE R N", "masking")]
    forward: Annotated[Array, Axes("D BE V R N", "links")]  # as mixed
    backward: Annotated[Array, Axes("D BE V R N", "links")]
    unsharpened_forward: Annotated[Array, Axes("D BE V R N", "sharpness")]
    unsharpened_backward: Annotated[Array, Axes("D BE V R N", "sharpness")]


class MemoryTape(NamedTuple):
    """The memory's values."""

    state: MemoryState
    step: MemoryStep
    reads: Annotated[Array, Axes("T1 BE R W")]
    link_checkpoints: Annotated[
        Array, Axes("checkpoints BE V tiles N columns")
    ]  # before each multiple of `segment`


class NTMMemory(NamedTuple):
    """What the memory of an NTM carries from step to step, and the norms of slots."""

    memory: Annotated[Array, Axes("S B W N")]
    inverse_norms: Annotated[Array, Axes("S B N")]
    write_weights: Annotated[Array, Axes("S B V N")]
    read_weights: Annotated[Array, Axes("S B R N")]


class NTMStep(NamedTuple):
    """What else a step of an NTM's memory computes: the stages of each head's weighting."""

    interface: Annotated[Array, Axes("D B I")]
    interface_standard: Annotated[Array, Axes("D B I", "normalisation")]
    interface_deviation: Annotated[Array, Axes("D B 1", "normalisation")]
    write_content: Annotated[Array, Axes("D B V N")]
    write_similarity: Annotated[Array, Axes("D B V N")]
    write_mixed: Annotated[Array, Axes("D B V N")]
    write_shifted: Annotated[Array, Axes("D B V N")]
    read_content: Annotated[Array, Axes("D B R N")]
    read_similarity: Annotated[Array, Axes("D B R N")]
    read_mixed: Annotated[Array, Axes("D B R N")]
    read_shifted: Annotated[Array, Axes("D B R N")]


class NTMTape(NamedTuple):
    """The values of an NTM's memory."""

    state: NTMMemory
    step: NTMStep
    reads: Annotated[Array, Axes("T1 B R W")]


class Scratch(NamedTuple):
    """Workspace of the forward pass; threads that work on the same rows share it."""

    products: Annotated[Array, Axes("threads batch_outputs")]  # each thread's part of a product
    no_reads: Annotated[Array, Axes("T1 B 0")]  # what a controller without a memory sees of one
    order: Annotated[Array, Axes("BE N", dtype="int32")]
    kept: Annotated[Array, Axes("BE W N", "deallocating_heads")]  # the memory before, without what was freed
    link: Annotated[Array, Axes("BE V tiles N columns", "links")]  # the link now
    read_weights: Annotated[Array, Axes("BE RN", "links")]  # those before, in tiles
    backward: Annotated[
        Array, Axes("threads BE V RN", "links")
    ]  # each thread's part of the backward weightings, in tiles


class ControllerGradient(NamedTuple):
    """Gradients of the controller's values; those of a state are of the state before the step computed last."""

    hidden_out: Annotated[Array, Axes("T B H")]  # of hidden values, through the output
    gates: Annotated[Array, Axes("T B G")]  # of the products with the weights
    gates_out: Annotated[Array, Axes("T B G", "layer_norm")]  # of the result of layer norm
    cell_out: Annotated[Array, Axes("T B H", "layer_norm")]  # the same of the cells
    hidden: Annotated[Array, Axes("B H")]
    cell: Annotated[Array, Axes("B H", "lstm")]
    hidden_now: Annotated[Array, Axes("B H")]  # of this step, from above
    reads: Annotated[Array, Axes("B RW")]  # of the step before
    products: Annotated[
        Array, Axes("threads batch_gates")
    ]  # of the pre-activations of a layer, a team's rows
    layer_inputs: Annotated[Array, Axes("threads batch_inputs")]  # of the inputs of that layer, a team's rows


class RowGradient(NamedTuple):
    """Gradients that kernels for one sequence use; those of a state are of the state before the step computed last."""

    memory: Annotated[Array, Axes("BE W N")]
    usage: Annotated[Array, Axes("BE N")]
    kept: Annotated[Array, Axes("BE W N", "deallocating_heads")]  # the memory before, as in `Scratch`
    precedence: Annotated[Array, Axes("BE V N", "links")]
    write_weights: Annotated[Array, Axes("BE V N")]
    read_weights: Annotated[Array, Axes("BE R N")]
    read_weights_now: Annotated[Array, Axes("BE R N")]  # of this step, then by one source of them
    read_content: Annotated[Array, Axes("BE R N")]
    forward: Annotated[Array, Axes("BE V R N", "links")]
    backward: Annotated[Array, Axes("BE V R N", "links")]
    allocation: Annotated[Array, Axes("BE V N")]
    write_content: Annotated[Array, Axes("BE V N")]
    retention: Annotated[Array, Axes("BE N")]
    deallocation: Annotated[Array, Axes("BE N")]  # of the retention, where it erases freed slots
    scratch: Annotated[Array, Axes("BE N")]


class MemoryGradient(NamedTuple):
    """Gradients of the memory's values."""

    row: RowGradient
    reads_out: Annotated[Array, Axes("T BE R W")]  # of reads, through the output
    interface: Annotated[Array, Axes("T B I")]  # of the products with the weights
    interface_out: Annotated[Array, Axes("T B I", "normalisation")]  # of the result of layer norm
    product: Annotated[Array, Axes("B W", "product")]
    link: Annotated[Array, Axes("BE V tiles N columns", "links")]
    pair: Annotated[Array, Axes("BE V 2RN", "links")]  # read weights before and backward gradient, in tiles
    factors: Annotated[Array, Axes("BE V N 2R", "links")]  # what multiplies them in the link's gradient
    segment_links: Annotated[
        Array, Axes("strides BE V tiles N columns", "links")
    ]  # of a segment, computed again
    chunk: Annotated[
        Array, Axes("threads 2 chunk_rows columns", "links")
    ]  # rows of a tile before and after a step
    share_d_row_reads: Annotated[Array, Axes("threads BE R N", "links")]
    """Each thread's part of the gradient of the read weights before, by rows of the link; .."""
    share_d_column_reads: Annotated[Array, Axes("threads BE RN", "links")]  # .. by its columns, in tiles; ..
    share_d_writes: Annotated[
        Array, Axes("threads 2 BE V N", "links")
    ]  # .. of the write weights, by rows and columns; ..
    share_d_precedence: Annotated[Array, Axes("threads BE V N", "links")]  # .. and of the precedence before


class NTMRowGradient(NamedTuple):
    """Gradients that kernels for one sequence of an NTM use; those of a state as in `RowGradient`."""

    memory: Annotated[Array, Axes("B W N")]
    write_weights: Annotated[Array, Axes("B V N")]
    read_weights: Annotated[Array, Axes("B R N")]
    write_content: Annotated[Array, Axes("B V N")]
    read_content: Annotated[Array, Axes("B R N")]
    scratch: Annotated[Array, Axes("B N")]


class NTMGradient(NamedTuple):
    """Gradients of the values of an NTM's memory."""

    row: NTMRowGradient
    reads_out: Annotated[Array, Axes("T B R W")]  # of reads, through the output
    interface: Annotated[Array, Axes("T B I")]  # of the products with the weights
    interface_out: Annotated[Array, Axes("T B I", "normalisation")]  # of the result of layer norm


class WorkShare(NamedTuple):
    """What one thread does: alone on rows of its own, or as a member of a team that works on the same rows."""

    thread: int
    leader: int  # the thread of the team's first member
    rank: int  # of this thread in its team
    team_size: int
    first_row: int  # rows of the team
    last_row: int
    own_first_row: int  # rows that only this thread touches
    own_last_row: int
    link_first_row: int  # rows and slots of the links that this thread updates
    link_last_row: int
    first_slot: int
    last_slot: int
    link_shares: int  # members that share a row's link
    link_share: int  # which of these shares is this thread's
    barrier: Array  # of the team
