"""Plot one sequence of a task: inputs, targets, outputs and errors, in the terminal or as a figure.

A row is a channel, a column a step; a number is one character in the terminal and one cell in a figure. Axes: T steps,
B batch, X input channels, Y output channels, C channels of either.
"""

import io
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numdnc.errors import UserError, missing_package
from numdnc.names import shorten
from numdnc.params import Array
from numdnc.tasks import Batch
from numdnc.tasks.sequences import loss_mask, sequence_length
from numdnc.tasks.targets import are_classes, as_bits, errors, predicted_bits, probabilities

BLOCKS = " ░▒▓█·"
"""Characters for 0, three shades between, and 1; then the one for steps at which the loss does not count."""
ASCII = " -+*#."
"""The same for terminals without block characters."""
WRONG = "x"
ERROR = "error"
FEWEST_STEPS = 10
"""Steps that are shown side by side at least, however narrow the terminal is."""
FORMATS = (".png", ".pdf", ".svg")
LONGEST_NAME = 40
"""Most characters of a channel's name in a plot."""


class Panel(NamedTuple):
    """A part of a plot: input, target, output, error, or the gates of a DNC."""

    title: str
    note: str
    """Rest of its heading."""
    channels: tuple[str, ...]
    values: Array
    """(T, C), in [0, 1]; in the panel ERROR 1 where a prediction is wrong."""
    counts: NDArray[np.bool_]
    """(T,): True at the steps that have values."""


def plot_text(
    batch: Batch,
    outputs: Array,
    row: int,
    input_channels: Sequence[str],
    output_channels: Sequence[str],
    gates: Mapping[str, Array] | None = None,
    *,
    width: int | None = None,
    encoding: str | None = None,
) -> str:
    """Sequence `row` of a batch as text: input, target, output and error, one below the other.

    `outputs` (T, B, Y) are the model's raw outputs, `gates` those of inspection/gates.py. Steps that do not fit into
    `width` continue below. Width and encoding default to those of standard output.
    """
    panels = task_panels(batch, outputs, row, input_channels, output_channels, gates)
    width = width or shutil.get_terminal_size().columns
    shades = BLOCKS if _can_write(BLOCKS, encoding or sys.stdout.encoding) else ASCII
    names = max(len(name) for panel in panels for name in panel.channels)
    room = max(FEWEST_STEPS, width - names - 3)
    steps = len(panels[0].counts)
    lines = []
    for start in range(0, steps, room):
        stop = min(start + room, steps)
        if steps > room:
            lines += [f"steps {start} to {stop - 1} of 0 to {steps - 1}", ""]
        for panel in panels:
            lines += [
                f"{panel.title} {panel.note}".rstrip(),
                *_panel_lines(panel, slice(start, stop), names, shades),
                "",
            ]
    lines.append(
        f"'{shades[0]}' 0, {shades[1:4]} between, {shades[4]} 1 (or the range that a channel gives); "
        f"{shades[5]} the loss does not count; {WRONG} wrong"
    )
    return "\n".join(lines)


def save_task_plot(
    path: Path,
    batch: Batch,
    outputs: Array,
    row: int,
    input_channels: Sequence[str],
    output_channels: Sequence[str],
    gates: Mapping[str, Array] | None = None,
) -> None:
    """Save sequence `row` of a batch as a figure in a PNG, PDF or SVG file, by the suffix; see `plot_text`."""
    panels = task_panels(batch, outputs, row, input_channels, output_channels, gates)
    save_figure(path, lambda figure_class: draw_panels(panels, figure_class))


def save_figure(path: Path, draw: Callable[[Any], Any]) -> None:
    """Call `draw` with matplotlib's class Figure and save the result as a PNG, PDF or SVG file, by the suffix."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"a plot must be named .png, .pdf or .svg, got {path}. Give another name.")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_package("a plot in a file", "matplotlib") from None
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a character missing from the font becomes a box
        draw(Figure).savefig(drawn, format=path.suffix[1:].lower(), dpi=200, bbox_inches="tight")
    try:
        path.write_bytes(drawn.getvalue())
    except OSError as error:
        raise UserError(f"{path} must be writable, got: {error.strerror}. Give another name.") from None


def task_panels(
    batch: Batch,
    outputs: Array,
    row: int,
    input_channels: Sequence[str],
    output_channels: Sequence[str],
    gates: Mapping[str, Array] | None = None,
) -> list[Panel]:
    """The panels of a sequence, without its padding."""
    inputs, targets, raw = batch.inputs[:, row], batch.targets[:, row], outputs[:, row]
    counts = loss_mask(batch)[:, row].astype(bool)
    if inputs.ndim == 1:
        inputs = np.eye(len(input_channels))[inputs]
    _check_names("input", input_channels, inputs)
    _check_names("output", output_channels, raw)
    misses, values, wanted = errors(raw, targets)[counts], probabilities(raw, targets), as_bits(targets, raw)
    wrong = predicted_bits(raw, targets) != (wanted > 0.5)
    note = f"({misses.sum()} of {misses.size} {'classes' if are_classes(targets) else 'bits'} wrong)"
    end = sequence_length(batch, row)
    names, shaded = _between_0_and_1([shorten(name, LONGEST_NAME) for name in input_channels], inputs)
    whole, answered = np.ones(end, bool), counts[:end]
    outs = tuple(shorten(name, LONGEST_NAME) for name in output_channels)
    panels = [
        Panel("input", "", names, shaded[:end], whole),
        Panel("target", "", outs, wanted[:end], answered),
        Panel("output", "", outs, values[:end], answered),
        Panel(ERROR, note, outs, wrong[:end].astype(float), answered),
    ]
    if gates:
        panels.append(
            Panel("gates", "", tuple(gates), np.stack([g[:end, row] for g in gates.values()], 1), whole)
        )
    return panels


def _check_names(kind: str, names: Sequence[str], values: Any) -> None:
    if len(names) != values.shape[1]:
        raise UserError(
            f"{kind}_channels must name each of the {values.shape[1]} {kind} channels, got {len(names)} names."
        )


def _between_0_and_1(names: Sequence[str], values: Any) -> tuple[tuple[str, ...], Array]:
    """Scale channels with values outside [0, 1], such as counts, to their range, and add the range to their names."""
    least, most = np.minimum(values.min(0), 0), np.maximum(values.max(0), 1)
    named = tuple(
        name if (low, high) == (0, 1) else f"{name} ({low:.3g} to {high:.3g})"
        for name, low, high in zip(names, least, most, strict=True)
    )
    return named, (values - least) / (most - least)


def _can_write(text: str, encoding: str | None) -> bool:
    """Whether an encoding has all characters of a text; without an encoding the output takes any text."""
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _panel_lines(panel: Panel, steps: slice, names: int, shades: str) -> Iterator[str]:
    levels, dot = shades[:5], shades[5]
    if panel.title == ERROR:
        levels = shades[0] + WRONG
    numbers = np.rint(panel.values[steps].clip(0, 1) * (len(levels) - 1)).astype(int)
    for name, channel in zip(panel.channels, numbers.T, strict=True):
        marks = (levels[n] if shown else dot for n, shown in zip(channel, panel.counts[steps], strict=True))
        yield f"{name:>{names}} |{''.join(marks)}|"


CELL = 0.17
"""Height of a channel in a figure, in inches, ..."""
TALLEST = 3.4
"""... and largest height of a panel; names are left out where they would overlap."""
FAINT, INK, RED = "#ecebe6", "#17365c", "#c8252c"


def draw_panels(
    panels: Sequence[Panel], figure_class: Any, *, cell: float = CELL, tallest: float = TALLEST
) -> Any:
    """Draw panels over a common axis of steps, from white (0) to dark (1), errors in red."""
    from matplotlib.colors import LinearSegmentedColormap, ListedColormap
    from matplotlib.patches import Patch

    shades: Any = LinearSegmentedColormap.from_list("", ["white", INK])
    errors = ListedColormap(["white", RED])
    steps = len(panels[0].counts)
    heights = [min(tallest, cell * max(2, len(panel.channels))) for panel in panels]
    size = min(14.0, max(6.0, 1.5 + 0.11 * steps)), sum(heights) + 0.3 * len(panels) + 0.7
    figure = figure_class(figsize=size, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.03, w_pad=0.03, hspace=0.01)
    all_axes = figure.subplots(len(panels), sharex=True, gridspec_kw={"height_ratios": heights})
    for axes, panel, height in zip(all_axes, panels, heights, strict=True):
        cells = np.ma.array(panel.values.T, mask=np.broadcast_to(~panel.counts, panel.values.T.shape))
        axes.set_facecolor(FAINT)
        axes.imshow(
            cells,
            cmap=errors if panel.title == ERROR else shades,
            vmin=0,
            vmax=1,
            aspect="auto",
            interpolation="nearest",
        )
        every = max(1, round(0.14 * len(panel.channels) / height))
        names = panel.channels[::every]
        axes.set_yticks(range(0, len(panel.channels), every), names, fontsize=8, parse_math=False)
        axes.set_title(f"{panel.title}  {panel.note}", loc="left", fontsize=10, pad=3)
        axes.tick_params(length=2, width=0.5, labelsize=8, color="0.6")
        axes.spines[:].set(linewidth=0.5, color="0.6")
    all_axes[-1].set_xlabel("step", fontsize=9)
    all_axes[-1].xaxis.get_major_locator().set_params(integer=True)
    meanings = {"0": "white", "0.5": shades(0.5), "1": INK, "wrong": RED, "the loss does not count": FAINT}
    if all(panel.counts.all() for panel in panels):
        del meanings["the loss does not count"]
    if all(panel.title != ERROR for panel in panels):
        del meanings["wrong"]
    squares = [Patch(facecolor=c, edgecolor="0.6", linewidth=0.5, label=name) for name, c in meanings.items()]
    figure.legend(
        handles=squares,
        loc="outside lower center",
        ncols=len(squares),
        fontsize=8,
        frameon=False,
        handlelength=1,
        handleheight=1,
    )
    return figure
