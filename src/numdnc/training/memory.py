"""What a model needs of this machine's memory, said before it is taken."""

import os

from numdnc.errors import UserError
from numdnc.spec import GATES, DNCSpec, Spec


def check_memory(spec: Spec, states: int, item_size: int) -> None:
    """Refuse a model that cannot fit this machine: its parameters and optimizer, and so many states of one sequence.

    A lower bound, in bytes, of what the definition takes: states with all that `backward` needs of each.
    """
    if not hasattr(os, "sysconf"):
        return
    here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    rows = spec.input_size + spec.reads_size + 2 * max(spec.hidden_sizes)
    weights = GATES[spec.controller] * rows * spec.hidden_total
    state = GATES[spec.controller] * spec.hidden_total
    if isinstance(spec, DNCSpec):
        words = 1 + spec.deallocation + (1 + spec.read_heads) * spec.masking  # memories of the size N W
        state += spec.memory_size * (spec.memory_size * spec.links + spec.word_size * words)
    needed = (4 * weights + states * state) * item_size
    if needed > here:
        raise UserError(
            f"the model must fit into the {here >> 30} GiB of this machine, got sizes that need about "
            f"{needed >> 30:,} GiB. Lower --hidden, --memory-size, --word-size, --batch or the steps at once."
        )
