"""The model of a trace, for the page that computes: its parameters, from the run that the trace is of."""

from pathlib import Path
from typing import Any

from numdnc.errors import UserError
from numdnc.inspection.trace import Trace
from numdnc.inspection.viewer.export import Checkpoint
from numdnc.inspection.viewer.parameters import why_not_computed
from numdnc.params import zero_params
from numdnc.runs.kinds import KINDS, load_trained
from numdnc.runs.reinforcement import PolicyRun
from numdnc.training.folder import RunFolder
from numdnc.training.run import Run
from numdnc.tree import named_leaves


def params_of(trace: Trace, run: Run | None, place: RunFolder) -> tuple[Any, str]:
    """The parameters that the page computes with, and why there are none; the other one is None or "".

    `run` is what the trace is of, if that is known. Otherwise it is the checkpoint of the folder `place` that has the
    trace's iteration and parameters of its shapes.
    """
    run = run or _checkpoint_of(trace, place)
    if run is None:
        return None, "its run is not beside the trace, as it was when the trace was recorded"
    if any(kind.kind == run.task.get("kind") and issubclass(kind, PolicyRun) for kind in KINDS):
        return None, "its inputs depend on its actions"
    why_not = why_not_computed(trace.spec, run.evaluated, trace.steps)
    return (None, why_not) if why_not else (run.evaluated, "")


def other_checkpoint(trace: Trace, path: Path, why_not: str, *, compute: bool) -> Checkpoint:
    """The checkpoint that the page compares with that of its trace; UserError if it cannot."""
    if why_not or not compute:
        raise UserError(
            f"--against must be given with a page that computes, got one that does not: {why_not or '--no-compute'}. "
            "Leave it out."
        )
    run = load_trained(path)
    if run.spec.kind != trace.spec.kind or not _fits(trace, run.evaluated):
        raise UserError(
            f"--against must be a checkpoint of the same model, got {path} with another spec. "
            "Name one of the same sizes."
        )
    if reason := why_not_computed(trace.spec, run.evaluated, trace.steps):
        raise UserError(
            f"--against must be a model that a page computes, got {path}: {reason}. Leave it out."
        )
    return Checkpoint(f"{path.name}, iteration {run.iteration}", run.evaluated)


def _checkpoint_of(trace: Trace, place: RunFolder) -> Run | None:
    for path, load in ((place.best, place.load_best), (place.last, place.load_last)):
        try:
            run = load() if path.exists() else None
        except UserError:
            continue
        if run is not None and run.iteration == trace.about.iteration and _fits(trace, run.evaluated):
            return run
    return None


def _fits(trace: Trace, params: Any) -> bool:
    """Whether these are parameters of a model with the trace's spec."""
    wanted = [(name, leaf.shape) for name, leaf in named_leaves(zero_params(trace.spec))]
    return [(name, leaf.shape) for name, leaf in named_leaves(params)] == wanted
