"""Relations of a named graph, such as "grandmother" for mother/mother, expressed by relations that a model knows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from numdnc.errors import UserError
from numdnc.names import quoted
from numdnc.tables import Column, read_table
from numdnc.tasks.graphs.inference import SINGLE, Inference
from numdnc.tasks.graphs.named import NamedGraph, Numbering

COLUMNS = (Column("relation", ("name",)), Column("path"))
"""Columns of a file of relations."""


def read_relations(path: Path) -> dict[str, tuple[str, ...]]:
    """Name -> the edges it stands for, from a CSV file of relation, path; "/" separates the edges of a path."""
    found: dict[str, tuple[str, ...]] = {}
    for line, row in read_table(path, "--relations", COLUMNS):
        steps = tuple(step.strip() for step in row[1].split("/"))
        if len(steps) < 2 or not all(steps):
            raise UserError(
                f"each line of {path} must be a relation and edges separated by /, such as grandmother,mother/mother, "
                f"got {quoted(','.join(row))} as line {line}. Fix it."
            )
        if found.setdefault(row[0], steps) != steps:
            raise UserError(
                f"each relation of {path} must stand for one path, got {quoted(row[0])} with another in line {line}. "
                "Rename one of them."
            )
    return found


def numbering_for(
    graph: NamedGraph, steps: Sequence[str], task: Inference, rng: np.random.Generator
) -> tuple[Numbering, int]:
    """Random labels for all names such that the edges `steps` are a relation of the task, and that relation's label."""
    numbering = graph.draw_numbering(rng, task)
    fitting = [
        (relation, edges)
        for relation, edges in task.meanings.items()
        if len(edges) == len(steps) and _pattern(edges) == _pattern(steps)
    ]
    if not fitting:
        raise UserError(
            f"a relation must have the form of one of the {len(task.meanings)} in the run's lesson, of up to 5 edges, "
            f"got {quoted('/'.join(steps))}. Ask for another, or train further."
        )
    relation, edges = fitting[int(rng.integers(len(fitting)))]
    labels = dict(zip(steps, edges, strict=True))
    free = [label for label in rng.permutation(SINGLE).tolist() if label not in labels.values()]
    for name in graph.edge_names:
        if name not in labels:
            labels[name] = free.pop()
    return numbering._replace(edges=labels), relation


def _pattern(steps: Sequence[object]) -> list[int]:
    """Which steps are equal: mother/mother/father gives 0, 0, 1."""
    order = list(dict.fromkeys(steps))
    return [order.index(step) for step in steps]
