"""Episodes on tapes, side by side, and the gradients through them.

Axes: T steps, B episodes, X input, Y output, W numbers of a memory cell, C cells of the memory tape.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.params import Array
from numdnc.reference.activations import sigmoid
from numdnc.reinforcement import Observation
from numdnc.tasks import Batch

if TYPE_CHECKING:
    from numdnc.tasks.interfaces.interface import Interface, Question

REACH = 2
"""Cells that are seen on either side of the head's."""
WINDOW = 2 * REACH + 1
STAY, WAIT, EMIT = 1, 0, 1
"""Actions: a move by 0 cells; the output tape's two."""


class TapeRecord(NamedTuple):
    """What is kept of each step besides actions."""

    input_position: NDArray[Any]  # (T, B) cell of the input tape's head
    memory_position: NDArray[Any]  # (T, B) cell of the memory tape's, from the first cell that it could reach
    cell: Array  # (T, B, W) its content before the step
    symbol: NDArray[Any]  # (T, B) the symbol that is next on the output tape


class Tapes:
    """A batch of episodes of an `Interface`."""

    def __init__(self, interface: "Interface", questions: Sequence["Question"]) -> None:
        self.interface, self.questions, count = interface, questions, len(questions)
        self._rows = np.arange(count)
        self._lengths = np.array([len(question.tape) for question in questions])
        self._due = np.array([len(question.answer) for question in questions])
        self._steps = interface.slack + np.array([interface.least_steps(question) for question in questions])
        blank = len(interface.cell_symbols)
        self._tape = np.full((count, self._lengths.max() + 2 * REACH), blank)
        self._answer = np.zeros((count, self._due.max()), int)
        for row, (tape, answer) in enumerate(questions):
            self._tape[row, REACH : REACH + len(tape)] = tape
            self._answer[row, : len(answer)] = answer
        most = int(self._steps.max())
        self._memory = np.zeros((count, memory_cells(most), interface.memory_width))
        self._t = 0
        self._input_position = np.zeros(count, int)
        self._memory_position = np.full(count, most + REACH)
        self._emitted = np.zeros(count, int)
        self._last = np.zeros((count, sum(interface.action_sizes)))
        self._hot = np.eye(blank + 1)
        self._record = TapeRecord(*(np.zeros(0),) * 4)
        self.right = np.ones(count, bool)
        """Whether every symbol emitted so far was the likeliest one and right."""
        self.observation = self._observe()

    def step(self, actions: NDArray[Any], outputs: Array) -> Array:
        """Emit, write, move; return the log probabilities of the symbols that were emitted."""
        rows, alive, width = self._rows, self.observation.alive, self.interface.memory_width
        symbol = self._answer[rows, np.minimum(self._emitted, self._answer.shape[1] - 1)]
        cell = self._memory[rows, self._memory_position]
        self._record = TapeRecord(self._input_position, self._memory_position, cell, symbol)
        emits = alive & (actions[:, -1] == EMIT)
        logits = symbol_logits(self.interface, outputs)
        self.right &= ~emits | (logits.argmax(axis=1) == symbol)
        if width:
            write, keep = memory_update(self.interface, outputs)
            self._memory[rows[alive], self._memory_position[alive]] = (keep * cell + write)[alive]
            self._memory_position = self._memory_position + np.where(alive, actions[:, 1] - STAY, 0)
        self._input_position = self._input_position + np.where(alive, actions[:, 0] - STAY, 0)
        self._emitted = self._emitted + emits
        hot = [
            np.eye(size)[action] for size, action in zip(self.interface.action_sizes, actions.T, strict=True)
        ]
        self._last = np.concatenate(hot, axis=1)
        self._t += 1
        self.observation = self._observe()
        return np.where(emits, log_softmax(logits)[rows, symbol], 0).astype(outputs.dtype)

    def record(self) -> TapeRecord:
        """What is kept of the last step."""
        return self._record

    def _observe(self) -> Observation:
        left, steps_left = self._due - self._emitted, self._steps - self._t
        alive, around = left > 0, np.arange(WINDOW)
        rows = self._rows[:, None]
        seen = self._hot[self._tape[rows, self._input_position[:, None] + around]]
        memory = self._memory[rows, self._memory_position[:, None] - REACH + around]
        count = len(self._rows)
        inputs = np.concatenate([seen.reshape(count, -1), memory.reshape(count, -1), self._last], axis=1)
        allowed = np.ones((count, sum(self.interface.action_sizes)), bool)
        allowed[:, STAY - 1] = self.interface.moves_back & (self._input_position > 0)
        allowed[:, STAY + 1] = self._input_position < self._lengths - 1
        allowed[left == steps_left, -2 + WAIT] = False
        over = np.concatenate(
            [np.arange(size) == (STAY if size > 2 else WAIT) for size in self.interface.action_sizes]
        )
        allowed[~alive] = over
        return Observation(inputs * alive[:, None], allowed, alive)


class TapeFeedback:
    """Gradient of the memory tape: from the windows in which cells were read to what was written into them.

    cell' = k cell + w:    d_w = d_cell',   d_k = d_cell' . cell,   d_cell = k d_cell'
    """

    def __init__(self, interface: "Interface", outputs: Array, batch: Batch) -> None:
        assert batch.episode is not None
        assert batch.mask is not None
        self._record: TapeRecord = batch.episode.record
        self._outputs, self._alive = outputs, batch.mask
        self._interface, self._width = interface, interface.memory_width
        self._rows = np.arange(outputs.shape[1])
        first = WINDOW * (len(interface.cell_symbols) + 1)
        self._seen = slice(first, first + WINDOW * self._width)
        cells = self._record.memory_position.max() + REACH + 1
        self._d_memory = np.zeros((len(self._rows), cells, self._width), outputs.dtype)

    def backward(self, t: int, d_inputs: Array | None) -> Array:
        """The gradient by the outputs of step t of all that was read of the memory tape after it."""
        rows, width = self._rows, self._width
        if d_inputs is not None:
            seen = np.where(self._alive[t + 1][:, None], d_inputs[:, self._seen], 0).reshape(
                -1, WINDOW, width
            )
            for k in range(WINDOW):
                self._d_memory[rows, self._record.memory_position[t + 1] - REACH + k] += seen[:, k]
        position, cell = self._record.memory_position[t], self._record.cell[t]
        d_cell = self._d_memory[rows, position]
        write, keep = memory_update(self._interface, self._outputs[t])
        d_outputs = np.zeros_like(self._outputs[t])
        d_write, d_keep = memory_outputs(self._interface, d_outputs)
        d_write[:] = d_cell * (1 - write**2)
        d_keep[:] = (d_cell * cell).sum(axis=1, keepdims=True) * keep * (1 - keep)
        alive = self._alive[t][:, None]
        self._d_memory[rows, position] = np.where(alive, keep, 1) * d_cell
        return np.where(alive, d_outputs, 0)


def memory_cells(steps: int) -> int:
    """Cells of the memory tape that can be seen in so many steps from the middle one."""
    return 2 * (steps + REACH) + 1


def memory_update(interface: "Interface", outputs: Array) -> tuple[Array, Array]:
    """What is written, w (B, W) in [-1, 1], and the share of the cell that stays, k (B, 1) in [0, 1]."""
    write, keep = memory_outputs(interface, outputs)
    return np.tanh(write), sigmoid(keep)


def memory_outputs(interface: "Interface", outputs: Array) -> tuple[Array, Array]:
    """The outputs (B, Y) that make the write, (B, W), and the share that stays, (B, 1): views."""
    first = sum(interface.action_sizes) + interface.symbols
    last = first + interface.memory_width
    return outputs[:, first:last], outputs[:, last : last + 1]


def symbol_logits(interface: "Interface", outputs: Array) -> Array:
    """Logits of the symbols, (.., S)."""
    first = sum(interface.action_sizes)
    return outputs[..., first : first + interface.symbols]


def log_softmax(logits: Array) -> Array:
    """Logarithm of the softmax over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    found: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def symbol_rewards(interface: "Interface", outputs: Array, batch: Batch) -> tuple[Array, Array]:
    """Rewards (T, B) of recorded episodes by the outputs, and the gradient of their sum by the outputs (T, B, Y)."""
    assert batch.episode is not None
    log_p = log_softmax(symbol_logits(interface, outputs))
    emits = (batch.episode.actions[..., -1] == EMIT) & batch.mask
    symbol = batch.episode.record.symbol[..., None]
    d_logits = -np.exp(log_p)
    np.put_along_axis(d_logits, symbol, 1 + np.take_along_axis(d_logits, symbol, -1), -1)
    gradient = np.zeros_like(outputs)
    first = sum(interface.action_sizes)
    gradient[..., first : first + interface.symbols] = np.where(emits[..., None], d_logits, 0)
    return np.where(emits, np.take_along_axis(log_p, symbol, -1)[..., 0], 0), gradient
