"""What to learn: a task yields arrays and scores outputs. Tasks and models do not know each other."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array, Inputs

Forward = Callable[[Inputs, Any], tuple[Array, Any]]
"""(inputs, state) -> (outputs, state): a model to be scored or sampled from; a state of None is where it starts."""


class Batch(NamedTuple):
    """One update's worth of sequences. Axes: T steps, B batch."""

    inputs: Inputs  # (T, B) symbols or (T, B, X)
    targets: NDArray[Any]
    fresh: bool  # whether the sequences begin here, so that the state must be the initial one


class Task(Protocol):
    """What the training loop asks of a task. Losses and scores are in `unit`; lower is better."""

    name: str
    unit: str
    input_size: int
    output_size: int

    def next_batch(self) -> Batch:
        """The next batch, in an order that `position` settles."""
        ...

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Loss in nats, how many predictions it is the mean of, and its gradient by the outputs."""
        ...

    def score(self, forward: Forward, *, limit: int | None = None) -> float:
        """Score on data that is never trained on; `limit` bounds how much of it is used."""
        ...

    def position(self) -> dict[str, Any]:
        """Where the data stands, random state included, as JSON."""
        ...

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""
        ...


def generator_from(state: dict[str, Any]) -> np.random.Generator:
    """The random generator whose `bit_generator.state` was saved."""
    generator = np.random.default_rng()
    generator.bit_generator.state = state
    return generator
