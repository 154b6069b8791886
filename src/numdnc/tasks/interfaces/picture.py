"""What a model did on its tapes, step by step, as text. Axes: T steps, B episodes."""

from typing import NamedTuple

import numpy as np

from numdnc.params import Array
from numdnc.tasks import Batch
from numdnc.tasks.interfaces.interface import Interface, Question
from numdnc.tasks.interfaces.tapes import EMIT, STAY, TapeRecord, log_softmax, symbol_logits


class Emitted(NamedTuple):
    """A symbol on the output tape."""

    symbol: str
    right: str
    """The one that should have been emitted."""
    probability: float
    """That the model gave to the one it emitted."""


class TapeStep(NamedTuple):
    """A step of an episode."""

    input_position: int
    memory_position: int
    """From where the head began."""
    moves: tuple[int, ...]
    """On the input tape, and on the memory tape if there is one."""
    emitted: Emitted | None


def tape_steps(interface: Interface, batch: Batch, outputs: Array, row: int = 0) -> list[TapeStep]:
    """The steps of one episode that a model with these outputs (T, B, Y) acted out."""
    assert batch.episode is not None
    assert batch.mask is not None
    record: TapeRecord = batch.episode.record
    probabilities = np.exp(log_softmax(symbol_logits(interface, outputs[:, row])))
    names, found = interface.cell_symbols, []
    for t in np.flatnonzero(batch.mask[:, row]):
        actions = batch.episode.actions[t, row]
        emitted = None
        if actions[-1] == EMIT:
            best = int(probabilities[t].argmax())
            right = int(record.symbol[t, row])
            emitted = Emitted(names[best], names[right], float(probabilities[t, best]))
        found.append(
            TapeStep(
                int(record.input_position[t, row]),
                int(record.memory_position[t, row] - record.memory_position[0, row]),
                tuple(int(move) - STAY for move in actions[:-1]),
                emitted,
            )
        )
    return found


def output_tape(steps: list[TapeStep]) -> str:
    """The symbols that were emitted."""
    return "".join(step.emitted.symbol for step in steps if step.emitted is not None)


def describe(interface: Interface, question: Question, steps: list[TapeStep]) -> str:
    """An episode with a line for each step: the input tape with its head in brackets, moves, and what was emitted."""
    tape = [interface.cell_symbols[symbol] for symbol in question.tape]
    width = max(2 * len(tape) + 1, len("input tape"))
    memory = f"{'memory':>8}" if interface.memory_width else ""
    lines = [f"step  {'input tape':<{width}}  move{memory}{'move' if memory else '':>6}  output tape"]
    written = ""
    for number, step in enumerate(steps):
        cells = "".join(
            f"[{symbol}]"
            if at == step.input_position
            else symbol
            if at == step.input_position + 1
            else f" {symbol}"
            for at, symbol in enumerate(tape)
        )
        moves = f"{step.moves[0]:+d}".replace("+0", " 0")
        line = f"{number:4}  {cells:<{width}}  {moves:>4}"
        if interface.memory_width:
            line += f"{step.memory_position:8d}{f'{step.moves[1]:+d}'.replace('+0', ' 0'):>6}"
        if step.emitted is not None:
            written += step.emitted.symbol
            verdict = "" if step.emitted.symbol == step.emitted.right else f"  WRONG: {step.emitted.right}"
            line += f"  {written} ({step.emitted.probability:.2f}){verdict}"
        lines.append(line.rstrip())
    return "\n".join(lines)
