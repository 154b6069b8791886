"""A figure of the tapes of learned interfaces over time: places of the heads, symbols emitted, errors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from numdnc.inspection.task_plot import ERROR, Panel, draw_panels, save_figure
from numdnc.tasks.interfaces.interface import Interface, Question
from numdnc.tasks.interfaces.picture import TapeStep


def save_tape_plot(path: Path, interface: Interface, question: Question, steps: Sequence[TapeStep]) -> None:
    """Save a figure as PNG, PDF or SVG: a column a step, a row a cell of a tape, dark where the head is."""
    panels = tape_panels(interface, question, steps)
    save_figure(path, lambda figure_class: draw_panels(panels, figure_class))


def tape_panels(interface: Interface, question: Question, steps: Sequence[TapeStep]) -> list[Panel]:
    """The panels of the figure."""
    whole = np.ones(len(steps), bool)
    tape = tuple(interface.cell_symbols[symbol] for symbol in question.tape)
    panels = [
        Panel("input tape", "(head)", tape, np.eye(len(tape))[[s.input_position for s in steps]], whole)
    ]
    if interface.memory_width:
        places = [step.memory_position for step in steps]
        cells = range(min(places), max(places) + 1)
        panels.append(
            Panel(
                "memory tape",
                "(head; cells from where it began)",
                tuple(map(str, cells)),
                np.eye(len(cells))[[place - cells[0] for place in places]],
                whole,
            )
        )
    symbols = interface.cell_symbols[: interface.symbols]
    emits = np.array([step.emitted is not None for step in steps])
    shown, wrong = np.zeros((len(steps), len(symbols))), np.zeros((len(steps), 1))
    for t, step in enumerate(steps):
        if step.emitted is not None:
            shown[t, symbols.index(step.emitted.symbol)] = step.emitted.probability
            wrong[t] = step.emitted.symbol != step.emitted.right
    count = f"({int(wrong.sum())} of {int(emits.sum())} symbols wrong)"
    return [
        *panels,
        Panel("output tape", "(probability of the symbol emitted)", tuple(symbols), shown, emits),
        Panel(ERROR, count, ("wrong",), wrong, emits),
    ]
