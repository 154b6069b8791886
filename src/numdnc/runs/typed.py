"""Runs of tasks whose questions people can type: runs of sequences that also answer them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

from numdnc.inspection.trace import About, Trace
from numdnc.runs.results import TypedResult
from numdnc.runs.sequences import SequenceRun, generator_class
from numdnc.tasks import Batch
from numdnc.tasks.sequences import sequence_lengths
from numdnc.tasks.typed import TypedTask
from numdnc.training.run import Run

_ASK_STATES = 3
"""Held at once: before a step and after it, and where the answer began."""


class TypedRun(SequenceRun):
    """A run of arithmetic or of a formal language."""

    noun: ClassVar[str] = "arithmetic or a language"
    next_commands: ClassVar[tuple[str, ...]] = (
        *("eval {} --show", 'ask {} "QUESTION"', "view {}", "diagnose {}"),
    )

    @classmethod
    def accepts(cls, run: Run, custom_task: str | None) -> bool:
        """Whether the run's task takes typed questions."""
        return issubclass(generator_class(run, custom_task), TypedTask)

    def ask(self, question: str) -> TypedResult:
        """Ask a question, such as "123+989" or "(()())"."""
        self._check_memory(_ASK_STATES, 1)
        task, batch = self._pose(question)
        outputs, _ = self.forward(batch.inputs, None, sequence_lengths(batch))
        return TypedResult(question, task.answer(batch, outputs), self.checkpoint.iteration)

    def trace(
        self,
        *,
        user_input: str | None = None,
        number: int | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Trace:
        """Record one of the sequences that are scored, or one of the user's own; `overrides` as in `evaluate`.

        `user_input` is a question as `ask` takes it, or names a CSV file with rows of numbers.
        """
        if user_input is None or Path(user_input).suffix.lower() == ".csv":
            return super().trace(user_input=user_input, number=number, overrides=overrides)

        def make() -> tuple[Batch, About]:
            return self._pose(user_input)[1], self._about(self.task, f"the question {user_input}")

        return self._trace(make)

    def _pose(self, question: str) -> tuple[TypedTask, Batch]:
        """The task of the curriculum's current level, and a question as its sequence."""
        self.task.move_to(self.checkpoint.position)
        task = cast(TypedTask, self.task.current)
        return task, task.pose(question)
