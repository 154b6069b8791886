"""`train` of tasks of separate sequences, and how their runs are made from what a checkpoint says."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tyro.conf import OmitArgPrefixes

from numdnc import console
from numdnc.cli import progress
from numdnc.cli.consent import allowed_source, public_source, remember_source
from numdnc.cli.custom_task import load_task_class, sequence_lines, settings_of
from numdnc.cli.groups import Command, command
from numdnc.cli.options import EPISODES, ModelOptions, check_batch
from numdnc.cli.presets import PRESETS, Preset
from numdnc.cli.published import PUBLISHED
from numdnc.cli.training import SessionOptions, Training, View, checked_run
from numdnc.errors import UserError
from numdnc.files import file_name
from numdnc.names import quoted
from numdnc.schema import validated
from numdnc.tasks.sequence_task import EVAL_BATCH, SequenceSettings, SequenceTask
from numdnc.tasks.sequences import draw_checked
from numdnc.training.loop import Report
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings


def preset_command(name: str) -> Command:
    """`train NAME` of a preset."""
    preset = PRESETS[name]
    expect = f"{preset.expect} --published takes the settings of the source instead, which learn more slowly."
    return command(
        _command(name, preset._replace(expect=expect), None), _command(name, PUBLISHED[name], None)
    )


def custom_task_command(source: str) -> Callable[..., Training]:
    """`train MODULE:CLASS`, with the options that every task has."""
    kind = load_task_class(source)
    summary = (kind.__doc__ or source).strip().splitlines()[0]
    optimizer = OptimizerSettings(learning_rate=1e-3, schedule="constant")
    training = TrainingSettings(steps=100_000, report_every=200)
    preset = Preset(summary, "", kind(), ModelOptions(), optimizer=optimizer, training=training)
    return _command(source, preset, source)


def _command(name: str, preset: Preset, source: str | None) -> Callable[..., Training]:
    """A command whose options are the preset's, the task's settings among them."""

    def train(
        *,
        task: Any = preset.episodes,
        model: OmitArgPrefixes[ModelOptions] = preset.model,
        episodes: OmitArgPrefixes[SequenceSettings] = preset.settings,
        training: OmitArgPrefixes[TrainingSettings] = preset.training,
        optimizer: OmitArgPrefixes[OptimizerSettings] = preset.optimizer,
        session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
    ) -> Training:
        described = {
            "name": name if source is None else public_source(source),
            "kind": EPISODES,
            "settings": dataclasses.asdict(task),
            "episode_settings": dataclasses.asdict(episodes),
            "source": None if source is None else public_source(source),
        }
        drawn_from = SequenceTask(name, task, episodes, training.seed)
        steps = len(draw_checked(task, np.random.default_rng(training.seed), 1).inputs)
        run = checked_run(
            drawn_from,
            described,
            model,
            training,
            optimizer,
            session,
            batch=episodes.batch,
            states=max(episodes.batch * (steps + 2), 3 * EVAL_BATCH),
        )
        stem = file_name(name.rpartition(":")[2].lower())
        about = f"{name}: {_settings(task)}; {drawn_from.input_size} inputs, {drawn_from.output_size} outputs"
        if drawn_from.overlap:
            share = f"{100 * drawn_from.overlap:.0f} %"
            about += f"\nfew such sequences exist: {share} of those to train on are scored on too"

        def remember(folder: Path) -> None:
            if source is not None:
                remember_source(folder, public_source(source), source)

        view = episodes_view(run, drawn_from)
        return Training(run, drawn_from, view, f"{stem}-{model.model}", about, session, remember)

    without_prefix: Any = OmitArgPrefixes
    train.__annotations__["task"] = without_prefix[type(preset.episodes)]
    train.__doc__ = "\n\n".join(filter(None, (preset.summary, preset.expect)))
    return train


@dataclass(frozen=True, kw_only=True)
class _Described:
    """The task as a checkpoint says it."""

    name: str
    kind: str
    settings: dict[str, Any]
    episode_settings: SequenceSettings
    source: str | None
    """Of a task of one's own, MODULE:CLASS."""


def custom_task_source(run: Run, folder: Path, named: str | None) -> str | None:
    """What to load for the own task of a run in `folder`, if this call names it or its user agreed; None: nothing."""
    told = _described(run).source if run.task.get("kind") == EPISODES else None
    if told is not None:
        return allowed_source(folder, told, named)
    if named is not None:
        raise UserError(f"--task must be given for a run of a task of your own, got {named}. Leave it out.")
    return None


def episode_task(run: Run, source: str | None = None) -> SequenceTask:
    """The task of a run, made from what its checkpoint says; an own one from `source`, see `custom_task_source`."""
    told = _described(run)
    if (told.source is None) != (source is None):
        raise UserError(f"the task must be {told.source or told.name}, got {source}. Name that.")
    kind: type[Any] = load_task_class(source) if source is not None else type(PRESETS[told.name].episodes)
    try:
        settings = validated(kind, told.settings)
        check_batch(run, told.episode_settings.batch)
    except UserError as error:
        raise _of_another(error) from None
    task = SequenceTask(told.name, settings, told.episode_settings, run.training.seed)
    check_sizes(run, task)
    return task


def _described(run: Run) -> _Described:
    try:
        told = validated(_Described, run.task)
        if told.source is None and told.name not in PRESETS:
            raise UserError(f"there is no task {quoted(told.name)}")
    except UserError as error:
        raise _of_another(error) from None
    return told


def _of_another(error: UserError) -> UserError:
    return UserError(
        f"the run must be one of a task as this version knows it, got a checkpoint of another ({error}). "
        "Use the version of numdnc, or of your own task, that wrote it."
    )


def check_sizes(run: Run, task: SequenceTask) -> None:
    """Refuse a task that the run's model has other sizes than."""
    wanted, got = (run.spec.input_size, run.spec.output_size), (task.input_size, task.output_size)
    if wanted != got:
        raise UserError(
            f"the task must have the model's {wanted[0]} inputs and {wanted[1]} outputs, got {got[0]} and {got[1]}. "
            "Leave its settings of width as they were."
        )


def episodes_view(run: Run, task: SequenceTask) -> View:
    """What people see of such a run: losses and errors, and a picture of one sequence."""
    predictions = task.target_kind

    def picture() -> str:
        batch = task.scoring_rollout(run.forward, task.example())
        outputs, _ = run.forward(batch.inputs, None)
        return sequence_lines(task.generator, batch, outputs)

    def result(report: Report) -> str:
        return console.scores_in_words(report.scores, predictions)

    return View(
        line=lambda report: progress.episodes_line(report, predictions, task.settings.batch),
        sample=picture,
        score="loss",
        number=console.loss,
        result=result,
        commands=("eval {} --show", "view {}", "diagnose {}"),
    )


def _settings(task: Any) -> str:
    """The settings of a task in one line."""
    return ", ".join(f"{name} {value}" for name, value in settings_of(task).items())
