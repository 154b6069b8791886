"""A command's function as tyro is to see it."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from tyro.conf import DisallowNone, PositionalMetavarFromFieldName

CONFIG: tuple[Any, ...] = (DisallowNone, PositionalMetavarFromFieldName)
"""How options are written: none is given as the word None, and what has no name is called as the parameter."""


def lazy_call(function: Callable[..., Any], hints: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """A function of the same parameters that gives the call and makes it not; its types are `hints`, if given."""

    def defer(**given: Any) -> Any:
        return functools.partial(function, **given)

    described: Any = defer
    described.__signature__ = inspect.signature(function)
    described.__annotations__ = get_type_hints(function, include_extras=True) if hints is None else hints
    # tyro keeps some breaks of the lines that go on with what an argument is.
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
