"""Tasks whose questions people can type, such as "123+989"."""

from typing import Any, ClassVar, NamedTuple

from numdnc.params import Array
from numdnc.tasks import Batch
from numdnc.tasks.bits.steps import BitsTask


class TypedAnswer(NamedTuple):
    """What a model answers to a typed question."""

    given: str
    """What the model says, ..."""
    wanted: str
    """... and what is right."""
    details: dict[str, Any]
    """More about the answer, by name."""

    @property
    def right(self) -> bool:
        """Whether the model is right."""
        return self.given == self.wanted


class TypedTask(BitsTask):
    """Base class of the tasks whose questions people can type."""

    example_question: ClassVar[str]

    def pose(self, question: str) -> Batch:
        """A typed question as a batch of one sequence, with the right answer as its target.

        UserError if it is not a question of this task.
        """
        raise NotImplementedError

    def answer(self, batch: Batch, outputs: Array) -> TypedAnswer:
        """What outputs (T, 1, Y) answer to a question that `pose` made."""
        raise NotImplementedError
