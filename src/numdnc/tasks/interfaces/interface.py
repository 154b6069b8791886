"""Settings and layout of learned interfaces: what a model sees of its tapes, and what its outputs mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import ClassVar, NamedTuple

import numpy as np

from numdnc.errors import UserError
from numdnc.names import quoted
from numdnc.params import Array
from numdnc.reinforcement import Episodes
from numdnc.tasks import Batch, Feedback
from numdnc.tasks.bits.steps import channel_names, check_at_least
from numdnc.tasks.interfaces.tapes import REACH, WINDOW, TapeFeedback, Tapes, symbol_rewards

_MOVES = ("-1", "0", "+1")
_LONGEST = 1000
_NEAR = 0.65
"""Share of the training episodes near the level of the curriculum."""


class Question(NamedTuple):
    """Symbols on the input tape and those that the output tape is to hold, as numbers."""

    tape: Sequence[int]
    answer: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Interface:
    """Act on tapes: read symbols from one, write to another, and emit symbols on a third.

    At each step the model sees the 5 cells around its place on the input tape and on the memory tape, and what it did
    last. It chooses where to move on both, -1, 0 or +1 cells, never past an end of the input tape, and whether it emits
    a symbol. Where as many steps are left as symbols, it must emit. An emitted symbol's reward is the log probability
    that the model gave to the right one. The cell of the memory tape becomes k cell + w, of outputs k and w.

    Inputs: for each of 5 cells of the input tape its symbol (one-hot; the last channel is "no symbol"), 5 cells of the
    memory tape, the last actions (one-hot). Outputs: logits of the actions, logits of the symbols, w, k.

    Source: Zaremba and Sutskever 2015 (arXiv 1505.00521).
    """

    length: int = 10
    """Symbols of the longest sequences that are scored; the curriculum begins with 1."""
    symbols: int = 10
    """Number of different symbols, at most 26: a, b, c, .."""
    memory_width: int = 8
    """Numbers in a cell of the memory tape; 0 = no memory tape."""
    slack: int = 4
    """Steps that an episode may take beyond those that it needs."""

    marks: ClassVar[str] = ""
    """Symbols that only the input tape has."""
    moves_back: ClassVar[bool] = True
    """Whether the head of the input tape can move back."""
    example_question: ClassVar[str] = "abcab"

    def __post_init__(self) -> None:
        check_at_least(1, self, "length")
        check_at_least(2, self, "symbols")
        check_at_least(0, self, "memory_width", "slack")
        if self.symbols > len(ascii_lowercase):
            raise UserError(f"symbols must be at most {len(ascii_lowercase)}, got {self.symbols}.")
        if self.length > _LONGEST:
            raise UserError(f"length must be at most {_LONGEST:,}, got {self.length:,}.")

    # What a subclass says.

    def draw(self, rng: np.random.Generator, length: int) -> Question:
        """Draw a question of `length` symbols."""
        return self.question(rng.integers(self.symbols, size=length).tolist(), rng)

    def question(self, content: Sequence[int], rng: np.random.Generator) -> Question:
        """The question about some symbols."""
        raise NotImplementedError

    def answer(self, tape: Sequence[int]) -> Sequence[int] | None:
        """What is to be emitted for what is on the input tape; None if the task has no such tape."""
        raise NotImplementedError

    def least_steps(self, question: Question) -> int:
        """Steps that a program for the task takes."""
        raise NotImplementedError

    # Layout.

    @property
    def cell_symbols(self) -> str:
        """What a cell of the input tape may hold, by number; the number after the last is no symbol."""
        return ascii_lowercase[: self.symbols] + self.marks

    @property
    def action_sizes(self) -> tuple[int, ...]:
        """Moves on the input tape, moves on the memory tape if there is one, emit or not."""
        return (3, 3, 2) if self.memory_width else (3, 2)

    @property
    def input_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        cells = [f"{k:+d}" if k else "0" for k in range(-REACH, REACH + 1)]
        return (
            *(f"input {cell}: {symbol}" for cell in cells for symbol in (*self.cell_symbols, "none")),
            *(f"memory {cell}: {i}" for cell in cells for i in range(self.memory_width)),
            *(f"last {name}" for name in self._action_names),
        )

    @property
    def output_channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        memory = (*channel_names("write", self.memory_width), "keep") if self.memory_width else ()
        return (*self._action_names, *ascii_lowercase[: self.symbols], *memory)

    @property
    def input_size(self) -> int:
        """X."""
        return WINDOW * (len(self.cell_symbols) + 1 + self.memory_width) + sum(self.action_sizes)

    @property
    def output_size(self) -> int:
        """Y."""
        return sum(self.action_sizes) + self.symbols + (self.memory_width + 1 if self.memory_width else 0)

    # Episodes.

    def reset(self, rng: np.random.Generator, count: int) -> Episodes:
        """Begin episodes of `length` symbols."""
        return self.begin([self.draw(rng, self.length) for _ in range(count)])

    def reset_training(self, rng: np.random.Generator, count: int) -> Episodes:
        """Begin episodes for training: 65 % of `length` + k symbols, k with probability 2^-(k+1); others shorter."""
        near = rng.random(count) < _NEAR
        lengths = np.where(
            near,
            self.length + rng.geometric(0.5, count) - 1,
            rng.integers(1, self.length, count, endpoint=True),
        )
        return self.begin([self.draw(rng, int(length)) for length in lengths])

    def begin(self, questions: Sequence[Question]) -> Tapes:
        """Begin episodes with these questions."""
        return Tapes(self, questions)

    def rewards(self, outputs: Array, batch: Batch) -> tuple[Array, Array]:
        """Rewards (T, B) of recorded episodes by outputs (T, B, Y), and the gradient of their sum by the outputs."""
        return symbol_rewards(self, outputs, batch)

    def feedback(self, outputs: Array, batch: Batch) -> Feedback | None:
        """The way of gradients from what was read on the memory tape back to what was written."""
        return TapeFeedback(self, outputs, batch) if self.memory_width else None

    # Questions that people type.

    def pose(self, text: str) -> Question:
        """What is typed, such as "abcab", as the input tape; UserError if it is none of this task."""
        known = self.cell_symbols
        bad = next((symbol for symbol in text if symbol not in known), None)
        if not text or len(text) > _LONGEST or bad is not None:
            got = quoted(bad) if bad is not None else f"{len(text):,} symbols"
            raise UserError(
                f"a question must be 1 to {_LONGEST:,} symbols of {known[0]}..{known[self.symbols - 1]}"
                f"{' and ' + ' '.join(self.marks) if self.marks else ''}, such as {self.example_question}, got {got}."
            )
        tape = [known.index(symbol) for symbol in text]
        answer = self.answer(tape)
        if answer is None:
            raise UserError(
                f"a question must be a tape of this task, such as {self.example_question}, got {quoted(text[:80])}."
            )
        return Question(tape, answer)

    @property
    def _action_names(self) -> tuple[str, ...]:
        memory = [f"move memory {move}" for move in _MOVES] if self.memory_width else []
        return (*(f"move input {move}" for move in _MOVES), *memory, "wait", "emit")
