"""Arrays of a user's own as sequences: what they must hold, and what is learned of them.

Axes: S sequences, T steps, X input, Y output, G classes of a step.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.tasks import Batch
from numdnc.tasks.arrays.files import RawArrays
from numdnc.tasks.sequences import sequence_lengths
from numdnc.tasks.targets import are_classes

TargetKind = Literal["auto", "bits", "classes"]
MOST_SYMBOLS = 1 << 16
"""Most different symbols, or classes."""


class Sequences(NamedTuple):
    """Sequences padded to the longest."""

    inputs: NDArray[Any]
    """(S, T, X) float32, or (S, T) symbols in [0, X)."""
    targets: NDArray[Any]
    """(S, T, Y) float32 in [0, 1], bits; or (S, T) or (S, T, G) integers, classes. 0 where they do not count."""
    mask: NDArray[np.bool_]
    """(S, T): where the loss counts."""
    lengths: NDArray[np.intp]
    """(S,): steps of each without its padding, in which inputs, targets and mask are 0."""
    input_size: int
    output_size: int

    def rows(self, chosen: Sequence[int] | NDArray[np.integer]) -> Batch:
        """Some of the sequences as a batch, as long as the longest of them."""
        steps = int(self.lengths[chosen].max())
        parts = (array[chosen, :steps] for array in (self.inputs, self.targets, self.mask))
        inputs, targets, mask = (np.ascontiguousarray(part.swapaxes(0, 1)) for part in parts)
        return Batch(inputs, targets, mask=mask)


def sequences_of(raw: RawArrays, targets_as: TargetKind) -> Sequences:
    """Check arrays and convert them; a UserError says which array does not fit, and where."""
    if targets_as not in get_args(TargetKind):
        raise UserError(f"targets_as must be auto, bits or classes, got {targets_as!r}.")
    named = {"inputs": raw.inputs, "targets": raw.targets, **({} if raw.mask is None else {"mask": raw.mask})}
    shapes = ", ".join(f"{name} {array.shape}" for name, array in named.items())
    dims_fit = all(array.ndim in (2, 3) and array.size for array in named.values())
    if not dims_fit or (raw.mask is not None and raw.mask.ndim != 2):
        raise UserError(
            "inputs must have the shape (S, T, X), or (S, T) of symbols, targets (S, T, Y) or (S, T), and mask (S, T) "
            f"for S sequences of T steps, got {shapes}. Reshape them."
        )
    if len({array.shape[:2] for array in named.values()}) > 1:
        raise UserError(
            f"inputs, targets and mask must hold as many sequences and steps, got {shapes}. Pad shorter sequences with "
            "zeros, where the mask is 0."
        )
    mask = _mask(raw)
    inputs, input_size = _inputs(raw.inputs)
    targets, output_size = _targets(raw.targets, mask, targets_as)
    batch = Batch(inputs.swapaxes(0, 1), targets.swapaxes(0, 1), mask=mask.swapaxes(0, 1))
    return Sequences(inputs, targets, mask, sequence_lengths(batch), input_size, output_size)


def _mask(raw: RawArrays) -> NDArray[np.bool_]:
    if raw.mask is None:
        return np.ones(raw.inputs.shape[:2], bool)
    _refuse("mask must hold 0 and 1, or False and True", raw.mask, (raw.mask != 0) & (raw.mask != 1))
    mask: NDArray[np.bool_] = raw.mask.astype(bool)
    silent = np.flatnonzero(~mask.any(axis=1))
    if len(silent):
        raise UserError(
            f"mask must be 1 at some step of every sequence, got sequence {silent[0]} without any. Leave it out."
        )
    return mask


def _inputs(given: NDArray[Any]) -> tuple[NDArray[Any], int]:
    if given.ndim == 2 and np.issubdtype(given.dtype, np.integer):
        _refuse(
            f"symbols of inputs must be numbered from 0 to {MOST_SYMBOLS - 1} at most", given, _beyond(given)
        )
        most = int(given.max())
        return given.astype(np.min_scalar_type(most)), most + 1
    vectors = _as_float32("inputs", given if given.ndim == 3 else given[..., None])
    return vectors, vectors.shape[2]


def _targets(
    given: NDArray[Any], mask: NDArray[np.bool_], targets_as: TargetKind
) -> tuple[NDArray[Any], int]:
    """Targets and the number of outputs; what the mask leaves out may be anything."""
    counts = mask if given.ndim == 2 else mask[..., None]
    given = np.where(counts, given, np.zeros((), given.dtype))
    if targets_as == "auto":
        several = given.ndim == 3 and bool((given > 1).any())
        classes = are_classes(given) and (given.ndim == 2 or several)
    else:
        classes = targets_as == "classes"
    if not classes:
        bits = _as_float32("targets", given if given.ndim == 3 else given[..., None])
        _refuse(
            "targets must be bits, numbers from 0 to 1, or classes",
            given,
            (given < 0) | (given > 1),
            "Whole numbers that are classes need --targets-as classes; other real values are not learned: scale them, "
            "or sort them into classes.",
        )
        return bits, bits.shape[2]
    with np.errstate(invalid="ignore"):
        wrong = ~np.isfinite(given) | (given != np.floor(given)) | _beyond(given)
    _refuse(f"classes of targets must be whole numbers from 0 to {MOST_SYMBOLS - 1} at most", given, wrong)
    most = int(given.max())
    if most < 1:
        raise UserError(
            "targets must have at least 2 classes, got only class 0. There is nothing to predict."
        )
    return given.astype(np.min_scalar_type(most)), (most + 1) * (given.shape[2] if given.ndim == 3 else 1)


def _as_float32(name: str, given: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        converted: NDArray[np.float32] = given.astype(np.float32)
    _refuse(f"{name} must be finite numbers of float32", given, ~np.isfinite(converted))
    return converted


def _beyond(given: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (given < 0) | (given >= MOST_SYMBOLS)
    return found


def _refuse(must: str, given: NDArray[Any], wrong: NDArray[np.bool_], do: str = "Correct it.") -> None:
    if wrong.any():
        at = tuple(int(place) for place in np.argwhere(wrong)[0])
        raise UserError(
            f"{must}, got {given[at]} in sequence {at[0]}, step {at[1]} (from 0)"
            f"{f', column {at[2]}' if len(at) > 2 else ''}. {do}"
        )
