"""All boards of Mini-SHRDLU, what each move makes of them, and all distances between them.

A board has three columns of three squares; square 3 c + r is the r-th of column c, from the bottom. Axes: M boards of K
blocks, 7 actions, 9 squares.
"""

from functools import lru_cache
from itertools import permutations, product
from math import factorial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCKS, COLUMNS, HEIGHT = 6, 3, 3
SQUARES = COLUMNS * HEIGHT
MOVES = tuple((a, b) for a in range(COLUMNS) for b in range(COLUMNS) if a != b)
"""Actions but the last: the top block of the first column goes on top of the second."""
PASS = len(MOVES)
"""The last action: nothing moves."""
ACTIONS = PASS + 1
RELATIONS = ("above", "below", "left of", "right of")
"""Of two blocks on adjacent squares."""
FAR = 127
"""The distance where there is no way."""
_FEW = 12
"""Distances to so many boards are looked up, to more they are searched for."""

Columns = tuple[tuple[int, ...], ...]
"""The blocks of each column, from the bottom."""


class Boards(NamedTuple):
    """All boards of K blocks, numbered 0..K-1; a board is its number in these arrays."""

    blocks: int  # K
    columns: tuple[Columns, ...]  # M
    numbers: dict[Columns, int]
    block: NDArray[np.int8]  # (M, 9) on each square; -1 = empty
    after: NDArray[np.int64]  # (M, 7) the board after each action; the same one where it is invalid
    valid: NDArray[np.bool_]  # (M, 7) whether there is a block to take and room for it
    holds: NDArray[np.bool_]  # (4, K, K, M) whether a relation holds of two blocks
    ordered: NDArray[np.bool_]  # (M, 2, K, K) the first and third of them, which say all; board by board
    orders: dict[tuple[int, ...], int]  # of blocks, numbered 0..K!-1
    by_shape: NDArray[np.int8]  # (S, S, K!) distances of boards of each shape from one of each shape
    relabelled: NDArray[np.int64]  # (K!, K!) orders of blocks, renamed so that another order is the first

    def number(self, columns: Columns) -> int:
        """The number of a board."""
        return self.numbers[columns]

    def distances_from(self, board: int) -> NDArray[np.int8]:
        """The fewest moves from a board to each other, (M,); as many as back, since each move can be undone."""
        shape, order = divmod(board, factorial(self.blocks))
        found: NDArray[np.int8] = self.by_shape[shape][:, self.relabelled[order]].ravel()
        return found

    def distances_to(self, wanted: NDArray[np.bool_]) -> NDArray[np.int8]:
        """The fewest moves from each board to one of those wanted, (M,); `FAR` if there are none."""
        few = np.flatnonzero(wanted)
        if 0 < len(few) <= _FEW:
            found: NDArray[np.int8] = np.min([self.distances_from(int(board)) for board in few], axis=0)
            return found
        return _distances(self.after, wanted)

    def renamed(self, values: NDArray[Any], order: tuple[int, ...]) -> NDArray[Any]:
        """Values (M,) of boards whose blocks are named 0, 1, .. in place of `order`, in the numbering of all boards."""
        by_shape = values.reshape(len(self.by_shape), -1)
        found: NDArray[Any] = by_shape[:, self.relabelled[self.orders[order]]].ravel()
        return found


@lru_cache
def boards(blocks: int) -> Boards:
    """All boards of so many blocks: their shapes, and for each shape every order of the blocks.

    A distance stays the same if blocks are renamed in both boards, so those from one board of each shape are enough.
    """
    shapes = [shape for shape in product(range(HEIGHT + 1), repeat=COLUMNS) if sum(shape) == blocks]
    orders = list(permutations(range(blocks)))
    columns = tuple(_columns(shape, order) for shape in shapes for order in orders)
    numbers = {board: i for i, board in enumerate(columns)}
    block = np.full((len(columns), SQUARES), -1, np.int8)
    after = np.tile(np.arange(len(columns))[:, None], (1, ACTIONS))
    valid = np.zeros(after.shape, bool)
    valid[:, PASS] = True
    for i, board in enumerate(columns):
        for c, column in enumerate(board):
            block[i, HEIGHT * c : HEIGHT * c + len(column)] = column
        for action, (source, target) in enumerate(MOVES):
            if board[source] and len(board[target]) < HEIGHT:
                valid[i, action], after[i, action] = True, numbers[_moved(board, source, target)]
    holds = _holds(blocks, block)
    first = np.arange(len(shapes)) * len(orders)
    starts = np.arange(len(columns)) == first[:, None]
    by_shape = np.stack([_distances(after, start) for start in starts]).reshape(
        len(shapes), len(shapes), len(orders)
    )
    return Boards(
        blocks,
        columns,
        numbers,
        block,
        after,
        valid,
        holds,
        np.ascontiguousarray(np.moveaxis(holds[::2], -1, 0)),
        {order: i for i, order in enumerate(orders)},
        by_shape,
        _relabelled(orders),
    )


def _columns(shape: tuple[int, ...], order: tuple[int, ...]) -> Columns:
    ends = np.cumsum(shape)
    return tuple(order[end - height : end] for end, height in zip(ends, shape, strict=True))


def _moved(board: Columns, source: int, target: int) -> Columns:
    changed = list(board)
    changed[target] = (*board[target], board[source][-1])
    changed[source] = board[source][:-1]
    return tuple(changed)


def _distances(after: NDArray[np.int64], wanted: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Breadth-first search from the boards that are wanted."""
    found = np.where(wanted, 0, FAR).astype(np.int8)
    step, frontier = 0, np.flatnonzero(wanted)
    while len(frontier):
        step += 1
        reached = after[frontier].ravel()
        found[reached[found[reached] == FAR]] = step
        frontier = np.flatnonzero(found == step)
    return found


def _holds(blocks: int, block: NDArray[np.int8]) -> NDArray[np.bool_]:
    found = np.zeros((len(RELATIONS), blocks, blocks, len(block)), bool)
    above, below, left, right = range(len(RELATIONS))
    for square in range(SQUARES):
        column, row = divmod(square, HEIGHT)
        neighbours = [(square + 1, below, above)] if row + 1 < HEIGHT else []
        neighbours += [(square + HEIGHT, left, right)] if column + 1 < COLUMNS else []
        for other, relation, inverse in neighbours:
            both = np.flatnonzero((block[:, square] >= 0) & (block[:, other] >= 0))
            one, two = block[both, square], block[both, other]
            found[relation, one, two, both] = found[inverse, two, one, both] = True
    return found


def _relabelled(orders: list[tuple[int, ...]]) -> NDArray[np.int64]:
    """For two orders the number of the second one, with blocks renamed so that the first is 0, 1, .."""
    array = np.array(orders)
    weights = BLOCKS ** np.arange(array.shape[1])
    number = np.zeros(BLOCKS ** array.shape[1], np.int64)
    number[array @ weights] = np.arange(len(array))
    renamed: NDArray[np.int64] = number[np.argsort(array, axis=1)[:, array] @ weights]
    return renamed
