"""The definition: every equation in NumPy with its hand-derived gradient beside it.

Read `access.py` first (one step of the memory, in the paper's order), then the mechanism you want. It is written to be
read and checked, not to be fast: engines are compared with it.
"""

from numdnc.reference.sequence import backward, forward

__all__ = ["backward", "forward"]
