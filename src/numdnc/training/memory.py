"""What a model needs of this machine's memory, said before it is taken."""

import numpy as np

from numdnc.engines import Engine
from numdnc.errors import UserError
from numdnc.machine import memory_bytes
from numdnc.spec import GATES, Spec


def check_memory(spec: Spec, engine: Engine, precision: str, states: int, batch: int) -> None:
    """Refuse a model that cannot fit this machine: its parameters and optimizer, and so many states of one sequence.

    A lower bound of what engines take. All of the states are held with their links and the memory as every key sees it
    if the engine keeps every link, else those of a `batch`.
    """
    here = memory_bytes()
    if here is None:
        return
    rows = spec.input_size + spec.reads_size + 2 * max(spec.hidden_sizes)
    whole = states if engine.stores_all_links else batch
    fixed = 4 * GATES[spec.controller] * rows * spec.hidden_total
    state = GATES[spec.controller] * spec.hidden_total
    if spec.has_memory:
        N, W = spec.memory_size, spec.word_size
        seen = spec.deallocation + (1 + spec.read_heads) * spec.masking  # memories beside the memory itself
        state += N * W
        fixed += whole * N * (N * spec.links + W * seen)
    needed = (fixed + states * state) * np.dtype(precision).itemsize
    if needed > here:
        raise UserError(
            f"the model must fit into the {here >> 30} GiB of this machine, got sizes that need about "
            f"{needed >> 30:,} GiB. Lower --hidden, --memory-size, --word-size, --batch or the steps at once."
        )
