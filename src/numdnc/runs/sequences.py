"""Runs of separate sequences: the tasks of bits and custom tasks; those of graphs build on it (graphs.py)."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from numdnc.errors import UserError
from numdnc.files import file_name
from numdnc.formatting import format_loss
from numdnc.inspection.gates import gates
from numdnc.inspection.trace import About, Trace
from numdnc.names import quoted
from numdnc.runs.base import NewTask, TaskRun
from numdnc.runs.memory import UNCHANGED, MemoryOverride
from numdnc.runs.progress import ProgressLine, time_and_iteration, time_left
from numdnc.runs.results import Evaluation, SequencePicture
from numdnc.runs.stored import check_batch, of_this_version
from numdnc.schema import validated
from numdnc.tasks import Batch, Scores
from numdnc.tasks.by_name import GENERATORS
from numdnc.tasks.custom import load_task_class, public_source
from numdnc.tasks.sequence_task import EVAL_BATCH, SequenceSettings, SequenceTask
from numdnc.tasks.sequences import (
    SequenceGenerator,
    channel_names,
    draw_checked,
    optional_attribute,
    resolved_settings,
)
from numdnc.tasks.user_input import steps_batch
from numdnc.training.events import Report
from numdnc.training.run import Run

NOUN = "a task"
ROLLOUT = "its inputs depend on the model's outputs"


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """The task as a checkpoint stores it."""

    name: str
    kind: str
    settings: dict[str, Any]
    episode_settings: SequenceSettings
    source: str | None
    """MODULE:CLASS of a custom task."""


class SequenceRun(TaskRun):
    """A run of separate sequences. `custom_task` is where the code of a custom task is loaded from."""

    kind: ClassVar[str] = "episodes"
    noun: ClassVar[str] = "separate sequences"
    score_name: ClassVar[str] = "loss"
    next_commands: ClassVar[tuple[str, ...]] = ("eval {} --show", "view {}", "diagnose {}")

    def __init__(
        self,
        run: Run,
        *,
        engine: str = "auto",
        memory: MemoryOverride = UNCHANGED,
        custom_task: str | None = None,
    ) -> None:
        super().__init__(run, engine=engine, memory=memory)
        self._stored = _stored(run)
        self._custom_task = custom_task

    @classmethod
    def prepare(
        cls,
        name: str,
        generator: SequenceGenerator,
        settings: SequenceSettings,
        *,
        seed: int,
        custom_task: str | None = None,
    ) -> NewTask:
        """A task to train on; `custom_task` is where the code of a custom task was loaded from."""
        source = None if custom_task is None else public_source(custom_task)
        task = SequenceTask(name, generator, settings, seed)
        steps = len(draw_checked(generator, np.random.default_rng(seed), 1).inputs)
        described = ", ".join(f"{key} {value}" for key, value in resolved_settings(generator).items())
        about = f"{name}: {described}; {task.input_size} inputs, {task.output_size} outputs"
        if task.overlap:
            share = f"{100 * task.overlap:.0f} %"
            about += f"\nfew such sequences exist: {share} of those to train on are scored on too"
        return NewTask(
            task,
            metadata={
                "name": source or name,
                "kind": cls.kind,
                "settings": dataclasses.asdict(generator),  # type: ignore[call-overload]
                "episode_settings": dataclasses.asdict(settings),
                "source": source,
            },
            batch=settings.batch,
            states=max(settings.batch * (steps + 2), 3 * EVAL_BATCH),
            about=about,
            stem=file_name(name.rpartition(":")[2].lower()),
            in_parts="" if optional_attribute(generator, "rollout") is None else ROLLOUT,
        )

    @classmethod
    def custom_task_source(cls, run: Run) -> str | None:
        """MODULE:CLASS of the custom task that a checkpoint stores; None for a task of numdnc."""
        return _stored(run).source

    @cached_property
    def task(self) -> SequenceTask:
        """The task, made again from what the checkpoint stores."""
        stored, source = self._stored, self._custom_task
        if (stored.source is None) != (source is None):
            raise UserError(f"the task must be {stored.source or stored.name}, got {source}. Name that.")
        with of_this_version(NOUN):
            generator = validated(generator_class(self.checkpoint, source), stored.settings)
            check_batch(self.checkpoint, stored.episode_settings.batch)
        task = SequenceTask(stored.name, generator, stored.episode_settings, self.checkpoint.training.seed)
        self._check_sizes(task)
        return task

    def evaluate(
        self,
        *,
        no_reads: bool = False,
        overrides: Mapping[str, Any] | None = None,
        sequences: int | None = None,
        picture: bool = False,
    ) -> Evaluation:
        """Loss, share of wrong bits (or classes) and share of wrong sequences.

        `overrides` are other settings of the task, such as {"max_length": 40}; `sequences` is the number to score, by
        default as many as in training. With `picture` the result has a picture of the first of them.
        """
        task = self._with_settings(overrides, sequences)
        return self._evaluate(task, resolved_settings(task.generator), no_reads=no_reads, picture=picture)

    def trace(
        self,
        *,
        user_input: str | None = None,
        number: int | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Trace:
        """Record one of the sequences that are scored, or one of the user's own; `overrides` as in `evaluate`.

        `user_input` holds a row of digits 0 and 1 for each step, or names a CSV file with rows of numbers.
        """

        def make() -> tuple[Batch, About]:
            task = self._with_settings(overrides)
            if user_input is not None:
                names = channel_names(task.generator, "input")
                return steps_batch(user_input, task.example(), names), self._about(
                    task, "a sequence given by hand"
                )
            changed = ", ".join(f"{name}={value}" for name, value in (overrides or {}).items())
            batch = task.scoring_rollout(self.forward, task.sequence(number or 0))
            about = f"sequence {number or 0} of those scored on{f', with {changed}' if changed else ''}"
            return batch, self._about(task, about)

        return self._trace(make)

    def progress_line(self, report: Report) -> ProgressLine:
        """Seconds, iteration, sequences trained on, losses, errors, level of a curriculum, speed, time left."""
        return sequence_progress(report, self.task.target_kind, self.task.settings.batch)

    def show_sample(self) -> str:
        """One sequence, in words of the task or as a picture."""
        batch = self.task.scoring_rollout(self.checkpoint.forward, self.task.example())
        outputs, _ = self.checkpoint.forward(batch.inputs, None)
        return str(SequencePicture(generator=self.task.generator, batch=batch, outputs=outputs))

    def format_score(self, score: float) -> str:
        """A loss in nats."""
        return format_loss(score)

    def summarize(self, report: Report) -> str:
        """The scores in words."""
        return scores_in_words(report.scores, self.task.target_kind)

    def _evaluate(
        self, task: SequenceTask, settings: dict[str, Any], *, no_reads: bool, picture: bool
    ) -> Evaluation:
        """Score a variant of the task, which `settings` describe."""
        scores, without = self._scores(task, no_reads)
        sequences, iteration = task.settings.evaluated, self.checkpoint.iteration
        text = f"{scores_in_words(scores, task.target_kind)}; {sequences:,} sequences (iteration {iteration})"
        record = {
            "task": task.name,
            "settings": settings,
            "iteration": iteration,
            "sequences": sequences,
            **scores,
        }
        if without is not None:
            text += f"\n{scores_in_words(without, task.target_kind)}; with every read vector zeroed"
            record["without_reads"] = without
        return Evaluation(
            scores=scores,
            scores_without_reads=without,
            iteration=iteration,
            warnings=self._slot_warnings(task.generator),
            picture=self._picture(task) if picture else None,
            text=text,
            json=record,
        )

    def _picture(self, task: SequenceTask) -> SequencePicture:
        batch = task.scoring_rollout(self.forward, task.example())
        outputs, _ = self.forward(batch.inputs, None)
        shown = None
        if self.spec.has_memory:
            shown = gates(self.spec, self.params, self.engine, batch)
        return SequencePicture(generator=task.generator, batch=batch, outputs=outputs, gates=shown)

    def _slot_warnings(self, generator: SequenceGenerator) -> tuple[str, ...]:
        needed = optional_attribute(generator, "slots_needed")
        if needed is None or not self.spec.has_memory or self.spec.memory_size >= needed:
            return ()
        return (
            f"a sequence can make it hold {needed} vectors at once, more than its {self.spec.memory_size} slots",
        )

    def _with_settings(
        self, overrides: Mapping[str, Any] | None, sequences: int | None = None
    ) -> SequenceTask:
        """The task with other settings and another number of sequences to score."""
        task, generator = self.task, self.task.generator
        settings = dataclasses.replace(task.settings, grow="")  # a curriculum is for training
        if sequences is not None:
            if sequences < 1:
                raise UserError(f"sequences must be at least 1, got {sequences}.")
            settings = dataclasses.replace(settings, evaluated=sequences)
        changed = changed_settings(generator, overrides or {})
        varied = SequenceTask(task.name, changed, settings, self.checkpoint.training.seed)
        self._check_sizes(varied)
        return varied

    def _check_sizes(self, task: SequenceTask) -> None:
        """Refuse a task whose sizes are not those of the model."""
        wanted = self.checkpoint.spec.input_size, self.checkpoint.spec.output_size
        got = task.input_size, task.output_size
        if wanted != got:
            raise UserError(
                f"the task must have the model's {wanted[0]} inputs and {wanted[1]} outputs, "
                f"got {got[0]} and {got[1]}. Leave its settings of width as they were."
            )

    def _about(self, task: SequenceTask, sequence: str) -> About:
        return About(
            task=task.name,
            settings=resolved_settings(task.generator),
            sequence=sequence,
            iteration=self.checkpoint.iteration,
            engine=self.engine.name,
            input_channels=channel_names(task.generator, "input"),
            output_channels=channel_names(task.generator, "output"),
        )


def generator_class(run: Run, custom_task: str | None) -> type[Any]:
    """The class of a run's task: a custom one, loaded from `custom_task`, or one of numdnc's own."""
    return load_task_class(custom_task) if custom_task is not None else GENERATORS[_stored(run).name]


def changed_settings(generator: SequenceGenerator, overrides: Mapping[str, Any]) -> SequenceGenerator:
    """The generator with other settings; values may be typed, as "40" or "yes"."""
    before = dataclasses.asdict(generator)  # type: ignore[call-overload]
    values = {}
    for name, value in overrides.items():
        name = name.replace("-", "_")
        if name not in before or value is None:
            got = name if value is None else f"{name}={value}"
            raise UserError(f"--set must be NAME=VALUE with a name of {', '.join(before)}, got {got!r}.")
        values[name] = _as_setting(name, value, get_type_hints(type(generator)).get(name, type(before[name])))
    changed: SequenceGenerator = dataclasses.replace(generator, **values)  # type: ignore[type-var]
    return changed


def _as_setting(name: str, value: Any, declared: Any) -> Any:
    """A value as the type that a setting is declared with: a plain type, some words (a Literal), or either."""
    parts = get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)
    words = [word for part in parts if get_origin(part) is Literal for word in get_args(part)]
    kinds = [part for part in parts if isinstance(part, type)]
    if value in words or not kinds:
        return value
    kind = kinds[0]
    try:
        if kind is bool and isinstance(value, str):
            return {"true": True, "yes": True, "false": False, "no": False}[value.lower()]
        return kind(value)
    except (ValueError, KeyError):
        kind_in_words = {bool: "yes or no", int: "a whole number", float: "a number"}[kind]
        allowed = " or ".join([kind_in_words, *words])
        raise UserError(f"{name} must be {allowed}, got {value!r}.") from None


def _stored(run: Run) -> _Stored:
    with of_this_version(NOUN):
        stored = validated(_Stored, run.task)
        if stored.source is None and stored.name not in GENERATORS:
            raise UserError(f"there is no task {quoted(stored.name)}")
    return stored


def sequence_progress(report: Report, predictions: str, batch: int) -> ProgressLine:
    """A report of separate sequences as a progress line; `predictions` are bits or classes."""
    scores = report.scores
    parts = [
        *time_and_iteration(report.seconds, report.iteration),
        f"{report.iteration * batch:8,d} samples",
        f"loss {format_loss(report.train):>7}",
        f"held-out {format_loss(report.held_out):>7}",
        f"{100 * scores['bit_error']:5.2f} % {predictions} wrong",
        f"{100 * (1 - scores['sequence_error']):5.1f} % sequences right",
        *(
            [f"{100 * (1 - error):5.1f} % questions"]
            if (error := scores.get("question_error")) is not None
            else []
        ),
        *([f"level {scores['level']:.0f}"] if "level" in scores else []),
        f"{report.per_second:9.0f} {predictions}/s",
        time_left(report.seconds_left),
    ]
    return ProgressLine(parts, drop=(len(parts) - 2, 2, 5, 3, 4))


def scores_in_words(scores: Scores, predictions: str) -> str:
    """Scores in words; `predictions` are bits or classes."""
    questions = ""
    if "question_error" in scores:
        questions = f", {100 * (1 - scores['question_error']):.1f} % of questions"
    return (
        f"loss {format_loss(scores['loss'])}, {100 * scores['bit_error']:.2f} % of {predictions} wrong, "
        f"{100 * (1 - scores['sequence_error']):.1f} % of sequences{questions} without error"
    )
