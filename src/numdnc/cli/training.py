"""How every kind of run is trained in the terminal."""

import itertools
import math
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

from tyro.conf import arg

from numdnc import console
from numdnc.cli.options import Device, EngineName, ModelOptions, engine_on
from numdnc.cli.progress import fit_line, training_progress
from numdnc.cli.tensorboard import FOLDER, check_tensorboard, event_file
from numdnc.errors import UserError
from numdnc.inspection.health import SEQUENCES, health
from numdnc.runs.base import NewTask, TaskRun
from numdnc.runs.consent import save_source
from numdnc.runs.creation import begin_run
from numdnc.training.events import Finished, Report
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, load_run
from numdnc.training.workers import Workers
from numdnc.tree import leaves

STOPPED = ("interrupted", "launcher_exited")
"""Reasons to end at once."""


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """How long, where and with what the run is trained."""

    minutes: float = math.inf
    """Stop after so many minutes if training is not over by then."""
    engine: EngineName = "auto"
    """What computes the model; auto takes the fastest that can."""
    device: Device = None
    """Where the engine torch runs (default: the CPU)."""
    out: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder for checkpoints and metrics (default: runs/TASK-MODEL-1, -2, ..)."""
    sample_every: int = 10
    """Progress lines between samples of what the model does; 0 = no samples, not even at the end."""
    tensorboard: bool = False
    """Write losses, scores and health for TensorBoard too, into the run's folder."""

    def __post_init__(self) -> None:
        check_minutes(self.minutes)
        check_tensorboard(self.tensorboard)


class Training(NamedTuple):
    """A run that can begin: everything that can be checked before has been."""

    run: TaskRun
    new: NewTask
    session: SessionOptions
    custom_task: str | None

    def __call__(self, workers: Workers) -> None:
        """Make the folder and train."""
        run, session = self.run.run, self.session
        with begin(run, session.out, f"{self.new.stem}-{run.spec.kind}", workers) as folder:
            if self.custom_task is not None:
                save_source(folder.path, run.task["source"], self.custom_task)
            for line in f"{_model_in_words(run)}; {self.new.about}".splitlines():
                console.say(console.wrapped(line, otherwise=sys.maxsize))
            train_run(
                self.run,
                folder,
                workers=workers,
                minutes=session.minutes,
                sample_every=session.sample_every,
                tensorboard=session.tensorboard,
            )


def plan_training(
    new: NewTask,
    model: ModelOptions,
    training: TrainingSettings,
    optimizer: OptimizerSettings,
    session: SessionOptions,
    custom_task: str | None = None,
) -> Training:
    """A new run of a task with the options of `train`."""
    run = begin_run(
        new,
        model.spec(new.task.input_size, new.task.output_size),
        training,
        optimizer,
        engine=engine_on(session.engine, session.device),
        custom_task=custom_task,
    )
    return Training(run, new, session, custom_task)


def train_run(
    opened: TaskRun,
    folder: RunFolder,
    *,
    workers: Workers,
    minutes: float,
    sample_every: int,
    tensorboard: bool,
) -> None:
    """Train, show how it goes, and say what to do next."""
    run, task = opened.run, opened.task
    first = workers.rank == 0
    sample_every = sample_every if first else 0
    last, finished = None, None
    example = task.example(SEQUENCES)
    events_at = folder.path / FOLDER if tensorboard and first else None
    with (
        event_file(events_at, run.iteration) as write_events,
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
    _say_end(opened, folder, finished, minutes)


def _say_sample(opened: TaskRun) -> None:
    console.say(f"----\n{opened.show_sample()}\n----")


def _say_end(opened: TaskRun, folder: RunFolder, finished: Finished, minutes: float) -> None:
    """Say how training has ended and what to do next; exit where it was stopped."""
    run = opened.run
    best = (
        "none yet"
        if run.best_score is None
        else f"{opened.format_score(run.best_score)} at iteration {run.best_iteration}"
    )
    stopped = {
        "solved": "solved",
        "steps": "done",
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
            f"the output cannot be written any more ({lost.strerror}); saved in {folder.path} at iteration "
            f"{finished.iteration}, go on with `{program} {commands[-1]}`"
        )
    if finished.reason in STOPPED:
        console.exit_stopped()


def check_minutes(minutes: float) -> None:
    """Refuse a time that is none."""
    if not minutes > 0:
        raise UserError(f"minutes must be above 0, got {minutes}.")


def _model_in_words(run: Run) -> str:
    """What is trained, how large it is and how it is computed."""
    count = sum(leaf.size for leaf in leaves(run.params))
    return f"{run.spec.kind} with {count:,} parameters on engine {run.engine_name}"


@contextmanager
def _safe() -> Iterator[None]:
    """While a run is held: a lost output does not end it before it is saved, Ctrl-C twice says what there is."""
    try:
        with console.outliving_output():
            yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the last checkpoint is whole") from None


@contextmanager
def begin(run: Run, out: Path | None, stem: str, workers: Workers) -> Iterator[RunFolder]:
    """The folder of a new run, made and held: `out`, or else runs/STEM-1, or the first such that does not exist."""
    workers.check_batch(len(leaves(run.state)[0]))
    with ExitStack() as holding:
        path = str(_make(run, out, stem, holding)) if workers.rank == 0 else ""
        folder = RunFolder(Path(workers.broadcast_object(path)))
        with _safe():
            yield folder


def _make(run: Run, out: Path | None, stem: str, holding: ExitStack) -> Path:
    if out is not None:
        holding.enter_context(RunFolder(out).create_locked(run))
        return out
    for number in itertools.count(1):
        path = Path("runs") / f"{stem}-{number}"
        if not path.exists():
            try:
                holding.enter_context(RunFolder(path).create_locked(run))
                break
            except UserError:
                if not path.exists():  # else another has just taken it
                    raise
    return path


@contextmanager
def go_on(folder: RunFolder, workers: Workers) -> Iterator[Run]:
    """The run as it was saved last, in every process; only the first has to have the folder, and holds it."""
    with ExitStack() as holding:
        if workers.rank == 0:
            holding.enter_context(folder.lock())
            run = folder.load_last()
        if workers.world_size > 1:
            contents = workers.broadcast(folder.last.read_bytes() if workers.rank == 0 else b"")
            if workers.rank > 0:
                with TemporaryDirectory() as place:
                    copy = Path(place, folder.last.name)
                    copy.write_bytes(contents)
                    run = load_run(copy)
            workers.check_batch(len(leaves(run.state)[0]))
        with _safe():
            yield run
