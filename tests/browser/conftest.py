"""The browser that shows pages of the inspector."""

from collections.abc import Iterator

import pytest

from browser import chromium
from browser.chromium import Page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page in a headless Chromium; tests that take it are skipped where there is none."""
    program = chromium.find()
    if program is None:
        pytest.skip("no Chromium on the path")
    with chromium.browser(program, tmp_path_factory.mktemp("profile")) as page:
        yield page
