"""A run: a model, its optimizer and its task as they stand after some iterations, and how they lie in a checkpoint."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from numdnc.engines import Engine, select_engine
from numdnc.errors import UserError
from numdnc.init import Start, init_params, initial_state
from numdnc.params import Array, Inputs, as_numbers, zero_params, zero_state
from numdnc.spec import SPECS, Spec
from numdnc.tasks import Forward
from numdnc.training.checkpoint import load_checkpoint, save_checkpoint
from numdnc.training.optimizers import OptimizerSettings, first_moments
from numdnc.tree import from_named, leaves, named_leaves

Precision = Literal["float32", "float64"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What is settled when a run starts and stays so until its end."""

    steps: int = 2000
    """Iterations to train for; the cosine schedule ends there."""
    report_every: int = 100
    """Iterations between progress lines; each scores the held-out data and saves a checkpoint."""
    precision: Precision = "float32"
    """float32 or float64."""
    seed: int = 0
    """Settles parameters, data order and samples."""
    start: Start = "plain"
    """How parameters start: plain, or store (a dnc's memory starts as an append-only store, read by content)."""
    input_scale: float = 1.0
    """How much larger than usual the weights of the inputs start; above 1 for inputs of zeros and few ones."""

    def __post_init__(self) -> None:
        for name in ("steps", "report_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.precision not in get_args(Precision):
            raise UserError(f"precision must be float32 or float64, got {self.precision!r}.")
        if self.start not in get_args(Start):
            raise UserError(f"start must be one of {', '.join(get_args(Start))}, got {self.start!r}.")
        if not 0 < self.input_scale < math.inf:
            raise UserError(f"input_scale must be above 0 and finite, got {self.input_scale}.")
        if self.seed < 0:
            raise UserError(f"seed must be at least 0, got {self.seed}.")


@dataclass
class Run:
    """Everything that an iteration changes, and what it needs."""

    spec: Spec
    training: TrainingSettings
    optimizer: OptimizerSettings
    task: dict[str, Any]
    """What the task is made from again, as JSON."""
    engine_name: str
    params: Any
    moments: tuple[Any, ...]
    state: Any
    """The model's state at the start of the next window."""
    position: dict[str, Any]
    """The task's `position`."""
    iteration: int = 0
    target: int = 0
    """The iteration to stop at."""
    seconds: float = 0.0
    best_score: float | None = None
    best_iteration: int = 0
    best_level: float = 0.0
    """The curriculum's level at which that was scored: a score of a later level is the better one."""
    recent_nats: float = 0.0
    """Sum of the losses since the last report, and how many predictions that was."""
    recent_count: float = 0
    solved_iteration: int | None = None
    """The iteration of the first report at which nothing was left to learn, ..."""
    solved_seconds: float | None = None
    """... and how long training had taken until then."""

    @property
    def engine(self) -> Engine:
        """The engine this run was started with or was told to go on with."""
        return select_engine(self.engine_name, self.spec, self.training.precision)

    def forward(self, inputs: Inputs, state: Any) -> tuple[Array, Any]:
        """`Forward` with the present parameters."""
        return forward_with(self.engine, self.spec, self.params)(inputs, state)


def new_run(
    spec: Spec,
    training: TrainingSettings,
    optimizer: OptimizerSettings,
    *,
    task: dict[str, Any],
    position: dict[str, Any],
    batch: int,
    engine: str,
) -> Run:
    """A run before its first iteration."""
    params = init_params(spec, training.seed, training.precision, training.start, training.input_scale)
    return Run(
        spec=spec,
        training=training,
        optimizer=optimizer,
        task=task,
        engine_name=engine,
        params=params,
        moments=first_moments(optimizer, params),
        state=initial_state(spec, params, batch),
        position=position,
        target=training.steps,
    )


def forward_with(engine: Engine, spec: Spec, params: Any) -> Forward:
    """The model as a function of inputs and state alone."""

    def forward(inputs: Inputs, state: Any) -> tuple[Array, Any]:
        if state is None:
            state = initial_state(spec, params, inputs.shape[1])
        outputs, state, _ = engine.forward(spec, params, as_numbers(inputs, params), state, keep_tape=False)
        return outputs, state

    return forward


_TREES = ("params", "moments", "state")
_NESTED = {"spec", "training", "optimizer"}


def save_run(path: Path, run: Run) -> None:
    """Write a checkpoint from which `load_run` gives the same run."""
    trees = tuple((name, getattr(run, name)) for name in _TREES)
    arrays = {name: leaf for tree_name, tree in trees for name, leaf in named_leaves(tree, tree_name)}
    plain = {
        field.name: getattr(run, field.name)
        for field in dataclasses.fields(run)
        if field.name not in _NESTED and field.name not in _TREES
    }
    metadata = {
        **plain,
        "batch": len(leaves(run.state)[0]),
        "spec": {"kind": run.spec.kind, **dataclasses.asdict(run.spec)},
        "training": dataclasses.asdict(run.training),
        "optimizer": dataclasses.asdict(run.optimizer),
    }
    save_checkpoint(path, arrays, metadata)


def load_run(path: Path) -> Run:
    """The run of a checkpoint; a UserError says what is wrong with the file."""
    arrays, metadata = load_checkpoint(path)
    try:
        metadata.pop("numdnc"), metadata.pop("numpy")
        if not isinstance(metadata["task"], dict):
            raise TypeError("task must be an object")
        _bring_up_to_date(metadata)
        kind = SPECS[metadata["spec"].pop("kind")]
        spec = kind(**metadata.pop("spec"))
        training = TrainingSettings(**metadata.pop("training"))
        optimizer = OptimizerSettings(**metadata.pop("optimizer"))
        params = zero_params(spec, training.precision)
        state = zero_state(spec, metadata.pop("batch"), training.precision)
        trees = (params, first_moments(optimizer, params), state)
        filled = {name: from_named(tree, arrays, name) for name, tree in zip(_TREES, trees, strict=True)}
        _check_shapes(dict(zip(_TREES, trees, strict=True)), filled)
        return Run(spec=spec, training=training, optimizer=optimizer, **filled, **metadata)
    except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
        raise UserError(
            f"{path} must hold a run of a model that this version knows, got something else ({error}). "
            "Use the version of numdnc that wrote it."
        ) from None


def _bring_up_to_date(metadata: dict[str, Any]) -> None:
    """In format 1 the limit of a text's scores lay among the settings of the training."""
    if "score_limit" in metadata["training"]:
        metadata["task"]["settings"]["score_limit"] = metadata["training"].pop("score_limit")


def _check_shapes(expected: dict[str, Any], given: dict[str, Any]) -> None:
    for name, tree in expected.items():
        for (leaf_name, want), (_, got) in zip(
            named_leaves(tree, name), named_leaves(given[name], name), strict=True
        ):
            if want.shape != got.shape or want.dtype != got.dtype:
                raise UserError(
                    f"{leaf_name} is {got.shape} of {got.dtype}, not {want.shape} of {want.dtype}"
                )
