"""Plot the share of right sequences over samples, lesson by lesson, for runs with a curriculum.

    python benchmarks/lessons.py runs/traversal-dnc-1 runs/inference-dnc-1 --out lessons.png

Each point is a progress line, scored on held-out sequences of the current lesson. The number of a lesson marks its
beginning.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

from numdnc.errors import UserError
from numdnc.inspection.task_plot import save_figure
from numdnc.training.folder import RunFolder


class Curve(NamedTuple):
    """The progress lines of a run."""

    title: str
    samples: list[int]
    right: list[float]
    """Per cent of the sequences."""
    lessons: list[int]


def read_curve(folder: Path) -> Curve:
    """The curve of a run's folder."""
    place = RunFolder(folder)
    run = place.load_last()
    settings = run.task.get("episode_settings", {})
    if not settings.get("grow"):
        raise UserError(f"a run must be one with lessons, got {folder}, of {run.task['name']}. Name another.")
    batch = settings["batch"]
    rows = [json.loads(line) for line in place.metrics.read_text().splitlines()]
    return Curve(
        f"{run.task['name']}, {batch} sequences an update",
        [row["iteration"] * batch for row in rows],
        [100 * (1 - row["sequence_error"]) for row in rows],
        [int(row["level"]) for row in rows],
    )


def draw(curves: list[Curve], figure_class: Any) -> Any:
    """Draw one panel for each run."""
    figure = figure_class(figsize=(8, 2.3 * len(curves)), layout="constrained")
    for axes, curve in zip(figure.subplots(len(curves), squeeze=False)[:, 0], curves, strict=True):
        axes.plot([samples / 1000 for samples in curve.samples], curve.right, lw=1)
        before = 0
        for samples, lesson in zip(curve.samples, curve.lessons, strict=True):
            if lesson != before:
                axes.axvline(samples / 1000, color="0.75", lw=0.8, zorder=0)
                axes.annotate(
                    str(lesson), (samples / 1000, 3), xytext=(2, 0), textcoords="offset points", size=8
                )
            before = lesson
        axes.set(ylim=(0, 102), xlim=(0, None), ylabel="sequences right, %")
        axes.set_title(curve.title, size=10, loc="left")
    axes.set_xlabel("thousands of samples; a number is where a lesson begins")
    return figure


def main() -> None:
    """Plot the runs given on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs with a curriculum")
    parser.add_argument("--out", type=Path, required=True, help="a PNG, PDF or SVG file")
    arguments = parser.parse_args()
    try:
        curves = [read_curve(folder) for folder in arguments.runs]
        save_figure(arguments.out, lambda figure_class: draw(curves, figure_class))
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
