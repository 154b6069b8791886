"""What kernels work on: sizes, parameters, tape, scratch, and the part of the work that is one thread's.

Axes: T steps, B batch, H hidden units, N slots, W word, R read heads, L layers. Kernels keep the memory by columns
(W, N), so that every inner loop runs over slots; where a state comes in or goes out it is (N, W).

S and D are how many states and steps are kept: T + 1 and T with a tape, else 2 and 1, used in turn. Parts that a model
does not have are arrays without numbers.
"""

from collections import namedtuple
from typing import Any, NamedTuple

from numdnc.parts import Interface

Array = Any

LSTM, RNN, FEEDFORWARD = 0, 1, 2
SIGMOID, ONEPLUS, SOFTMAX = 0, 1, 2


class Sizes(NamedTuple):
    """Numbers that say what is computed."""

    steps: int  # T
    kept_states: int  # S
    kept_steps: int  # D
    kind: int  # of the controller: LSTM, RNN or FEEDFORWARD
    normalised_layers: int
    normalised: int  # the interface
    reads: int  # R W
    slots: int = 0
    word: int = 0
    heads: int = 0
    links: int = 0
    masking: int = 0
    deallocation: int = 0
    sharpness: int = 0
    mask_floor: float = 0.0
    segment: int = 1  # the links are kept before every step that is a multiple of this
    stride: int = 1  # within a segment that is run again, before every multiple of this
    tile: int = 1  # columns of a tile of the links
    rows: int = 4  # of a tile that are worked on at once


InterfaceAt: Any = namedtuple(
    "InterfaceAt", ("activations", *Interface._fields), defaults=[-1] * len(Interface._fields)
)
"""Where each part of the interface vector starts, -1 where there is no such part; and `activations`, a row for each
activated stretch of it: one of the numbers above, its first column, the one after its last, and a softmax's width."""


class Controller(NamedTuple):
    """Parameters of the layers, one after the other, and what of their pre-activations the inputs alone decide."""

    layers: Array  # (L, 8): a layer's numbers in the order of `layer_layout`
    weights: Array  # flat: per layer the rows (K, C) of all that is not input
    bias: Array  # (G,): all layers side by side
    gain: Array
    cell_gain: Array
    cell_bias: Array
    table: Array  # flat: per layer rows (.., C) of products of inputs
    rows: Array  # (T, B): the row of each step and sequence


class InterfaceParams(NamedTuple):
    """Parameters of the interface."""

    at: Any  # an `InterfaceAt`
    weights: Array  # (H, I)
    bias: Array
    gain: Array


class ControllerTape(NamedTuple):
    """The controller's values; G is the width of all gates side by side, P of all that the layers see."""

    parts: Array  # (D, B, P): per layer [reads ; own hidden ; below]
    gates: Array  # (D, B, G): i, f, g, o of an LSTM layer, after their activations; else unset
    hidden: Array  # (T + 1, B, H)
    cell: Array  # (S, B, H)
    tanh_cell: Array  # (D, B, H)
    standard: Array  # (D, B, G), (D, B, L): layer norm of the gates and its deviation
    deviation: Array
    cell_standard: Array  # (D, B, H), (D, B, L): of the cells
    cell_deviation: Array


class MemoryTape(NamedTuple):
    """The memory's values."""

    interface: Array  # (D, B, I), after the activations
    interface_standard: Array  # (D, B, I), (D, B)
    interface_deviation: Array
    memory: Array  # (S, B, W, N)
    inverse_norms: Array  # (S, B, N): 1 / sqrt(|M[n]|^2 + eps)
    usage: Array  # (S, B, N)
    precedence: Array  # (S, B, N)
    write_weights: Array  # (S, B, N)
    read_weights: Array  # (S, B, R, N)
    reads: Array  # (T + 1, B, R, W)
    retention: Array  # (D, B, N)
    order: Array  # (D, B, N) of int32: slots by rising usage
    allocation: Array  # (D, B, N)
    write_content: Array  # (D, B, 1, N)
    write_similarity: Array  # (D, B, 1, N)
    write_norms: Array  # (D, B, 1, N): inverse norms as the mask lets them be seen
    read_content: Array  # (D, B, R, N)
    read_similarity: Array  # (D, B, R, N)
    read_norms: Array  # (D, B, R, N)
    forward: Array  # (D, B, R, N), as mixed
    backward: Array
    unsharpened_forward: Array  # (D, B, R, N), before they are sharpened
    unsharpened_backward: Array
    links: Array  # (T / segment, B, tiles, N, columns): the link before every step that is a multiple of `segment`


class Scratch(NamedTuple):
    """Shared by threads that work on the same rows."""

    products: Array  # (threads, B C): each member's part of a product
    order: Array  # (B, N) of int32
    link: Array  # (B, tiles, N, columns): the link now
    read_weights: Array  # (B, R N): those before, in tiles
    backward: Array  # (members, B, R N): each member's part of the backward weightings, in tiles


class ControllerGradient(NamedTuple):
    """Gradients by the controller's values; those of a state are by the state before the step that is next."""

    hidden_out: Array  # (T, B, H): by hidden values on their way to the output
    gates: Array  # (T, B, G): by the products
    gates_out: Array  # (T, B, G): by what layer norm made of them
    cell_out: Array  # (T, B, H): the same of the cells
    hidden: Array  # (B, H)
    cell: Array  # (B, H)
    hidden_now: Array  # (B, H): of this step, from above
    reads: Array  # (B, R W): of the step before
    products: Array  # (threads, B C): of a team's rows, by the pre-activations of the layer at work
    parts: Array  # (threads, B K): of a team's rows, by what that layer sees


class MemoryGradient(NamedTuple):
    """Gradients by the memory's values; those of a state are by the state before the step that is next."""

    reads_out: Array  # (T, B, R, W): by reads on their way to the output
    interface: Array  # (T, B, I): by the products
    interface_out: Array  # (T, B, I): by what layer norm made of them
    memory: Array  # (B, W, N)
    usage: Array  # (B, N)
    precedence: Array  # (B, N)
    link: Array  # (B, tiles, N, columns)
    write_weights: Array  # (B, N)
    read_weights: Array  # (B, R, N)
    weights_now: Array  # (B, R, N): by the read weights of this step, then by one source of them
    content: Array  # (B, R, N)
    forward: Array  # (B, R, N)
    backward: Array
    allocation: Array  # (B, N)
    write_content: Array  # (B, 1, N)
    retention: Array  # (B, N)
    wiped: Array  # (B, N): by what wipes the memory, of the retention
    shrink: Array  # (B, N)
    pair: Array  # (B, 2 R N): read weights before and backward gradient, in tiles
    factors: Array  # (B, N, 2 R): what multiplies them in the link's gradient
    links: Array  # (segment / stride, B, tiles, N, columns): the links of a segment, run again
    rows: Array  # (threads, 2, rows, columns): some rows of a tile before and after a step
    share_d_row_reads: (
        Array  # (members, B, R, N): each member's part, by read weights before, as rows of the link
    )
    share_d_column_reads: Array  # (members, B, R N): and as columns, in tiles
    share_d_writes: Array  # (members, 2, B, N): by write weights, as rows and as columns of the link
    share_d_precedence: Array  # (members, B, N): by the precedence before


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
    barrier: Array
