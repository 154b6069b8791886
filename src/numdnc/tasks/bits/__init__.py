"""Tasks of random bits that ask for a memory: sequences come fresh from a generator, so there is no end of them.

Each is a frozen dataclass whose fields are its settings, `draw(rng, batch)` draws sequences: what `Episodes` asks of
anybody's task. Its docstring shows one sequence step by step. The steps at which an answer is asked for are the mask:
there the input is zero unless the docstring says otherwise, and elsewhere the target is zero.
"""

from numdnc.tasks.bits.copy import Copy
from numdnc.tasks.bits.key_value import KeyValue
from numdnc.tasks.bits.recall import Recall
from numdnc.tasks.bits.repeat_copy import RepeatCopy
from numdnc.tasks.bits.sort import PrioritySort

__all__ = ["Copy", "KeyValue", "PrioritySort", "Recall", "RepeatCopy"]
