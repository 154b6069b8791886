"""Checks of what a checkpoint stores of its task."""

from collections.abc import Iterator
from contextlib import contextmanager

from numdnc.errors import UserError
from numdnc.training.run import Run


@contextmanager
def of_this_version(noun: str) -> Iterator[None]:
    """Say of any UserError that the checkpoint is not one that this version knows."""
    try:
        yield
    except UserError as error:
        raise UserError(
            f"the run must be one of {noun} as this version knows it, got a checkpoint of another ({error}). "
            "Use the version of numdnc, or of the custom task, that wrote it."
        ) from None


def check_batch(run: Run, batch: int) -> None:
    """Refuse settings of a task with another batch than the run has."""
    if run.batch != batch:
        raise UserError(f"the batch is {batch}, that of the run {run.batch}")
