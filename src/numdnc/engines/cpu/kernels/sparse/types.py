"""The arrays of a sparse memory, declared as in kernels/types.py. Axes besides those listed there:

    K entries of a weighting, Q keys looked up: R for reading, then one for writing; candidates of a search
    U slots whose usage a step may change, C slots whose words a step may change, J changes of links in a step
    blocks of LANES slots; "slots" of blocks, LANES times as many, at least N

There is one memory, which a step changes in place. The tape holds what each step overwrote; `backward` puts it back,
step by step. A weighting is K slots and K weights; an entry of weight 0 is none, whatever its slot.
"""

from typing import Annotated, Any, NamedTuple

from numdnc.engines.cpu.kernels.types import Axes

Array = Any

LANES = 64
"""Slots of a block, whose words are kept by columns."""
NONE = -1
"""Stands for a slot or a position where there is none."""


class SparseMemory(NamedTuple):
    """What is changed in place."""

    memory: Annotated[Array, Axes("B blocks W lanes")]
    inverse_norms: Annotated[Array, Axes("B slots", "unmasked")]  # 1 / sqrt(|M[n]|^2 + eps)
    usage: Annotated[Array, Axes("B N", "usage_writing")]
    link_slots: Annotated[
        Array, Axes("B N K", "links", dtype="int32")
    ]  # row i: slots j; NONE where no link is
    link_values: Annotated[Array, Axes("B N K", "links")]
    link_columns: Annotated[Array, Axes("B N K", "links", dtype="int32")]
    """Column j: positions i K + k of its links in the two arrays above, in any order; NONE where no link is."""


class Recency(NamedTuple):
    """Slots from the least to the most recently accessed, a list with both ends at N; forward pass only."""

    newer: Annotated[Array, Axes("B N1", "recency", dtype="int32")]
    older: Annotated[Array, Axes("B N1", "recency", dtype="int32")]
    accessed: Annotated[Array, Axes("B N", "recency", dtype="int64")]
    """Number of the step after which each slot was accessed last; below 0: before the first."""


class SparseState(NamedTuple):
    """Weightings that a step takes from the step before."""

    write_slots: Annotated[Array, Axes("S B K", dtype="int32")]
    write_weights: Annotated[Array, Axes("S B K")]
    read_slots: Annotated[Array, Axes("S B R K", dtype="int32")]
    read_weights: Annotated[Array, Axes("S B R K")]
    precedence_slots: Annotated[Array, Axes("S B K", "links", dtype="int32")]
    precedence: Annotated[Array, Axes("S B K", "links")]


class SparseStep(NamedTuple):
    """What else a step of the memory computes, and what it overwrote."""

    interface: Annotated[Array, Axes("D B I")]  # as in MemoryStep
    interface_standard: Annotated[Array, Axes("D B I", "normalisation")]
    interface_deviation: Annotated[Array, Axes("D B 1", "normalisation")]
    content_slots: Annotated[Array, Axes("D B Q K", dtype="int32")]
    content_weights: Annotated[Array, Axes("D B Q K")]
    similarity: Annotated[Array, Axes("D B Q K")]
    content_norms: Annotated[Array, Axes("D B Q K")]  # inverse norms of these slots as the key sees them
    write_allocation: Annotated[Array, Axes("D B K")]  # a or I^U at the slots written
    write_content: Annotated[Array, Axes("D B K")]  # c^w, or the mean of the read weights before
    lower_product: Annotated[
        Array, Axes("D B K", "usage_writing")
    ]  # of usages before those slots, but for zeros
    lower_zeros: Annotated[Array, Axes("D B K", "usage_writing", dtype="int32")]  # how many zeros, at most 2
    usage_slots: Annotated[Array, Axes("D B U", "usage_writing", dtype="int32")]
    usage_before: Annotated[Array, Axes("D B U", "usage_writing")]
    retention: Annotated[Array, Axes("D B U", "usage_writing")]
    changed_slots: Annotated[Array, Axes("D B C", dtype="int32")]
    changed_words: Annotated[Array, Axes("D B C W")]  # as they were
    read_backward: Annotated[Array, Axes("D B R K", "links")]  # the three parts of the read weights, as mixed
    read_content: Annotated[Array, Axes("D B R K", "links")]
    read_forward: Annotated[Array, Axes("D B R K", "links")]
    journal_positions: Annotated[Array, Axes("D B J", "links", dtype="int32")]
    """Positions of links that were overwritten; -1 - position for one of `link_columns`."""
    journal_slots: Annotated[Array, Axes("D B J", "links", dtype="int32")]
    journal_values: Annotated[Array, Axes("D B J", "links")]
    counts: Annotated[Array, Axes("D B 4", dtype="int32")]
    """How many: usage_slots, changed_slots, the journal; and the least recently used slot."""


class SparseTape(NamedTuple):
    """The values of a sparse memory."""

    now: SparseMemory
    state: SparseState
    step: SparseStep
    reads: Annotated[Array, Axes("T1 B R W")]


class RowScratch(NamedTuple):
    """Workspace for one sequence."""

    place: Annotated[Array, Axes("B N", dtype="int32")]
    """Position of a slot in the list in use, or NONE; every kernel leaves it NONE everywhere."""
    slots: Annotated[Array, Axes("B touched", dtype="int32")]
    order: Annotated[Array, Axes("B touched", dtype="int32")]
    values: Annotated[Array, Axes("B 6 touched")]
    lowest: Annotated[Array, Axes("B lowest", dtype="int32")]
    lowest_values: Annotated[Array, Axes("B lowest")]
    zeros: Annotated[Array, Axes("B touched", dtype="int32")]
    masked_keys: Annotated[Array, Axes("B Q W", "masking")]  # k m^2
    squared_masks: Annotated[Array, Axes("B Q W", "masking")]  # m^2
    weight_at: Annotated[Array, Axes("B N", "links")]  # w^w of every slot, 0 but while the links are updated
    precedence_at: Annotated[Array, Axes("B N", "links")]


class SparseScratch(NamedTuple):
    """Workspace of the forward pass."""

    products: Annotated[Array, Axes("threads batch_outputs")]  # as in Scratch
    row: RowScratch
    recency: Recency
    best_slots: Annotated[
        Array, Axes("threads B Q candidates", dtype="int32")
    ]  # each thread's candidates, best first
    best_scores: Annotated[Array, Axes("threads B Q candidates")]
    scores: Annotated[Array, Axes("threads Q lanes")]
    masked_norms: Annotated[Array, Axes("threads Q lanes", "masking")]
    squares: Annotated[Array, Axes("threads W lanes", "masking")]


class SparseRowGradient(NamedTuple):
    """Gradients of one sequence; those of a state are of the state before the step computed last."""

    memory: Annotated[Array, Axes("B blocks W lanes")]
    usage: Annotated[Array, Axes("B N", "usage_writing")]
    link: Annotated[Array, Axes("B N K", "links")]  # of link_values
    write_weights: Annotated[Array, Axes("B K")]  # at the slots of the state; so are the next two
    read_weights: Annotated[Array, Axes("B R K")]
    precedence: Annotated[Array, Axes("B K", "links")]
    write_weights_now: Annotated[Array, Axes("B K")]
    read_weights_now: Annotated[Array, Axes("B R K")]
    precedence_now: Annotated[Array, Axes("B K", "links")]
    content: Annotated[Array, Axes("B Q K")]
    word: Annotated[Array, Axes("B 4 W")]  # workspace
    pull: Annotated[Array, Axes("B K")]  # workspace
    lanes: Annotated[Array, Axes("B lanes")]  # workspace


class SparseGradient(NamedTuple):
    """Gradients of the values of a sparse memory."""

    now: SparseMemory  # a copy, which is taken back to the first step
    row: SparseRowGradient
    scratch: RowScratch
    reads_out: Annotated[Array, Axes("T B R W")]  # of reads, through the output
    interface: Annotated[Array, Axes("T B I")]  # of the products with the weights
    interface_out: Annotated[Array, Axes("T B I", "normalisation")]  # of the result of layer norm
