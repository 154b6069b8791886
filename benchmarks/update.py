"""Time whole updates of a training, and their parts, at the shapes of `numdnc bench`.

    python benchmarks/update.py [--shapes char ..] [--threads 1] [--updates 60] [--cpu-time]

An update draws a batch, runs forward, loss and backward, clips the gradient and lets the optimizer (Adam) move the
parameters. `char`, `copy`, `repeat` and `traversal` draw from the task they are named after; the other shapes draw
random symbols. Medians in ms; `rest` is clipping, the optimizer and the loop. The last column is the whole update
relative to forward + backward. --cpu-time: processor time of the main thread, which other processes disturb less; use
it with one thread.
"""

import argparse
import string
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from numdnc.data import Corpus
from numdnc.engines.cpu import CPUEngine
from numdnc.formatting import format_table
from numdnc.inspection.benchmark import SHAPES, Shape
from numdnc.tasks import Batch
from numdnc.tasks.bits import Copy, RepeatCopy
from numdnc.tasks.graphs import Traversal
from numdnc.tasks.sequence_task import SequenceSettings, SequenceTask
from numdnc.tasks.text import TextSettings, TextTask
from numdnc.training.folder import RunFolder
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, new_run

PARTS = ("draw", "forward", "loss", "backward")
FIRST_UPDATES = 3
"""Updates that are not counted, the first of which may compile."""


class Symbols(NamedTuple):
    """A `SequenceGenerator` of random symbols and classes."""

    input_size: int
    output_size: int
    steps: int
    repeats: bool = False

    def draw(self, rng: np.random.Generator, batch: int) -> Batch:
        """`batch` new sequences."""
        size = (self.steps, batch)
        return Batch(rng.integers(0, self.input_size, size), rng.integers(0, self.output_size, size))


def make_task(name: str, shape: Shape) -> Any:
    """A task whose batches have this shape, up to a few steps."""
    if name == "char":
        letters = np.frombuffer(string.printable[: shape.input_size].encode(), np.uint8)
        text = np.random.default_rng(0).choice(letters, 100_000).tobytes()
        return TextTask(Corpus("random", text), TextSettings(batch=shape.batch, window=shape.steps), 0)
    generators = {
        "copy": Copy(width=4, min_length=21, max_length=21, end_marker=True),
        "repeat": RepeatCopy(width=6, min_length=9, max_length=9, min_repeats=3, max_repeats=3),
        "traversal": Traversal(min_nodes=24, max_nodes=24, min_path=18, max_path=18),
    }
    generator = generators.get(name) or Symbols(shape.input_size, shape.output_size, shape.steps)
    return SequenceTask(name, generator, SequenceSettings(batch=shape.batch), 0)


class Clocked:
    """Times the parts of each update."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.seconds = dict.fromkeys(PARTS, 0.0)

    def wrap(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time is counted as that part's."""

        def timed(*arguments: Any, **options: Any) -> Any:
            began = self.clock()
            result = function(*arguments, **options)
            self.seconds[part] += self.clock() - began
            return result

        return timed


def measure(name: str, threads: int, updates: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median seconds of the parts of an update and of the rest, and the ratio."""
    shape, clocked = SHAPES[name], Clocked(clock)
    task, engine = make_task(name, shape), CPUEngine(threads)
    task.next_batch = clocked.wrap("draw", task.next_batch)
    task.loss = clocked.wrap("loss", task.loss)
    engine.forward = clocked.wrap("forward", engine.forward)  # type: ignore[method-assign]
    engine.backward = clocked.wrap("backward", engine.backward)  # type: ignore[method-assign]

    class ClockedRun(Run):
        @property
        def engine(self) -> Any:
            return engine

    training = TrainingSettings(steps=10**9, report_every=10**9)
    run = new_run(
        *(shape.spec, training, OptimizerSettings()),
        task={"name": name},
        position=task.position(),
        batch=shape.batch,
        engine="cpu",
    )
    run.__class__ = ClockedRun  # a run looks its engine up by name, which would give the one without clocks
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        events, before = train(run, task, RunFolder(Path(folder))), clock()
        for _ in islice(events, FIRST_UPDATES + updates):
            now = clock()
            found.append({**clocked.seconds, "update": now - before})
            clocked.seconds, before = dict.fromkeys(PARTS, 0.0), clock()
    for each in found:
        each["rest"] = each["update"] - sum(each[part] for part in PARTS)
        each["ratio"] = each["update"] / (each["forward"] + each["backward"])
    return {part: median(each[part] for each in found[FIRST_UPDATES:]) for part in found[0]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    clock = time.thread_time if options.cpu_time else time.perf_counter
    columns = (*PARTS, "rest", "update")
    rows = [["shape", *columns, "update / (forward + backward)"]]
    for name in options.shapes:
        found = measure(name, options.threads, options.updates, clock)
        rows.append([name, *(f"{1e3 * found[part]:.3f}" for part in columns), f"{found['ratio']:.2f}"])
    print(format_table(rows))


if __name__ == "__main__":
    main()
