"""Which cases of a test `make test` runs."""

from collections.abc import Container, Iterable
from typing import Any

import pytest


def thorough_but(core: Container[Any], values: Iterable[Any]) -> list[Any]:
    """The values as parameters of a test; those outside `core` have the marker `thorough`."""
    return [pytest.param(value, marks=() if value in core else pytest.mark.thorough) for value in values]
