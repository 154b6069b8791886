"""Stress tests of runs: each prints at its end how often it tried and how often that failed; exit code 0 or 1.

    python tests/hardening kills --count 200         # SIGKILL and other signals at random moments, then resumed
    python tests/hardening full-disk --count 30      # no room left at a random moment, then resumed with room
    python tests/hardening races --count 300         # two processes at one folder in the same moment

All train tiny models of every kind of run. What comes of it must be, bit for bit, the run that was left alone. A few of
each are among the tests that `make test-all` runs (test_hardening.py).
"""

import argparse
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "NUMDNC_THREADS": "1"}  # no threads, since processes are forked
for name in ("RANK", "WORLD_SIZE"):
    os.environ.pop(name, None)
sys.path.insert(0, str(Path(__file__).parents[1]))

from hardening import full_disk, kills, races  # noqa: E402
from hardening.runs import Tally  # noqa: E402

SCRIPTS = {"kills": kills.run, "full-disk": full_disk.run, "races": races.run}


def main() -> None:
    """Parse the command line and exit with the verdict."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("script", choices=SCRIPTS)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="settles what is drawn, as far as clocks allow")
    parser.add_argument("--only", default="", help="names of kinds of runs, or of races, separated by commas")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background a shell has it ignored, ..
    signal.signal(
        signal.SIGHUP, signal.SIG_DFL
    )  # .. and so has nohup: it would do nothing to those started here
    tally = Tally(given.script)
    with tempfile.TemporaryDirectory() as folder:
        only = set(filter(None, given.only.split(",")))
        SCRIPTS[given.script](Path(folder), given.count, random.Random(given.seed), tally, only)
    tally.say()
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    main()
