"""The graph tasks of Graves et al. 2016: a graph is shown edge by edge, then a question about it is asked.

Each is a frozen dataclass whose fields are its settings; its docstring shows one sequence step by step. Random graphs
are drawn without end; `named.py` asks the same questions about a user's graph.
"""

from numdnc.tasks.graphs.inference import Inference
from numdnc.tasks.graphs.shortest_path import ShortestPath
from numdnc.tasks.graphs.task import GraphTask
from numdnc.tasks.graphs.traversal import Traversal

__all__ = ["GraphTask", "Inference", "ShortestPath", "Traversal"]
