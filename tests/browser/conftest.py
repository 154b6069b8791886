"""The browser that shows pages of the inspector, and a trace to show."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import chromium
from browser.chromium import Page
from browser.inspector import Show
from helpers.traces import bits_trace, plain_origin
from numdnc.inspection.provenance import NONE
from numdnc.inspection.trace import Trace
from numdnc.inspection.viewer import export


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page in a headless Chromium; tests that take it are skipped where there is none."""
    program = chromium.find()
    if program is None:
        pytest.skip("no Chromium on the path")
    with chromium.browser(program, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def show(browser: Page, tmp_path: Path) -> Iterator[Show]:
    """Open a trace's page; in the end it must have asked for nothing but itself and complained of nothing."""
    file = tmp_path / "trace.html"

    def opened(trace: Trace, **options: Any) -> Page:
        file.write_text(export.page(trace), "utf-8")
        browser.open(file, **options)
        return browser

    yield opened
    assert browser.complaints == []
    assert {url.partition(":")[0] for url in browser.requests} <= {"file", "data"}
    assert [url for url in browser.requests if url.startswith("file")] == [file.as_uri()]


@pytest.fixture(scope="module")
def trace() -> Trace:
    """Twelve steps, six slots, two heads, with reads that come from earlier writes."""
    found = bits_trace(seed=3)
    earlier = [
        plain_origin(found.arrays, step, 0, False)[1] not in (NONE, step) for step in range(found.steps)
    ]
    assert any(earlier)
    return found
