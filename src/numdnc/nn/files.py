"""Convert runs to modules and back, save and load modules as files of torch."""

import dataclasses
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.files import check_layers, digest, write_atomically
from numdnc.init import initial_state
from numdnc.models import locate
from numdnc.nn.modules import Module, module_for
from numdnc.nn.pickles import read_tensors
from numdnc.params import param_shapes
from numdnc.schema import Size, parse_json, validated, validated_spec
from numdnc.spec import Spec
from numdnc.training.checkpoint import check_finite, rename_old_settings
from numdnc.training.folder import RunFolder
from numdnc.training.memory import check_memory
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Precision, Run, TrainingSettings, new_run
from numdnc.tree import map_leaves, named_leaves

KIND = "a model of numdnc.nn"
VERSION = 3
"""Raised whenever an older numdnc could not read the file."""


@dataclass(kw_only=True)
class Origin:
    """What is needed to make a run of a module's parameters."""

    training: TrainingSettings
    optimizer: OptimizerSettings
    task: dict[str, Any]
    position: dict[str, Any]
    batch: Size
    engine: str
    sizes: tuple[Size, Size]
    """Inputs and outputs."""


@dataclass(kw_only=True)
class _Metadata:
    """The entries of a file besides its tensors."""

    kind: Literal["a model of numdnc.nn"]
    version: Literal[1, 2, 3]
    spec: dict[str, Any]
    batch_first: bool
    origin: str
    """An `Origin` or null as JSON."""
    sha256: str = ""
    """From version 2 on, of all else."""


def from_run(folder: str | Path, *, last: bool = False, **options: Any) -> Module:
    """Load the best model of a run's folder or model:NAME, or the last; options: batch_first, engine, device, dtype."""
    place = RunFolder(locate(Path(folder)))
    run = place.load_last() if last else place.load_best()
    module = module_for(run.spec, **{"dtype": getattr(torch, run.training.precision), **options})
    with torch.no_grad():
        map_leaves(lambda p, array: p.copy_(torch.from_numpy(array)), module.params(), run.evaluated)
    module.origin = origin_of(run)
    return module


def save(module: Module, path: str | Path) -> None:
    """Write a file for `load`, atomically; `torch.load(path, weights_only=True)` reads it too.

    It holds a dictionary: `spec` as numbers and strings, `state_dict`, `batch_first`, `origin` (JSON: the run that the
    parameters came from, if any), and `sha256`, a checksum of the rest. UserError if `load` would refuse the file. A
    subclass is loaded as the class of this package that it extends.
    """
    if not isinstance(module, Module):
        raise UserError(
            f"save must be given an RNN, LSTM, DNC or NTM of numdnc.nn, got a {type(module).__name__}. "
            "Save the one inside of it, or its state_dict() with torch.save."
        )
    plain = {
        "kind": KIND,
        "version": VERSION,
        "spec": {"kind": module.spec.kind, **dataclasses.asdict(module.spec)},
        "batch_first": module.batch_first,
        "origin": json.dumps(module.origin),
    }
    weights = {name: tensor.detach().contiguous() for name, tensor in module.state_dict().items()}
    try:
        _check_weights(module.spec, weights)
    except UserError as error:
        raise UserError(
            f"the module must hold the parameters of a {module.spec.kind} and no others, got something else ({error}). "
            "Undo what was added (torch.nn.utils.parametrize.remove_parametrizations, torch.nn.utils.prune.remove), "
            "or keep its state_dict() with torch.save."
        ) from None
    _check_finite(path, weights)
    file = io.BytesIO()
    torch.save({**plain, "state_dict": weights, "sha256": _digest(plain, weights)}, file)
    write_atomically(Path(path), file.getvalue())


def load(path: str | Path, **options: Any) -> Module:
    """The module that `save` or `numdnc export` wrote; options: engine, device, dtype, and batch_first if it changes.

    UserError says what is wrong with the file. No code in it is executed.
    """
    contents = read_tensors(Path(path), KIND)
    if not isinstance(contents, dict) or contents.get("kind") != KIND:
        raise UserError(
            f"{path} must be {KIND}, got something else. Write one with `numdnc export DIR --to torch`."
        )
    version = contents.get("version")
    if isinstance(version, int) and version > VERSION:
        raise UserError(f"{path} must have version {VERSION} or older, got {version}. Update numdnc.")
    try:
        metadata, weights, spec = _check_contents(contents)
        origin = parse_json(metadata.origin)
        if origin is not None:
            rename_old_settings(origin)
            validated(Origin, origin)
    except (ValueError, UserError) as error:
        raise UserError(
            f"{path} must hold {KIND} that this version knows, got something else ({error}). "
            "It was damaged or edited, or needs the version of numdnc that wrote it."
        ) from None
    _check_finite(path, weights)
    module = module_for(
        spec, **{"batch_first": metadata.batch_first, "dtype": weights["output.bias"].dtype, **options}
    )
    module.load_state_dict(weights)
    module.origin = origin
    return module


def origin_of(run: Run) -> dict[str, Any]:
    """Return the `Origin` of a run, as JSON."""
    return {
        "training": dataclasses.asdict(run.training),
        "optimizer": dataclasses.asdict(run.optimizer),
        "task": run.task,
        "position": run.position,
        "batch": run.batch,
        "engine": run.engine_name,
        "sizes": [run.spec.input_size, run.spec.output_size],
    }


def run_from(module: Module, origin: dict[str, Any]) -> Run:
    """Make a run of the module's parameters with the task, data and settings of the origin and a new optimizer.

    Its iterations start at 0. float64 is kept; all other dtypes become float32.
    """
    metadata, sizes = validated(Origin, origin), (module.spec.input_size, module.spec.output_size)
    if metadata.sizes != sizes:
        raise UserError(
            f"the module must have the {metadata.sizes[0]} inputs and {metadata.sizes[1]} outputs of the run's task, "
            f"got {sizes[0]} and {sizes[1]}. Take a run of the module's own task."
        )
    precision: Precision = "float64" if module.params().output.bias.dtype == torch.float64 else "float32"
    engine = select_engine(metadata.engine, module.spec, precision)
    check_memory(module.spec, engine, precision, metadata.batch, metadata.batch)
    run = new_run(
        module.spec,
        dataclasses.replace(metadata.training, precision=precision),
        metadata.optimizer,
        task=metadata.task,
        position=metadata.position,
        batch=metadata.batch,
        engine=engine.name,
    )
    dtype = getattr(torch, precision)
    run.params = map_leaves(lambda p: p.detach().cpu().to(dtype).numpy().copy(), module.params())
    run.state = initial_state(run.spec, run.params, metadata.batch)
    return run


def _check_contents(contents: dict[str, Any]) -> tuple[_Metadata, dict[str, torch.Tensor], Spec]:
    """Return the metadata, tensors and spec of a file; UserError if one of them is invalid."""
    plain = {name: value for name, value in contents.items() if name != "state_dict"}
    metadata, weights = validated(_Metadata, plain), contents.get("state_dict")
    if not isinstance(weights, dict) or not all(map(_is_plain, weights.values())):
        raise UserError("state_dict is not names and plain tensors")
    summed = plain.pop("sha256", None)
    if (summed is None) != (metadata.version < 2) or summed not in (None, _digest(plain, weights)):
        raise UserError("its checksum is not that of its contents")
    spec = validated_spec(metadata.spec)
    check_layers(spec, weights)
    _check_weights(spec, weights)
    return metadata, weights, spec


def _check_finite(path: str | Path, weights: dict[str, torch.Tensor]) -> None:
    check_finite(Path(path), ((name, bool(tensor.isfinite().all())) for name, tensor in weights.items()))


def _check_weights(spec: Spec, weights: dict[str, torch.Tensor]) -> None:
    """Raise UserError, which names the differences, unless these are the model's parameters, all of one dtype."""
    shapes: list[tuple[str, Any]] = list(named_leaves(param_shapes(spec)))
    wanted = {name: shape.sizes for name, shape in shapes}
    wrong = [f"no {name}" for name in wanted if name not in weights]
    wrong += [f"also {name}" for name in weights if name not in wanted]
    for name, tensor in weights.items():
        if not _is_plain(tensor) or tensor.is_meta:
            wrong.append(f"{name} is no plain tensor of numbers")
        elif name in wanted and tuple(tensor.shape) != wanted[name]:
            wrong.append(f"{name} is {tuple(tensor.shape)}, not {wanted[name]}")
    kinds = {str(tensor.dtype) for tensor in weights.values()}
    if len(kinds) > 1:
        wrong.append(f"dtypes {' and '.join(sorted(kinds))}")
    if wrong:
        shown = wrong if len(wrong) < 6 else [*wrong[:4], f"{len(wrong) - 4} more"]
        raise UserError(", ".join(shown))


def _is_plain(tensor: Any) -> bool:
    return type(tensor) is torch.Tensor and tensor.is_contiguous() and tensor.is_floating_point()


def _digest(plain: dict[str, Any], weights: dict[str, torch.Tensor]) -> str:
    """Checksum of the whole contents of a file."""
    arrays = {name: tensor.cpu().reshape(-1).view(torch.uint8).numpy() for name, tensor in weights.items()}
    described = {name: [str(tensor.dtype), list(tensor.shape)] for name, tensor in weights.items()}
    return digest(json.dumps([plain, described], sort_keys=True), arrays)
