"""`trace`."""

import shlex
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from numdnc import console
from numdnc.cli.consent import CustomTask, confirm
from numdnc.cli.evaluate import parse_overrides
from numdnc.cli.options import AsJson, Corpus, DataFolder, EngineName
from numdnc.errors import UserError
from numdnc.formatting import format_bytes
from numdnc.inspection.trace import Trace
from numdnc.inspection.trace_file import save_trace
from numdnc.models import model_name
from numdnc.names import shorten
from numdnc.runs.kinds import call, open_path
from numdnc.training.folder import RunFolder


def trace_run(
    folder: Positional[Path],
    *,
    user_input: Annotated[str | None, arg(name="input", aliases=["-i"], metavar="TEXT|BITS|FILE.csv")] = None,
    number: Annotated[int | None, arg(name="sample")] = None,
    length: Annotated[int | None, arg(aliases=["-n"])] = None,
    last: bool = False,
    overrides: Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="NAME=VALUE")] = (),
    graph: Annotated[Path | None, arg(aliases=["-g"], metavar="FILE.csv|model:NAME")] = None,
    two_way: bool = False,
    nodes: int | None = None,
    memory_size: Annotated[int | None, arg(aliases=["-N"])] = None,
    sparsity: int | None = None,
    engine: EngineName = "auto",
    corpus: Corpus = (),
    data_folder: DataFolder = None,
    custom_task: CustomTask = None,
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    as_json: AsJson = False,
) -> None:
    """Record everything inside a model at every step of one sequence, for `numdnc view`.

    Args:
        folder: The run's folder, a checkpoint, or model:NAME.
        user_input: A sequence of your own. Of a text: characters, each but the first to be predicted. Of bAbI:
            sentences and a question. Of graphs, arithmetic, languages, tapes: a question as for `ask`. Of another: its
            input, a row of digits for each step, as "10010 01100"; or a CSV file with a row of numbers for each step.
        number: Which sequence of the task: of those it is scored on, or which stretch of the held-out text (default: 0,
            the first).
        length: Characters of a stretch (default: 100, or all that is held out; a text only).
        last: Take the last checkpoint, not the best.
        overrides: Change a setting of the task, as --set max_length=40; may be repeated (sequences, episodes).
        graph: A CSV file with an edge a line that the question is about, or model:NAME for the graph of that model
            (graphs; default: the one that the model comes with).
        two_way: Take each edge of the file in both directions (graphs).
        nodes: Show the model only this many nodes, around those of the answer (graphs; default: all).
        memory_size: Run a model with this many memory slots (default: as it was trained).
        sparsity: Run a DNC with weightings and links cut to this many entries (default: as it was trained).
        engine: What computes the model; auto takes the fastest that can.
        corpus: Where the run's text lies now, if it has moved; of several files all, in order (a text only).
        data_folder: Folder to look for named corpora in, or set NUMDNC_DATA (a text only); of bAbI and
            arrays, where the files lie now.
        custom_task: The run's custom task, which is code; needed once for a run that was not trained here.
        out: The file to write (default: trace.safetensors in the run's folder; of model:NAME, NAME-trace.safetensors
            here).
        as_json: Print the result as one JSON object.

    """
    run = open_path(
        folder,
        last=last,
        memory_size=memory_size,
        sparsity=sparsity,
        engine=engine,
        corpus=corpus,
        data_folder=data_folder,
        custom_task=custom_task,
        confirm=confirm,
    )
    out = _file_to_write(folder, out)
    if user_input is not None and (number is not None or length is not None or overrides):
        raise UserError(
            "--input must be given without --sample, --length and --set, got both. Leave one or the other out."
        )
    trace: Trace = call(
        run,
        "trace",
        user_input=user_input,
        number=number,
        length=length,
        overrides=parse_overrides(overrides),
        graph=graph,
        two_way=two_way,
        nodes=nodes,
    )
    save_trace(out, trace)
    _say(out, trace, as_json=as_json)


def _file_to_write(source: Path, out: Path | None) -> Path:
    """The file to write, which must not be a checkpoint."""
    place = RunFolder(source.parent if source.suffix == ".safetensors" else source)
    out = trace_file(source, place) if out is None else out
    if out.resolve() in (place.last.resolve(), place.best.resolve()):
        raise UserError(f"--out must not be a checkpoint of the run, got {out}. Give another name.")
    return out


def trace_file(source: Path, place: RunFolder) -> Path:
    """Where the trace of a run is kept: in its folder; of model:NAME, which is only read, in the working folder."""
    model = model_name(source)
    return place.path / "trace.safetensors" if model is None else Path(f"{model}-trace.safetensors")


def trace_summary(trace: Trace) -> str:
    """The sequence, the model and the number of errors of a trace, in a line."""
    about, (wrong, answers) = trace.about, trace.errors
    errors = f"{wrong:,} of {answers:,} {trace.unit} wrong" if answers else "no targets"
    return (
        f"{shorten(about.task)}, {shorten(about.sequence)}: {trace.steps:,} steps, {errors} "
        f"(iteration {about.iteration}, engine {about.engine})"
    )


def trace_record(trace: Trace) -> dict[str, Any]:
    """The same for --json."""
    about, (wrong, answers) = trace.about, trace.errors
    return {
        "task": about.task,
        "sequence": about.sequence,
        "iteration": about.iteration,
        "engine": about.engine,
        "steps": trace.steps,
        "unit": trace.unit,
        "wrong": wrong,
        "answers": answers,
    }


def _say(out: Path, trace: Trace, *, as_json: bool) -> None:
    size = out.stat().st_size
    if as_json:
        result = {
            "out": str(out),
            **trace_record(trace),
            "arrays": {name: array.shape for name, array in trace.arrays.items()},
            "slots": None if trace.slots is None else trace.slots.tolist(),
            "bytes": size,
            "note": trace.note,
        }
        console.say_json(result)
        return
    console.say(trace_summary(trace))
    for name, array in trace.arrays.items():
        console.say(f"  {name:<30}{' x '.join(map(str, array.shape))}")
    if trace.note:
        console.say(trace.note)
    console.say(f"{format_bytes(size)} in {out}")
    console.say(f"next:  {console.command()} view {shlex.quote(str(out))}")
