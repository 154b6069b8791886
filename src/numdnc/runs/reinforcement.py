"""Runs of policies: a model acts in an environment and is trained by policy gradient."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from numdnc.errors import UserError
from numdnc.files import file_name
from numdnc.inspection.trace import About, Trace
from numdnc.params import Array
from numdnc.reinforcement import Environment, Episodes
from numdnc.runs.base import NewTask, TaskRun
from numdnc.runs.memory import UNCHANGED, MemoryOverride
from numdnc.runs.progress import ProgressLine, time_and_iteration, time_left
from numdnc.runs.results import Evaluation
from numdnc.runs.sequences import changed_settings
from numdnc.runs.stored import check_batch, of_this_version
from numdnc.schema import validated
from numdnc.spec import Spec
from numdnc.tasks import Batch, Scores
from numdnc.tasks.reinforcement_task import ReinforcementSettings, ReinforcementTask
from numdnc.tasks.sequence_task import EVAL_BATCH
from numdnc.tasks.sequences import channel_names, resolved_settings
from numdnc.training.events import Report
from numdnc.training.run import Run

_STEPS = 100
"""Steps of an episode for which memory is checked."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The task as a checkpoint stores it."""

    name: str
    kind: str
    settings: dict[str, Any]
    reinforcement: ReinforcementSettings
    source: str | None = None
    """MODULE:FUNCTION of an environment of the user's own."""


class PolicyRun(TaskRun):
    """Base class of the runs of policies; a subclass makes the environment of what a checkpoint stores."""

    kind: ClassVar[str] = "policy"
    score_name: ClassVar[str] = "loss"
    stored_class: ClassVar[type[Stored]] = Stored
    right_noun: ClassVar[str] = "episodes right"
    """What the progress line counts."""

    def __init__(
        self,
        run: Run,
        *,
        engine: str = "auto",
        memory: MemoryOverride = UNCHANGED,
        custom_task: str | None = None,
    ) -> None:
        super().__init__(run, engine=engine, memory=memory)
        self._stored = self.stored(run)
        self._custom_task = custom_task

    @classmethod
    def prepare_policy(cls, stored: Stored, environment: Environment, *, seed: int) -> NewTask:
        """A task to train on."""
        task = cls.make_task(stored.name, environment, stored.reinforcement, seed)
        described = ", ".join(f"{key} {value}" for key, value in stored.settings.items())
        batch = stored.reinforcement.batch
        return NewTask(
            task,
            metadata=dataclasses.asdict(stored),
            batch=batch,
            states=max(batch * _STEPS, 3 * EVAL_BATCH),
            about=f"{stored.name}: {described}; {task.input_size} inputs, {task.output_size} outputs, "
            f"{' x '.join(map(str, environment.action_sizes))} actions",
            stem=file_name(stored.name.rpartition(":")[2].lower()),
            critic_spec=cls.critic_of(stored),
            in_parts="its inputs depend on what the model did",
        )

    @classmethod
    def stored(cls, run: Run) -> Stored:
        """What the checkpoint of a policy stores of its task."""
        with of_this_version(cls.noun):
            return validated(cls.stored_class, run.task)

    @classmethod
    def make_task(
        cls, name: str, environment: Environment, settings: ReinforcementSettings, seed: int
    ) -> ReinforcementTask:
        """The task of an environment."""
        return ReinforcementTask(name, environment, settings, seed)

    @classmethod
    def critic_of(cls, stored: Stored) -> Callable[[Spec], Spec | None] | None:
        """The spec of the critic beside a policy; None if it is trained without one."""
        return stored.reinforcement.critic_spec

    def environment(self) -> Environment:
        """The environment, made again from what the checkpoint stores."""
        raise NotImplementedError

    @cached_property
    def task(self) -> ReinforcementTask:
        """The task, made again from what the checkpoint stores."""
        stored = self._stored
        with of_this_version(self.noun):
            check_batch(self.checkpoint, stored.reinforcement.batch)
        task = self.make_task(
            stored.name, self.environment(), stored.reinforcement, self.checkpoint.training.seed
        )
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
        """Mean return, and share of episodes without error, where the likeliest actions are taken.

        `overrides` are other settings of the environment, such as {"length": 40}; `sequences` is the number of
        episodes, by default as many as in training. With `picture` the result has a picture of the first of them.
        """
        task = self._with_settings(overrides, sequences)
        scores, without = self._scores(task, no_reads)
        episodes, iteration = task.settings.evaluated, self.checkpoint.iteration
        text = f"{self._in_words(scores)}; {episodes:,} episodes (iteration {iteration})"
        record = {
            "task": task.name,
            "settings": self._settings_of(task.environment),
            "iteration": iteration,
            "episodes": episodes,
            **scores,
        }
        if without is not None:
            text += f"\n{self._in_words(without)}; with every read vector zeroed"
            record["without_reads"] = without
        return Evaluation(
            scores=scores,
            scores_without_reads=without,
            iteration=iteration,
            picture=self._picture(task) if picture else None,
            text=text,
            json=record,
        )

    def trace(
        self,
        *,
        user_input: str | None = None,
        number: int | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Trace:
        """Record one of the episodes that are scored, or one of the user's own; `overrides` as in `evaluate`."""

        def make() -> tuple[Batch, About]:
            task = self._with_settings(overrides)
            if user_input is not None:
                return self._traced(task, self._given(task, user_input)), self._about(
                    task, "an episode given by hand"
                )
            batch = self._one(task, number or 0)
            return self._traced(task, batch), self._about(task, f"episode {number or 0} of those scored on")

        return self._trace(make)

    def _given(self, task: ReinforcementTask, user_input: str) -> Batch:
        """An episode that the user gives."""
        raise UserError(
            f"--input must be given for a run of a learned interface or shrdlu, got one of {self.name}. Leave it out."
        )

    def progress_line(self, report: Report) -> ProgressLine:
        """Seconds, iteration, mean returns, share of episodes right, level of a curriculum, speed, time left."""
        scores = report.scores
        parts = [
            *time_and_iteration(report.seconds, report.iteration),
            self._trained(report.train),
            f"held-out {-report.held_out:8.3f}",
            f"{100 * (1 - scores['error']):5.1f} % {self.right_noun}",
            *([f"level {scores['level']:.0f}"] if "level" in scores else []),
            f"{report.per_second:7.0f} {self._counted}/s",
            time_left(report.seconds_left),
        ]
        return ProgressLine(parts, drop=(len(parts) - 2, 2))

    @property
    def _counted(self) -> str:
        """What the loss of training is a mean over."""
        return "episodes"

    def _trained(self, loss: float) -> str:
        """The loss of training, of which an update's is minus the mean return."""
        return f"return {-loss:8.3f}"

    def show_sample(self) -> str:
        """The first of the episodes that are scored."""
        return str(self._picture(self.task))

    def format_score(self, score: float) -> str:
        """Minus the mean return."""
        return f"{score:.4g}"

    def summarize(self, report: Report) -> str:
        """The scores in words."""
        return self._in_words(report.scores)

    def _picture(self, task: ReinforcementTask) -> Any:
        """A picture of the first episode that is scored: its text is `str`, its figure `save(path)`."""
        raise NotImplementedError

    def _settings_of(self, environment: Environment) -> dict[str, Any]:
        return resolved_settings(environment)  # type: ignore[arg-type]  # needs the fields alone

    def _traced(self, task: ReinforcementTask, batch: Batch) -> Batch:
        """An episode as a trace shows it: where a step has one action, it is the target; else there are none."""
        assert batch.episode is not None
        sizes = task.environment.action_sizes
        if len(sizes) == 1 and sizes[0] == task.output_size:
            return batch._replace(targets=batch.episode.actions[..., 0])
        steps = len(batch.inputs)
        return batch._replace(
            targets=np.zeros((steps, 1, task.output_size), np.float32), mask=np.zeros((steps, 1), bool)
        )

    def _one(self, task: ReinforcementTask, number: int) -> Batch:
        """One of the episodes that are scored."""
        if not 0 <= number < task.settings.evaluated:
            raise UserError(
                f"the episode must be one of 0..{task.settings.evaluated - 1}, those scored on, got {number}."
            )
        group, row = divmod(number, EVAL_BATCH)
        for at, episodes in enumerate(task.episodes()):
            if at == group:
                return self._acted(task, episodes, row)[0]
        raise AssertionError

    def _acted(self, task: ReinforcementTask, episodes: Episodes, row: int = 0) -> tuple[Batch, Array]:
        """One episode of some, without what follows its end, and the model's outputs."""
        batch = task.scoring_rollout(self._scored_forward, episodes).rows(slice(row, row + 1))
        assert batch.mask is not None
        batch = batch.first_steps(int(batch.mask.sum()))
        return batch, self._scored_forward(batch.inputs, None)[0]

    @property
    def _scored_forward(self) -> Any:
        return self.checkpoint.forward

    def _with_settings(
        self, overrides: Mapping[str, Any] | None, sequences: int | None = None
    ) -> ReinforcementTask:
        """The task with other settings and another number of episodes to score."""
        task = self.task
        settings = dataclasses.replace(task.settings, grow="")  # a curriculum is for training
        if sequences is not None:
            settings = dataclasses.replace(settings, evaluated=sequences)
        changed = self._changed(task.environment, overrides) if overrides else task.environment
        varied = self.make_task(task.name, changed, settings, self.checkpoint.training.seed)
        self._check_sizes(varied)
        return varied

    def _changed(self, environment: Environment, overrides: Mapping[str, Any]) -> Environment:
        """The environment with other settings."""
        changed: Any = changed_settings(environment, overrides)  # type: ignore[arg-type]  # needs the fields alone
        found: Environment = changed
        return found

    def _check_sizes(self, task: ReinforcementTask) -> None:
        """Refuse an environment whose sizes are not those of the model."""
        wanted = self.checkpoint.spec.input_size, self.checkpoint.spec.output_size
        got = task.input_size, task.output_size
        if wanted != got:
            raise UserError(
                f"the environment must have the model's {wanted[0]} inputs and {wanted[1]} outputs, "
                f"got {got[0]} and {got[1]}. Leave its settings of width as they were."
            )

    def _in_words(self, scores: Scores) -> str:
        return f"mean return {-scores['loss']:.4g}, {100 * (1 - scores['error']):.1f} % of episodes right"

    def _about(self, task: ReinforcementTask, sequence: str) -> About:
        environment: Any = task.environment
        return About(
            task=task.name,
            settings=self._settings_of(environment),
            sequence=sequence,
            iteration=self.checkpoint.iteration,
            engine=self.engine.name,
            input_channels=channel_names(environment, "input"),
            output_channels=(*channel_names(environment, "output"), *["value"] * task.gives_value),
        )

    @classmethod
    def custom_task_source(cls, run: Run) -> str | None:
        """MODULE:FUNCTION of an environment of the user's own; None for one of numdnc or Gymnasium."""
        return cls.stored(run).source
