"""Code of a user's own, named `FILE.py:NAME`, or `MODULE:NAME` for a module that Python finds: custom tasks, scores."""

import dataclasses
import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

from numdnc.errors import UserError
from numdnc.tasks.sequences import SequenceGenerator, channel_names

_TASK = "a custom task must be MODULE:CLASS"
_SCORE = "the score must be MODULE:FUNCTION"
_SOURCE = re.compile(r"(?P<module>[\w.]+|([A-Za-z]:)?[^:\0]+\.py):(?P<name>\w+)")


def split_source(source: str, what: str = _TASK) -> tuple[str, str]:
    """Module, or path of a file that ends in .py, and name of MODULE:NAME, which names `what`."""
    found = _SOURCE.fullmatch(source)
    if found is None:
        kind = what.rpartition(":")[2]
        raise UserError(f"{what} or FILE.py:{kind}, got {source[:200]!r}. Name it so.")
    return found["module"], found["name"]


def public_source(source: str) -> str:
    """The source as a checkpoint stores it: of a file only its name, since its folder may be private."""
    module, name = split_source(source)
    return f"{PurePath(module).name}:{name}" if module.endswith(".py") else source


def load_task_class(source: str) -> type[SequenceGenerator]:
    """Import the class of a custom task and check it as far as that is possible without drawing from it."""
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


def load_function(source: str, what: str = _SCORE) -> Callable[..., Any]:
    """Import a function; `what` says what MODULE:FUNCTION is, for messages."""
    module_name, name = split_source(source, what)
    function = getattr(_module(module_name, what), name, None)
    if not callable(function):
        raise UserError(
            f"the module {module_name} must hold a function {name!r}, got "
            f"{'none such' if function is None else f'a {type(function).__name__}'}. Check its name."
        )
    return function  # type: ignore[no-any-return]


def _module(name: str, what: str = _TASK) -> Any:
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
            f"{what}, the module one that can be imported here, or FILE.py:{what.rpartition(':')[2]}, "
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


def _check_example(source: str, example: Any) -> None:
    for side in ("input", "output"):
        size = getattr(example, f"{side}_size")
        if not isinstance(size, int) or size < 1:
            raise UserError(f"{side}_size of {source} must be a whole number of at least 1, got {size!r}.")
        if len(channel_names(example, side)) != size:
            raise UserError(
                f"{side}_channels of {source} must be {size} names, one a channel, "
                f"got {len(channel_names(example, side))}. Fix it or leave it out."
            )
