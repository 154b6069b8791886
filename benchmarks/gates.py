"""The gates of a trained DNC at the steps of a copy task that show a vector, and at those that ask for one.

    python benchmarks/gates.py RUN [RUN ..]

RUN is a folder of `numdnc train copy`, `reuse`, `links` or similar. Prints the mean of each gate over the held-out
sequences (of several free gates the largest at each step), and how many slots the gates freed at the next step, where
they act: a free gate has no effect if nothing in use was read.
"""

import argparse
from pathlib import Path

import numpy as np

from numdnc.inspection.activity import Activity, observe
from numdnc.runs.kinds import load_run
from numdnc.tasks.sequences import loss_mask


def slots_freed(activity: Activity) -> np.ndarray:
    """Usage freed at the next step by what was read at each step, (T, B); 0 at the last."""
    usage, written = activity.values["usage"], activity.values["write_weights"]
    if written.ndim == 4:  # several write heads
        written = 1 - (1 - written).prod(axis=2)
    filled = usage + written - usage * written
    freed = np.zeros(usage.shape[:2])
    freed[:-1] = (filled[:-1] - usage[1:]).sum(axis=2)
    return freed


def over_heads(gates: np.ndarray) -> np.ndarray:
    """The mean over write heads, (T, B), where there are several."""
    return gates if gates.ndim == 2 else gates.mean(axis=2)


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
                ("allocation gate", over_heads(activity.values["allocation_gate"])),
                ("write gate", over_heads(activity.values["write_gate"])),
                ("slots freed", slots_freed(activity)),
            ):
                found.setdefault(name, []).append((values[shown], values[asked]))
        for name, parts in found.items():
            at_shown, at_asked = (np.concatenate([part[i] for part in parts]).mean() for i in (0, 1))
            print(f"{path.name:24s} {name:16s} {at_shown:12.3f} {at_asked:12.3f}")


if __name__ == "__main__":
    main()
