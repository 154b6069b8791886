"""What tests of the inspector do to a page: find cells, read what it says and what it draws."""

import json
from collections.abc import Callable

import numpy as np

from browser.chromium import Page
from helpers.traces import plain_origin
from numdnc.inspection.provenance import NONE
from numdnc.inspection.trace import Trace

Show = Callable[..., Page]
"""Opens a trace."""
DIGITS = 1e-3
"""Relative error of what is shown: three digits hold."""


def readout(page: Page) -> str:
    found: str = page.run("document.getElementById('readout').textContent")
    return found


def place(page: Page, panel: str, row: int, step: int) -> tuple[float, float]:
    """Where a cell is in the window, scrolled to."""
    call = f"numdnc.placeOf({json.dumps(panel)}, {row}, {step})"
    _, y = page.run(call)
    page.run(f"window.scrollBy(0, {y} - window.innerHeight / 2)")
    page.settle()
    x, y = page.run(call)
    return x, y


def pixels(page: Page, canvas: str, cells: list[tuple[str, int, int]], right: int = 0) -> list[list[int]]:
    """Red, green, blue and opacity of a canvas so many pixels to the right of each cell's middle."""
    found: list[list[int]] = page.run(
        f"((cells) => {{ const canvas = document.querySelector({json.dumps(canvas)});"
        " const box = canvas.getBoundingClientRect();"
        " const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        " return cells.map(([panel, row, step]) => { const [x, y] = numdnc.placeOf(panel, row, step);"
        f" const across = Math.floor(x - box.left) + {right};"
        " const start = 4 * (Math.floor(y - box.top) * canvas.width + across);"
        f" return [...data.slice(start, start + 4)]; }}); }})({json.dumps(cells)})"
    )
    return found


def fold_out(page: Page) -> None:
    """Open every panel."""
    page.run("document.querySelectorAll('.fold[aria-expanded=false]').forEach((button) => button.click())")
    page.settle()


def some_read(trace: Trace) -> tuple[int, int, int, int]:
    """Step, head, slot and write of a read of something written before."""
    for step, head in np.ndindex(trace.steps, 2):
        slot, write = plain_origin(trace.arrays, step, head, False)
        if write not in (NONE, step):
            return step, head, slot, write
    raise AssertionError("no read of the past")


def corner_of(page: Page, name: str) -> tuple[float, float]:
    """Where a canvas begins in the window, scrolled to."""
    page.run(f"document.getElementById('{name}').scrollIntoView({{block: 'center'}})")
    page.settle()
    box = page.run(f"document.getElementById('{name}').getBoundingClientRect().toJSON()")
    return box["left"], box["top"]
