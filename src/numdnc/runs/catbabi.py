"""Runs of catbAbI: questions are answered while stories go by in a stream."""

from functools import cached_property
from typing import Any, ClassVar, cast

from numdnc.errors import UserError
from numdnc.params import Array
from numdnc.runs.base import NewTask
from numdnc.runs.results import StoryAnswers
from numdnc.runs.stories import Stored, StoryRun
from numdnc.tasks import Batch
from numdnc.tasks.babi import BabiFiles
from numdnc.tasks.babi.asking import ask_stream, stream_batch, stream_with_answers
from numdnc.tasks.babi.stream import BEGIN, EVAL_STREAMS, StreamSettings, StreamTask


class CatbabiRun(StoryRun[StreamSettings]):
    """A run of catbAbI, whose state is carried from window to window."""

    kind: ClassVar[str] = "catbabi"
    noun: ClassVar[str] = "catbAbI"
    score_name: ClassVar[str] = "error of answers"
    score_key: ClassVar[str] = "error"
    special_symbols: ClassVar[tuple[str, ...]] = (BEGIN,)
    stored: ClassVar[Any] = Stored[StreamSettings]
    carries_state: ClassVar[bool] = True

    @classmethod
    def make_task(cls, files: BabiFiles, settings: StreamSettings, seed: int) -> StreamTask:
        """The task on these stories."""
        return StreamTask(files, settings, seed)

    @classmethod
    def new_task(cls, task: StreamTask) -> NewTask:
        """The task to begin a run of."""
        batch, window = task.settings.batch, task.settings.window
        return NewTask(
            task,
            metadata={},
            batch=batch,
            states=max(batch * (window + 2), 3 * EVAL_STREAMS),
            about=f"{-(-task.steps // window):,} updates an epoch",
            stem="catbabi",
            in_parts="a stream of stories is read window by window",
        )

    @cached_property
    def task(self) -> StreamTask:
        """The task on the run's stories."""
        return cast(StreamTask, super().task)

    def ask(self, question: str, *, shown: int = 4) -> StoryAnswers:
        """Answer each question of a story, the first of a stream; give the `shown` likeliest answers."""
        if shown < 1:
            raise UserError(f"shown must be at least 1, got {shown}.")
        self._check_memory(3, 1)
        return StoryAnswers(ask_stream(self.forward, self.vocabulary, question, shown=shown))

    def typed_story(self, text: str) -> Batch:
        """A story that the user typed, with the model's own answers."""
        return stream_batch(self.forward, self.vocabulary, text)

    def with_answers(self, batch: Batch, outputs: Array) -> str:
        """A story with the model's answers."""
        return stream_with_answers(batch, outputs, self.vocabulary)
