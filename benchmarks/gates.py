"""When a trained DNC frees, allocates and writes: its gates where a copy task shows a vector, and where it asks.

    python benchmarks/gates.py RUN [RUN ..]

A run is a folder of `numdnc train copy`, `reuse`, `links` or the like. Given is the mean of each gate over the
sequences that the run is scored on; of several free gates the largest at each step.
"""

import argparse
from pathlib import Path

import numpy as np

from numdnc.cli.episodes import episode_task
from numdnc.inspection.gates import gates
from numdnc.tasks.sequences import counted
from numdnc.training.folder import RunFolder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    print(f"{'run':24s} {'gate':12s} {'vector shown':>12s} {'vector asked':>12s}")
    for path in parser.parse_args().runs:
        run = RunFolder(path).load_best()
        task = episode_task(run)
        width = task.output_size - getattr(task.episodes, "end_marker", False)
        found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"free": [], "allocation": [], "write": []}
        for batch in task.evaluation():
            asked = counted(batch)
            shown = batch.inputs[:, :, :width].any(axis=2)  # a vector of zeros alone counts as none
            values = gates(run.spec, run.params, run.engine, batch)
            free = np.max([values[name] for name in values if name.startswith("free")], axis=0)
            for name, gate in (
                ("free", free),
                ("allocation", values["allocation"]),
                ("write", values["write"]),
            ):
                found[name].append((gate[shown], gate[asked]))
        for name, parts in found.items():
            at_shown, at_asked = (np.concatenate([part[i] for part in parts]).mean() for i in (0, 1))
            print(f"{path.name:24s} {name:12s} {at_shown:12.3f} {at_asked:12.3f}")


if __name__ == "__main__":
    main()
