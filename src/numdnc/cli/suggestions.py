"""Suggest what was meant by an option or a command that does not exist."""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from tyro.conf import Positional

from numdnc.cli.options import ModelOptions
from numdnc.cli.presets import PRESETS
from numdnc.cli.training import SessionOptions
from numdnc.names import closest_names
from numdnc.tasks.arrays import ArraySettings
from numdnc.tasks.babi import BabiSettings
from numdnc.tasks.babi.stream import StreamSettings
from numdnc.tasks.molecules import MoleculeSettings, ReinventSettings
from numdnc.tasks.reinforcement_task import ReinforcementSettings
from numdnc.tasks.sequence_task import SequenceSettings
from numdnc.tasks.text import TextSettings
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings

_POSITIONAL: Any = Positional
TRAIN_OPTIONS = (
    ModelOptions,
    TextSettings,
    BabiSettings,
    StreamSettings,
    MoleculeSettings,
    ReinventSettings,
    ArraySettings,
    SequenceSettings,
    ReinforcementSettings,
    TrainingSettings,
    OptimizerSettings,
    SessionOptions,
)
"""The dataclasses of the options of `train`, besides those of a single task."""
OTHER_NAMES = {"epochs": "steps", "iterations": "steps", "iters": "steps", "gpu": "device", "cuda": "device"}
"""Names that other programs use for our options."""


def closest_word(word: str, known: Collection[str]) -> str | None:
    """The known word closest to this one: the same, one with these initials, one of its parts, or a similar one."""
    for match in (
        OTHER_NAMES.get(word),
        next((name for name in known if len(word) > 1 and _initials(name) == word), None),
        *closest_names(word, known, 1, 0.75),
        next((name for name in known if name in word.split("-") or word in name.split("-")), None),
        *closest_names(word, known, 1, 0.6),
    ):
        if match in known:
            return match
    return None


def _initials(name: str) -> str:
    return "".join(part[0] for part in name.split("-") if part)


def option_flags(function: Callable[..., Any]) -> dict[str, list[str]]:
    """Parameter of a command, or field of one -> how the option is written, such as --hidden and -H."""
    found: dict[str, list[str]] = {}
    hints = get_type_hints(function, include_extras=True)
    for name in inspect.signature(function).parameters:
        hint = hints[name]
        kind, *rest = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if _POSITIONAL in rest:
            continue
        if dataclasses.is_dataclass(kind):
            found |= option_flags(cast(Any, kind))
            continue
        written, aliases = name, list[str]()
        for configured in rest:
            written = getattr(configured, "name", None) or written
            aliases += getattr(configured, "aliases", None) or ()
        written = written.replace("_", "-")
        found[name] = [f"--{written}", *([f"--no-{written}"] if kind is bool else []), *aliases]
    return found


def _task_settings() -> set[str]:
    """The settings of all tasks in the presets."""
    tasks: list[Any] = [preset.generator for preset in PRESETS.values()]
    return {field.name for task in tasks for field in dataclasses.fields(task)}


def _training_options() -> set[str]:
    return {field.name for kind in TRAIN_OPTIONS for field in dataclasses.fields(kind)}


def unknown_option_error(function: Callable[..., Any], name: str, unknown: Sequence[str]) -> str:
    """The message for words that the command `name` does not know, with a suggestion for the first of them."""
    word, equals, value = unknown[0].partition("=")
    if not word.startswith("-"):
        return f"`numdnc {name}` must be given no more than its help names, got {unknown[0]!r} besides."
    written = option_flags(function)
    known = [
        option.lstrip("-") for options in written.values() for option in options if option.startswith("--")
    ]
    wanted = word.lstrip("-").replace("_", "-")
    if not equals and len(unknown) > 1 and not unknown[1].startswith("-"):
        value = unknown[1]
    settings = {field.replace("_", "-") for field in _task_settings()}
    set_by_set = "--set" in written.get("overrides", ())
    meant = ""
    if name == "sweep" and wanted in settings | {field.replace("_", "-") for field in _training_options()}:
        meant = " Options of `numdnc train` come after --."
    elif (near := closest_word(wanted, known)) and not (set_by_set and wanted in settings):
        meant = f" Did you mean --{near}?"
    elif set_by_set and (near := closest_word(wanted, sorted(settings))):
        meant = f" Change settings of the task by --set {near.replace('-', '_')}={value or 'VALUE'}."
    return f"an option must be one that `numdnc {name}` has, got {word}.{meant}"
