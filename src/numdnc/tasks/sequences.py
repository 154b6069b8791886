"""Sequences drawn at random: what can draw them, and a check that they are what they must be.

Axes: T steps, B batch, X input, Y output.
"""

import hashlib
import traceback
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.tasks import Batch
from numdnc.tasks.targets import fault as fault_of_targets


class Episodes(Protocol):
    """What a task of separate sequences must offer, as a frozen dataclass whose fields are its settings.

    Fields are numbers, booleans or strings with defaults; a bad one is refused by a UserError of `__post_init__`. Where
    there are `input_channels` and `output_channels`, names, pictures show them; where there is `most_held`, how many
    vectors a sequence makes one hold at once, a memory of fewer slots is warned of. Where there is
    `in_words(batch, outputs, row)`, its text stands in the terminal for the picture of a sequence. Where there is
    `play(forward, batch, rng)`, inputs or targets depend on what the model says: it gives the batch as it is after the
    model has chosen, in training with `rng`, in scoring with None. Where `repeats` is there and False, no sequence is
    ever drawn twice, so none need be looked for.
    """

    @property
    def input_size(self) -> int:
        """X, width of an input vector, or number of symbols."""
        ...

    @property
    def output_size(self) -> int:
        """Y, number of bits or of classes; of several classes a step, of all of them together."""
        ...

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """So many fresh sequences, settled by `rng` alone.

        Shorter ones are padded with zeros at their end, where the mask is False.
        """
        ...


def drawn(episodes: Episodes, rng: np.random.Generator, count: int) -> Batch:
    """So many sequences; a UserError says what is wrong with them, since anyone may write a task."""
    name = type(episodes).__name__
    try:
        batch = episodes.draw(rng, count)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - a third party's code may fail in any way
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"{name}.draw must give sequences, got {type(error).__name__}: {error} "
            f"(line {at.lineno} of {at.filename}). Mend it there."
        ) from None
    fault = _fault(episodes, batch, count)
    if fault is not None:
        raise UserError(f"{name}.draw must give {fault}. Mend it, or input_size and output_size.")
    return batch


def counted(batch: Batch) -> NDArray[np.bool_]:
    """(T, B), where the loss counts."""
    return np.ones(batch.targets.shape[:2], bool) if batch.mask is None else batch.mask


def steps_of(batch: Batch, row: int) -> int:
    """T of one sequence of a batch, without the padding at its end."""
    if batch.mask is None:
        return len(batch.inputs)
    used = batch.mask[:, row].astype(bool)
    for array in (batch.inputs, batch.targets):
        used = used | (array[:, row].reshape(len(used), -1) != 0).any(axis=1)
    return int(np.flatnonzero(used)[-1]) + 1 if used.any() else len(used)


def digests(batch: Batch) -> list[bytes]:
    """A digest of the inputs of each sequence, without the padding at its end: the same for the same sequence."""
    steps, rows = batch.inputs.shape[:2]
    used = counted(batch).astype(bool)
    for array in (batch.inputs, batch.targets):
        used = used | (array.reshape(steps, rows, -1) != 0).any(axis=2)
    ends = steps - used[::-1].argmax(axis=0)
    return [
        hashlib.blake2b(batch.inputs[:end, row].tobytes(), digest_size=16).digest()
        for row, end in enumerate(ends)
    ]


def alone(batch: Batch, row: int) -> Batch:
    """One sequence of a batch, without the padding at its end."""
    one = slice(steps_of(batch, row)), slice(row, row + 1)
    return Batch(batch.inputs[one], batch.targets[one], mask=counted(batch)[one])


def joined(batches: list[Batch]) -> Batch:
    """All the sequences side by side, padded to the longest."""
    steps = max(len(batch.inputs) for batch in batches)

    def side_by_side(arrays: list[NDArray[Any]]) -> NDArray[Any]:
        first, rows = arrays[0], sum(array.shape[1] for array in arrays)
        whole = np.zeros((steps, rows, *first.shape[2:]), first.dtype)
        row = 0
        for array in arrays:
            whole[: len(array), row : row + array.shape[1]] = array
            row += array.shape[1]
        return whole

    return Batch(
        side_by_side([batch.inputs for batch in batches]),
        side_by_side([batch.targets for batch in batches]),
        mask=side_by_side([counted(batch) for batch in batches]),
    )


def _fault(episodes: Episodes, batch: Any, count: int) -> str | None:
    """What must hold of a batch and what was given instead; None where all is well."""
    if not isinstance(batch, Batch):
        return f"a Batch, got {_described(batch)}"
    inputs, targets, mask = batch.inputs, batch.targets, batch.mask
    X, Y = episodes.input_size, episodes.output_size
    if not _fits(inputs, count, X):
        return f"inputs (T, {count}, {X}) of floats or (T, {count}) of integers, T from 1, got {_described(inputs)}"
    if not np.isfinite(inputs).all():
        return "inputs that are finite, got some that are not"
    if inputs.ndim == 2 and not _within(inputs, X - 1):
        return f"integer inputs in 0..{X - 1}, got {inputs.min()}..{inputs.max()}"
    of_targets = fault_of_targets(targets, len(inputs), count, Y)
    if of_targets is not None:
        return of_targets
    if mask is None:
        return None
    if not isinstance(mask, np.ndarray) or mask.shape != targets.shape[:2] or mask.dtype != bool:
        return f"a mask {targets.shape[:2]} of booleans, or None, got {_described(mask)}"
    if not mask.any(axis=0).all():
        return "a mask that is True somewhere in every sequence, got one that never is"
    return None


def _fits(array: Any, count: int, width: int) -> bool:
    """Whether this is (T, B, width) of floats or (T, B) of integers."""
    if not isinstance(array, np.ndarray) or array.ndim < 2 or not len(array) or array.shape[1] != count:
        return False
    if array.ndim == 2:
        return np.issubdtype(array.dtype, np.integer)
    return array.ndim == 3 and array.shape[2] == width and np.issubdtype(array.dtype, np.floating)


def _within(array: NDArray[Any], most: int) -> bool:
    return bool(((array >= 0) & (array <= most)).all())


def _described(given: Any) -> str:
    if isinstance(given, np.ndarray):
        return f"{given.shape} of {given.dtype}"
    return f"a {type(given).__name__}"
