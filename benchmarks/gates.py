"""When a trained DNC frees, allocates and writes: its gates where a copy task shows a vector, and where it asks.

    python benchmarks/gates.py RUN [RUN ..]

A run is a folder of `numdnc train copy`, `reuse`, `links` or the like. Given is the mean of each gate over the
sequences that the run is scored on (of several free gates the largest at each step), and how many slots the gates
freed at the step after, which is when they act: free gates do nothing where nothing that is in use was read.
"""

import argparse
from pathlib import Path

import numpy as np

from numdnc.inspection.activity import Activity, observe
from numdnc.runs.kinds import load_run
from numdnc.tasks.sequences import loss_mask


def slots_freed(activity: Activity) -> np.ndarray:
    """(T, B): how much usage is gone at the step after each, by what was read at it; 0 at the last."""
    usage, written = activity.values["usage"], activity.values["write_weights"]
    filled = usage + written - usage * written
    freed = np.zeros(usage.shape[:2])
    freed[:-1] = (filled[:-1] - usage[1:]).sum(axis=2)
    return freed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    print(f"{'run':24s} {'':16s} {'vector shown':>12s} {'vector asked':>12s}")
    for path in parser.parse_args().runs:
        opened = load_run(path)
        run, task = opened.checkpoint, opened.task
        width = task.output_size - getattr(task.generator, "end_marker", False)
        found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for batch in task.evaluation_batches():
            asked = loss_mask(batch)
            shown = batch.inputs[:, :, :width].any(axis=2)  # a vector of zeros alone counts as none
            activity = observe(run.spec, run.params, run.engine, batch)
            for name, values in (
                ("free gate", activity.values["free_gates"].max(axis=2)),
                ("allocation gate", activity.values["allocation_gate"]),
                ("write gate", activity.values["write_gate"]),
                ("slots freed", slots_freed(activity)),
            ):
                found.setdefault(name, []).append((values[shown], values[asked]))
        for name, parts in found.items():
            at_shown, at_asked = (np.concatenate([part[i] for part in parts]).mean() for i in (0, 1))
            print(f"{path.name:24s} {name:16s} {at_shown:12.3f} {at_asked:12.3f}")


if __name__ == "__main__":
    main()
