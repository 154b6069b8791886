"""Functions of commands, changed so that tyro parses their options."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from tyro.conf import DisallowNone, PositionalMetavarFromFieldName

CONFIG: tuple[Any, ...] = (DisallowNone, PositionalMetavarFromFieldName)
"""Settings of tyro: no option takes the word None, and a positional argument is named after its parameter."""


def lazy_call(function: Callable[..., Any], hints: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """A function with the same parameters that returns the call without making it; `hints` replace its types."""

    def defer(**given: Any) -> Any:
        return functools.partial(function, **given)

    described: Any = defer
    described.__signature__ = inspect.signature(function)
    described.__annotations__ = get_type_hints(function, include_extras=True) if hints is None else hints
    # Join continued lines, whose line breaks tyro would keep.
    described.__doc__ = re.sub(r"\n {8,}", " ", inspect.getdoc(function) or "")
    return defer


def with_defaults(function: Callable[..., Any], **defaults: Any) -> Callable[..., Any]:
    """The same function with other defaults of some parameters."""

    @functools.wraps(function)
    def same(**given: Any) -> Any:
        return function(**given)

    described: Any = same
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(default=defaults.get(name, parameter.default))
        for name, parameter in signature.parameters.items()
    ]
    described.__signature__ = signature.replace(parameters=parameters)
    return same
