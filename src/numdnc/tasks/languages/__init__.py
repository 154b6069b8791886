"""Formal languages: is a string a word of the language?

`grammars.py` has the languages by name, `regex.py` makes one of a regular expression, `task.py` asks about them.
"""

from numdnc.tasks.languages.task import Language

__all__ = ["Language"]
