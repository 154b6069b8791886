"""Sequences of a user's own, from NumPy files or JSON lines."""

from numdnc.tasks.arrays.task import ArraySettings, ArrayTask

__all__ = ["ArraySettings", "ArrayTask"]
