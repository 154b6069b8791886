"""Diagnosis of a trained model, in words and numbers: which of its parts do nothing, and which are close to a limit.

The loss with and without each part says what the part contributes; the activations over a few held-out sequences say
why; gradients say which parameters still train. Axes: S steps of all sequences, R read heads, N slots.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from numdnc.engines import Engine
from numdnc.inspection.ablation import ablations, of_memory
from numdnc.inspection.activity import Activity, concentration, observe, saturated
from numdnc.inspection.gates import by_write_head
from numdnc.inspection.gradient_flow import GradientFlow, gradient_flow
from numdnc.inspection.importance import EachLoss, Finding, Losses, judge_parts, loss_of_each, sampling_error
from numdnc.inspection.sparsity import judge_cut
from numdnc.params import Array
from numdnc.spec import DNCSpec, MemorySpec, NTMSpec, Spec
from numdnc.tasks import Batch, Forward, Interactive, Reinforced, Scores, Task
from numdnc.training.run import forward_with
from numdnc.tree import named_leaves

SEQUENCES = 8
"""Number of sequences whose activations are examined."""
COMPARED = 32
"""Number of sequences from which the sampling error of each ablation's loss is estimated."""
BATCHES = 3
"""Number of training batches over which gradients are averaged."""
STUCK = 0.01
"""A gate that always stays within this distance of 0 or of 1 is stuck."""
FULL = 0.95
"""A memory is full if its mean usage exceeds this, ..."""
EMPTY = 0.5
"""... and empty if its usage never adds up to this number of slots."""
UNUSED = 1e-3
"""A weighting is unused if its mean sum is less than this."""
BLURRED = 0.1
"""A weighting is blurred if its concentration, from 0 (uniform) to 1 (a single slot), is at most this."""
NUMB = 0.5
"""A controller is saturated if more than this share of its hidden values is."""
NEAR = 1e6
"""Numbers are near overflow if numbers this many times larger would overflow."""


class Diagnosis(NamedTuple):
    """Scores of the whole model and of its ablations, by the missing part; and the findings."""

    scores: dict[str, Scores]
    findings: list[Finding]


def diagnose(
    spec: Spec, params: Any, engine: Engine, task: Task, score: Callable[[Any], Scores]
) -> Diagnosis:
    """Examine a model. `score` returns the scores of given parameters of this spec.

    It draws BATCHES batches from the task.
    """
    with np.errstate(all="ignore"):  # overflow is a finding, not a warning
        scores = {"whole": score(params)}
        if spec.has_memory:
            scores |= {part: score(damaged) for part, damaged in ablations(spec, params).items()}
            noises = sampling_error(spec, params, _each_loss(spec, engine, task))
        example = task.example(SEQUENCES)
        activity = observe(spec, params, engine, example, cut=True)
        batches = [_next_batch(task, forward_with(engine, spec, params)) for _ in range(BATCHES)]
        reached = gradient_flow(spec, params, engine, batches, task.loss)
        chance = (
            -task.random_return()
            if isinstance(task, Reinforced)
            else task.loss(np.zeros_like(activity.values["outputs"]), example)[0]
        )
        findings: list[Finding] = []
        if spec.has_memory:
            findings += judge_parts(_losses(scores, task, noises, chance))
            for e, of in enumerate(of_memory(spec)):
                who = of.removeprefix(" of ").capitalize() + ": " if of else ""
                found = _of_one_memory(spec, activity.of_memory(spec, e))
                findings += [finding._replace(words=who + finding.words) for finding in found]
            if not isinstance(spec, NTMSpec) and spec.sparsity is not None:
                findings += judge_cut(spec, activity.of("write_sums"), activity.of("read_sums"))
        else:
            findings.append(
                Finding("memory", True, f"This model has none (it is an {spec.kind}).", {"slots": 0})
            )
        findings += [_controller(activity), _training(reached), *_magnitudes(spec, params, activity, reached)]
    return Diagnosis(scores, findings)


def _each_loss(spec: MemorySpec, engine: Engine, task: Task) -> EachLoss:
    """The loss of each of some sequences; where a model acts, minus its return in each episode."""
    if not isinstance(task, Reinforced):
        return loss_of_each(spec, engine, task.example(COMPARED), task.loss)

    def each(params: Any) -> tuple[Array, Array]:
        returns = task.returns(forward_with(engine, spec, params))
        return -returns, np.ones(len(returns))

    return each


def _next_batch(task: Task, forward: Forward) -> Batch:
    """A batch as training sees it."""
    batch = task.next_batch()
    return task.rollout(forward, batch) if isinstance(task, Interactive) else batch


def _of_one_memory(spec: MemorySpec, activity: Activity) -> Iterator[Finding]:
    """How full a memory gets, and what its heads and gates do."""
    if isinstance(spec, NTMSpec):
        yield from _shifts(spec, activity)
    else:
        yield _usage(spec, activity)
        yield from _modes(spec, activity)
    yield from _sharpness(spec, activity)
    yield from _gates(spec, activity)


def _losses(scores: dict[str, Scores], task: Task, noises: dict[str, float], uniform_loss: float) -> Losses:
    """The losses that `judge_parts` compares: of each ablation the score that is a loss."""
    without = {part: found.get("loss", next(iter(found.values()))) for part, found in scores.items()}
    name = "the loss" if task.nats_per_unit == 1 else task.unit
    return Losses(without.pop("whole"), without, noises, name, task.nats_per_unit, uniform_loss)


def _usage(spec: DNCSpec, activity: Activity) -> Finding:
    """How full the memory gets: the mean over sequences of the largest mean usage at any step."""
    N = spec.memory_size
    if spec.recency:
        share = _fullest(activity, "accessed")
        words = f"Up to {N * share:,.1f} of {N:,} slots are written or read in a sequence."
        if share == 1:
            words += " It is full: what is written next takes the place of something. More slots may help."
        return Finding("usage", share < 1, words, {"accessed": share})
    most, slots = _fullest(activity, "usage"), _fullest(activity, "in_use")
    words = f"At its fullest, usage adds up to {N * most:,.1f} of {N:,} slots"
    words += f"; {N * slots:,.1f} are more than half in use."
    if most > FULL:
        words += " It is full: what is written next takes the place of something. More slots may help."
    elif N * most < EMPTY:
        words += " It is as good as empty."
    return Finding("usage", N * most >= EMPTY and most <= FULL, words, {"most": most, "in_use": slots})


def _fullest(activity: Activity, name: str) -> float:
    """Largest value of a sequence, as a mean over the sequences."""
    return float(np.where(activity.real, activity.values[name], 0).max(axis=0).mean())


def _modes(spec: DNCSpec, activity: Activity) -> Iterator[Finding]:
    """The read modes of each head, along the links of each write head."""
    if not spec.links:
        yield Finding("modes", True, "Heads read by content alone: the model has no links.", {})
        return
    links = [f" {head}" for head in range(spec.write_heads)] if spec.write_heads > 1 else [""]
    names = [*(f"backward{link}" for link in links), "content", *(f"forward{link}" for link in links)]
    for head, means in enumerate(activity.of("read_modes").mean(axis=0).tolist()):
        shares = dict(zip(names, means, strict=True))
        ranked = sorted(shares, key=lambda name: -shares[name])
        words = ", ".join(f"{name} {shares[name]:.2f}" for name in ranked)
        yield Finding("modes", True, f"Head {head} reads by {words}.", shares)


def _shifts(spec: NTMSpec, activity: Activity) -> Iterator[Finding]:
    """The shifts of each head."""
    offsets = range(-spec.shift_range, spec.shift_range + 1)
    for who, kind, heads in (("Head", "read", spec.read_heads), ("Write head", "write", spec.write_heads)):
        means = activity.of(f"{kind}_shifts").mean(axis=0)
        for head in range(heads):
            shares = {
                f"{offset:+d}" if offset else "0": float(share)
                for offset, share in zip(offsets, means[head], strict=True)
            }
            words = ", ".join(f"{offset} {share:.2f}" for offset, share in shares.items())
            yield Finding("shifts", True, f"{who} {head} shifts by {words}.", shares)


def _sharpness(spec: MemorySpec, activity: Activity) -> Iterator[Finding]:
    """How concentrated each weighting is on one slot."""
    # A sparse weighting is spread over K slots at most.
    slots = spec.sparsity or spec.memory_size
    reading, writing = _weighting(activity, "read"), _weighting(activity, "write")
    weightings = {"Writing": writing}
    if isinstance(spec, NTMSpec) or spec.write_heads > 1:
        weightings = {f"Write head {head}": writing[..., head] for head in range(spec.write_heads)}
    weightings |= {f"Head {head}": reading[..., head] for head in range(spec.read_heads)}
    for who, (largest, totals) in weightings.items():
        share, total = concentration(largest, totals), float(totals.mean())
        blurred = slots > 1 and not (share - 1 / slots) / (1 - 1 / slots) > BLURRED
        words = f"{who} has {share:.2f} of its weight on one slot (spread evenly: {1 / slots:.2f})."
        if not total > UNUSED:
            words = f"{who} has next to no weight on any slot ({total:.1e} a step)."
        elif blurred:
            words += " It is blurred: it means many slots at once."
        numbers = {"largest": share, "even": 1 / slots, "total": total}
        yield Finding("sharpness", total > UNUSED and not blurred, words, numbers)


def _weighting(activity: Activity, kind: str) -> Array:
    """The largest weights of reads or writes and their sums, (2, S) or, of several heads, (2, S, heads)."""
    return np.stack([activity.of(f"{kind}_largest"), activity.of(f"{kind}_total")])


def _named_gates(spec: MemorySpec, activity: Activity) -> dict[str, Array]:
    """Name -> values (S,)."""
    if isinstance(spec, NTMSpec):
        return {
            f"interpolation ({kind} head {head})": gate
            for kind in ("read", "write")
            for head, gate in enumerate(activity.of(f"{kind}_interpolation").T)
        }
    heads = range(spec.read_heads if spec.usage_writing else 0)
    free = {f"free {head}": activity.of("free_gates")[:, head] for head in heads}
    return {
        **by_write_head(spec, "write", activity.of("write_gate")),
        **by_write_head(spec, "allocation", activity.of("allocation_gate")),
        **free,
    }


def _gates(spec: MemorySpec, activity: Activity) -> Iterator[Finding]:
    """The gates that are stuck at one end, and the ranges of the others."""
    gates = _named_gates(spec, activity)
    allocation = "it writes by content alone", "it writes to free slots alone"
    if spec.recency:
        allocation = "it writes to slots read last alone", "it writes to the least recently used slot alone"
    meaning = {
        "write": ("nothing is ever written", "every step writes"),
        "allocation": allocation,
        "free": ("what the head has read is never freed", "what the head has read is always freed"),
        "interpolation": (
            "the head moves by shifts alone",
            "the head begins at its key's slots at every step",
        ),
    }
    ranges = {name: (float(gate.min()), float(gate.max())) for name, gate in gates.items()}
    stuck = {name: low > STUCK for name, (low, high) in ranges.items() if high < STUCK or low > 1 - STUCK}
    for name, at_1 in stuck.items():
        low, high = ranges[name]
        words = (
            f"The {name} gate is stuck at {int(at_1)} ({low:.4f} to {high:.4f}): "
            f"{meaning[name.split()[0]][at_1]}."
        )
        yield Finding("gates", False, words, {"least": low, "most": high})
    moving = {name: ends for name, ends in ranges.items() if name not in stuck}
    if moving:
        words = ", ".join(f"{name} {low:.2f} to {high:.2f}" for name, (low, high) in moving.items())
        numbers = {f"{name} least": low for name, (low, _) in moving.items()}
        numbers |= {f"{name} most": high for name, (_, high) in moving.items()}
        yield Finding("gates", True, f"These move: {words}.", numbers)


def _controller(activity: Activity) -> Finding:
    share = saturated(activity.of("hidden"))
    words = f"{100 * share:.1f} % of the hidden values are saturated (beyond 0.99)."
    if share > NUMB:
        words += " Hardly any gradient passes them."
    return Finding("controller", share <= NUMB, words, {"saturated": share})


def _training(reached: GradientFlow) -> Finding:
    """The parameters that no gradient reaches."""
    untrained, strengths = reached.untrained, reached.strengths
    if untrained:
        words = (
            f"No gradient to speak of reaches {len(untrained)} of the parameters' parts: {_list(untrained)}."
        )
        if not reached.strongest:
            words = "No gradient reaches any parameter."
        return Finding("training", False, words, {name: strengths.get(name, 0.0) for name in untrained})
    weakest = min(strengths, key=lambda name: strengths[name])
    share = strengths[weakest] / reached.strongest
    words = (
        f"A gradient reaches all {len(strengths)} parts of the parameters; the weakest, on {weakest}, is "
        f"{share:.1e} of the strongest."
    )
    return Finding("training", True, words, {"weakest": share, "strongest": reached.strongest})


def _magnitudes(spec: Spec, params: Any, activity: Activity, reached: GradientFlow) -> Iterator[Finding]:
    """How close the largest numbers are to overflow.

    Most are squared somewhere, in norms and in the optimizer: they must stay below sqrt(largest float). Strengths,
    sharpness and outputs are exponents: from log(largest float) on e^z alone would overflow. (Here it does not, since
    the largest is subtracted first, but such a softmax or sigmoid is a switch that no gradient passes.)
    """
    greatest = float(np.finfo(activity.values["outputs"].dtype).max)
    largest = {name: _largest(leaf) for name, leaf in named_leaves(params)}
    name = max(largest, key=lambda name: largest[name] if math.isfinite(largest[name]) else math.inf)
    squared = {f"parameter ({name})": largest[name], "gradient": reached.largest}
    squared |= {name: _largest(activity.of(name)) for name in ("cell",) if name in activity.values}
    exponents = {"output": _largest(activity.of("outputs"))}
    if spec.has_memory:
        squared["number in memory"] = _largest(activity.of("memory_peak"))
        keys = [name for name in spec.interface_parts if name.endswith(("_key", "_keys"))]
        squared["key"] = max(_largest(activity.of(name)) for name in keys)
        exponent = ("oneplus", "softplus")
        strengths = [name for name, part in spec.interface_parts.items() if part.activation in exponent]
        exponents["strength"] = max(_largest(activity.of(name)) for name in strengths)
    for what, value in squared.items():
        edge = math.sqrt(greatest)
        fine = value * NEAR < edge
        words = f"Largest {what}: {value:.3g}; its square overflows from {edge:.1e} on."
        words += "" if fine else " That is near."
        yield Finding("numbers", fine, words, {"largest": value, "edge": edge})
    for what, value in exponents.items():
        edge = math.log(greatest)
        fine = value < edge
        words = f"Largest {what}: {value:.3g}; its exponential overflows from {edge:.0f} on."
        words += "" if fine else " What it drives is a mere switch."
        yield Finding("numbers", fine, words, {"largest": value, "edge": edge})


def _largest(values: Array) -> float:
    return float(np.abs(values).max())


def _list(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
