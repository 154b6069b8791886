"""bAbI: read a short story word by word, answer questions on it (Weston et al. 2015, "Towards AI-complete QA").

files.py finds and reads the published files, stories.py encodes them as words and symbols, induction.py augments the
training stories of task 16, task.py is the task: one model learns all twenty kinds of story at once.
stream.py is the task catbAbI: the same stories end to end as a stream.
"""

from numdnc.tasks.babi.files import BabiFiles, find_babi, read_babi
from numdnc.tasks.babi.stories import ANSWER, BLANK, Line, Vocabulary, parse_lines
from numdnc.tasks.babi.task import BabiSettings, BabiTask

__all__ = [
    "ANSWER",
    "BLANK",
    "BabiFiles",
    "BabiSettings",
    "BabiTask",
    "Line",
    "Vocabulary",
    "find_babi",
    "parse_lines",
    "read_babi",
]
