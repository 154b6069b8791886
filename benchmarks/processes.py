"""Scaling of training from one process to several on this machine, in predictions per second.

    python benchmarks/processes.py                       # 1 and 2 processes
    python benchmarks/processes.py --counts 1 2 4 --rounds 5

Each process trains with one thread (NUMDNC_THREADS=1) on its share of the same batch. Every count is measured in every
round, in turn; the figure is the median over rounds of the medians of runs. The losses are compared too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from numdnc.machine import count_processors

SETUPS = {
    "text": (
        *("text", "--model", "dnc", "--hidden", "256", "-N", "32", "-W", "32", "-R", "4"),
        *("--batch", "32", "--window", "64", "--score-limit", "512"),
    ),
    "copy": (
        "copy",
        "--hidden",
        "128",
        "-N",
        "128",
        "-W",
        "32",
        "-R",
        "4",
        "--batch",
        "32",
        "--evaluated",
        "2",
    ),
}
"""What is trained; scoring is kept short, as it is part of the time between reports."""
REPORTS = 6
"""Of each run; the first, which loads the kernels, does not count."""


def train(count, words, report_every, folder):
    """Reports of a training on so many processes."""
    launch = ["-m", "numdnc"]
    if count > 1:
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), *launch]
    steps = [
        "--steps",
        str(REPORTS * report_every),
        "--report-every",
        str(report_every),
        "--sample-every",
        "0",
    ]
    done = subprocess.run(
        [sys.executable, *launch, "train", *words, *steps, "--engine", "cpu", "--out", str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "NUMDNC_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        sys.exit(done.stderr)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--report-every", type=int, default=20, help="iterations between two readings")
    options = parser.parse_args()
    print(f"{count_processors()} cores; {options.rounds} rounds; one thread a process; batch 32, shared")
    for name, words in SETUPS.items():
        speeds, losses = {count: [] for count in options.counts}, {}
        with tempfile.TemporaryDirectory() as place:
            train(1, words, 1, Path(place, "compiled"))
            for number in range(options.rounds):
                for count in options.counts:
                    reports = train(count, words, options.report_every, Path(place, f"{count}-{number}"))
                    speeds[count].append(statistics.median(line["per_second"] for line in reports[1:]))
                    losses[count] = [line["train"] for line in reports]
        first = statistics.median(speeds[options.counts[0]])
        for count in options.counts:
            middle = statistics.median(speeds[count])
            apart = max(abs(a - b) / a for a, b in zip(losses[options.counts[0]], losses[count], strict=True))
            print(
                f"{name:5s} {count} processes: {middle:10,.0f} predictions/s ({min(speeds[count]):,.0f} to "
                f"{max(speeds[count]):,.0f}), x {middle / first:.2f}; losses differ by {apart:.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
