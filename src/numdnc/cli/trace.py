"""`trace`."""

import dataclasses
import shlex
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from numdnc import console
from numdnc.cli.babi import trace_story
from numdnc.cli.consent import CustomTask
from numdnc.cli.custom_task import channels, settings_of
from numdnc.cli.episodes import custom_task_source, episode_task
from numdnc.cli.options import BABI, EPISODES, AsJson, DataFolder, EngineName, refuse_options
from numdnc.cli.overrides import override_settings, with_memory_size
from numdnc.cli.text import described, text_task
from numdnc.cli.user_input import step_input, text_input
from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.inspection.trace import About, Trace, record
from numdnc.inspection.trace_file import save_trace
from numdnc.names import shorten
from numdnc.tasks import Batch, Forward
from numdnc.tasks.graphs import GraphTask
from numdnc.tasks.sequence_task import SequenceTask
from numdnc.training.folder import RunFolder
from numdnc.training.memory import check_memory
from numdnc.training.run import Run, finite_forward

STATES = 3
"""Held at once: before a step, after it, and what it takes to get there."""
LENGTH = 100
"""Characters of a held-out text, unless told otherwise."""


def trace_run(
    folder: Positional[Path],
    *,
    given: Annotated[str | None, arg(name="input", aliases=["-i"], metavar="TEXT|BITS|FILE.csv")] = None,
    sample: int | None = None,
    length: Annotated[int | None, arg(aliases=["-n"])] = None,
    last: bool = False,
    overrides: Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="NAME=VALUE")] = (),
    memory_size: Annotated[int | None, arg(aliases=["-N"])] = None,
    engine: EngineName = "auto",
    corpus: str | None = None,
    data_folder: DataFolder = None,
    custom_task: CustomTask = None,
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    as_json: AsJson = False,
) -> None:
    """Record everything inside a model at every step of one sequence, for `numdnc view`.

    Args:
        folder: The run's folder.
        given: A sequence of your own. Of a text: characters, each but the first to be predicted. Of bAbI: sentences
            and a question. Of another task: its input, a row of digits for each step, as "10010 01100"; or a CSV file
            with a row of numbers for each step.
        sample: Which sequence of the task: of those it is scored on, or which stretch of the held-out text (default: 0,
            the first).
        length: Characters of a stretch (default: 100, or all that is held out; a text only).
        last: Take the last checkpoint, not the best.
        overrides: Change a setting of the task, as --set max_length=40; as often as needed (sequences only).
        memory_size: Run a DNC with this many memory slots (default: as it was trained).
        engine: What computes the model; auto takes the fastest that can.
        corpus: Where the run's text lies now, if it has moved (a text only).
        data_folder: Folder to look for named corpora in, or set NUMDNC_DATA (a text only); of bAbI, where it lies now.
        custom_task: The run's custom task, which is code; needed once for a run that was not trained here.
        out: The file to write (default: trace.safetensors in the run's folder).
        as_json: Print the result as one JSON object.

    """
    place = RunFolder(folder)
    run = place.load_last() if last else place.load_best()
    out = _free_file(place, out)
    trace = record_run(
        run,
        given=given,
        sample=sample,
        length=length,
        overrides=overrides,
        memory_size=memory_size,
        engine=engine,
        corpus=corpus,
        data_folder=data_folder,
        source=custom_task_source(run, folder, custom_task),
    )
    save_trace(out, trace)
    _say(out, trace, as_json=as_json)


def record_run(
    run: Run,
    *,
    given: str | None = None,
    sample: int | None = None,
    length: int | None = None,
    overrides: tuple[str, ...] = (),
    memory_size: int | None = None,
    engine: EngineName = "auto",
    corpus: str | None = None,
    data_folder: Path | None = None,
    source: str | None = None,
) -> Trace:
    """The trace that these options of `trace` ask for; without any, that of the first sequence it is scored on.

    `source`: where the run's own task is loaded from, if it is of one.
    """
    spec = run.spec if memory_size is None else with_memory_size(run.spec, memory_size)
    chosen = select_engine(engine, spec, run.training.precision)
    check_memory(spec, chosen, run.training.precision, STATES, STATES)
    if given is not None and (sample is not None or length is not None or overrides):
        raise UserError(
            "--input must be given without --sample, --length and --set, got both. Leave one or the other out."
        )
    if run.task.get("kind") == EPISODES:
        refuse_options(run, {"--corpus": corpus, "--data": data_folder, "--length": length}, "a text")
        task, forward = episode_task(run, source), finite_forward(chosen, spec, run.params)
        batch, about = _of_episodes(run, task, forward, chosen.name, given, sample or 0, overrides)
    elif run.task.get("kind") == BABI:
        refuse_options(run, {"--corpus": corpus, "--length": length}, "a text")
        refuse_options(run, {"--set": overrides}, "separate sequences")
        batch, about = trace_story(run, chosen.name, given, sample or 0, data_folder)
    else:
        refuse_options(run, {"--set": overrides}, "separate sequences")
        batch, about = _of_text(run, chosen.name, given, sample or 0, length, corpus, data_folder)
    return record(spec, run.params, batch, about)


def _free_file(place: RunFolder, out: Path | None) -> Path:
    """Where to write the trace: never over a checkpoint."""
    out = place.path / "trace.safetensors" if out is None else out
    if out.resolve() in (place.last.resolve(), place.best.resolve()):
        raise UserError(f"--out must not be a checkpoint of the run, got {out}. Give another name.")
    return out


def _of_episodes(
    run: Run,
    whole: SequenceTask,
    forward: Forward,
    engine: str,
    given: str | None,
    sample: int,
    overrides: tuple[str, ...],
) -> tuple[Batch, About]:
    task = override_settings(run, whole, overrides, None)
    batch = task.scoring_rollout(forward, task.sequence(sample)) if given is None else step_input(given, task)
    altered = f", with {', '.join(overrides)}" if overrides else ""
    about = About(
        task=task.name,
        settings=settings_of(task.generator),
        sequence=f"sequence {sample} of those scored on{altered}"
        if given is None
        else "a sequence given by hand",
        iteration=run.iteration,
        engine=engine,
        input_channels=channels(task.generator, "input"),
        output_channels=channels(task.generator, "output"),
        digits=task.generator.digits if isinstance(task.generator, GraphTask) else None,
    )
    return batch, about


def _of_text(
    run: Run,
    engine: str,
    given: str | None,
    sample: int,
    length: int | None,
    corpus: str | None,
    data_folder: Path | None,
) -> tuple[Batch, About]:
    vocabulary, settings = described(run)
    if given is not None:
        batch, sequence = text_input(given, vocabulary), "a text given by hand"
    else:
        task = text_task(run, corpus, data_folder)
        length = min(LENGTH, task.characters[1]) if length is None else length
        batch = task.segment(sample, length)
        sequence = f"held-out characters {sample * length:,} to {(sample + 1) * length - 1:,}"
    about = About(
        task="text",
        settings=dataclasses.asdict(settings),
        sequence=sequence,
        iteration=run.iteration,
        engine=engine,
        input_channels=tuple(vocabulary.symbols),
        output_channels=tuple(vocabulary.symbols),
        symbols=vocabulary.symbols,
    )
    return batch, about


def in_a_line(trace: Trace) -> str:
    """Which sequence of which model, and how many errors."""
    about, (wrong, answers) = trace.about, trace.errors
    errors = f"{wrong:,} of {answers:,} {trace.unit} wrong" if answers else "no targets"
    return (
        f"{shorten(about.task)}, {shorten(about.sequence)}: {trace.steps:,} steps, {errors} "
        f"(iteration {about.iteration}, engine {about.engine})"
    )


def _say(out: Path, trace: Trace, *, as_json: bool) -> None:
    about, (wrong, answers), size = trace.about, trace.errors, out.stat().st_size
    if as_json:
        result = {
            "out": str(out),
            "task": about.task,
            "sequence": about.sequence,
            "iteration": about.iteration,
            "engine": about.engine,
            "steps": trace.steps,
            "unit": trace.unit,
            "wrong": wrong,
            "answers": answers,
            "arrays": {name: array.shape for name, array in trace.arrays.items()},
            "bytes": size,
            "note": trace.note,
        }
        console.say_json(result)
        return
    console.say(in_a_line(trace))
    for name, array in trace.arrays.items():
        console.say(f"  {name:<30}{' x '.join(map(str, array.shape))}")
    if trace.note:
        console.say(trace.note)
    console.say(f"{console.byte_size(size)} in {out}")
    console.say(f"next:  {console.command()} view {shlex.quote(str(out))}")
