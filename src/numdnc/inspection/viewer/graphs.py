"""Labels, graph and layout of its nodes, for the page of a graph task.

Axes: T steps, V nodes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.inspection.trace import Trace
from numdnc.tasks.graphs.encoding import ABSENT, ANSWER, PHASE, decode, predicted_labels, to_labels
from numdnc.tasks.graphs.inference import MAX_RELATIONS, Inference, meanings_of

MOST_PLACED = 100
"""Larger graphs are laid out on a circle, which needs no optimisation."""
ROUNDS = 200
"""Steps of the optimisation, and of pushing nodes apart."""
ROOM = 0.75
"""Least distance of two of V nodes, in units of the side of a square of area 1 / V, where possible."""


def graph_of(trace: Trace, steps: int) -> dict[str, Any] | None:
    """Labels of the first `steps` steps and the graph that they show, as JSON; None if the task is no graph task.

    "input", "target" and "output" hold a triple of labels for each step, with ABSENT for missing ones; "edges" the
    steps that show an edge; "question" the first step of the question (T if there is none); "nodes" labels, "places"
    their x and y in [0, 1]; "meanings" the labels of relations with the edges that each stands for, of inference.
    """
    if trace.about.digits is None:
        return None
    inputs, targets = trace.arrays["inputs"][:steps], trace.arrays["targets"][:steps].astype(np.int64)
    shown = decode(inputs)
    question = int(inputs[:, PHASE].argmax()) if (inputs[:, PHASE] > 0).any() else steps
    whole = (shown != ABSENT).all(axis=1) & (inputs[:, ANSWER] == 0)
    edges = [step for step in np.flatnonzero(whole).tolist() if step < question]
    pairs = shown[edges][:, [0, 2]]
    nodes = list(dict.fromkeys(pairs.ravel().tolist()))
    number = {node: place for place, node in enumerate(nodes)}
    joined = [(number[source], number[destination]) for source, destination in pairs.tolist()]
    return {
        "digits": trace.about.digits,
        "input": shown.tolist(),
        "target": to_labels(targets).tolist(),
        "output": predicted_labels(trace.arrays["outputs"][:steps]).tolist(),
        "edges": edges,
        "question": question,
        "nodes": nodes,
        "places": np.round(places(len(nodes), joined), 3).tolist(),
        "meanings": _meanings(trace),
    }


def _meanings(trace: Trace) -> dict[int, tuple[int, ...]] | None:
    """The relations of inference, as far as the settings of the trace say how many there are; None of other tasks."""
    count = trace.about.settings.get("relations")
    if trace.about.task != Inference.name or not isinstance(count, int) or not 1 <= count <= MAX_RELATIONS:
        return None
    return meanings_of(count)


def places(count: int, edges: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Positions of nodes in the unit square, (V, 2), with distances close to those in the graph.

        minimise sum_{i<j} (|x_i - x_j| - d_ij)^2 / d_ij^2

    by stress majorization from a circle (Gansner, Koren and North 2005); d_ij is the number of edges between two nodes,
    regardless of direction.
    """
    angles = 2 * np.pi * np.arange(count) / max(1, count)
    found = np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    if 2 < count <= MOST_PLACED:
        found = _relaxed(found, _distances(count, edges))
    return _apart(_in_square(found), ROOM / np.sqrt(max(1, count)))


def _in_square(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions scaled to [0, 1] in both directions."""
    low, high = found.min(axis=0, initial=np.inf), found.max(axis=0, initial=-np.inf)
    inside: NDArray[np.float64] = (found - low) / np.maximum(high - low, 1e-9)
    return inside


def _apart(found: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Positions after nodes closer than `least` were pushed apart step by step."""
    for _ in range(ROUNDS):
        between = found[:, None] - found[None]
        far = np.sqrt((between**2).sum(axis=2))
        push = np.where(far > 0, np.maximum(0, least - far) / np.maximum(far, 1e-9), 0)
        if not push.any():
            break
        found = _in_square(found + 0.25 * (between * push[:, :, None]).sum(axis=1))
    return found


def _distances(count: int, edges: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Number of edges between each two nodes, (V, V); one more than the largest where there is no path."""
    apart = np.full((count, count), np.inf)
    np.fill_diagonal(apart, 0)
    for one, other in edges:
        if one != other:
            apart[one, other] = apart[other, one] = 1
    for middle in range(count):
        apart = np.minimum(apart, apart[:, [middle]] + apart[middle])
    return np.where(np.isinf(apart), apart[np.isfinite(apart)].max() + 1, apart)


def _relaxed(start: NDArray[np.float64], apart: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = start * apart.max() / 2
    others = ~np.eye(len(start), dtype=bool)
    weights = np.where(others, 1 / np.maximum(apart, 1) ** 2, 0)
    inverse = np.linalg.pinv(np.diag(weights.sum(axis=1)) - weights)
    for _ in range(ROUNDS):
        now = np.sqrt(((found[:, None] - found[None]) ** 2).sum(axis=2))
        pull = np.where(others, weights * apart / np.maximum(now, 1e-9), 0)
        found = inverse @ ((np.diag(pull.sum(axis=1)) - pull) @ found)
    return found
