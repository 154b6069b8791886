"""Check that a model fits into this machine's memory before it is allocated."""

import numpy as np

from numdnc.engines import Engine, get_engine
from numdnc.errors import UserError
from numdnc.machine import memory_bytes
from numdnc.spec import GATES, Spec


def check_memory(
    spec: Spec, engine: Engine, precision: str, states: int, batch: int, *, critic: bool = False
) -> None:
    """Raise UserError if parameters, optimizer and `states` states of one sequence do not fit into memory.

    The model is a policy's `critic` or any other.
    The estimate is a lower bound of what engines need. If the engine stores all links, each of the states has its links
    and masked memories; else only those of a `batch` have. Of a sparse model an engine that does not expand its links
    keeps no memory of each step, but of each sequence those before, while and after it runs.
    """
    here = memory_bytes()
    if here is None:
        return
    rows = spec.input_size + spec.reads_size + 2 * max(spec.hidden_sizes)
    compact = spec.sparsity is not None and not engine.expands_links
    whole = states if engine.stores_all_links and not compact else batch
    fixed = 4 * GATES[spec.controller] * rows * spec.hidden_total
    state = GATES[spec.controller] * spec.hidden_total
    if spec.has_memory:
        N, W = spec.memories * spec.memory_size, spec.word_size
        if engine.stores_all_links:
            N *= spec.memories  # of two memories each is kept as its step made it, and again beside the other
        V = spec.write_heads
        seen = (
            V - 1 + spec.deallocation + (V + spec.read_heads) * spec.masking
        )  # memories beside the memory itself
        fixed += (min(states, 3 * batch) if compact else states) * N * W
        links = V * spec.memory_size * spec.links
        if spec.sparsity is not None:  # matrices before and after the cut, or slots and values
            links = 2 * spec.links * (N if engine.expands_links else spec.sparsity)
        fixed += whole * N * (links + W * seen)
    needed = (fixed + states * state) * np.dtype(precision).itemsize
    if needed > here:
        what, first = ("critic", "--critic-hidden, ") if critic else ("model", "")
        raise UserError(
            f"the {what} must fit into the {here >> 30} GiB of this machine, got sizes that need about "
            f"{needed >> 30:,} GiB. Lower {first}--hidden, --memory-size, --word-size, --batch or the steps at once."
        )


def check_inspection(spec: Spec, precision: str, batch: int) -> None:
    """The same for a look at every step of a batch, which of a bidirectional model the definition computes."""
    if spec.bidirectional:
        check_memory(spec, get_engine("reference"), precision, 3 * batch, batch)
