"""`train interface-..`, `train shrdlu`, `train environment`: models that act, with settings measured to learn."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from tyro.conf import OmitArgPrefixes

from numdnc.cli.groups import Command, command
from numdnc.cli.options import ModelOptions
from numdnc.cli.presets import adapt
from numdnc.cli.training import SessionOptions, plan_training
from numdnc.runs.environments import EnvironmentRun
from numdnc.runs.interfaces import InterfaceRun
from numdnc.runs.shrdlu import ShrdluRun
from numdnc.tasks.gym import GymSettings, is_function
from numdnc.tasks.imitation_task import ImitationSettings
from numdnc.tasks.interfaces import (
    Interface,
    InterfaceCopy,
    InterfaceDuplicatedInput,
    InterfaceForwardReverse,
    InterfaceRepeatCopy,
    InterfaceReverse,
)
from numdnc.tasks.reinforcement_task import ReinforcementSettings
from numdnc.tasks.shrdlu import Shrdlu
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings
from numdnc.training.workers import Workers


class InterfacePreset(NamedTuple):
    """A learned interface, and the defaults of the options beside it."""

    summary: str
    expect: str
    interface: Interface
    settings: ReinforcementSettings = ReinforcementSettings(grow="length", pass_at=0.2)
    model: ModelOptions = ModelOptions(model="lstm", hidden=32, memory_size=32, read_heads=1)
    optimizer: OptimizerSettings = OptimizerSettings(learning_rate=3e-3, schedule="constant", clip_norm=2.0)
    training: TrainingSettings = TrainingSettings(steps=10_000, report_every=50)


_BY_LESSONS = ImitationSettings(
    batch=32,
    evaluated=160,
    grow="lesson",
    grow_from=0,
    pass_at=0.15,
    imitate=True,
    critic="shared",
    value_weight=0.5,
    entropy=0.3,
)
_SHRDLU_MODEL = ModelOptions(
    controller="feedforward",
    layers=2,
    hidden=192,
    memory_size=8,
    word_size=32,
    read_heads=6,
    masking=True,
    normalisation=True,
)
_SHRDLU_TRAINING = TrainingSettings(
    steps=1_000_000,
    report_every=400,
    init_scheme="store",
    input_scale=5,
    average_decay=0.998,
    slots_per_vector=1.2,
)
_SOURCE = "(Zaremba and Sutskever 2015)"
INTERFACE_PRESETS = {
    "interface-copy": InterfacePreset(
        f"Copy the input tape to the output tape, by moves that are learned {_SOURCE}.",
        "Solved after 800 updates, half a minute on one core (5 of 5 seeds).",
        InterfaceCopy(),
    ),
    "interface-reverse": InterfacePreset(
        f"Write the input tape to the output tape from the last symbol to the first {_SOURCE}.",
        "Solved after 1,200 updates, a minute on one core (5 of 5 seeds).",
        InterfaceReverse(),
    ),
    "interface-duplicated-input": InterfacePreset(
        f"Write every third symbol of the input tape, on which each stands three times {_SOURCE}.",
        "Solved after 770 updates, a minute on one core (5 of 5 seeds).",
        InterfaceDuplicatedInput(),
    ),
    "interface-repeat-copy": InterfacePreset(
        f"Copy the input tape two or three times, as its first cell says {_SOURCE}.",
        "Copies of 60 symbols are solved after some 600 updates, 3 minutes on one core (5 of 5 seeds).",
        InterfaceRepeatCopy(length=60, memory_width=0),
        ReinforcementSettings(grow="length", grow_by=4, pass_at=0.2, trace_decay=0.9),
        ModelOptions(
            model="dnc", controller="feedforward", hidden=64, memory_size=64, word_size=16, read_heads=2
        ),
        OptimizerSettings(learning_rate=5e-3, schedule="plateau", patience=8, clip_norm=2.0),
        TrainingSettings(steps=3000, report_every=25, init_scheme="store", input_scale=3),
    ),
    "interface-forward-reverse": InterfacePreset(
        f"Reverse, but on the input tape there is no way back: the memory has to help {_SOURCE}.",
        "Solved after 680 updates, a minute on one core, by a DNC without a memory tape (5 of 5 seeds).",
        InterfaceForwardReverse(memory_width=0),
        ReinforcementSettings(grow="length", pass_at=0.2, trace_decay=0.9),
        ModelOptions(model="dnc", hidden=32, memory_size=32, word_size=16, read_heads=1),
        OptimizerSettings(learning_rate=5e-3, schedule="plateau", patience=8, clip_norm=2.0),
    ),
}
"""The presets by name."""


def interface_commands() -> dict[str, Command]:
    """`train NAME` of each learned interface."""
    return {name: command(_interface_command(name, preset)) for name, preset in INTERFACE_PRESETS.items()}


def train_environment(
    *,
    task: OmitArgPrefixes[GymSettings] = GymSettings(),
    model: OmitArgPrefixes[ModelOptions] = ModelOptions(
        hidden=64, memory_size=16, word_size=16, read_heads=1
    ),
    reinforcement: OmitArgPrefixes[ReinforcementSettings] = ReinforcementSettings(batch=32, entropy=0.01),
    training: OmitArgPrefixes[TrainingSettings] = TrainingSettings(steps=2000, report_every=50),
    optimizer: OmitArgPrefixes[OptimizerSettings] = OptimizerSettings(
        learning_rate=3e-3, schedule="constant", clip_norm=2.0
    ),
    session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
) -> Callable[[Workers], None]:
    """Act in an environment of Gymnasium's interface, one of its own or of yours (needs gymnasium).

    numdnc train environment --env examples/memory_environments.py:t_maze --goal 1
    """
    new = EnvironmentRun.prepare(task, reinforcement, seed=training.seed)
    custom = task.env if is_function(task.env) else None
    return plan_training(new, model, training, optimizer, session, custom)


def train_shrdlu(
    *,
    task: OmitArgPrefixes[Shrdlu] = Shrdlu(),
    model: OmitArgPrefixes[ModelOptions] = _SHRDLU_MODEL,
    reinforcement: OmitArgPrefixes[ImitationSettings] = _BY_LESSONS,
    training: OmitArgPrefixes[TrainingSettings] = _SHRDLU_TRAINING,
    optimizer: OmitArgPrefixes[OptimizerSettings] = OptimizerSettings(
        learning_rate=2e-3, schedule="plateau", clip_norm=10.0
    ),
    session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
) -> Callable[[Workers], None]:
    """Move numbered blocks until they lie as one of several goals says (mini-SHRDLU, Graves et al. 2016).

    By imitation of the best moves; with --no-imitate from rewards alone, by policy gradient or, with --trials, by trial
    of every move; --published takes the settings of the paper. What was measured so far: docs/results/shrdlu.md.
    """
    model, training = adapt(model, training, _SHRDLU_MODEL, _SHRDLU_TRAINING)
    new = ShrdluRun.prepare(task, reinforcement, seed=training.seed)
    return plan_training(new, model, training, optimizer, session)


PUBLISHED_SHRDLU: dict[str, Any] = {
    "model": ModelOptions(hidden=250, layers=2, memory_size=32, word_size=100, read_heads=3),
    "reinforcement": dataclasses.replace(
        _BY_LESSONS, grow_from=1, imitate=False, critic="same", trace_decay=0.75, entropy=0.5
    ),
    "training": TrainingSettings(steps=500_000, report_every=400),
    "optimizer": OptimizerSettings(
        optimizer="rmsprop", learning_rate=3e-5, schedule="constant", clip_norm=0, clip_value=10
    ),
}
"""The settings of the paper; it does not give the momentum, nor the number of steps."""


def _interface_command(name: str, preset: InterfacePreset) -> Callable[..., Any]:
    """A command whose options are the preset's, the task's settings among them."""

    def train(
        *,
        task: Any = preset.interface,
        model: OmitArgPrefixes[ModelOptions] = preset.model,
        reinforcement: OmitArgPrefixes[ReinforcementSettings] = preset.settings,
        training: OmitArgPrefixes[TrainingSettings] = preset.training,
        optimizer: OmitArgPrefixes[OptimizerSettings] = preset.optimizer,
        session: OmitArgPrefixes[SessionOptions] = SessionOptions(),
    ) -> Callable[[Workers], None]:
        model, training = adapt(model, training, preset.model, preset.training)
        new = InterfaceRun.prepare(name, task, reinforcement, seed=training.seed)
        return plan_training(new, model, training, optimizer, session)

    without_prefix: Any = OmitArgPrefixes
    train.__annotations__["task"] = without_prefix[type(preset.interface)]
    train.__doc__ = f"{preset.summary}\n\n{preset.expect}"
    return train
