"""Curriculum: one setting of a task grows level by level, up to its own value.

Training goes back a level where the model fails at the current one after it had mastered it.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from numdnc.errors import UserError
from numdnc.schema import Count
from numdnc.tasks import RandomState, generator_from, position_from
from numdnc.tasks.sequences import SequenceGenerator, resolved_settings


@dataclass(frozen=True)
class _Position:
    rng: RandomState
    level: Count | None = None
    held: bool = False
    """Not stored by earlier versions."""


class Curriculum:
    """The levels of a task; a level is the value of the setting that grows."""

    def __init__(
        self,
        whole: SequenceGenerator,
        grow: str,
        first: int,
        step: int,
        easier: float,
        *,
        doubling: bool = False,
    ) -> None:
        settings = resolved_settings(whole)
        growing = sorted(name for name, value in settings.items() if type(value) is int)
        if grow not in growing:
            raise UserError(f"grow must be one of {', '.join(growing)}, got {grow!r}.")
        first = min(first, settings[grow])
        self._whole, self._grow, self._easier = whole, grow, easier
        self.last = int(settings[grow])
        """The last level: the task's own value of the setting."""
        self._values = [*_values(first, self.last, step, doubling=doubling), self.last]
        self.level = first
        """The current level."""
        self.held = False
        """Whether the error rate of the current level has been low enough for a later rise to mean a collapse."""
        sizes = (whole.input_size, whole.output_size)
        if (self.generator.input_size, self.generator.output_size) != sizes:
            raise UserError(
                f"grow must leave the sizes of inputs and outputs as they are, got {grow!r}, which does not."
            )

    @property
    def generator(self) -> SequenceGenerator:
        """The generator of the current level."""
        return self._at(self.level)

    @property
    def levels(self) -> list[SequenceGenerator]:
        """The generators of all levels; the last is the task itself."""
        return [self._at(value) for value in self._values]

    @property
    def on_last_level(self) -> bool:
        """Whether this is the last level: the task itself."""
        return self.level == self.last

    def update(self, error: float, pass_at: float, fall_at: float) -> None:
        """Move on if the error rate of the current level is at most `pass_at`, back if it rises above `fall_at`.

        Going back needs an error rate that was at most `fall_at` before: a level that has just begun is not left.
        """
        if error <= pass_at:
            self._go_to(next((value for value in self._values if value > self.level), self.last))
        elif error <= fall_at:
            self.held = True
        elif self.held:
            self._go_to(max((value for value in self._values if value < self.level), default=self._values[0]))

    def move_to(self, level: int, *, held: bool) -> None:
        """Continue on a level; `held` says whether its error rate has been low enough."""
        self.level, self.held = level, held

    def _go_to(self, level: int) -> None:
        # Passing the last level again keeps it, and keeps it held.
        self.held = level == self.level
        self.level = level

    def __contains__(self, level: int) -> bool:
        """Whether `level` can be one of the levels."""
        return self._values[0] <= level <= self.last

    def draw_levels(self, rng: np.random.Generator, count: int) -> list[tuple[SequenceGenerator, int]]:
        """Generators, and how many of `count` sequences to draw from each.

        A sequence comes from an earlier level with probability `easier`, all of them being equally likely.
        """
        earlier = [value for value in self._values if value < self.level]
        levels = np.full(count, self.level)
        if earlier:
            easy = rng.random(count) < self._easier
            levels[easy] = rng.choice(earlier, int(easy.sum()))
        return [(self._at(int(level)), int((levels == level).sum())) for level in np.unique(levels)]

    def _at(self, level: int) -> SequenceGenerator:
        return cast(SequenceGenerator, dataclasses.replace(cast(Any, self._whole), **{self._grow: level}))


def position_of(rng: np.random.Generator, curriculum: Curriculum | None) -> dict[str, Any]:
    """Random state and level, if there are any, of a task that draws its sequences, as JSON for `continue_from`."""
    level = {"level": None} if curriculum is None else {"level": curriculum.level, "held": curriculum.held}
    return {"rng": rng.bit_generator.state, **level}


def continue_from(position: dict[str, Any], curriculum: Curriculum | None) -> np.random.Generator:
    """Move a curriculum to where a task stood; return the generator of its random numbers."""

    def problem(saved: _Position) -> str:
        if curriculum is None or (saved.level is not None and saved.level in curriculum):
            return ""
        return f"level {saved.level} is not one of its curriculum"

    saved = position_from(_Position, position, problem)
    if curriculum is not None and saved.level is not None:
        curriculum.move_to(saved.level, held=saved.held)
    return generator_from(saved.rng)


def _values(first: int, last: int, step: int, *, doubling: bool) -> Iterator[int]:
    """The levels before the last."""
    while first < last:
        yield first
        first = max(2 * first, first + 1) if doubling else first + step
