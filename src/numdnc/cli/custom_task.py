"""A task that somebody wrote: `FILE.py:CLASS`, or `MODULE:CLASS`, as Python finds it or in the current folder."""

import dataclasses
import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numdnc.cli.consent import split_source
from numdnc.cli.options import ModelOptions
from numdnc.cli.training import SessionOptions
from numdnc.errors import UserError
from numdnc.inspection.task_plot import plot_text
from numdnc.params import Array
from numdnc.tasks import Batch
from numdnc.tasks.sequence_task import SequenceSettings
from numdnc.tasks.sequences import SequenceGenerator, optional_attribute
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings

_TAKEN = {
    field.name
    for options in (ModelOptions, SequenceSettings, TrainingSettings, OptimizerSettings, SessionOptions)
    for field in dataclasses.fields(options)
}
"""The options of `train`, which a task's settings stand beside."""


def load_task_class(source: str) -> type[SequenceGenerator]:
    """The class of somebody's task, with everything checked that can be without drawing from it."""
    module_name, name = split_source(source)
    kind = getattr(_module(module_name), name, None)
    if kind is None:
        raise UserError(f"the module {module_name} must hold {name!r}, got none such. Check its name.")
    parameters = getattr(kind, "__dataclass_params__", None)
    if not isinstance(kind, type) or parameters is None or not parameters.frozen:
        raise UserError(
            f"{source} must be a frozen dataclass, got something else. Put @dataclass(frozen=True) on it."
        )
    for offered in ("draw", "input_size", "output_size"):
        if not hasattr(kind, offered):
            raise UserError(
                f"{source} must offer draw, input_size and output_size, got no {offered}. Write it."
            )
    _check_fields(source, kind)
    try:
        _check_example(source, kind())
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - a third party's class may fail in any way
        raise UserError(
            f"{source} must be made from its defaults and tell its sizes, got {type(error).__name__}: {error}. Fix it."
        ) from None
    return kind


def _module(name: str) -> Any:
    file = Path(name).resolve() if name.endswith(".py") else None
    here = str(Path.cwd() if file is None else file.parent)
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name) if file is None else _from_file(file)
    except Exception as error:  # noqa: BLE001 - a third party's module may fail in any way
        missing = isinstance(error, FileNotFoundError if file else ModuleNotFoundError)
        missing = missing and (file is not None or getattr(error, "name", None) == name)
        raise UserError(
            f"a task of your own must be MODULE:CLASS, the module one that can be imported here, or FILE.py:CLASS, "
            f"got {name!r}: {'there is none' if missing else f'{type(error).__name__}: {error}'}. "
            "Go to its folder, or give the file's path."
        ) from None


def _from_file(file: Path) -> Any:
    """The module that a file makes, once a process."""
    name = f"numdnc_custom_{hashlib.sha256(str(file).encode()).hexdigest()}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} is no file of Python")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up there
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _check_fields(source: str, kind: Any) -> None:
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING or not isinstance(field.default, bool | int | float | str):
            raise UserError(
                f"each field of {source} must have a number, a boolean or a string as its default, "
                f"got {field.name}, which has not. Give it one."
            )
        if field.name in _TAKEN:
            raise UserError(
                f"a field of {source} must have a name of its own, got {field.name}, an option of `train`. "
                "Name it otherwise."
            )


def _check_example(source: str, example: Any) -> None:
    for side in ("input", "output"):
        size = getattr(example, f"{side}_size")
        if not isinstance(size, int) or size < 1:
            raise UserError(f"{side}_size of {source} must be a whole number of at least 1, got {size!r}.")
        if len(channels(example, side)) != size:
            raise UserError(
                f"{side}_channels of {source} must be {size} names, one a channel, "
                f"got {len(channels(example, side))}. Fix it or leave it out."
            )


def sequence_lines(
    episodes: SequenceGenerator, batch: Batch, outputs: Array, gates: Mapping[str, Array] | None = None
) -> str:
    """The first sequence of a batch and what a model makes of it: in words of the task, else as a picture."""
    describe = optional_attribute(episodes, "describe")
    if describe is not None:
        return str(describe(batch, outputs, 0))
    return plot_text(batch, outputs, 0, channels(episodes, "input"), channels(episodes, "output"), gates)


def settings_of(episodes: SequenceGenerator) -> dict[str, Any]:
    """The settings of a task, as they are where they can be left to something else, such as a lesson."""
    found: Any = getattr(episodes, "resolved_settings", None) or dataclasses.asdict(episodes)  # type: ignore[call-overload]
    return dict(found)


def channels(episodes: SequenceGenerator, side: str) -> tuple[str, ...]:
    """Names of the input or output channels; numbers if the task names none."""
    given = getattr(episodes, f"{side}_channels", None)
    return given or tuple(f"{side} {i}" for i in range(getattr(episodes, f"{side}_size")))
