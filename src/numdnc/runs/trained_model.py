"""Make a trained model of a run: a folder with its weights alone, in float16 where that costs nothing."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from numdnc.errors import UserError
from numdnc.models import WEIGHTS, locate
from numdnc.runs.consent import Confirm, refuse
from numdnc.runs.kinds import custom_task_of, open_run
from numdnc.runs.results import Evaluation
from numdnc.training.checkpoint import save_model
from numdnc.training.folder import RunFolder
from numdnc.training.run import Run, TrainedModel
from numdnc.tree import leaves, map_leaves

TOLERANCE = 1e-3
"""float16 is refused if a score is worse by more than this: a thousandth of a bit, a tenth of a percent; of a policy by
more than this share of it, or than one of the episodes that are scored makes."""
_LARGEST_HALF = float(np.finfo(np.float16).max)


def export_trained_model(
    source: Path, out: Path, *, recipe: str = "", last: bool = False, confirm: Confirm = refuse
) -> TrainedModel:
    """Write the trained model of a run to the folder `out`; return what its file says of it.

    Rounded weights are scored as `evaluate` does beside the run's own.
    """
    place = RunFolder(locate(source))
    run = place.load_last() if last else place.load_best()
    if RunFolder(out).last.exists():
        raise UserError(f"--out must not be the folder of a run, got {out}. Give another.")
    custom_task = custom_task_of(run, place.path, None, confirm)

    def evaluate(checkpoint: Run) -> Evaluation:
        return open_run(checkpoint, custom_task).evaluate()

    dtype: Literal["float16", "float32", "float64"] = run.training.precision
    found = evaluate(run)
    if max(float(np.abs(leaf).max(initial=0)) for leaf in leaves(run.evaluated)) <= _LARGEST_HALF:
        rounded = map_leaves(lambda array: array.astype(np.float16).astype(array.dtype), run.evaluated)
        half = evaluate(dataclasses.replace(run, params=rounded, average=()))
        if all(half.scores[name] <= score + _allowed(found, score) for name, score in found.scores.items()):
            found, dtype = half, "float16"
    about = TrainedModel(dtype=dtype, recipe=recipe, score=str(found).splitlines()[-1])
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--out must be a folder that can be made, got {out}: {error.strerror}. Give another."
        ) from None
    save_model(out / WEIGHTS, run, about)
    return about


def _allowed(found: Evaluation, score: float) -> float:
    """How much worse rounded weights may make a score."""
    episodes = found.json.get("episodes")
    return max(TOLERANCE, 1 / episodes) * max(1, abs(score)) if episodes else TOLERANCE
