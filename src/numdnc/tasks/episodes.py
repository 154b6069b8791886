"""The names of `sequence_task.py` before version 0.2, for code that imports them; they will go in 0.3."""

from numdnc.tasks.sequence_task import SequenceSettings as EpisodeSettings
from numdnc.tasks.sequence_task import SequenceTask as EpisodeTask

__all__ = ["EpisodeSettings", "EpisodeTask"]
