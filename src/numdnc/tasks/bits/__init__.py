"""Tasks on random bits that need a memory: a generator draws their sequences, without end.

Each is a `SequenceGenerator`: a frozen dataclass whose fields are its settings, with `draw(rng, batch)`, as a custom
task is. Its docstring shows one sequence step by step. The mask marks the steps at which an answer is due: there the
input is zero unless the docstring says otherwise, and elsewhere the target is zero.
"""

from numdnc.tasks.bits.copy import Copy
from numdnc.tasks.bits.instructed_copy import InstructedCopy
from numdnc.tasks.bits.key_value import KeyValue
from numdnc.tasks.bits.recall import Recall
from numdnc.tasks.bits.repeat_copy import RepeatCopy
from numdnc.tasks.bits.sort import PrioritySort

__all__ = ["Copy", "InstructedCopy", "KeyValue", "PrioritySort", "Recall", "RepeatCopy"]
