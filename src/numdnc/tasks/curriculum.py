"""From easy to hard: one setting of a task grows, level by level, up to the value that the task itself has."""

import dataclasses
from typing import Any, cast

import numpy as np

from numdnc.errors import UserError
from numdnc.tasks.sequences import Episodes


class Curriculum:
    """The levels of a task; a level is known by the value of what grows."""

    def __init__(self, whole: Episodes, grow: str, first: int, step: int, easier: float) -> None:
        settings: dict[str, Any] = dataclasses.asdict(cast(Any, whole))
        growing = sorted(name for name, value in settings.items() if type(value) is int)
        if grow not in growing:
            raise UserError(f"grow must be one of {', '.join(growing)}, got {grow!r}.")
        if first > settings[grow]:
            raise UserError(
                f"grow_from must be at most the task's own {grow}, {settings[grow]}, got {first}. "
                "That is where a curriculum ends."
            )
        self._whole, self._grow, self._easier = whole, grow, easier
        self._first, self._step, self._last = first, step, int(settings[grow])
        self.level = first
        """The present value of what grows."""
        sizes = (whole.input_size, whole.output_size)
        if (self.episodes.input_size, self.episodes.output_size) != sizes:
            raise UserError(
                f"grow must leave the sizes of inputs and outputs as they are, got {grow!r}, which does not."
            )

    @property
    def episodes(self) -> Episodes:
        """The task as it is on the present level."""
        return self._at(self.level)

    @property
    def done(self) -> bool:
        """Whether this is the last level: the task itself."""
        return self.level == self._last

    def rise(self) -> None:
        """Go on to the next level, if there is one."""
        self.level = min(self.level + self._step, self._last)

    def groups(self, rng: np.random.Generator, count: int) -> list[tuple[Episodes, int]]:
        """Tasks, and how many of so many sequences to draw of each.

        A sequence is of an earlier level with probability `easier`, each as likely as the others, where there is any.
        """
        earlier = range(self._first, self.level, self._step)
        levels = np.full(count, self.level)
        if earlier:
            easy = rng.random(count) < self._easier
            levels[easy] = rng.choice(earlier, int(easy.sum()))
        return [(self._at(int(level)), int((levels == level).sum())) for level in np.unique(levels)]

    def _at(self, level: int) -> Episodes:
        return cast(Episodes, dataclasses.replace(cast(Any, self._whole), **{self._grow: level}))
