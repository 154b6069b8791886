"""Mini-SHRDLU: blocks are moved until they lie as one of several goals says (Graves et al. 2016)."""

from numdnc.tasks.shrdlu.environment import Shrdlu

__all__ = ["Shrdlu"]
