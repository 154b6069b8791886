"""The tasks of separate sequences that have names, by the name that a checkpoint and `numdnc train NAME` give them."""

from numdnc.tasks.arithmetic import Addition, Multiplication, Subtraction, Successor
from numdnc.tasks.bits import Copy, InstructedCopy, KeyValue, PrioritySort, Recall, RepeatCopy
from numdnc.tasks.graphs import Inference, ShortestPath, Traversal
from numdnc.tasks.languages import Language
from numdnc.tasks.sequences import SequenceGenerator

GENERATORS: dict[str, type[SequenceGenerator]] = {
    "copy": Copy,
    "copy-four": Copy,
    "repeat-copy": RepeatCopy,
    "repeat-copy-raw": RepeatCopy,
    "repeat-copy-large": Copy,
    "instructed-copy": InstructedCopy,
    "recall": Recall,
    "key-value": KeyValue,
    "key-value-two-way": KeyValue,
    "sort": PrioritySort,
    "reuse": Copy,
    "links": Copy,
    "addition": Addition,
    "subtraction": Subtraction,
    "multiplication": Multiplication,
    "successor": Successor,
    "language": Language,
    "traversal": Traversal,
    "shortest-path": ShortestPath,
    "inference": Inference,
}
