"""`view`."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.trace import trace_run
from numdnc.errors import UserError
from numdnc.files import write_atomically
from numdnc.inspection.figures import save_trace_figure
from numdnc.inspection.trace_file import load_trace
from numdnc.inspection.viewer.export import page
from numdnc.training.folder import RunFolder


def view_trace(
    source: Positional[Path],
    *,
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    open_page: Annotated[bool, arg(name="open")] = True,
    plot: Path | None = None,
) -> None:
    """Look into a model: a trace as a page with a timeline, the memory and its links, which any browser opens.

    Args:
        source: A trace, or a run's folder; of that its trace.safetensors, which is recorded first if there is none.
        out: The HTML file to write (default: named as the trace).
        open_page: Open it in the browser.
        plot: Save a figure instead, or besides with --out: a PNG, PDF or SVG file (needs matplotlib).

    """
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out must be named .html, got {out}. Give another name.")
    file = source
    if source.is_dir():
        file = source / "trace.safetensors"
        if not file.exists():
            trace_run(source)
    trace = load_trace(file)
    if source.is_dir() and RunFolder(source).last.exists():
        _say_if_outdated(source, trace.about.iteration)
    if plot is not None:
        save_trace_figure(plot, trace)
        console.say(f"figure in {plot}")
        if out is None:
            return
    out = file.with_suffix(".html") if out is None else out
    contents = page(trace).encode()
    write_atomically(out, contents)
    console.say(f"{console.byte_size(len(contents))} in {out}")
    if open_page and not webbrowser.open(out.resolve().as_uri()):
        console.say("no browser could be started; open it in one")


def _say_if_outdated(folder: Path, iteration: int) -> None:
    now = RunFolder(folder).load_best().iteration
    if iteration != now:
        sys.stderr.write(
            f"this trace is of iteration {iteration}, the run's best is at {now}: "
            f"`numdnc trace {folder}` records it anew\n"
        )
