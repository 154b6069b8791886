"""Train a run in the terminal."""

import math
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from numdnc import console
from numdnc.cli.options import AsJson, Device, EngineName, ModelOptions, engine_on
from numdnc.cli.progress import fit_line, training_progress
from numdnc.cli.tensorboard import FOLDER, check_tensorboard, event_file
from numdnc.cli.tracking import Tracker, load_tracker, tracking
from numdnc.errors import UserError
from numdnc.inspection.health import SEQUENCES, health
from numdnc.runs.base import NewTask, TaskRun
from numdnc.runs.consent import save_source
from numdnc.runs.creation import begin_run
from numdnc.runs.folders import new_folder
from numdnc.spec import Spec
from numdnc.training.events import Finished, Report
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings
from numdnc.training.workers import Workers
from numdnc.tree import leaves

STOPPED = ("interrupted", "launcher_exited")
"""Reasons to exit without the last sample."""


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """How long, where and by which engine the run is trained."""

    minutes: float = math.inf
    """Stop after this many minutes, if training has not ended before."""
    engine: EngineName = "auto"
    """What computes the model; auto takes the fastest that can."""
    device: Device = None
    """Where the engine torch runs (default: the CPU)."""
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder for checkpoints and metrics (default: runs/TASK-MODEL-1, -2, ..)."""
    sample_every: int = 10
    """Progress lines between samples of what the model does; 0 = no samples, also none at the end."""
    tensorboard: bool = False
    """Write losses, scores and health for TensorBoard too, into the run's folder."""
    track: Annotated[str, arg(metavar="MODULE:FUNCTION")] = ""
    """Hand the same figures to a function of yours, also as FILE.py:FUNCTION, such as examples/track_trackio.py:follow
    or examples/track_wandb.py:follow."""
    as_json: AsJson = False
    """Print how training has ended as one JSON object; all else goes to standard error."""

    def __post_init__(self) -> None:
        check_minutes(self.minutes)
        check_tensorboard(self.tensorboard)


def plan_training(
    new: NewTask,
    model: ModelOptions | Spec,
    training: TrainingSettings,
    optimizer: OptimizerSettings,
    session: SessionOptions,
    custom_task: str | None = None,
) -> Callable[[Workers], None]:
    """Check a new run as far as possible; return the function that makes its folder and trains it."""
    tracker = load_tracker(session.track)
    spec = model.spec(new.task.input_size, new.task.output_size) if isinstance(model, ModelOptions) else model
    opened, origin = begin_run(
        new,
        spec,
        training,
        optimizer,
        engine=engine_on(session.engine, session.device),
        custom_task=custom_task,
    )

    def start(workers: Workers) -> None:
        run = opened.checkpoint
        stem = f"{new.stem}-{run.spec.kind}"
        with (
            console.results_alone(session.as_json),
            new_folder(run, session.out, stem, workers) as folder,
            saved_first(),
        ):
            if custom_task is not None:
                save_source(folder.path, run.task["source"], custom_task)
            for line in f"{_model_in_words(run)}; {new.about}\n{origin}".splitlines():
                console.say(console.wrapped(line, otherwise=sys.maxsize))
            train_run(
                opened,
                folder,
                workers=workers,
                minutes=session.minutes,
                sample_every=session.sample_every,
                tensorboard=session.tensorboard,
                tracker=tracker,
                as_json=session.as_json,
            )

    return start


def train_run(
    opened: TaskRun,
    folder: RunFolder,
    *,
    workers: Workers,
    minutes: float,
    sample_every: int,
    tensorboard: bool,
    tracker: Tracker | None,
    as_json: bool,
) -> None:
    """Train, show progress, and print what to do next."""
    run, task = opened.checkpoint, opened.task
    first = workers.rank == 0
    sample_every = sample_every if first else 0
    last, finished = None, None
    example = task.example(SEQUENCES)
    events_at = folder.path / FOLDER if tensorboard and first else None
    with (
        event_file(events_at, run.iteration) as write_events,
        tracking(tracker if first else None, run, folder) as track,
        console.stop_on_signals() as interrupted,
        training_progress(
            line=lambda report: fit_line(*opened.progress_line(report)),
            target=run.target,
            start=run.iteration,
            seconds=run.seconds,
        ) as show,
    ):
        for event in train(
            run,
            task,
            folder,
            workers=workers,
            minutes=minutes,
            interrupted=interrupted,
            health=lambda: health(run.spec, run.params, run.engine, example, task.loss) if first else {},
        ):
            show(event)
            if isinstance(event, Finished):
                finished = event
            elif isinstance(event, Report):
                last = event
                write_events(event)
                track(event)
                at_end = event.iteration == run.target or run.solved_iteration == event.iteration
                if (
                    sample_every > 0
                    and not at_end
                    and event.iteration % (sample_every * run.training.report_every) == 0
                ):
                    _say_sample(opened)
    assert finished is not None
    if sample_every > 0 and finished.reason not in STOPPED:
        _say_sample(opened)
    result = opened.summarize(last) if last else ""
    if result:
        console.say(result)
    if as_json:
        console.say_json({"score": opened.score_name, **end_record(run, folder, finished.reason, last)})
    _say_end(opened, folder, finished, minutes)


def end_record(run: Run, folder: RunFolder, reason: str, last: Report | None = None) -> dict[str, Any]:
    """How training has ended, for --json; "report" is the last progress line, as in metrics.jsonl."""
    return {
        "folder": str(folder.path),
        "reason": reason,
        "iteration": run.iteration,
        "steps": run.target,
        "seconds": run.seconds,
        "best": run.best_score,
        "best_iteration": run.best_iteration,
        "report": None if last is None else last.record(),
    }


def _say_sample(opened: TaskRun) -> None:
    console.say(f"----\n{opened.show_sample()}\n----")


def _say_end(opened: TaskRun, folder: RunFolder, finished: Finished, minutes: float) -> None:
    """Print how training has ended and what to do next; exit if it was stopped."""
    run = opened.checkpoint
    best = (
        "none yet"
        if run.best_score is None
        else f"{opened.format_score(run.best_score)} at iteration {run.best_iteration}"
    )
    stopped = {
        "solved": "solved",
        "steps": "done",
        "early_stop": f"stopped after {run.training.early_stop} reports without a better {opened.score_name}",
        "minutes": f"stopped after {minutes:g} minutes",
        "interrupted": "interrupted",
        "launcher_exited": "stopped, since torchrun is gone,",
    }[finished.reason]
    console.say(
        f"{stopped} at iteration {finished.iteration}; best held-out {opened.score_name} {best}; "
        f"saved in {folder.path}"
    )
    place = shlex.quote(str(folder.path))
    more = 2 * run.target if run.iteration >= run.target else run.target
    commands = [command.format(place) for command in opened.next_commands]
    commands.append(f"resume {place} --steps {more}")
    program = console.command()
    console.say(
        "\n".join(f"{'next: ' if i == 0 else '      '} {program} {c}" for i, c in enumerate(commands))
    )
    if (lost := console.lost_output()) is not None:
        console.warn(
            f"the output can no longer be written ({lost.strerror}); saved in {folder.path} at iteration "
            f"{finished.iteration}, go on with `{program} {commands[-1]}`"
        )
    if finished.reason in STOPPED:
        console.exit_stopped()


def check_minutes(minutes: float) -> None:
    """Refuse a time that is not positive."""
    if not minutes > 0:
        raise UserError(f"minutes must be above 0, got {minutes}.")


def _model_in_words(run: Run) -> str:
    """Kind, size and engine of the model."""
    count = sum(leaf.size for leaf in leaves(run.params))
    return f"{run.spec.kind} with {count:,} parameters on engine {run.engine_name}"


@contextmanager
def saved_first() -> Iterator[None]:
    """Train on until the run is saved, even if the output is closed; only a second Ctrl-C ends it at once."""
    try:
        with console.outliving_output():
            yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the last checkpoint is whole") from None
