"""Modules from runs, in files of torch, and back as runs."""

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import torch

from numdnc.errors import UserError
from numdnc.files import write_atomically
from numdnc.init import initial_state
from numdnc.nn.modules import Module, module_for
from numdnc.spec import SPECS
from numdnc.training.folder import RunFolder
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, new_run
from numdnc.tree import leaves, map_leaves

KIND = "a model of numdnc.nn"
VERSION = 1
"""Raised whenever an older numdnc could not read the file."""


def from_run(folder: str | Path, *, last: bool = False, **options: Any) -> Module:
    """The model of a run's folder, at its best or as it was saved last; options: batch_first, engine, device, dtype."""
    place = RunFolder(Path(folder))
    run = place.load_last() if last else place.load_best()
    module = module_for(run.spec, **{"dtype": getattr(torch, run.training.precision), **options})
    with torch.no_grad():
        map_leaves(lambda p, array: p.copy_(torch.from_numpy(array)), module.params(), run.params)
    module.origin = origin_of(run)
    return module


def save(module: Module, path: str | Path) -> None:
    """Write a file for `load`, whole or not at all; `torch.load(path, weights_only=True)` reads it too.

    It holds a dictionary: `spec` as plain numbers and words, `state_dict`, `batch_first`, and as JSON in `origin` what
    the run was that the parameters came from, if any.
    """
    contents = {
        "kind": KIND,
        "version": VERSION,
        "spec": {"kind": module.spec.kind, **dataclasses.asdict(module.spec)},
        "state_dict": module.state_dict(),
        "batch_first": module.batch_first,
        "origin": json.dumps(module.origin),
    }
    file = io.BytesIO()
    torch.save(contents, file)
    write_atomically(Path(path), file.getvalue())


def load(path: str | Path, **options: Any) -> Module:
    """The module that `save` or `numdnc export` wrote; options: engine, device, dtype, and batch_first if it changes.

    UserError says what is wrong with the file. Nothing in it is run, whoever wrote it.
    """
    contents = _contents(Path(path))
    try:
        told = dict(contents["spec"])
        spec = SPECS[told.pop("kind")](**told)
        weights = contents["state_dict"]
        given = {"batch_first": contents["batch_first"], "dtype": weights["output.bias"].dtype, **options}
        module = module_for(spec, **given)
        module.load_state_dict(weights)
        module.origin = json.loads(contents["origin"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UserError(
            f"{path} must hold {KIND} that this version knows, got something else ({_one_line(error)}). "
            "Use the version of numdnc that wrote it."
        ) from None
    return module


def origin_of(run: Run) -> dict[str, Any]:
    """What it takes to make such a run again around other parameters, as JSON."""
    return {
        "training": dataclasses.asdict(run.training),
        "optimizer": dataclasses.asdict(run.optimizer),
        "task": run.task,
        "position": run.position,
        "batch": len(leaves(run.state)[0]),
        "engine": run.engine_name,
        "sizes": [run.spec.input_size, run.spec.output_size],
    }


def run_of(module: Module, origin: dict[str, Any]) -> Run:
    """A run with the module's parameters: task, data and settings are those of the origin, the optimizer starts afresh.

    It counts its iterations from 0. float64 stays so; everything else becomes float32.
    """
    sizes = [module.spec.input_size, module.spec.output_size]
    if origin["sizes"] != sizes:
        raise UserError(
            f"the module must have the {origin['sizes'][0]} inputs and {origin['sizes'][1]} outputs of the run's task, "
            f"got {sizes[0]} and {sizes[1]}. Take a run of the module's own task."
        )
    precision = "float64" if module.params().output.bias.dtype == torch.float64 else "float32"
    run = new_run(
        module.spec,
        dataclasses.replace(TrainingSettings(**origin["training"]), precision=precision),  # type: ignore[arg-type]
        OptimizerSettings(**origin["optimizer"]),
        task=origin["task"],
        position=origin["position"],
        batch=origin["batch"],
        engine=origin["engine"],
    )
    dtype = getattr(torch, precision)
    run.params = map_leaves(lambda p: p.detach().cpu().to(dtype).numpy().copy(), module.params())
    run.state = initial_state(run.spec, run.params, origin["batch"])
    return run


def _contents(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            contents = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{KIND} must exist at {path}, got none. Check the file's name.") from None
    except Exception as error:  # noqa: BLE001 - on a strange file torch may fail in any way
        raise UserError(
            f"{path} must be {KIND}, got a file that torch cannot read ({_one_line(error)}). "
            "It was cut short, damaged, or is something else."
        ) from None
    if not isinstance(contents, dict) or contents.get("kind") != KIND:
        raise UserError(
            f"{path} must be {KIND}, got something else. Write one with `numdnc export DIR --to torch`."
        )
    if contents.get("version") != VERSION:
        raise UserError(
            f"{path} must have version {VERSION}, got {contents.get('version')!r}. Update numdnc."
        )
    return contents


def _one_line(error: Exception) -> str:
    """The first line of what torch says, which may be many."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
