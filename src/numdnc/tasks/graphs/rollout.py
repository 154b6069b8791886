"""Rollout of shortest paths: the model's choices become inputs, and targets follow from where they lead.

Axes: T steps, B batch, X input, Y output, C edges to choose from, G digits of a triple.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.tasks import Batch, Forward
from numdnc.tasks.graphs.encoding import ABSENT, ANSWER, END, FLAGS, PHASE, decode, to_digits, to_labels
from numdnc.tasks.graphs.graph import Graph, Triple


def roll_out(
    forward: Forward,
    batch: Batch,
    rng: np.random.Generator | None,
    optimal_share: float,
    *,
    valid_edges: bool,
) -> Batch:
    """The batch with a model's choices as inputs, and the targets that follow from them, see `ShortestPath`.

    Choices depend on outputs, and outputs on earlier choices. Therefore the answers are computed again until no choice
    changes: each time at least one more choice of each sequence is final, and mostly a few times are enough.
    """
    inputs, targets = batch.inputs.copy(), batch.targets.copy()
    walkers = [read_walkers(inputs[:, row], targets.shape[2]) for row in range(inputs.shape[1])]
    due = sorted((t, row) for row, each in enumerate(walkers) for walker in each for t in walker.answer)
    own = np.zeros(targets.shape[:2], bool)
    for t, row in due:
        own[t, row] = rng is None or rng.random() >= optimal_share
    first = due[0][0]
    _, state = forward(inputs[:first], None)
    choices = np.full(
        (*targets.shape[:2], max(w.most for each in walkers for w in each), targets.shape[2]), ABSENT
    )
    changed = list(range(len(walkers)))
    for _ in range(len(due) + 1):
        outputs, _ = forward(inputs[first:], state)
        before = inputs.copy()
        for row in changed:
            one = Row(outputs[:, row], own[:, row], inputs[:, row], targets[:, row], choices[:, row])
            for walker in walkers[row]:
                walker.walk(one, first, valid_edges)
        changed = [row for row in changed if not np.array_equal(before[:, row], inputs[:, row])]
        if not changed:
            break
    return batch._replace(inputs=inputs, targets=targets, choices=choices if valid_edges else None)


class Row(NamedTuple):
    """One sequence of a batch: views of its arrays."""

    outputs: Array  # (T - first, Y), from the first step of an answer in the batch on
    own: NDArray[np.bool_]  # (T,): where the model chooses; elsewhere the target is chosen
    inputs: Array  # (T, X)
    targets: NDArray[np.int64]  # (T, G)
    choices: NDArray[np.int64]  # (T, C, G), padded with ABSENT


class Options(NamedTuple):
    """What can be chosen at a node: its edges; END at the end of the path, or where it can no longer be reached."""

    digits: NDArray[np.int64]  # (C, G)
    optimal: NDArray[np.bool_]  # (C,): which of them begin a shortest path


class Walker:
    """The node that the choices of one answer have reached.

    `size` is G, the number of digits of a triple.
    """

    def __init__(self, graph: Graph, start: int, end: int, answer: range, size: int) -> None:
        self.graph, self.start, self.at, self.end, self.answer = graph, start, start, end, answer
        self._distances = graph.distances_to(end)
        self._size, self._groups = size, 10 * np.arange(size)
        self._options: dict[int, Options] = {}

    @property
    def most(self) -> int:
        """The largest number of edges that leave a node, at least 1."""
        return max(1, *(len(self.graph.edges_from(node)) for node in self.graph.nodes))

    def options(self) -> Options:
        """What can be chosen at the current node."""
        if self.at not in self._options:
            edges: list[tuple[int, ...]] = [*self.graph.edges_from(self.at)]
            best = self.graph.shortest_edges(self.at, self._distances)
            if not best:
                edges, best = [END], [Triple(*END)]
            optimal = np.array([edge in best for edge in edges])
            self._options[self.at] = Options(to_digits(edges, self._size // 3), optimal)
        return self._options[self.at]

    def go(self, choice: tuple[int, ...]) -> None:
        """Follow the choice if it is an edge of the current node."""
        if choice in self.graph.edges_from(self.at):
            self.at = choice[2]

    def walk(self, row: Row, first: int, valid_edges: bool) -> None:
        """Answer from the start by the outputs of a row, and fill in its inputs, targets and choices."""
        self.at = self.start
        for t in self.answer:
            options, output = self.options(), row.outputs[t - first]
            logits = output[options.digits + self._groups].sum(axis=1)
            target = choice = options.digits[np.where(options.optimal, logits, -np.inf).argmax()]
            if row.own[t]:
                choice = (
                    options.digits[logits.argmax()] if valid_edges else output.reshape(-1, 10).argmax(axis=1)
                )
            self.go(tuple(to_labels(choice).tolist()))
            row.targets[t], row.choices[t] = target, ABSENT
            row.choices[t, : len(options.digits)] = options.digits
            if t + 1 in self.answer:
                row.inputs[t + 1, :-FLAGS] = 0
                row.inputs[t + 1, choice + self._groups] = 1


def read_walkers(inputs: Array, size: int) -> list[Walker]:
    """A walker for each question of a sequence, whose `inputs` (T, X) show graph and questions."""
    labels, starts = decode(inputs), np.flatnonzero(inputs[:, PHASE] > 0)
    graph = Graph(Triple(*triple) for triple in labels[: starts[0]].tolist())
    found = []
    for question, after in zip(starts, [*starts[1:], len(inputs)], strict=True):
        due = question + np.flatnonzero(inputs[question:after, ANSWER] > 0)
        start, _, end = labels[question].tolist()
        found.append(Walker(graph, start, end, range(int(due[0]), int(due[-1]) + 1), size))
    return found
