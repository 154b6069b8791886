"""A figure of boards of Mini-SHRDLU, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numdnc.inspection.task_plot import save_figure
from numdnc.tasks.shrdlu.boards import COLUMNS, HEIGHT
from numdnc.tasks.shrdlu.problems import Problem
from numdnc.tasks.shrdlu.words import Shown, goal_text

_PER_LINE = 7
_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")


def save_board_plot(path: Path, problem: Problem, shown: Sequence[Shown]) -> None:
    """Save a figure as PNG, PDF or SVG: each board under what led to it, below the goal that was asked for."""
    save_figure(path, lambda figure_class: _draw(figure_class, problem, shown))


def _draw(figure_class: Any, problem: Problem, shown: Sequence[Shown]) -> Any:
    rows = -(-len(shown) // _PER_LINE)
    figure = figure_class(figsize=(1.3 * _PER_LINE, 1.6 * rows + 0.4))
    numbers = [name + 1 for name in problem.names]
    figure.suptitle(goal_text(problem.goals[problem.chosen], numbers), fontsize=9)
    for i, (caption, board) in enumerate(shown):
        axes = figure.add_subplot(rows, _PER_LINE, i + 1)
        axes.set_title(caption, fontsize=8)
        axes.set(xlim=(0, COLUMNS), ylim=(0, HEIGHT), aspect="equal", xticks=[], yticks=[])
        for square, block in enumerate(problem.boards.block[board]):
            if block >= 0:
                x, y = divmod(square, HEIGHT)
                colour = _COLOURS[problem.names[block]]
                axes.add_patch(_rectangle((x, y), colour))
                axes.text(x + 0.5, y + 0.5, str(numbers[block]), ha="center", va="center", color="white")
    return figure


def _rectangle(corner: tuple[int, int], colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white")
