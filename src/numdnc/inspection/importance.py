"""How much a trained model needs each part of its memory: its loss without the part, compared with its loss as it is.

An ablation shows what this trained model relies on; a model trained without the part may do as well. It also gives the
rest of the model values unlike any in training, which may do more harm than the part did good. A model without reads
is also one without links, look-up and heads, so a part is worth at most as much as all reads, however far the loss
rises without it.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.engines import Engine
from numdnc.formatting import format_loss
from numdnc.init import initial_state
from numdnc.inspection.ablation import ablations
from numdnc.params import cast_inputs
from numdnc.spec import MemorySpec
from numdnc.tasks import Batch
from numdnc.tasks.sequences import sequence_lengths

MATTERS = 0.01
"""A part matters if the loss without it is higher by more than this share, ..."""
NOTICED = 1e-3
"""... by more than this many nats per prediction, ..."""
DEVIATIONS = 2.0
"""... and by more than this many standard errors of the rise."""
NOTHING = 1e-6
"""Smaller changes of the loss, in nats, count as none."""


EachLoss = Callable[[Any], tuple[NDArray[Any], NDArray[Any]]]
"""For parameters the loss of each of some sequences, in nats, and its number of predictions."""


class Finding(NamedTuple):
    """One finding of a diagnosis."""

    about: str
    """Its subject, such as "memory" or "gates"."""
    fine: bool
    """False if it deserves a look."""
    words: str
    numbers: dict[str, float]


def sampling_error(spec: MemorySpec, params: Any, each: EachLoss) -> dict[str, float]:
    """Part -> DEVIATIONS standard errors of the loss's rise without it, in nats, over some sequences.

        rise = sum_b c_b d_b / sum_b c_b,   error^2 = B / (B - 1) sum_b c_b^2 (d_b - rise)^2 / (sum_b c_b)^2

    `each` gives, for parameters, the loss of each sequence b and its number of predictions c_b; d_b is the rise of that
    loss.
    """
    whole, counts = each(params)
    B = len(whole)
    errors = {}
    for part, damaged in ablations(spec, params).items():
        rises = each(damaged)[0] - whole
        rise = (counts * rises).sum() / counts.sum()
        square = B / max(1, B - 1) * (counts**2 * (rises - rise) ** 2).sum() / counts.sum() ** 2
        errors[part] = DEVIATIONS * float(np.sqrt(square))
    return errors


def loss_of_each(spec: MemorySpec, engine: Engine, batch: Batch, loss: Callable[..., Any]) -> EachLoss:
    """The loss of each sequence of a batch, which begins with the initial state."""
    B = batch.inputs.shape[1]
    lengths = sequence_lengths(batch) if spec.bidirectional else None

    def each(params: Any) -> tuple[Any, Any]:
        inputs = cast_inputs(batch.inputs, params)
        state = initial_state(spec, params, B)
        outputs, _, _ = engine.forward(spec, params, inputs, state, keep_tape=False, lengths=lengths)
        rows = [slice(row, row + 1) for row in range(B)]
        found = [loss(outputs[:, row], batch.rows(row))[:2] for row in rows]
        return np.array([nats for nats, _ in found]), np.array([count for _, count in found])

    return each


class Losses(NamedTuple):
    """Losses of a model as it is and without each part, and what is needed to compare them."""

    whole: float
    without: dict[str, float]
    sampling_error: dict[str, float]
    """In nats, as the function of this name returns it."""
    name: str
    """Name of the loss, ..."""
    nats: float
    """... and nats per unit of it."""
    chance: float
    """Loss of a uniform guess, in nats."""

    def rise(self, part: str) -> float:
        """Rise of the loss without a part, in nats."""
        return (self.without[part] - self.whole) * self.nats

    def matters(self, part: str) -> bool:
        """Whether the loss rises noticeably, and by more than the sampling error; True if the rise is NaN."""
        return not self.rise(part) <= self._least(part)

    def harms(self, part: str) -> bool:
        """Whether the loss falls by as much."""
        return self.rise(part) < -self._least(part)

    def misleads(self, part: str) -> bool:
        """Whether the loss rises noticeably further than without any reads."""
        return self.rise(part) - self.rise("reads") > self._least(part)

    def change(self, part: str) -> str:
        """The change of the loss, in words."""
        before, after, rise = format_loss(self.whole), format_loss(self.without[part]), self.rise(part)
        if not math.isfinite(rise):
            return f"{self.name} goes from {before} to {after}"
        if before == after:
            return f"{self.name} stays at {before}"
        words = f"{self.name} {'rises' if rise > 0 else 'falls'} from {before} to {after}"
        if abs(rise) <= self.sampling_error[part]:
            spread = format_loss(self.sampling_error[part] / self.nats)
            words += f", no more than from sequence to sequence (± {spread})"
        return words

    def _least(self, part: str) -> float:
        return max(MATTERS * abs(self.whole) * self.nats, NOTICED, self.sampling_error[part])


def judge_parts(losses: Losses) -> Iterator[Finding]:
    """Findings about the memory as a whole, then about each part."""
    yield _memory(losses)
    if math.isfinite(losses.whole):
        for part in losses.without:
            if part not in ("reads", "writing"):
                yield _part(losses, part)


def _memory(losses: Losses) -> Finding:
    whole, reads, writing = losses.whole, losses.without["reads"], losses.without["writing"]
    carries = losses.rise("reads") >= 0.5 * (losses.chance - whole * losses.nats) > 0
    change, fine = losses.change("reads"), False
    if not math.isfinite(whole):
        words = f"{losses.name[0].upper()}{losses.name[1:]} is {whole}: no part can be judged."
    elif losses.harms("reads"):
        words = f"The memory does harm: without its reads {change}."
    elif not losses.matters("reads"):
        much = (
            "hardly uses"
            if losses.rise("reads") > max(NOTICED, losses.sampling_error["reads"])
            else "does not use"
        )
        words = f"This model {much} its memory: without its reads {change}."
    elif not losses.matters("writing"):
        words = (
            f"This model reads, but nothing that it writes: without its reads {change}, without writing to "
            f"{format_loss(writing)}. Its memory is a constant."
        )
    else:
        fine = True
        words = f"The memory {'carries the task' if carries else 'helps'}: without its reads {change}."
    numbers = {"whole": whole, "without_reads": reads, "without_writing": writing}
    return Finding("memory", fine, words, numbers | {"noise": losses.sampling_error["reads"] / losses.nats})


def _part(losses: Losses, part: str) -> Finding:
    several = part in ("links", "shifts")
    title, are, them = part.capitalize(), *(("are", "them") if several else ("is", "it"))
    change, fine = f"without {them} {losses.change(part)}", False
    if losses.harms(part):
        words = f"{title} {'do' if several else 'does'} harm: {change}."
    elif abs(losses.rise(part)) < NOTHING:
        words = f"{title} {are} dead: {change}."
    elif not losses.matters(part):
        words = f"{title} {are} not needed: {change}."
    elif losses.misleads(part):
        fine, most = losses.matters("reads"), max(0.0, losses.rise("reads")) / losses.nats
        reads = format_loss(losses.without["reads"])
        words = (
            f"The model depends on {part}: {change}, further than without any reads ({reads}). Reads unlike any in "
            f"training mislead it, so that rise is no measure; {part} {are} worth at most what all reads are, "
            f"{format_loss(most)}."
        )
    else:
        fine = True
        words = f"{title} {are} needed: {change}."
    numbers = {"whole": losses.whole, "without": losses.without[part]}
    return Finding(part, fine, words, numbers | {"noise": losses.sampling_error[part] / losses.nats})
