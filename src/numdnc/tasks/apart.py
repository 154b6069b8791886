"""Keep the sequences that a task is scored on out of what it is trained on."""

from collections.abc import Iterable

import numpy as np

from numdnc.tasks import Batch
from numdnc.tasks.sequences import Episodes, digests, drawn, joined

MOST_SHARED = 0.25
"""If more than this share of what is drawn is scored on, few sequences exist: all of them are trained on, for what is
left would be another task."""
_MEASURED = 256
"""So many sequences are drawn to find that share."""
_TRIES = 100


class KeptApart:
    """Draws sequences to train on: none of those scored on, where enough others exist."""

    def __init__(self, scored: Iterable[Batch], seed: list[int]) -> None:
        """`scored`: all that is ever scored on, on any level; `seed` settles how its share is measured."""
        self._scored = {digest for batch in scored for digest in digests(batch)}
        self._seed = seed
        self._shares: dict[str, float] = {}

    def share(self, episodes: Episodes) -> float:
        """The share of what these draw that is scored on, to about 0.03."""
        if not getattr(episodes, "repeats", True):
            return 0.0
        settings = repr(episodes)
        if settings not in self._shares:
            found = digests(drawn(episodes, np.random.default_rng(self._seed), _MEASURED))
            self._shares[settings] = sum(digest in self._scored for digest in found) / _MEASURED
        return self._shares[settings]

    def drawn(self, episodes: Episodes, rng: np.random.Generator, count: int) -> Batch:
        """So many sequences; one that is scored on is drawn again."""
        batch = drawn(episodes, rng, count)
        if not getattr(episodes, "repeats", True) or self.share(episodes) > MOST_SHARED:
            return batch
        shared = [digest in self._scored for digest in digests(batch)]
        if not any(shared):
            return batch
        rows = (batch.rows(slice(row, row + 1)) for row in range(count))
        return joined(
            [self._another(episodes, rng) if known else row for row, known in zip(rows, shared, strict=True)]
        )

    def _another(self, episodes: Episodes, rng: np.random.Generator) -> Batch:
        for _ in range(_TRIES):
            one = drawn(episodes, rng, 1)
            if digests(one)[0] not in self._scored:
                break
        return one
