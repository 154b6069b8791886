"""Health figures of a model, cheap enough to compute at every report of a training."""

from typing import Any

import numpy as np

from numdnc.engines import Engine
from numdnc.inspection.activity import Activity, concentration, observe, saturated
from numdnc.spec import MemorySpec, NTMSpec, Spec
from numdnc.tasks import Batch
from numdnc.training.gradient import Loss, loss_and_gradient
from numdnc.tree import leaves

SEQUENCES = 4
"""Sequences in the batch that health is measured on, the same at every report."""
_MODES = ("backward", "content", "forward")
_OF_DNC: tuple[str, ...] = ("write_gate", "allocation_gate", "free_gates")
_OF_NTM: tuple[str, ...] = (
    "read_interpolation",
    "write_interpolation",
    "read_sharpening",
    "write_sharpening",
)


def health(spec: Spec, params: Any, engine: Engine, batch: Batch, loss: Loss) -> dict[str, float]:
    """Name -> figure, over all steps and sequences of a batch; figures that are not finite are left out.

    For a DNC: "usage", mean over the slots; "slots_in_use", share of slots whose usage is above 1/2; "write_gate",
    "allocation_gate" and "free_gates", means; "mode_backward", .., means over the heads (with links; along those of all
    write heads); "write_sharpness" and "read_sharpness", share of the weight that lies on the largest slot of
    its step (1/N if spread evenly). With `recency` "slots_accessed", share of slots accessed so far, takes the place of
    usage and free gates.
    For an NTM: "read_interpolation", "write_interpolation", "read_sharpening" and "write_sharpening", means, and the
    last two of a DNC.
    For every model: "hidden_saturated", share of hidden values beyond 0.99; "largest_parameter", a magnitude; and
    "gradient_controller", "gradient_interface", "gradient_output", norm of the loss's gradient by each part;
    "gradient_reverse_controller" with two directions.
    """
    figures: dict[str, float] = {}
    with np.errstate(all="ignore"):
        activity = observe(spec, params, engine, batch)
        if spec.has_memory:
            figures |= _memory(spec, activity)
        figures["hidden_saturated"] = saturated(activity.of("hidden"))
        figures["largest_parameter"] = max(float(np.abs(leaf).max()) for leaf in leaves(params))
        gradient = loss_and_gradient(spec, params, engine, batch, loss).gradient
        for part in ("controller", "reverse_controller", "interface", "output"):
            squares = [float((leaf**2).sum()) for leaf in leaves(getattr(gradient, part, ()))]
            if squares:
                figures[f"gradient_{part}"] = float(np.sqrt(sum(squares)))
    return {name: figure for name, figure in figures.items() if np.isfinite(figure)}


def _memory(spec: MemorySpec, activity: Activity) -> dict[str, float]:
    figures: dict[str, float] = {}
    if spec.recency:
        figures = {"slots_accessed": float(activity.of("accessed").mean())}
    elif not isinstance(spec, NTMSpec):
        names = {"usage": "usage", "slots_in_use": "in_use"}
        figures = {figure: float(activity.of(name).mean()) for figure, name in names.items()}
    for name in _OF_NTM if isinstance(spec, NTMSpec) else _OF_DNC:
        if name not in activity.values:
            continue
        figures[name] = float(activity.of(name).mean())
    if spec.links:
        modes = activity.of("read_modes")
        modes = modes.reshape(-1, modes.shape[-1]).mean(axis=0)
        backward, content, forward = np.split(modes, [spec.write_heads, spec.write_heads + 1])
        means = zip(_MODES, (backward, content, forward), strict=True)
        figures |= {f"mode_{name}": float(mean.sum()) for name, mean in means}
    for kind in ("write", "read"):
        largest, total = activity.of(f"{kind}_largest"), activity.of(f"{kind}_total")
        figures[f"{kind}_sharpness"] = concentration(largest, total)
    return figures
