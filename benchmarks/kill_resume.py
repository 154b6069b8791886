"""Proof that a killed training loses nothing: SIGKILL at random moments, resume, compare with a run left alone.

    python benchmarks/kill_resume.py --kills 20

Half of the kills come at a random moment, half at the next moment after it at which a file is being written. After
each kill both checkpoints must be whole. At the end parameters, optimizer, state, place in the text, best checkpoint
and every reported score must be the same, bit for bit, as those of the run that was never killed. Exit code 0 or 1.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from numdnc.training.checkpoint import load_checkpoint

TEXT = "".join(f"{a} times {b} is {a * b}; {a} and {b} is {a + b}.\n" for a in range(12) for b in range(12))
SIZES = (
    "--hidden 12 -N 6 -W 5 -R 2 --batch 4 --window 12 --score-limit 200 --report-every 10 --sample-every 0"
)
TIMES = ("seconds", "per_second", "seconds_left")
LONGEST_WAIT = 1.0
"""Seconds to wait for a file being written, before a kill comes without."""


class Plan(NamedTuple):
    """What is trained."""

    text: Path
    model: str
    steps: int

    def start(self, folder: Path) -> "subprocess.Popen[str]":
        """Start the training in `folder`, or resume it where there is a checkpoint."""
        if (folder / "last.safetensors").exists():
            words = ["resume", str(folder), "--sample-every", "0"]
        else:
            words = ["train", "text", "-c", str(self.text), "-m", self.model, *SIZES.split()]
            words += ["--steps", str(self.steps), "--out", str(folder)]
        return subprocess.Popen(
            [sys.executable, "-m", "numdnc", *words],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )


def run_to_end(plan: Plan, folder: Path) -> tuple[float, float]:
    """Train undisturbed; seconds until the program began to train, and from there to its end."""
    began = time.perf_counter()
    process = plan.start(folder)
    assert process.stdout
    process.stdout.readline()
    ready = time.perf_counter()
    process.communicate()
    if process.returncode:
        sys.exit(f"FAIL: the training ended with exit code {process.returncode}")
    return ready - began, time.perf_counter() - ready


def kill_once(plan: Plan, folder: Path, moment: float, *, in_writing: bool) -> bool:
    """Start or resume, kill after `moment` seconds; whether there was still a process to kill."""
    began = time.perf_counter()
    process = plan.start(folder)
    time.sleep(moment)
    while in_writing and time.perf_counter() - began < moment + LONGEST_WAIT and not leftovers(folder):
        pass
    alive = process.poll() is None
    process.kill()
    process.communicate()
    return alive


def leftovers(folder: Path) -> list[str]:
    """Files that were being written."""
    return [name for name in os.listdir(folder) if name.startswith(".")] if folder.exists() else []  # noqa: PTH208


def describe(folder: Path) -> tuple[int, str]:
    """Iteration of the last checkpoint (-1 if there is none), and all that is on disk; a damaged one raises."""
    found, iteration = [], -1
    for name in ("last", "best"):
        if (path := folder / f"{name}.safetensors").exists():
            found.append(f"{name} at {load_checkpoint(path)[1]['iteration']}")
            iteration = load_checkpoint(path)[1]["iteration"] if name == "last" else iteration
    metrics = folder / "metrics.jsonl"
    if metrics.exists():
        *lines, rest = metrics.read_bytes().split(b"\n")
        found.append(f"metrics with {len(lines)} lines{' and a torn one' if rest else ''}")
    found += [f"half-written {name}" for name in leftovers(folder)]
    return iteration, ", ".join(found) or "nothing"


def contents(folder: Path) -> dict[str, Any]:
    """Everything about a finished run that must not depend on how often it was killed."""
    result: dict[str, Any] = {"files": sorted(path.name for path in folder.iterdir())}
    for name in ("last", "best"):
        arrays, metadata = load_checkpoint(folder / f"{name}.safetensors")
        metadata.pop("seconds")
        result |= {f"{name}: {key}": (array.dtype, array.tobytes()) for key, array in arrays.items()}
        result |= {f"{name}: {key}": value for key, value in metadata.items()}
    for number, line in enumerate((folder / "metrics.jsonl").read_text().splitlines(), 1):
        record = json.loads(line)
        result[f"metrics, line {number}"] = {key: value for key, value in record.items() if key not in TIMES}
    return result


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What is not the same in both."""
    return [key for key in {**one, **other} if key not in one or key not in other or one[key] != other[key]]


def prove(plan: Plan, folder: Path, kills: int, seed: int) -> bool:
    """Train once straight and then, with kills, as often as it takes; whether all came out the same."""
    rng = random.Random(seed)
    startup, training = run_to_end(plan, folder / "straight")
    expected = contents(folder / "straight")
    print(
        f"{plan.model}, {plan.steps} iterations: {startup:.2f} s to start, {training:.2f} s to train, undisturbed"
    )
    done, runs, same = 0, 0, True
    while done < kills:
        runs += 1
        place = folder / f"killed-{runs}"
        while done < kills:
            in_writing = done % 2 == 1
            moment = startup * rng.uniform(0.4, 1.0) + rng.uniform(0.0, 1.6) * training / kills
            if not kill_once(plan, place, moment, in_writing=in_writing):
                break
            done += 1
            iteration, found = describe(place)
            aimed = ", then at the next write" if in_writing else ""
            print(
                f"kill {done:3d}: after {moment:.2f} s{aimed}; iteration {max(0, iteration)}; on disk: {found}"
            )
            if iteration == plan.steps:
                break
        if describe(place)[0] < plan.steps:
            run_to_end(plan, place)
        wrong = differences(expected, contents(place))
        same = same and not wrong
        verdict = (
            f"DIFFERS from the straight one in {', '.join(wrong)}"
            if wrong
            else "is the straight one, bit for bit"
        )
        print(f"run {runs}: {verdict}")
    print(f"{'pass' if same else 'FAIL'}: {done} kills in {runs} run{'s' if runs > 1 else ''}")
    return same


def main() -> None:
    """Parse the command line and exit with the verdict."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="settles the moments, as far as clocks allow")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--model", default="dnc", choices=("rnn", "lstm", "dnc"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        text = Path(temporary, "text.txt")
        text.write_text(TEXT)
        same = prove(Plan(text, options.model, options.steps), Path(temporary), options.kills, options.seed)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
