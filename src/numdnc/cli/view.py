"""`view`."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from numdnc import console
from numdnc.cli.consent import CustomTask, confirm
from numdnc.cli.options import AsJson
from numdnc.cli.page_model import other_checkpoint, params_of
from numdnc.cli.trace import trace_file, trace_record, trace_summary
from numdnc.errors import UserError
from numdnc.files import write_atomically
from numdnc.formatting import format_bytes
from numdnc.inspection.trace import Trace
from numdnc.inspection.trace_file import load_trace, save_trace
from numdnc.inspection.trace_plot import save_trace_plot
from numdnc.inspection.viewer.export import page
from numdnc.inspection.viewer.training_curves import training_curves
from numdnc.models import model_name
from numdnc.runs.kinds import custom_task_of, load_run, open_run
from numdnc.training.folder import RunFolder
from numdnc.training.run import Run


def view_trace(
    source: Positional[Path],
    *,
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    open_page: Annotated[bool, arg(name="open")] = True,
    compute: bool = True,
    against: Path | None = None,
    custom_task: CustomTask = None,
    plot: Path | None = None,
    as_json: AsJson = False,
) -> None:
    """Step through what a model does, in the browser.

    The page has a timeline, the memory and its links; it is one file that any browser opens. With the model's
    parameters, about 1 MB of them, it computes: change an input, a gate or a slot, and see what follows.

    Args:
        source: A trace file; a run's folder, for its trace.safetensors, which is recorded if there is none or the run
            has been trained further; or model:NAME, of which a trace is recorded, but not kept.
        out: The HTML file to write (default: named as the trace; of model:NAME, NAME-trace.html here).
        open_page: Only write the page; do not open it.
        compute: Leave the parameters out; the page then only shows the recording.
        against: Another checkpoint of the same model, or another run's folder: the page computes it on the same input.
        custom_task: The run's custom task, which is code; needed once for a run that was not trained here.
        plot: Save a figure instead of the page, or besides it with --out: a PNG, PDF or SVG file (needs matplotlib).
        as_json: Print what was written as one JSON object; all else goes to standard error.

    """
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out must be named .html, got {out}. Give another name.")
    if against is not None and not compute:
        raise UserError("--against must be given without --no-compute, got both. Leave one of them out.")
    place = RunFolder(source)
    run: Run | None = None
    if model_name(source) is not None:
        opened = load_run(source)
        run, file, trace = opened.checkpoint, trace_file(source, place), opened.trace()
        console.say(f"recorded {trace_summary(trace)}")
    elif source.is_dir() or (not source.exists() and source.suffix != ".safetensors"):
        file = trace_file(source, place)
        trace = _trace_of_run(place, file, custom_task)
    else:
        file, trace, place = source, load_trace(source), RunFolder(source.parent)
    if plot is not None:
        save_trace_plot(plot, trace)
        console.say(f"figure in {plot}")
        if out is None:
            if as_json:
                console.say_json({"figure": str(plot), **trace_record(trace)})
            return
    out = file.with_suffix(".html") if out is None else out
    params, why_not = params_of(trace, run, place) if compute else (None, "")
    other, why_not_other = (None, "") if against is None else other_checkpoint(trace, against, why_not)
    curves = training_curves(place.report_lines()) if place.path.is_dir() else None
    contents = page(trace, params, why_not, other=other, curves=curves).encode()
    write_atomically(out, contents)
    console.say(f"{format_bytes(len(contents))} in {out}")
    if why_not:
        console.say(f"the page does not compute this model: {why_not}")
    if against is not None and other is None:
        reason = "it computes neither" if why_not else why_not_other
        console.say(f"the page does not compare it with {against}: {reason}")
    if open_page and not webbrowser.open(out.resolve().as_uri()):
        console.say("no browser could be started; open it in one")
    if as_json:
        figure = {} if plot is None else {"figure": str(plot)}
        written = {"out": str(out), "bytes": len(contents), "computes": params is not None, **figure}
        console.say_json({**written, **trace_record(trace)})


def _trace_of_run(place: RunFolder, file: Path, custom_task: str | None) -> Trace:
    """The trace in a run's folder; recorded if there is none, or if the run has been trained further."""
    if not file.exists():
        return _recorded(place.load_best(), file, custom_task)
    trace = load_trace(file)
    if not place.last.exists():
        return trace
    best = place.load_best()
    if trace.about.iteration in (best.iteration, place.load_last().iteration):
        return trace
    try:
        return _recorded(best, file, custom_task, instead_of=trace)
    except UserError as error:
        why = console.terminal_text(str(error))
        sys.stderr.write(
            f"this trace is of iteration {trace.about.iteration}, the run's best is at {best.iteration}, "
            f"and it is not recorded again: {why}\n"
        )
        return trace


def _recorded(run: Run, file: Path, custom_task: str | None, instead_of: Trace | None = None) -> Trace:
    """Record a trace of a run and save it, but not in place of a trace of another sequence, made with options."""
    trace = open_run(run, custom_task_of(run, file.parent, custom_task, confirm)).trace()
    if instead_of is not None and (instead_of.about.sequence, instead_of.spec) != (
        trace.about.sequence,
        trace.spec,
    ):
        raise UserError(
            f"it is of {instead_of.about.sequence}, as options asked for. Give them to "
            f"`numdnc trace {file.parent}` again."
        )
    save_trace(file, trace)
    console.say(f"recorded {trace_summary(trace)}")
    return trace
