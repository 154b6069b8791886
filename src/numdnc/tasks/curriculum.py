"""From easy to hard: one setting of a task grows, level by level, up to the value that the task itself has.

Where a level that was mastered is lost again, the one before is gone back to.
"""

import dataclasses
from typing import Any, cast

import numpy as np

from numdnc.errors import UserError
from numdnc.tasks.sequences import SequenceGenerator


class Curriculum:
    """The levels of a task; a level is known by the value of what grows."""

    def __init__(self, whole: SequenceGenerator, grow: str, first: int, step: int, easier: float) -> None:
        settings: dict[str, Any] = dataclasses.asdict(cast(Any, whole))
        growing = sorted(name for name, value in settings.items() if type(value) is int)
        if grow not in growing:
            raise UserError(f"grow must be one of {', '.join(growing)}, got {grow!r}.")
        first = min(first, settings[grow])
        self._whole, self._grow, self._easier = whole, grow, easier
        self._first, self._step = first, step
        self.last = int(settings[grow])
        """The value of what grows on the last level."""
        self.level = first
        """The current value of what grows."""
        self._held = False
        """Whether the current level's error was ever low enough for a later rise of it to mean a collapse."""
        sizes = (whole.input_size, whole.output_size)
        if (self.generator.input_size, self.generator.output_size) != sizes:
            raise UserError(
                f"grow must leave the sizes of inputs and outputs as they are, got {grow!r}, which does not."
            )

    @property
    def generator(self) -> SequenceGenerator:
        """The task as it is on the current level."""
        return self._at(self.level)

    @property
    def levels(self) -> list[SequenceGenerator]:
        """The task as it is on each level, the last is the task itself."""
        values = dict.fromkeys([*range(self._first, self.last, self._step), self.last])
        return [self._at(value) for value in values]

    @property
    def on_last_level(self) -> bool:
        """Whether this is the last level: the task itself."""
        return self.level == self.last

    def update(self, error: float, pass_at: float, fall_at: float) -> None:
        """Move on if the error rate of the current level is at most `pass_at`, back if it rises above `fall_at`.

        Going back needs an error rate that was at most `fall_at` before: a level that has just begun is not left.
        """
        if error <= pass_at:
            self._go_to(min(self.level + self._step, self.last))
        elif error <= fall_at:
            self._held = True
        elif self._held:
            # The last level may be less than a step away from the one before.
            before = (self.level - self._first - 1) // self._step
            self._go_to(self._first + max(0, before) * self._step)

    def position(self) -> dict[str, Any]:
        """What `move_to` needs, as JSON."""
        return {"level": self.level, "held": self._held}

    def has_level(self, level: int) -> bool:
        """Whether this can be one of the levels."""
        return self._first <= level <= self.last

    def move_to(self, level: int, *, held: bool) -> None:
        """Continue where a `position` says."""
        self.level, self._held = level, held

    def _go_to(self, level: int) -> None:
        # Passing the last level again leaves it as it is, and held.
        self._held = level == self.level
        self.level = level

    def draw_levels(self, rng: np.random.Generator, count: int) -> list[tuple[SequenceGenerator, int]]:
        """Tasks, and how many of so many sequences to draw of each.

        A sequence is of an earlier level with probability `easier`, each as likely as the others, where there is any.
        """
        earlier = range(self._first, self.level, self._step)
        levels = np.full(count, self.level)
        if earlier:
            easy = rng.random(count) < self._easier
            levels[easy] = rng.choice(earlier, int(easy.sum()))
        return [(self._at(int(level)), int((levels == level).sum())) for level in np.unique(levels)]

    def _at(self, level: int) -> SequenceGenerator:
        return cast(SequenceGenerator, dataclasses.replace(cast(Any, self._whole), **{self._grow: level}))
