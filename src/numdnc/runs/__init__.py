"""Runs with their tasks, a class for each kind: text, separate sequences, graphs, bAbI.

`load_run` opens one. What a new kind needs: a file with a subclass of `TaskRun` (base.py) and its name in `KINDS`
(kinds.py).
"""
