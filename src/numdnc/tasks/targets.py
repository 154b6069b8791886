"""The kinds of targets and their losses: bits, one class a step, or several classes a step.

Floats in [0, 1], as many as outputs, are bits (sigmoid). Integers are classes (softmax): one a step among all outputs,
or G a step, the g-th among the g-th group of Y/G outputs. Axes: .. steps and batch in any order, Y output, G groups,
P predictions of a step: bits, or classes; C choices.

A step may also be one prediction, of G classes at once, among the choices that a batch gives it, which are padded with
-1. A choice has the probability of its G classes, renormalised over the choices.

Hints are probabilities of the classes of each group, where steps are to output something that is never scored.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.reference.activations import sigmoid, softmax
from numdnc.reference.losses import sigmoid_cross_entropy, softmax_cross_entropy

_NEVER = -1e9
"""In place of the logit of a choice that is not there."""
_ROUNDING = 1e-3
"""How far probabilities may be from adding up to 1."""


def are_classes(targets: NDArray[Any]) -> bool:
    """Whether targets are classes rather than bits."""
    return bool(np.issubdtype(targets.dtype, np.integer))


def predictions_per_step(targets: NDArray[Any], outputs: Array) -> int:
    """Number of predictions of a step, P."""
    return 1 if targets.ndim < outputs.ndim else targets.shape[-1]


def cross_entropy(
    outputs: Array, targets: NDArray[Any], counts: NDArray[np.bool_], choices: NDArray[Any] | None = None
) -> tuple[float, int, Array]:
    """Mean loss in nats over the predictions that count, their number, and the gradient by the outputs (T, B, Y).

    `counts` (T, B) says at which steps the loss counts, `choices` (T, B, C, G) among what there.
    """
    each = predictions_per_step(targets, outputs)
    if choices is not None:
        return _cross_entropy_of_choices(outputs, targets, counts, choices)
    if are_classes(targets):
        wide = np.broadcast_to(counts[..., None], (*counts.shape, each))
        nats, d_outputs = softmax_cross_entropy(_grouped(outputs, each), _classes(targets, outputs), wide)
        d_outputs = d_outputs.reshape(outputs.shape)
    else:
        nats, d_outputs = sigmoid_cross_entropy(outputs, targets, counts)
    return nats, each * int(counts.sum()), d_outputs


def divergence_from_hints(outputs: Array, hints: Array, groups: int) -> tuple[float, int, Array]:
    """Mean divergence of outputs (.., Y) from hints (.., Y), in nats a group; the number of hints; the gradient.

    Kullback and Leibler's sum of p (log p - log softmax(output)): 0 where the output is the hint, however much that
    leaves open. Steps whose hints are 0 do not count.
    """
    due = hints.any(axis=-1)
    wanted, given = _grouped(hints[due], groups), _grouped(outputs[due], groups)
    number, d_outputs = len(wanted), np.zeros_like(outputs)
    if number == 0:
        return 0.0, 0, d_outputs
    shifted = given - given.max(axis=-1, keepdims=True)
    log_said = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    log_wanted = np.log(np.where(wanted > 0, wanted, 1))
    d_outputs[due] = ((np.exp(log_said) - wanted) / (number * groups)).reshape(number, -1)
    return (
        float((wanted * (log_wanted - log_said)).sum(dtype=np.float64)) / (number * groups),
        number,
        d_outputs,
    )


def errors(outputs: Array, targets: NDArray[Any], choices: NDArray[Any] | None = None) -> NDArray[np.bool_]:
    """Which predictions are wrong, (.., P): a bit is predicted by y > 0, a class by the largest y of its group.

    With `choices` a step is one prediction, the likeliest choice.
    """
    if choices is not None:
        missed: NDArray[np.bool_] = (likeliest_choices(outputs, choices) != targets).any(
            axis=-1, keepdims=True
        )
        return missed
    if are_classes(targets):
        classes = _classes(targets, outputs)
        wrong: NDArray[np.bool_] = _grouped(outputs, classes.shape[-1]).argmax(axis=-1) != classes
    else:
        wrong = (outputs > 0) != (targets > 0.5)
    return wrong


def likeliest_choices(outputs: Array, choices: NDArray[Any]) -> NDArray[Any]:
    """The likeliest of the choices (.., C, G) by outputs (.., Y), (.., G); the first of equally likely ones."""
    best = choice_logits(outputs, choices).argmax(axis=-1)
    found: NDArray[Any] = np.take_along_axis(choices, best[..., None, None], -2)[..., 0, :]
    return found


def choice_logits(outputs: Array, choices: NDArray[Any]) -> Array:
    """Logits of choices (.., C, G), (.., C): the sums of the outputs of their classes.

    log softmax of each group would be that less a number that is the same for all choices.
    """
    groups = _grouped(outputs, choices.shape[-1])
    picked = np.take_along_axis(groups[..., None, :, :], np.maximum(choices, 0)[..., None], -1)[..., 0]
    return np.where(choices[..., 0] < 0, outputs.dtype.type(_NEVER), picked.sum(axis=-1))


def _cross_entropy_of_choices(
    outputs: Array, targets: NDArray[Any], counts: NDArray[np.bool_], choices: NDArray[Any]
) -> tuple[float, int, Array]:
    """`cross_entropy` of one choice a step: -mean log softmax(choice logits)[target]."""
    due = np.nonzero(counts)
    among = choices[due]
    at = (among == targets[due][:, None]).all(axis=-1).argmax(axis=-1)
    nats, d_logits = softmax_cross_entropy(choice_logits(outputs[due], among)[None], at[None])
    groups = among.shape[-1]
    d_due = np.zeros((len(at), groups, outputs.shape[-1] // groups), outputs.dtype)
    step, _, group = np.indices(among.shape)
    np.add.at(d_due, (step, group, np.maximum(among, 0)), d_logits[0, :, :, None])
    d_outputs = np.zeros_like(outputs)
    d_outputs[due] = d_due.reshape(len(at), outputs.shape[-1])
    return nats, len(at), d_outputs


def probabilities(outputs: Array, targets: NDArray[Any]) -> Array:
    """Probability of each bit, or of each class within its group, (.., Y)."""
    if are_classes(targets):
        return softmax(_grouped(outputs, predictions_per_step(targets, outputs))).reshape(outputs.shape)
    return sigmoid(outputs)


def as_bits(targets: NDArray[Any], outputs: Array) -> Array:
    """Bits as they are, classes as one-hot vectors over the outputs of their group, (.., Y)."""
    if not are_classes(targets):
        return targets
    classes = _classes(targets, outputs)
    each = outputs.shape[-1] // classes.shape[-1]
    hot: Array = np.eye(each)[classes]
    return hot.reshape(outputs.shape)


def predicted_bits(outputs: Array, targets: NDArray[Any]) -> Array:
    """The predictions as 0 and 1, (.., Y), decided as in `errors`."""
    if are_classes(targets):
        groups = _grouped(outputs, predictions_per_step(targets, outputs))
        return as_bits(groups.argmax(axis=-1), outputs)
    return (outputs > 0).astype(float)


def targets_problem(targets: Any, steps: int, count: int, size: int) -> str | None:
    """What the targets of `count` sequences with `size` outputs must be and what they are instead; None if right."""
    wanted = f"targets ({steps}, {count}, {size}) of floats, or ({steps}, {count}) or ({steps}, {count}, G) of integers"
    if not isinstance(targets, np.ndarray):
        return f"{wanted}, got a {type(targets).__name__}"
    whole, shape = are_classes(targets), targets.shape
    fits = shape[:2] == (steps, count) and (len(shape) == 3 or (whole and len(shape) == 2))
    if not fits or not (whole or (np.issubdtype(targets.dtype, np.floating) and shape[2] == size)):
        return f"{wanted}, got {shape} of {targets.dtype}"
    groups = shape[2] if len(shape) == 3 else 1
    if whole and (groups < 1 or size % groups):
        return f"targets of G integers a step, G a divisor of the {size} outputs, got {groups}"
    most = size // groups - 1 if whole else 1
    if not ((targets >= 0) & (targets <= most)).all():
        allowed = f"integer targets in 0..{most}" if whole else "targets in [0, 1]"
        return f"{allowed}, got {targets.min()}..{targets.max()}"
    return None


def hints_problem(hints: Any, targets: NDArray[Any], size: int) -> str | None:
    """What the hints beside right targets must be, with `size` outputs, and what they are instead; None if right."""
    shape = (*targets.shape[:2], size)
    if not are_classes(targets):
        return "hints only where targets are integers, got hints with targets of floats"
    if (
        not isinstance(hints, np.ndarray)
        or hints.shape != shape
        or not np.issubdtype(hints.dtype, np.floating)
    ):
        return f"hints {shape} of floats, or None, got {getattr(hints, 'shape', type(hints).__name__)}"
    groups = targets.shape[2] if targets.ndim == 3 else 1
    sums = _grouped(hints, groups).sum(axis=-1)
    right = (np.abs(sums - 1) < _ROUNDING).all(axis=-1) | ~hints.any(axis=-1)
    if not right.all() or not (hints >= 0).all():
        return "hints that are probabilities, which add up to 1 in each group of classes, or 0, got others"
    return None


def _grouped(outputs: Array, groups: int) -> Array:
    """Outputs by group, (.., G, Y/G)."""
    return outputs.reshape(*outputs.shape[:-1], groups, outputs.shape[-1] // groups)


def _classes(targets: NDArray[Any], outputs: Array) -> NDArray[Any]:
    """Classes by group, (.., G), also where a step has one class."""
    return targets if targets.ndim == outputs.ndim else targets[..., None]
