"""Graph tasks without the package: a reader of sequences, and a model that searches in what it was shown."""

from typing import Any

import numpy as np

from numdnc.tasks import Batch
from numdnc.tasks.graphs import Inference
from numdnc.tasks.graphs.encoding import ABSENT, decode, one_hot
from numdnc.tasks.graphs.graph import Graph, Triple

MEANINGS = Inference().meanings


class Knows:
    """It sees nothing but inputs; its state is all that went in so far. `calls` says how many steps came at a time.

    Of a shortest path `choose(graph, at, end, answered)` may choose otherwise, or None.
    """

    def __init__(self, digits: int = 3, choose: Any = None) -> None:
        self.digits, self.choose, self.calls = digits, choose, list[int]()

    def __call__(self, inputs: Any, state: Any, lengths: Any = None) -> Any:
        before = inputs[:0] if state is None else state
        whole = np.concatenate([before, inputs])
        self.calls.append(len(inputs))
        rows = range(inputs.shape[1])
        answers = [[self._answer(whole[: t + 1, b]) for b in rows] for t in range(len(before), len(whole))]
        return 10 * one_hot(np.array(answers), self.digits), whole

    def _answer(self, inputs: Any) -> tuple[int, int, int]:
        labels = [tuple(row) for row in decode(inputs).tolist()]
        if not inputs[-1, -1]:
            return (9, 9, 9)
        questions = np.flatnonzero(inputs[:, -2])
        question = int(questions[-1])
        first = question + int(inputs[question:, -1].argmax())
        graph = Graph(Triple(*row) for row in labels[: questions[0]])
        start, edge, end = labels[question]
        if edge == ABSENT:
            return self._next(graph, start, end, labels[first + 1 :])
        if end == ABSENT and edge in MEANINGS and all(triple.edge < 10 for triple in graph.triples):
            path = graph.walk(start, MEANINGS[edge])
            return (start, edge, path[-1].destination) if path else (0, 0, 0)
        asked = [row[1] for row in labels[question:first] if row[1] != ABSENT]
        walked = graph.walk(start, asked[: len(labels) - first])
        return walked[-1] if walked else (0, 0, 0)

    def _next(self, graph: Graph, at: int, end: int, answered: Any) -> tuple[int, int, int]:
        for step in answered:
            if step in graph.triples and step[0] == at:
                at = step[2]
        if self.choose is not None:
            choice = self.choose(graph, at, end, len(answered))
            if choice is not None:
                return tuple(choice)  # type: ignore[return-value]
        far = graph.distances_to(end)
        if at == end or at not in far:
            return (0, 0, 0)
        return next(edge for edge in graph.edges_from(at) if far.get(edge.destination, -1) == far[at] - 1)


Edges = list[tuple[int, int, int]]


def plain(one_hot: Any) -> int | None:
    """A label, read digit by digit; None where it is absent."""
    digits = [np.flatnonzero(ten).tolist() for ten in one_hot.reshape(-1, 10)]
    if not any(digits):
        return None
    assert all(len(found) == 1 for found in digits)
    return int("".join(str(found[0]) for found in digits))


class Read:
    """One sequence, read without any code of the package."""

    def __init__(self, batch: Batch, row: int = 0, digits: int = 3) -> None:
        assert batch.mask is not None
        mask = batch.mask[:, row]
        self.steps = int(np.flatnonzero(mask)[-1]) + 1
        inputs, targets = batch.inputs[: self.steps, row], batch.targets[: self.steps, row]
        rest = np.concatenate(
            [batch.inputs[self.steps :, row].ravel(), batch.targets[self.steps :, row].ravel()]
        )
        assert not rest.any()
        wide = 10 * digits
        labels = [tuple(plain(step[i * wide : (i + 1) * wide]) for i in range(3)) for step in inputs]
        self.phase, self.answer = inputs[:, -2], inputs[:, -1]
        assert set(np.unique(self.phase)) <= {0, 1}
        (self.question,) = np.flatnonzero(self.phase)
        np.testing.assert_array_equal(self.answer, mask[: self.steps])
        self.first = int(np.argmax(mask))
        assert mask[self.first : self.steps].all()
        self.edges: Edges = labels[: self.question]  # type: ignore[assignment]
        self.asked = labels[self.question : self.first]
        self.fed = labels[self.first :]
        self.answers = [
            tuple(int("".join(map(str, step[i * digits : (i + 1) * digits]))) for i in range(3))
            for step in targets[self.first :]
        ]
        assert not targets[: self.first].any()

    @property
    def nodes(self) -> set[int]:
        return {node for source, _, destination in self.edges for node in (source, destination)}

    def after(self, node: int, edge: int) -> int | None:
        found = [d for s, e, d in self.edges if (s, e) == (node, edge)]
        assert len(found) <= 1
        return found[0] if found else None

    def distance(self, start: int, end: int) -> int | None:
        """By growing the set of nodes within reach, edge by edge."""
        reached, steps = {start}, 0
        while end not in reached:
            more = reached | {d for s, _, d in self.edges if s in reached}
            if more == reached:
                return None
            reached, steps = more, steps + 1
        return steps
