"""Convert JSON from files to objects of declared types, and refuse what does not fit.

Types are dataclasses or named tuples; msgspec checks values against them. Unknown names are refused.
"""

import json
import math
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from numdnc.errors import UserError
from numdnc.input_files import read_file
from numdnc.names import quoted
from numdnc.spec import SPECS, Spec

Described = TypeVar("Described")

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""An integer from 0 that a float represents exactly."""
Size = Annotated[int, msgspec.Meta(ge=1, le=2**31)]
"""An integer from 1, the size of something in memory."""
Finite = Annotated[float, msgspec.Meta(ge=-1.7e308, le=1.7e308)]
"""Neither NaN nor infinite."""
DEEPEST = 32
"""Most levels of nesting in JSON; ours has 6."""


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; ValueError if it is invalid, nested too deep, or has numbers of too many digits."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    level, below = 0, [value]
    while below:
        level += 1
        if level > DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST} levels")
        below = [entry for part in below for entry in _entries(part)]
    return value


def read_json(path: Path, kind: type[Described], most: int, must: str) -> Described:
    """A file of JSON, of at most `most` bytes, as a `kind`; a UserError says that the file must be or hold that."""
    try:
        return validated(kind, parse_json(read_file(path, most)))
    except OSError as error:
        raise UserError(
            f"{path} must be readable, got: {error.strerror}. Check the path and its permissions."
        ) from None
    except (ValueError, UserError) as error:
        raise UserError(f"{path} must {must}, got something else ({error}). Make it again.") from None


def json_text(value: Any, **options: Any) -> str:
    """A value as standard JSON: null stands for each number that is NaN or infinite."""
    return json.dumps(_without_nan(value), allow_nan=False, **options)


def validated(kind: type[Described], value: Any) -> Described:
    """Convert parsed JSON to a `kind`; UserError names the part that has another type, is unknown or is missing.

    Lists become tuples where `kind` has tuples. A UserError of `__post_init__` is passed on.
    """
    try:
        made = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).replace("`", "").partition(" - at ")
        raise UserError(f"{where.removeprefix('$.') or 'it'}: {what[:200]}") from None
    unknown = _unknown(value, msgspec.to_builtins(made), "$")
    if unknown is not None:
        raise UserError(f"unknown name {quoted(unknown)}")
    return made


def validated_spec(stored: dict[str, Any]) -> Spec:
    """The spec that JSON describes; "kind" gives its class."""
    kind = SPECS.get(str(stored.get("kind")))
    if kind is None:
        raise UserError(f"the kind of model is {quoted(str(stored.get('kind')))}, none of {', '.join(SPECS)}")
    return validated(kind, {name: value for name, value in stored.items() if name != "kind"})


def _entries(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _unknown(given: Any, known: Any, at: str) -> str | None:
    """Path of a name in `given` that `known`, which was made from it, lacks; None if there is none."""
    if isinstance(given, list) and isinstance(known, list | tuple):
        entries = zip(given, known, strict=False)
        unknown = (_unknown(*pair, f"{at}[{number}]") for number, pair in enumerate(entries))
        return next(filter(None, unknown), None)
    if not isinstance(given, dict) or not isinstance(known, dict):
        return None
    for name, value in given.items():
        if name not in known:
            return f"{at}.{name}"
        if found := _unknown(value, known[name], f"{at}.{name}"):
            return found
    return None


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
