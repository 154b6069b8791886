"""The definition: every equation in NumPy with its hand-derived gradient beside it.

Read `access.py` first (one step of the memory, in the paper's order), then the mechanism you want. Nothing here is
fast on purpose, and nothing may make it faster or stranger: engines are compared with it.
"""

from numdnc.reference.sequence import backward, forward

__all__ = ["backward", "forward"]
