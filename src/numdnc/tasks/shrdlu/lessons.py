"""The lessons of Mini-SHRDLU (Graves et al. 2016), from easy to hard."""

from typing import NamedTuple

Range = tuple[int, int]
"""Least and most."""


class Lesson(NamedTuple):
    """What the problems of a lesson are like."""

    goals: Range
    blocks: Range
    constraints: Range
    """Of each goal."""
    moves: Range
    """The fewest that reach a goal."""


LESSONS = (
    Lesson((1, 1), (3, 3), (1, 1), (1, 1)),
    Lesson((2, 2), (3, 3), (1, 1), (1, 1)),
    Lesson((2, 3), (3, 4), (1, 2), (1, 1)),
    Lesson((3, 3), (4, 4), (1, 2), (1, 2)),
    Lesson((3, 4), (4, 5), (2, 2), (1, 2)),
    Lesson((4, 4), (5, 5), (2, 2), (2, 2)),
    Lesson((4, 5), (5, 6), (2, 3), (2, 2)),
    Lesson((5, 5), (5, 6), (2, 3), (2, 3)),
    Lesson((5, 6), (6, 6), (3, 3), (2, 3)),
    Lesson((6, 6), (6, 6), (3, 3), (3, 3)),
    Lesson((6, 7), (6, 6), (3, 4), (3, 4)),
    Lesson((7, 7), (6, 6), (3, 4), (3, 4)),
    Lesson((7, 8), (6, 6), (4, 4), (3, 4)),
    Lesson((8, 8), (6, 6), (4, 4), (4, 4)),
    Lesson((8, 9), (6, 6), (4, 5), (4, 4)),
    Lesson((9, 9), (6, 6), (4, 5), (4, 5)),
    Lesson((9, 10), (6, 6), (5, 5), (4, 5)),
    Lesson((10, 10), (6, 6), (5, 6), (5, 5)),
    Lesson((10, 10), (6, 6), (5, 6), (5, 5)),
    Lesson((10, 10), (6, 6), (5, 6), (5, 6)),
    Lesson((10, 10), (6, 6), (6, 6), (5, 6)),
    Lesson((10, 10), (6, 6), (6, 6), (6, 6)),
    Lesson((10, 10), (6, 6), (6, 6), (6, 6)),
    Lesson((10, 10), (6, 6), (6, 6), (6, 7)),
    Lesson((10, 10), (6, 6), (6, 6), (6, 7)),
    Lesson((10, 10), (6, 6), (6, 6), (7, 7)),
    Lesson((10, 10), (6, 6), (1, 6), (1, 7)),
)
"""By their numbers in the paper; lesson 0 (one goal) is not there. 17 and 18, 21 and 22, 23 and 24 are the same."""
LAST_LESSON = len(LESSONS) - 1
