"""Runs with their tasks, a class for each kind: text, separate sequences, graphs, bAbI; see docs/runs.md.

A new kind is a file with a subclass of `TaskRun` (base.py) and its name in `KINDS` (kinds.py).
"""

from numdnc.runs.base import TaskRun
from numdnc.runs.kinds import load_run

__all__ = ["TaskRun", "load_run"]
