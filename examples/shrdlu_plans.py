"""Does a model of mini-SHRDLU plan its first move when the goal is written? (Graves et al. 2016.)

    python examples/shrdlu_plans.py runs/shrdlu-dnc-1 [EPISODES]

A logistic regression names the first move from what the memory holds at that moment in the slots that are read later,
when the goal is asked for.
"""

import sys

import numdnc
from numdnc.runs.shrdlu import ShrdluRun


def main(folder: str, episodes: str = "1000") -> None:
    """Print how many of the first moves are decoded."""
    run = numdnc.load_run(folder)
    if not isinstance(run, ShrdluRun):
        sys.exit(f"error: {folder} must be a run of shrdlu, got one of {run.name}.")
    print(run.decode_plans(episodes=int(episodes)))


if __name__ == "__main__":
    main(*sys.argv[1:])
