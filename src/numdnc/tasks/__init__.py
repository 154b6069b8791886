"""Tasks: a task gives batches of arrays, their loss, and scores on held-out data. It knows nothing of models."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError
from numdnc.params import Array, Inputs
from numdnc.reinforcement.episode import Episode
from numdnc.schema import validated
from numdnc.tree import map_leaves

Position = TypeVar("Position")


class Forward(Protocol):
    """A model to score or to sample from."""

    def __call__(
        self, inputs: Inputs, state: Any, lengths: NDArray[np.integer] | None = None
    ) -> tuple[Array, Any]:
        """Return outputs (T, B, Y) and the state after the last step; a state of None is the initial one.

        lengths (B,) are the steps of each sequence without its padding; None means T. A bidirectional model needs them,
        and must be given whole sequences from the initial state.
        """
        ...


class Batch(NamedTuple):
    """The sequences of one update. Axes: T steps, B batch, X input, Y output."""

    inputs: Inputs  # (T, B) symbols or (T, B, X)
    targets: NDArray[Any]  # (T, B) classes, (T, B, G) several classes a step, or (T, B, Y) numbers in [0, 1]
    starts_sequence: bool = True  # whether the sequences begin here, from the initial state
    mask: NDArray[Any] | None = None  # (T, B) booleans: where the loss counts; everywhere where None
    choices: NDArray[Any] | None = (
        None  # (T, B, C, G) classes: what a step chooses from, padded with -1; None: anything
    )

    episode: Episode | None = None  # what was done where actions were chosen
    hints: Array | None = (
        None  # (T, B, Y) probabilities of classes that steps are to output in training, 0 elsewhere
    )

    def rows(self, chosen: slice) -> "Batch":
        """Some of the sequences, with their padding."""
        parts: list[Any] = [part[:, chosen] if isinstance(part, np.ndarray) else part for part in self]
        batch = Batch(*parts)
        if self.episode is None:
            return batch
        return batch._replace(episode=map_leaves(lambda array: array[:, chosen], self.episode))

    def first_steps(self, steps: int) -> "Batch":
        """The first `steps` steps of all sequences."""
        parts: list[Any] = [part[:steps] if isinstance(part, np.ndarray) else part for part in self]
        batch = Batch(*parts)
        if self.episode is None:
            return batch
        return batch._replace(episode=map_leaves(lambda array: array[:steps], self.episode))


Scores = dict[str, float]
"""Name -> number; lower is better. The best checkpoint is the one with the lowest first score."""


class Task(Protocol):
    """What the training loop needs of a task."""

    name: str
    unit: str
    """Unit in which losses are shown, ..."""
    nats_per_unit: float
    """... and how many nats one of it is: ln 2 for bits, 1 for nats."""
    input_size: int
    output_size: int

    def next_batch(self) -> Batch:
        """The next batch; the same for the same `position`."""
        ...

    def loss(self, outputs: Array, batch: Batch) -> tuple[float, float, Array]:
        """Mean loss in nats, the number of predictions, and the gradient of the loss by the outputs."""
        ...

    def score(self, forward: Forward, *, whole: bool = False) -> Scores:
        """Scores on held-out data; with `whole` on all of it, however long that takes."""
        ...

    def example(self, sequences: int) -> Batch:
        """`sequences` sequences of the held-out data, always the same."""
        ...

    def solved(self, scores: Scores) -> bool:
        """Whether nothing is left to learn."""
        ...

    def on_scores(self, scores: Scores) -> None:
        """Use the scores of a report: a curriculum may move to its next level."""
        ...

    def position(self) -> dict[str, Any]:
        """The position in the data, with random state and level of a curriculum, as JSON."""
        ...

    def move_to(self, position: dict[str, Any]) -> None:
        """Continue from a `position`."""
        ...


@runtime_checkable
class Interactive(Protocol):
    """What a task also offers where inputs and targets depend on the model's outputs."""

    tries_actions: bool
    """Whether a rollout plays on from the states of its episodes, to find out what actions bring. Then the average of
    the parameters acts, if there is one, since it plays better; and one process must train, which has all states."""

    def rollout(self, forward: Forward, batch: Batch) -> Batch:
        """The batch with the model's choices filled in, for training."""
        ...


class Feedback(Protocol):
    """The way of gradients from the inputs of a step back to the outputs of earlier ones, which they were made of."""

    def backward(self, t: int, d_inputs: Array | None) -> Array | None:
        """What to add to the gradient by the outputs of step t, (B, Y), given that by the inputs of step t + 1.

        It is called for each step, from the last to the first, for which `d_inputs` is None.
        """
        ...


@runtime_checkable
class Differentiable(Protocol):
    """What a task also offers where gradients flow from inputs to the outputs of earlier steps."""

    def feedback(self, outputs: Array, batch: Batch) -> Feedback | None:
        """Begin a backward pass; None if no gradient flows that way."""
        ...


@runtime_checkable
class Reinforced(Protocol):
    """What a task also offers in which a model acts: it is learned by policy gradient, with a critic."""

    def returns(self, forward: Forward) -> Array:
        """The return of each episode that is scored, (B,)."""
        ...

    def random_return(self) -> float:
        """The mean return of actions that are drawn evenly."""
        ...

    def with_values(self, batch: Batch, values: Array) -> Batch:
        """Recorded episodes with the advantages over a critic's values (T, B)."""
        ...

    def value_loss(self, values: Array, batch: Batch) -> tuple[float, Array]:
        """The loss of a critic's values (T, B), and its gradient."""
        ...


@dataclass(frozen=True)
class _Words:
    state: int
    inc: int


@dataclass(frozen=True)
class RandomState:
    """The `bit_generator.state` of a NumPy generator."""

    bit_generator: Literal["PCG64"]
    state: _Words
    has_uint32: Literal[0, 1]
    uinteger: int

    def __post_init__(self) -> None:
        for name, value, bits in (
            ("state", self.state.state, 128),
            ("inc", self.state.inc, 128),
            ("uinteger", self.uinteger, 32),
        ):
            if not 0 <= value < 1 << bits:
                raise UserError(f"{name} of the random state is not a number of {bits} bits")


def generator_from(state: RandomState) -> np.random.Generator:
    """The random generator whose `bit_generator.state` was saved."""
    generator = np.random.default_rng()
    generator.bit_generator.state = dataclasses.asdict(state)
    return generator


def position_from(
    kind: type[Position], position: dict[str, Any], problem: Callable[[Position], str]
) -> Position:
    """Convert a saved `position` to a `kind`; UserError if it is none, or if `problem` finds one."""
    try:
        found = validated(kind, position)
        if wrong := problem(found):
            raise UserError(wrong)
    except UserError as error:
        raise UserError(
            f"the run must hold a position in its data that fits this task, got another ({error}). "
            "Use another checkpoint of the run."
        ) from None
    return found
