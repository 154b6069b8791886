"""Checkpoints: a run in a file of arrays and JSON, see files.py."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numdnc.errors import UserError
from numdnc.files import FileKind, check_layers, fill_shapes, load_arrays, save_arrays
from numdnc.params import Array, param_shapes, state_shapes
from numdnc.schema import validated, validated_spec
from numdnc.spec import Spec
from numdnc.training.optimizers import OptimizerSettings, moment_count
from numdnc.training.run import Critic, Progress, Run, TrainedModel, TrainingSettings
from numdnc.tree import map_leaves, named_leaves

FORMAT = 6
"""Increased whenever an older numdnc could not read the file. 3 was left out: one flipped bit makes it a 2."""
_CHECKED = 5
"""The first format whose number is part of the checksum."""


def save_checkpoint(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: after a crash or on a full disk, the previous file at `path` is intact."""
    save_arrays(path, _kind(), arrays, metadata)


def load_checkpoint(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Load the arrays and metadata of a checkpoint; a UserError says what is wrong with it."""
    return load_arrays(path, _kind())


def _kind() -> FileKind:
    return FileKind(
        "checkpoint",
        "format",
        FORMAT,
        _CHECKED,
        missing="Check the folder's name.",
        damaged="Use another checkpoint of the run.",
    )


_TREES = ("params", "moments", "state", "average", "critic")


def save_run(path: Path, run: Run) -> None:
    """Write a checkpoint from which `load_run` restores the run."""
    trees = tuple((name, getattr(run, name)) for name in _TREES)
    arrays = {name: leaf for tree_name, tree in trees for name, leaf in named_leaves(tree, tree_name)}
    metadata = _metadata(run)
    if run.critic_spec is not None:
        metadata["critic"] = _described(run.critic_spec)
    save_checkpoint(path, arrays, metadata)


def save_model(path: Path, run: Run, about: TrainedModel) -> None:
    """Write a checkpoint of a trained model: the parameters that are used, without what only training needs."""
    params = map_leaves(lambda array: array.astype(about.dtype), run.evaluated)
    arrays = dict(named_leaves(params, "params"))
    save_checkpoint(path, arrays, {**_metadata(run), "model": dataclasses.asdict(about)})


def _metadata(run: Run) -> dict[str, Any]:
    return {
        **{field.name: getattr(run, field.name) for field in dataclasses.fields(Progress)},
        "spec": _described(run.spec),
        "training": dataclasses.asdict(run.training),
        "optimizer": dataclasses.asdict(run.optimizer),
    }


def _described(spec: Spec) -> dict[str, Any]:
    return {"kind": spec.kind, **dataclasses.asdict(spec)}


@dataclass(kw_only=True)
class _Described(Progress):
    """The JSON of a checkpoint."""

    spec: dict[str, Any]
    training: TrainingSettings
    optimizer: OptimizerSettings
    numdnc: str
    numpy: str
    critic: dict[str, Any] | None = None
    """The critic's spec; only of a policy."""
    model: TrainedModel | None = None
    """Only in a checkpoint of a trained model."""


def load_run(path: Path, *, finite: bool = True) -> Run:
    """Load the run of a checkpoint; a UserError says what is wrong with the file.

    With `finite`, parameters that are NaN or infinite are an error too; inspection passes False. A trained
    model has no optimizer: the moments and the state of its run are zeros that take no memory.
    """
    arrays, metadata = load_checkpoint(path)
    try:
        rename_old_settings(metadata)
        stored = validated(_Described, metadata)
        spec = validated_spec(stored.spec)
        check_layers(spec, arrays)
        count, precision = moment_count(stored.optimizer), stored.training.precision
        params = param_shapes(spec)
        state = state_shapes(spec, stored.batch) if stored.carries_state else ()
        averages = int(stored.training.average_decay > 0)
        critic_spec: Spec | None = None
        critic: Critic | tuple[()] = ()
        if stored.critic is not None:
            critic_spec = validated_spec(stored.critic)
            values = param_shapes(critic_spec)
            critic = Critic(values, (values,) * count)
        shapes = (params, (params,) * count, state, (params,) * averages, critic)
        if stored.model is None:
            trees = {
                name: fill_shapes(tree, arrays, name, precision)
                for name, tree in zip(_TREES, shapes, strict=True)
            }
        else:
            trees = _model_trees(shapes, fill_shapes(params, arrays, "params", stored.model.dtype), precision)
    except UserError as error:
        raise UserError(
            f"{path} must hold a run of a model that this version knows, got something else ({error}). "
            "Use the version of numdnc that wrote it."
        ) from None
    if finite:
        params = named_leaves(trees["params"])
        check_finite(path, ((name, bool(np.isfinite(array).all())) for name, array in params))
    progress = {field.name: getattr(stored, field.name) for field in dataclasses.fields(Progress)}
    return Run(
        **progress,
        **trees,
        spec=spec,
        critic_spec=critic_spec,
        training=stored.training,
        optimizer=stored.optimizer,
        trained_model=stored.model,
    )


def _model_trees(shapes: tuple[Any, ...], params: Any, precision: str) -> dict[str, Any]:
    """The trees of a run of which only the parameters are known."""
    zero = np.zeros((), precision)
    try:
        moments, state = (
            map_leaves(lambda shape: np.broadcast_to(zero, shape.sizes), tree) for tree in shapes[1:3]
        )
    except ValueError:
        raise UserError("its state has more numbers than an array can have") from None
    used = map_leaves(lambda array: array.astype(precision), params)
    return {"params": used, "moments": moments, "state": state, "average": (), "critic": ()}


def check_finite(path: Path, finite: Iterable[tuple[str, bool]]) -> None:
    """Raise UserError if an array of the parameters, given by name, is not finite."""
    bad = next((name for name, good in finite if not good), None)
    if bad is not None:
        raise UserError(
            f"parameters in {path} must be finite, got NaN or infinity in {bad}. Use another checkpoint or file; "
            "`numdnc diagnose` still examines such a run."
        )


def rename_old_settings(metadata: dict[str, Any]) -> None:
    """Bring settings that earlier formats stored under other names, or elsewhere, up to date."""
    training, task = metadata.get("training"), metadata.get("task")
    if not isinstance(training, dict):
        return
    if "start" in training:  # until format 5
        training["init_scheme"] = training.pop("start")
    if "score_limit" in training:  # in format 1
        limit = training.pop("score_limit")
        if isinstance(task, dict) and isinstance(task.get("settings"), dict):
            task["settings"]["score_limit"] = limit
