"""Runs of environments of Gymnasium's interface."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from numdnc.errors import UserError
from numdnc.formatting import format_table
from numdnc.inspection.task_plot import Panel, draw_panels, save_figure
from numdnc.params import Array
from numdnc.reinforcement import Environment
from numdnc.runs.base import NewTask
from numdnc.runs.reinforcement import PolicyRun, Stored
from numdnc.runs.sequences import changed_settings
from numdnc.runs.stored import of_this_version
from numdnc.schema import validated
from numdnc.tasks import Batch
from numdnc.tasks.custom import public_source
from numdnc.tasks.gym import GymEnvironment, GymSettings, gym_environment, is_function
from numdnc.tasks.reinforcement_task import ReinforcementSettings, ReinforcementTask
from numdnc.tasks.sequences import channel_names


@dataclass(frozen=True)
class EpisodePicture:
    """An episode; `str` has a line for each step."""

    environment: GymEnvironment
    batch: Batch
    """The episode, alone."""

    def __str__(self) -> str:
        actions, rewards = self._steps
        rows = [["step", "action", "reward", "return"]]
        for t, (action, reward, total) in enumerate(zip(actions, rewards, np.cumsum(rewards), strict=True)):
            rows.append([str(t), " ".join(map(str, action)), f"{reward:g}", f"{total:g}"])
        return format_table(rows)

    def save(self, path: str | Path) -> None:
        """Save a figure of observations, actions and rewards as a PNG, PDF or SVG file (needs matplotlib)."""
        actions, rewards = self._steps
        names: Any = self.environment
        whole, sizes = np.ones(len(rewards), bool), self.environment.action_sizes
        chosen = np.concatenate(
            [np.eye(size)[part] for size, part in zip(sizes, actions.T, strict=True)], axis=1
        )
        panels = [
            Panel("observation", "", channel_names(names, "input"), _scaled(self.batch.inputs[:, 0]), whole),
            Panel("action", "", self.environment.output_channels, chosen, whole),
            Panel(
                "reward",
                f"(from {rewards.min():g} to {rewards.max():g})",
                ("reward",),
                _scaled(rewards[:, None]),
                whole,
            ),
        ]
        save_figure(Path(path), lambda figure_class: draw_panels(panels, figure_class))

    @property
    def _steps(self) -> tuple[Any, Any]:
        assert self.batch.episode is not None
        return self.batch.episode.actions[:, 0], self.batch.episode.rewards[:, 0]


def _scaled(values: Array) -> Array:
    """Each channel from its least value, or 0, to its largest, or 1."""
    least, most = np.minimum(values.min(axis=0), 0), np.maximum(values.max(axis=0), 1)
    return np.asarray((values - least) / (most - least), np.float64)


class EnvironmentRun(PolicyRun):
    """A run of an environment. `custom_task` is where the code of one of the user's own is loaded from."""

    noun: ClassVar[str] = "an environment"
    next_commands: ClassVar[tuple[str, ...]] = ("eval {} --show", "view {}", "diagnose {}")

    @classmethod
    def prepare(cls, settings: GymSettings, reinforcement: ReinforcementSettings, *, seed: int) -> NewTask:
        """A task to train on."""
        if reinforcement.grow:
            raise UserError(f"grow must be left out with an environment, got {reinforcement.grow!r}.")
        source = settings.env if is_function(settings.env) else None
        public = None if source is None else public_source(source)
        settings = dataclasses.replace(settings, env=public or settings.env)
        environment = gym_environment(settings, source)
        stored = Stored(
            name=settings.env,
            kind=cls.kind,
            settings=environment.resolved_settings,
            reinforcement=reinforcement,
            source=public,
        )
        return cls.prepare_policy(stored, environment, seed=seed)

    def environment(self) -> Environment:
        """The environment, made again from what the checkpoint stores."""
        stored, source = self._stored, self._custom_task
        if (stored.source is None) != (source is None):
            raise UserError(
                f"the environment must be {stored.source or stored.name}, got {source}. Name that."
            )
        with of_this_version(self.noun):
            settings = validated(
                GymSettings, {**stored.settings, "goal": float(stored.settings.get("goal", "inf"))}
            )
        return gym_environment(settings, source)

    def _changed(self, environment: Any, overrides: Mapping[str, Any]) -> Environment:
        """The environment with other settings."""
        if "env" in overrides:
            raise UserError("env must stay as it is, got another. Train a run in that environment.")
        settings: Any = changed_settings(environment.settings, overrides)
        return gym_environment(settings, self._custom_task)

    def _picture(self, task: ReinforcementTask) -> EpisodePicture:
        environment: Any = task.environment
        return EpisodePicture(environment, self._acted(task, next(task.episodes()))[0])
