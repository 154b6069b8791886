"""Runs of bAbI: questions on short stories are answered."""

from functools import cached_property
from typing import Any, ClassVar, cast

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.runs.base import NewTask
from numdnc.runs.results import StoryAnswers
from numdnc.runs.stories import Stored, StoryRun, in_brackets
from numdnc.tasks import Batch
from numdnc.tasks.babi import BabiFiles, BabiSettings, BabiTask, parse_lines
from numdnc.tasks.babi.asking import ask_story, story_batch, story_with_answers
from numdnc.tasks.babi.stories import SPECIAL_SYMBOLS
from numdnc.tasks.babi.task import EVAL_BATCH


class BabiRun(StoryRun[BabiSettings]):
    """A run of bAbI, story by story."""

    kind: ClassVar[str] = "babi"
    noun: ClassVar[str] = "bAbI"
    score_name: ClassVar[str] = "mean error"
    score_key: ClassVar[str] = "mean_error"
    special_symbols: ClassVar[tuple[str, ...]] = SPECIAL_SYMBOLS
    stored: ClassVar[Any] = Stored[BabiSettings]

    @classmethod
    def make_task(cls, files: BabiFiles, settings: BabiSettings, seed: int) -> BabiTask:
        """The task on these stories."""
        return BabiTask(files, settings, seed)

    @classmethod
    def new_task(cls, task: BabiTask) -> NewTask:
        """The task to begin a run of."""
        batch = task.settings.batch
        return NewTask(
            task,
            metadata={},
            batch=batch,
            states=max(batch * (task.longest + 2), 3 * EVAL_BATCH),
            about=f"{task.batches:,} updates an epoch, {100 * task.padding:.0f} % of their steps padding"
            f"{in_brackets(task.settings.changes)}",
            stem="babi",
        )

    @cached_property
    def task(self) -> BabiTask:
        """The task on the run's stories."""
        return cast(BabiTask, super().task)

    @property
    def changes(self) -> str:
        """How the stories differ from the files; empty if they do not."""
        return self.settings.changes

    def ask(self, question: str, *, words: int = 1, shown: int = 4) -> StoryAnswers:
        """Answer each question of a story in `words` words; for each word give the `shown` likeliest."""
        for name, value in (("words", words), ("shown", shown)):
            if value < 1:
                raise UserError(f"{name} must be at least 1, got {value}.")
        self._check_memory(3, 1)
        pause = self.settings.pause
        return StoryAnswers(
            ask_story(self.forward, self.vocabulary, pause, question, words=words, shown=shown)
        )

    def typed_story(self, text: str) -> Batch:
        """A story that the user typed; its answers are unknown."""
        return story_batch(parse_lines(text), self.vocabulary, self.settings.pause)

    def with_answers(self, batch: Batch, outputs: Array) -> str:
        """A story with the model's answers."""
        return story_with_answers(batch, outputs, self.vocabulary)
