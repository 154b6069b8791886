"""Lessons: ranges of sizes (both ends included) that grow from one lesson to the next."""

from typing import NamedTuple

Range = tuple[int, int]


class Lesson(NamedTuple):
    """Sizes of the graphs and questions of a lesson."""

    nodes: Range
    degree: Range
    """Edges that leave a node."""
    path: Range
    """Edges of the path that a question asks for."""
    relations: int = 0
    """Number of relations, in the task inference."""


TRAVERSAL = (
    Lesson((3, 10), (2, 4), (1, 1)),
    Lesson((3, 10), (2, 4), (1, 2)),
    Lesson((5, 10), (2, 4), (1, 3)),
    Lesson((5, 10), (2, 4), (1, 4)),
    Lesson((10, 15), (2, 4), (1, 4)),
    Lesson((10, 15), (2, 4), (1, 5)),
    Lesson((10, 20), (2, 4), (1, 5)),
    Lesson((10, 20), (2, 4), (1, 6)),
    Lesson((10, 30), (2, 4), (1, 6)),
    Lesson((10, 30), (2, 4), (1, 7)),
    Lesson((10, 30), (2, 4), (1, 8)),
    Lesson((10, 30), (2, 4), (1, 9)),
    Lesson((10, 40), (2, 6), (1, 10)),
    Lesson((10, 40), (2, 6), (1, 20)),
)
"""All lessons are those of Graves et al. 2016."""

PAPER_SHORTEST_PATH = (
    Lesson((5, 10), (1, 2), (2, 2)),
    Lesson((5, 20), (1, 2), (2, 2)),
    Lesson((10, 20), (1, 2), (2, 2)),
    Lesson((10, 20), (1, 2), (2, 3)),
    Lesson((10, 20), (1, 3), (2, 3)),
    Lesson((10, 20), (2, 3), (2, 3)),
    Lesson((10, 20), (2, 3), (2, 4)),
    Lesson((10, 20), (2, 4), (2, 4)),
    Lesson((10, 25), (2, 4), (2, 4)),
    Lesson((10, 25), (2, 4), (2, 5)),
    Lesson((10, 25), (2, 4), (2, 5)),
    Lesson((15, 25), (2, 4), (2, 5)),
    Lesson((15, 25), (2, 5), (2, 5)),
    Lesson((20, 25), (2, 5), (2, 5)),
    Lesson((20, 25), (2, 6), (2, 5)),
)
"""The lessons of Graves et al. 2016; 10 and 11 are the same there too."""

PAPER_INFERENCE = (
    Lesson((3, 3), (2, 2), (2, 2), 400),
    Lesson((3, 5), (2, 2), (2, 2), 400),
    Lesson((4, 6), (2, 4), (2, 2), 400),
    Lesson((4, 6), (2, 4), (2, 2), 400),
    Lesson((6, 12), (2, 4), (2, 2), 400),
    Lesson((12, 18), (2, 4), (2, 2), 400),
    Lesson((4, 6), (2, 4), (2, 3), 400),
    Lesson((6, 12), (2, 4), (2, 3), 400),
    Lesson((12, 18), (2, 4), (2, 3), 400),
    Lesson((4, 6), (2, 4), (2, 4), 400),
    Lesson((4, 6), (2, 4), (2, 4), 400),
    Lesson((6, 12), (2, 4), (2, 4), 400),
    Lesson((12, 18), (2, 4), (2, 4), 400),
    Lesson((4, 6), (2, 4), (2, 5), 400),
    Lesson((6, 12), (2, 4), (2, 5), 400),
    Lesson((12, 18), (2, 4), (2, 5), 400),
    Lesson((20, 25), (2, 4), (2, 5), 400),
)
"""The lessons of Graves et al. 2016; 3 and 4, and 10 and 11, are the same there too."""

SHORTEST_PATH = (
    Lesson((5, 10), (1, 2), (2, 2)),
    Lesson((5, 10), (1, 2), (2, 3)),
    Lesson((5, 10), (1, 3), (2, 3)),
    Lesson((10, 15), (1, 3), (2, 3)),
    Lesson((10, 15), (1, 3), (2, 4)),
    Lesson((10, 15), (2, 4), (2, 4)),
    Lesson((10, 20), (2, 5), (2, 4)),
    Lesson((15, 20), (2, 5), (2, 5)),
    Lesson((20, 25), (2, 6), (2, 5)),
)
"""The first and the last are those of Graves et al. 2016, the others are ours."""

INFERENCE = (
    Lesson((5, 8), (2, 3), (1, 2), 20),
    Lesson((5, 8), (2, 3), (2, 3), 20),
    Lesson((5, 10), (2, 3), (2, 4), 20),
    Lesson((5, 10), (2, 3), (2, 5), 20),
    Lesson((5, 10), (2, 4), (2, 5), 40),
    Lesson((5, 10), (2, 4), (2, 5), 80),
    Lesson((10, 15), (2, 4), (2, 5), 160),
    Lesson((10, 15), (2, 4), (2, 5), 240),
    Lesson((10, 20), (2, 4), (2, 5), 320),
    Lesson((15, 20), (2, 4), (2, 5), 400),
    Lesson((20, 25), (2, 4), (2, 5), 400),
)
"""The last is that of Graves et al. 2016, the others are ours: they first teach to follow a relation, with few
relations and single edges, which stand for themselves; then more relations."""
