"""Generators of random sequences, checks of what they draw, and operations on batches of sequences.

Axes: T steps, B batch, X input, Y output.
"""

import dataclasses
import hashlib
import traceback
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.tasks import Batch
from numdnc.tasks.targets import hints_problem, targets_problem

_OLD_NAMES = {"slots_needed": "most_held", "describe": "in_words", "rollout": "play"}


class Channels(Protocol):
    """What has inputs and outputs, perhaps with names, `input_channels` and `output_channels`."""

    @property
    def input_size(self) -> int:
        """X, width of an input vector, or number of symbols."""
        ...

    @property
    def output_size(self) -> int:
        """Y, number of bits or of classes; where a step has several classes, the sum over them."""
        ...


class SequenceGenerator(Channels, Protocol):
    """What a task of separate sequences must offer, as a frozen dataclass whose fields are its settings.

    Fields are numbers, booleans or strings with defaults; `__post_init__` refuses a bad value with a UserError.
    Optional attributes:

    * `input_channels`, `output_channels`: names of the channels, shown in plots.
    * `slots_needed`: how many vectors a sequence must hold in memory at once; fewer slots cause a warning.
    * `describe(batch, outputs, row)`: text that the terminal shows instead of a plot of a sequence.
    * `rollout(forward, batch, rng)`, where inputs or targets depend on the model's outputs: the batch with the model's
      choices filled in. `rng` is None in scoring.
    * `queries`: how many questions a sequence asks; if several, their answers are scored one by one, an answer being
      consecutive steps at which the loss counts.
    * `for_training`: another generator, from which the sequences for training are drawn.
    * `repeats`: False says that no sequence is ever drawn twice, so that nobody needs to look for held-out ones.

    The names before 0.2, `most_held`, `in_words` and `play`, still work.
    """

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """Draw `batch` sequences, which depend on nothing but `rng`.

        Shorter sequences are padded with zeros at their end, where the mask is False.
        """
        ...


def optional_attribute(generator: Channels, name: str) -> Any:
    """An optional attribute of a generator, also under its name before 0.2; None where there is neither."""
    return getattr(generator, name, getattr(generator, _OLD_NAMES.get(name, name), None))


def channel_names(generator: Channels, side: str) -> tuple[str, ...]:
    """Names of the "input" or "output" channels; numbers if the task gives none."""
    named = getattr(generator, f"{side}_channels", None)
    return named or tuple(f"{side} {i}" for i in range(getattr(generator, f"{side}_size")))


def resolved_settings(generator: SequenceGenerator) -> dict[str, Any]:
    """The settings of a task, with their values filled in where something else decides them, such as a lesson."""
    found: Any = getattr(generator, "resolved_settings", None) or dataclasses.asdict(generator)  # type: ignore[call-overload]
    return dict(found)


def draw_checked(generator: SequenceGenerator, rng: np.random.Generator, count: int) -> Batch:
    """Draw `count` sequences and check them: anyone may write a task, and a UserError says what is wrong with it."""
    name = type(generator).__name__
    try:
        batch = generator.draw(rng, count)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - a third party's code may fail in any way
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"{name}.draw must give sequences, got {type(error).__name__}: {error} "
            f"(line {at.lineno} of {at.filename}). Fix it there."
        ) from None
    problem = _problem(generator, batch, count)
    if problem is not None:
        raise UserError(f"{name}.draw must give {problem}. Fix it, or input_size and output_size.")
    return batch


def loss_mask(batch: Batch) -> NDArray[np.bool_]:
    """Where the loss counts, (T, B)."""
    return np.ones(batch.targets.shape[:2], bool) if batch.mask is None else batch.mask


def answer_numbers(mask: NDArray[Any]) -> NDArray[np.int64]:
    """For each step of a mask (T, B), how many runs of consecutive True have begun, (T, B)."""
    begins = mask.copy()
    begins[1:] &= ~mask[:-1]
    numbers: NDArray[np.int64] = begins.cumsum(axis=0)
    return numbers


def sequence_lengths(batch: Batch) -> NDArray[np.intp]:
    """Steps of each sequence (B,) without the padding at its end, in which inputs, targets and mask are 0.

    Where a sequence is 0 everywhere, all its steps count.
    """
    steps, rows = batch.inputs.shape[:2]
    used = loss_mask(batch).astype(bool)
    for array in (batch.inputs, batch.targets):
        used = used | (array.reshape(steps, rows, -1) != 0).any(axis=2)
    lengths: NDArray[np.intp] = steps - used[::-1].argmax(axis=0)
    return lengths


def sequence_length(batch: Batch, row: int) -> int:
    """Steps of one sequence of a batch, without the padding at its end."""
    return int(sequence_lengths(batch.rows(slice(row, row + 1)))[0])


def digests(batch: Batch) -> list[bytes]:
    """A digest of each sequence's inputs without its padding, by which equal sequences are recognised."""
    return [
        hashlib.blake2b(batch.inputs[:end, row].tobytes(), digest_size=16).digest()
        for row, end in enumerate(sequence_lengths(batch))
    ]


def single_sequence(batch: Batch, row: int) -> Batch:
    """One sequence of a batch, without the padding at its end."""
    one = slice(sequence_length(batch, row)), slice(row, row + 1)
    hints = None if batch.hints is None else batch.hints[one]
    return Batch(batch.inputs[one], batch.targets[one], mask=loss_mask(batch)[one], hints=hints)


def pad_and_concat(batches: list[Batch]) -> Batch:
    """Concatenate batches along B, all sequences padded to the longest."""
    steps = max(len(batch.inputs) for batch in batches)

    def side_by_side(arrays: list[NDArray[Any]]) -> NDArray[Any]:
        first, rows = arrays[0], sum(array.shape[1] for array in arrays)
        whole = np.zeros((steps, rows, *first.shape[2:]), first.dtype)
        row = 0
        for array in arrays:
            whole[: len(array), row : row + array.shape[1]] = array
            row += array.shape[1]
        return whole

    hinted = next((batch.hints.shape[2] for batch in batches if batch.hints is not None), None)
    return Batch(
        side_by_side([batch.inputs for batch in batches]),
        side_by_side([batch.targets for batch in batches]),
        mask=side_by_side([loss_mask(batch) for batch in batches]),
        hints=None if hinted is None else side_by_side([_hints(batch, hinted) for batch in batches]),
    )


def _hints(batch: Batch, size: int) -> NDArray[Any]:
    """The hints of a batch, zeros where there are none."""
    return np.zeros((*batch.targets.shape[:2], size), np.float32) if batch.hints is None else batch.hints


def _problem(generator: SequenceGenerator, batch: Any, count: int) -> str | None:
    """What a batch must be and what it is instead; None if it is right."""
    if not isinstance(batch, Batch):
        return f"a Batch, got {_described(batch)}"
    inputs, targets, mask = batch.inputs, batch.targets, batch.mask
    X, Y = generator.input_size, generator.output_size
    if not _fits(inputs, count, X):
        return f"inputs (T, {count}, {X}) of floats or (T, {count}) of integers, T from 1, got {_described(inputs)}"
    if not np.isfinite(inputs).all():
        return "inputs that are finite, got some that are not"
    if inputs.ndim == 2 and not _within(inputs, X - 1):
        return f"integer inputs in 0..{X - 1}, got {inputs.min()}..{inputs.max()}"
    problem = targets_problem(targets, len(inputs), count, Y)
    if problem is not None:
        return problem
    if batch.hints is not None:
        problem = hints_problem(batch.hints, targets, Y)
        if problem is not None:
            return problem
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


Episodes = SequenceGenerator
"""The name before 0.2."""
