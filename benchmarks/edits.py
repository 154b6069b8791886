"""CPU time of the inspector's page for an edit, until all that the window shows is drawn again.

    python benchmarks/edits.py

It needs a Chromium on the path and the packages of the tests. The trace has 100 steps, 64 slots and four read heads.
The time is that of the main thread of the page, so that other processes count little.
"""

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from browser import chromium
from browser.chromium import Page
from browser.test_edits import model, shown
from numdnc import DNCSpec

EDITS = 20
SPEC = DNCSpec(input_size=10, output_size=8, hidden_sizes=(64,), memory_size=64, word_size=16, read_heads=4)
DRAWN = "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 60)))"


def main() -> None:
    params, _, trace = model(SPEC, steps=100)
    program = chromium.find()
    if program is None:
        sys.exit("a Chromium must be on the path, found none. Install one.")
    with tempfile.TemporaryDirectory() as folder, chromium.browser(program, Path(folder) / "profile") as page:
        shown(page, Path(folder), trace, params, width=1280)
        page._call("Performance.enable", timeDomain="threadTicks")
        page.run("document.getElementById('what-if').open = true")
        nothing = statistics.median(thread_time(page, "0") for _ in range(EDITS))
        for step in (0, 50):
            page.run("numdnc.reset()")
            gate = f"{{name: 'write_gate', index: [], value: Math.random(), words: '', first: {step}, last: {step}}}"
            times = [thread_time(page, f"numdnc.edit({gate})") - nothing for _ in range(EDITS + 1)]
            median, worst = statistics.median(times[1:]), max(times[1:])
            said = f"median {median:.0f} ms of {EDITS} edits, at most {worst:.0f}; the first {times[0]:.0f}"
            sys.stdout.write(f"step {step}: {said}\n")


def thread_time(page: Page, code: str) -> float:
    """Milliseconds of CPU time of the page's main thread for this code and the drawing that follows."""

    def total() -> float:
        found = page._call("Performance.getMetrics")["metrics"]
        return next(float(metric["value"]) for metric in found if metric["name"] == "ThreadTime")

    before = total()
    page.run(f"new Promise((done) => {{ {code}; {DRAWN}; }})")
    return 1000 * (total() - before)


if __name__ == "__main__":
    main()
