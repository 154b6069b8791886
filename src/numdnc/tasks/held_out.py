"""Keep held-out sequences, which a task is scored on, out of the training data."""

from collections.abc import Iterable

import numpy as np

from numdnc.tasks import Batch
from numdnc.tasks.sequences import SequenceGenerator, digests, draw_checked, pad_and_concat

MAX_OVERLAP = 0.25
"""Above this share of held-out sequences among those drawn, few sequences exist: all of them are trained on, since the
rest would be another task."""
_SAMPLED = 256
"""Sequences drawn to estimate that share."""
_TRIES = 100


class HeldOutFilter:
    """Draw training sequences, none of which is held out, where enough others exist."""

    def __init__(self, held_out: Iterable[Batch], seed: list[int]) -> None:
        """`held_out` are the sequences of all levels that are scored on; `seed` is that of the estimated overlap."""
        self._held_out = {digest for batch in held_out for digest in digests(batch)}
        self._seed = seed
        self._overlaps: dict[str, float] = {}

    def overlap(self, generator: SequenceGenerator) -> float:
        """The share of held-out sequences among those drawn, to about 0.03."""
        if not getattr(generator, "repeats", True):
            return 0.0
        settings = repr(generator)
        if settings not in self._overlaps:
            found = digests(draw_checked(generator, np.random.default_rng(self._seed), _SAMPLED))
            self._overlaps[settings] = sum(digest in self._held_out for digest in found) / _SAMPLED
        return self._overlaps[settings]

    def draw(self, generator: SequenceGenerator, rng: np.random.Generator, count: int) -> Batch:
        """Draw `count` sequences; a held-out one is replaced by another draw."""
        batch = draw_checked(generator, rng, count)
        if not getattr(generator, "repeats", True) or self.overlap(generator) > MAX_OVERLAP:
            return batch
        known = [digest in self._held_out for digest in digests(batch)]
        if not any(known):
            return batch
        rows = (batch.rows(slice(row, row + 1)) for row in range(count))
        return pad_and_concat(
            [self._redraw(generator, rng) if again else row for row, again in zip(rows, known, strict=True)]
        )

    def _redraw(self, generator: SequenceGenerator, rng: np.random.Generator) -> Batch:
        for _ in range(_TRIES):
            one = draw_checked(generator, rng, 1)
            if digests(one)[0] not in self._held_out:
                break
        return one
