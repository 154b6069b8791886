"""How much weight the cut of a sparse model drops, and how much of what it reads comes along links.

Axes: B batch, R read heads, N slots, S steps of all sequences together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from numdnc.inspection.importance import Finding
from numdnc.params import Array
from numdnc.reference.content import look_up
from numdnc.spec import DNCSpec

LOST = 0.1
"""A cut drops much if it drops more than this share of a weighting."""


def weight_sums(spec: DNCSpec, found: Mapping[str, Array], before: Any) -> dict[str, Array]:
    """Sums of a step's weightings before and after the cut: "write_sums" (B, 2), "read_sums" (B, R, 4).

    Of a write: before and after. Of a read: before and after; what of the former came along links; and the share of a
    content weighting over all slots that lies on the K slots looked at. `found` are the step's internal values.
    """
    ga, gw = found["allocation_gate"], found["write_gate"]
    other = before.read_weights.mean(axis=1) if spec.recency else found["write_content"]
    mixed = gw * (ga * found["allocation"].sum(axis=1) + (1 - ga) * other.sum(axis=1))
    writing = np.stack([mixed, found["write_weights"].sum(axis=1)], axis=1)
    masks = found.get("read_masks", ())
    whole, _ = look_up(
        replace(spec, sparsity=None, recency=False),
        found["memory"],
        found["read_keys"],
        found["read_strengths"],
        masks,
    )
    seen = np.where(found["read_content"] != 0, whole, 0).sum(axis=2)
    total, linked = found["read_content"].sum(axis=2), np.zeros_like(seen)
    if spec.links:
        backward, content, forward = np.moveaxis(found["read_modes"], 2, 0)
        linked = backward * found["backward"].sum(axis=2) + forward * found["forward"].sum(axis=2)
        total = content * total + linked
    reading = np.stack([total, found["read_weights"].sum(axis=2), linked, seen], axis=2)
    return {"write_sums": writing, "read_sums": reading}


def judge_cut(spec: DNCSpec, writing: Array, reading: Array) -> Iterator[Finding]:
    """Findings about the cut of `write_sums` (S, 2) and of `read_sums` (S, R, 4)."""
    K, lost = spec.sparsity, _lost(*writing.mean(axis=0))
    words = f"The cut to {K} slots drops {100 * lost:.1f} % of what is written"
    if lost > LOST:
        words += ": writes want more slots than that. Raise sparsity, or look at what is blurred"
    yield Finding("sparsity", lost <= LOST, f"{words}.", {"dropped": lost})
    for head, (before, after, linked, seen) in enumerate(reading.mean(axis=0).tolist()):
        lost = _lost(before, after)
        words = f"Head {head}: the cut drops {100 * lost:.1f} % of what it reads"
        words += f"; a look-up over all slots would have {100 * (1 - seen):.1f} % of its weight elsewhere"
        numbers = {"dropped": lost, "content_elsewhere": 1 - seen}
        if spec.links:
            numbers["by_links"] = linked / max(before, np.finfo(np.float32).tiny)
            words += f"; {100 * numbers['by_links']:.0f} % comes along links"
        yield Finding("sparsity", lost <= LOST, f"{words}.", numbers)


def _lost(before: float, after: float) -> float:
    """Share of the weight that is dropped, in [0, 1]."""
    return float(max(0.0, 1 - after / before)) if before > 0 else 0.0
