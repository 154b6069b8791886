"""Epochs over a given set of sequences of different lengths."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.schema import Count
from numdnc.tasks import position_from
from numdnc.tasks.batches import batches_by_length


@dataclass(frozen=True)
class _Position:
    epoch: Count
    read: Count


class Epochs:
    """Batches of sequences of similar lengths, cut anew for every epoch; one smaller than the others is left out."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths, self._batch, self._seed = lengths, batch, seed
        self._begin(0)

    def _begin(self, epoch: int) -> None:
        rng = np.random.default_rng([self._seed, epoch])
        batches = batches_by_length(self._lengths, self._batch, rng)
        self._batches = [batch for batch in batches if len(batch) == self._batch]
        self._epoch, self._read = epoch, 0

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return len(self._lengths) // self._batch

    def next_batch(self) -> NDArray[np.integer]:
        """Numbers of the sequences of the next batch."""
        if self._read == self.batches:
            self._begin(self._epoch + 1)
        self._read += 1
        return self._batches[self._read - 1]

    def position(self) -> dict[str, Any]:
        """Epoch and batches read of it."""
        return dataclasses.asdict(_Position(self._epoch, self._read))

    def move_to(self, position: dict[str, Any], sequences: str) -> None:
        """Continue from a `position`; `sequences` is their name for messages."""

        def problem(saved: _Position) -> str:
            return "" if saved.read <= self.batches else f"it is not in the {sequences}"

        saved = position_from(_Position, position, problem)
        self._begin(saved.epoch)
        self._read = saved.read
