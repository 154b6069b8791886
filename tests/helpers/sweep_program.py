"""A stand-in for `numdnc` in tests of sweeps: `train ..` and `resume FOLDER` that save runs but compute nothing.

It notes what it was called with, when it begins and when it ends in journal.txt in the working folder. What `train` is
told to learn says what happens:

    easy    the run is solved half-way to --steps, with a held-out score of (seed + 1) / 10
    hard    it reaches --steps unsolved
    pairs   as easy, but each run waits until two have begun
    bad     seed 1 goes wrong after a report at iteration 1; with a file mended.txt, it goes as hard
    silent  seed 1 dies of a signal without a word, before anything is saved
    wrong   the options are refused, in a box
    patient it saves at iteration 1, then waits to be told to stop, saves and says so by 130
    halts   it stops at iteration 1 as if its time was over; when resumed, as hard
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from patience import PATIENCE

from numdnc import RNNSpec
from numdnc.training.distributed import ENVIRONMENT
from numdnc.training.folder import RunFolder
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings, new_run

JOURNAL = Path("journal.txt")


def note(*words: object) -> None:
    with JOURNAL.open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


def save(run: Any, folder: RunFolder, iteration: int, **scores: float) -> None:
    run.iteration, run.seconds = iteration, iteration / 10
    folder.append_metrics({"iteration": iteration, **scores})
    folder.save_last(run)


def wait_until(come: Callable[[], bool]) -> None:
    """Not for ever, so that nothing lives on after a test that failed."""
    until = time.monotonic() + PATIENCE
    while not come():
        if time.monotonic() > until:
            sys.exit(3)
        time.sleep(0.02)


def main(holding: ExitStack) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("what")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--hidden", type=int)
    parser.add_argument("--start-from")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--track")
    parser.add_argument("--tensorboard", action="store_true")
    parser.add_argument("--links", action=argparse.BooleanOptionalAction)
    given = parser.parse_args()
    note("begin", os.environ["NUMDNC_THREADS"], *sys.argv[1:])
    for name in ENVIRONMENT:
        if name in os.environ:
            note("beside", name)
    if given.command == "resume":
        folder = RunFolder(Path(given.what))
        holding.enter_context(folder.lock())
        run = folder.load_last()
        what = "hard" if run.task["name"] == "halts" else run.task["name"]
    else:
        folder, what = RunFolder(given.out), given.what
        if what == "wrong":
            sys.stderr.write(
                "╭─ Unrecognized ─╮\n│ Unrecognized options: --x │\n│ ── │\n│ For help │\n╰───╯\n"
            )
            return 2
        if what == "silent" and given.seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        spec = RNNSpec(input_size=1, output_size=1, hidden_sizes=(1,))
        training = TrainingSettings(steps=given.steps, seed=given.seed)
        words: dict[str, Any] = {"name": what}
        run = new_run(spec, training, OptimizerSettings(), task=words, position={}, batch=1, engine="cpu")
        holding.enter_context(folder.create_locked(run))
    score = (run.training.seed + 1) / 10
    if what == "pairs":
        wait_until(lambda: JOURNAL.read_text().count("begin") >= 2)
    elif what in ("patient", "halts", "bad"):
        save(run, folder, 1, held_out=score)
    if what == "halts":
        return 0
    if what == "bad" and run.training.seed == 1 and not Path("mended.txt").exists():
        sys.stderr.write("error: training must stay finite, but loss is not, at iteration 2.\n")
        return 2
    if what == "patient":
        told: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
        note("ready", os.getpid())
        wait_until(lambda: bool(told))
        time.sleep(0.3)  # in which a sweep that tells its runs more than once would do so
        save(run, folder, 2, held_out=score)
        note("told", len(told))
        return 130
    if what in ("easy", "pairs"):
        run.solved_iteration, run.solved_seconds = run.target // 2, run.target / 20
        save(run, folder, run.target // 2, held_out=score, sequence_error=0.0)
    else:
        save(run, folder, run.target, held_out=score)
    note("end", folder.path.name)
    return 0


if __name__ == "__main__":
    with ExitStack() as stack:
        sys.exit(main(stack))
