"""The model of a trace, for the page that computes: the parameters that made it, from a run or from numdnc's models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from numdnc.engines import get_engine
from numdnc.errors import UserError
from numdnc.init import initial_state
from numdnc.inspection.trace import Trace
from numdnc.inspection.viewer.export import Checkpoint
from numdnc.inspection.viewer.parameters import why_not_computed
from numdnc.models import FOLDER, model_names
from numdnc.params import cast_inputs, zero_params
from numdnc.runs.kinds import KINDS, load_trained
from numdnc.runs.reinforcement import PolicyRun
from numdnc.spec import Spec
from numdnc.training.folder import RunFolder
from numdnc.training.run import Run
from numdnc.tree import named_leaves

COMPARED = 4
"""Steps of a trace whose outputs tell whether a model made it: other parameters give other ones from the first on."""
TOLERANCE = 1e-3
"""Largest difference of these outputs, relative to the largest of them or 1; engines in float32 differ by 1e-6."""


def params_of(trace: Trace, run: Run | None, place: RunFolder) -> tuple[Any, str]:
    """The parameters that the page computes with, and why there are none; the other one is None or "".

    `run` is what the trace is of, if that is known. Otherwise it is the checkpoint of the folder `place`, or the model
    that comes with numdnc, that has the trace's iteration and makes its outputs.
    """
    for candidate in _candidates(trace, place) if run is None else [run]:
        if any(kind.kind == candidate.task.get("kind") and issubclass(kind, PolicyRun) for kind in KINDS):
            return None, "its inputs depend on its actions"
        if why_not := why_not_computed(trace.spec, candidate.evaluated, trace.steps):
            return None, why_not
        if run is not None or _makes(trace, candidate.evaluated):
            return candidate.evaluated, ""
    return None, "neither a run beside the trace nor a model that comes with numdnc makes its outputs"


def other_checkpoint(trace: Trace, path: Path, why_not: str) -> tuple[Checkpoint | None, str]:
    """The checkpoint that the page compares with that of its trace, and why there is none; see `params_of`.

    `why_not` says why the page does not compute that of its trace, if it does not. UserError if it has another spec.
    """
    run = load_trained(path)
    if not _fits(trace.spec, run):
        raise UserError(
            f"--against must be a checkpoint of the same model, got {path} with another spec. "
            "Name one of the same sizes."
        )
    if why_not := why_not or why_not_computed(trace.spec, run.evaluated, trace.steps) or "":
        return None, why_not
    return Checkpoint(f"{path.name}, iteration {run.iteration}", run.evaluated), ""


def _candidates(trace: Trace, place: RunFolder) -> Iterator[Run]:
    """Checkpoints of a folder, and the models that come with numdnc, with the iteration and the sizes of a trace."""
    for folder in (place, *(RunFolder(FOLDER / name) for name in model_names())):
        for path, load in ((folder.best, folder.load_best), (folder.last, folder.load_last)):
            try:
                run = load() if path.exists() else None
            except UserError:
                continue
            if run is not None and run.iteration == trace.about.iteration and _fits(trace.spec, run):
                yield run


def _fits(spec: Spec, run: Run) -> bool:
    """Whether a run has parameters of a model with this spec."""
    wanted = [(name, leaf.shape) for name, leaf in named_leaves(zero_params(spec))]
    found = [(name, leaf.shape) for name, leaf in named_leaves(run.evaluated)]
    return run.spec.kind == spec.kind and found == wanted


def _makes(trace: Trace, params: Any) -> bool:
    """Whether a model with these parameters gives the outputs of the trace's first steps."""
    spec, arrays = trace.spec, trace.arrays
    inputs = arrays["inputs"] if spec.bidirectional else arrays["inputs"][:COMPARED]
    start = initial_state(spec, params, batch=1)
    found, _, _ = get_engine("reference").forward(
        spec, params, cast_inputs(inputs[:, None], params), start, keep_tape=False
    )
    outputs = arrays["outputs"][:COMPARED]
    return bool(np.abs(found[: len(outputs), 0] - outputs).max() <= TOLERANCE * max(1, np.abs(outputs).max()))
