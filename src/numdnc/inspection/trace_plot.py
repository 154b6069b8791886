"""Plot a trace: inputs, targets and outputs, write and read weights, usage, gates, and the write that each read shows.

Axes: T steps, R read heads, V write heads, N slots.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from numdnc.inspection.ablation import of_memory
from numdnc.inspection.gates import by_write_head
from numdnc.inspection.provenance import NONE, provenance
from numdnc.inspection.task_plot import ERROR, Panel, draw_panels, save_figure, task_panels
from numdnc.inspection.trace import Trace, memory_traces
from numdnc.spec import NTMSpec
from numdnc.tasks import Batch

CELL, TALLEST = 0.11, 1.9
"""Height of a row and largest height of a panel, in inches."""
LONGEST_TEXT = 120
"""Most characters that are written above a figure; a longer text is left out."""
ARC = "#d0541b"


def save_trace_plot(path: Path, trace: Trace) -> None:
    """Save a trace as a PNG, PDF or SVG file; curves join each read with the write that it shows."""
    save_figure(path, lambda figure_class: _drawn(trace, figure_class))


def _drawn(trace: Trace, figure_class: Any) -> Any:
    memories = (
        [*zip(memory_traces(trace), of_memory(trace.spec), strict=True)] if trace.spec.has_memory else []
    )
    panels = _task_panels(trace)
    for one, of in memories:
        panels += [panel._replace(title=panel.title + of) for panel in _memory_panels(one)]
    figure = draw_panels(panels, figure_class, cell=CELL, tallest=TALLEST)
    axes = {panel.title: ax for panel, ax in zip(panels, figure.axes, strict=True)}
    if trace.about.symbols is not None and trace.steps <= LONGEST_TEXT:
        _write_text(trace, figure.axes[0])
    for one, of in memories:
        _join_reads(one, of, axes, figure)
    return figure


def _task_panels(trace: Trace) -> list[Panel]:
    """Inputs, targets, outputs and errors; for a text only the probability of each next character."""
    arrays, about, whole = trace.arrays, trace.about, np.ones(trace.steps, bool)
    if about.symbols is not None:
        likely = np.take_along_axis(arrays["probabilities"], arrays["targets"][:, None], 1)
        note = "(above: the input characters)" if trace.steps <= LONGEST_TEXT else ""
        return [Panel("probability of the next character", note, ("p",), likely, whole)]
    mask = arrays["mask"][:, None].astype(bool)
    batch = Batch(arrays["inputs"][:, None], arrays["targets"][:, None], mask=mask)
    panels = task_panels(batch, arrays["outputs"][:, None], 0, about.input_channels, about.output_channels)
    return [_over(panel, trace.steps) for panel in panels if panel.title != ERROR or panel.values.any()]


def _over(panel: Panel, steps: int) -> Panel:
    """The panel extended to all steps: last steps without input that do not count look like padding."""
    missing = steps - len(panel.counts)
    return panel._replace(
        values=np.pad(panel.values, ((0, missing), (0, 0))),
        counts=np.pad(panel.counts, (0, missing), mode="edge"),
    )


def _memory_panels(trace: Trace) -> Iterator[Panel]:
    """Write weights, read weights of each head, usage (with `recency` age) and gates.

    Of an NTM, interpolation gates and shifts.
    """
    if not trace.spec.has_memory:
        return
    arrays, whole = trace.arrays, np.ones(trace.steps, bool)
    numbers = range(trace.spec.memory_size) if trace.slots is None else trace.slots.tolist()
    slots = tuple(f"slot {n}" for n in numbers)
    heads, writers = range(trace.spec.read_heads), trace.spec.write_heads
    writing = arrays["write_weights"].reshape(trace.steps, writers, len(slots))
    for head in range(1, writers):
        yield Panel(f"write weights of head {head}", "", slots, writing[:, head], whole)
    yield Panel("write weights", "", slots, writing[:, 0], whole)
    for head in heads:
        yield Panel(_read_title(head), "", slots, arrays["read_weights"][:, head], whole)
    if isinstance(trace.spec, NTMSpec):
        yield from _ntm_panels(trace.spec, arrays, whole)
        return
    gates = {
        **by_write_head(trace.spec, "allocation", arrays["allocation_gate"]),
        **by_write_head(trace.spec, "write", arrays["write_gate"]),
    }
    if trace.spec.recency:
        yield Panel("age", f"(in {trace.steps} steps)", slots, arrays["age"] / trace.steps, whole)
    else:
        yield Panel("usage", "", slots, arrays["usage"], whole)
        gates = {f"free {head}": arrays["free_gates"][:, head] for head in heads} | gates
    yield Panel("gates", "", tuple(gates), np.stack(list(gates.values()), 1), whole)


def _ntm_panels(spec: NTMSpec, arrays: dict[str, Any], whole: Any) -> Iterator[Panel]:
    """The interpolation gates of all heads, and their shifts."""
    heads = [("read", head) for head in range(spec.read_heads)]
    heads += [("write", head) for head in range(spec.write_heads)]
    gates = [arrays[f"{kind}_interpolation"][:, head] for kind, head in heads]
    names = tuple(f"{kind} {head}" for kind, head in heads)
    yield Panel("interpolation gates", "", names, np.stack(gates, 1), whole)
    shifts = [arrays[f"{kind}_shifts"][:, head] for kind, head in heads]
    offsets = range(-spec.shift_range, spec.shift_range + 1)
    labels = tuple(f"{name} {offset:+d}" for name in names for offset in offsets)
    yield Panel("shifts", "", labels, np.concatenate(shifts, 1), whole)


def _read_title(head: int) -> str:
    return f"read weights of head {head}"


def _write_text(trace: Trace, axes: Any) -> None:
    symbols = trace.about.symbols or ""
    shown = [symbols[number] if symbols[number].isprintable() else "·" for number in trace.arrays["inputs"]]
    above = axes.secondary_xaxis("top")
    above.set_xticks(range(trace.steps), shown, fontsize=7, family="monospace", parse_math=False)
    above.tick_params(length=0, pad=1)
    above.spines[:].set_visible(False)
    axes.set_title(axes.get_title("left"), loc="left", fontsize=10, pad=14)


def _join_reads(trace: Trace, of: str, axes: dict[str, Any], figure: Any) -> None:
    """Draw a curve from a write to each later read of it where the loss counts; `of` ends the panels' titles."""
    from matplotlib.patches import ConnectionPatch

    assert trace.spec.has_memory
    found = provenance(trace.spec, trace.arrays)
    counts = trace.arrays["mask"].astype(bool)
    for step, head in np.argwhere((found.writes != NONE) & counts[:, None]):
        write, slot = int(found.writes[step, head]), int(found.slots[step, head])
        if write == step:
            continue
        figure.add_artist(
            ConnectionPatch(
                xyA=(write, slot),
                coordsA=axes["write weights" + of].transData,
                xyB=(step, slot),
                coordsB=axes[_read_title(head) + of].transData,
                arrowstyle="-|>",
                connectionstyle="arc3,rad=0.2",
                color=ARC,
                linewidth=0.7,
                alpha=0.6,
                mutation_scale=6,
            )
        ).set_in_layout(False)
