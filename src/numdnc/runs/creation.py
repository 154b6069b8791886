"""A new run of a task."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.init import add_layers, add_output, add_recurrence, drop_output, init_params
from numdnc.inspection.health import SEQUENCES
from numdnc.params import zero_params
from numdnc.runs.base import NewTask, TaskRun
from numdnc.runs.kinds import load_trained, open_run
from numdnc.spec import Spec
from numdnc.tasks import Reinforced
from numdnc.training.critic import check_policy
from numdnc.training.memory import check_inspection, check_memory
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import Run, TrainingSettings, new_run
from numdnc.tree import map_leaves, named_leaves

_SYMBOLS = ("vocabulary", "tokens", "words")
"""Where kinds of runs store what the numbers of their symbols mean."""


def begin_run(
    new: NewTask,
    spec: Spec,
    training: TrainingSettings,
    optimizer: OptimizerSettings,
    *,
    engine: str = "auto",
    custom_task: str | None = None,
) -> tuple[TaskRun, str]:
    """A run before its first iteration, if the states it needs at once fit into this machine's memory.

    With `start_from`, also what it begins with, in words. The run keeps that name without its folder.
    """
    if spec.bidirectional and new.in_parts:
        raise UserError(
            f"bidirectional must be left out with the task {new.task.name}, got it: {new.in_parts}, but the second "
            "direction begins at the last step of a whole sequence."
        )
    if training.restart_above and isinstance(new.task, Reinforced):
        raise UserError(
            f"restart_above must be left out for a policy, got {training.restart_above}: it compares losses above "
            "0, but the loss of a policy is minus its return."
        )
    chosen = select_engine(engine, spec, training.precision)
    critic = None if new.critic_spec is None else new.critic_spec(spec)
    check_memory(spec, chosen, training.precision, new.states, new.batch)
    if critic is not None:
        check_memory(
            critic,
            select_engine(engine, critic, training.precision),
            training.precision,
            new.states,
            new.batch,
            critic=True,
        )
    check_inspection(spec, training.precision, SEQUENCES)
    params, origin = None, ""
    if start := training.start_from:
        trained = load_trained(Path(start))
        params, origin = (
            trained_params(trained, start, spec, training, value=getattr(new.task, "gives_value", False)),
            _origin(trained, start, new, spec),
        )
        training = replace(training, start_from=Path(start).name or Path(start).resolve().name)
    if new.critic_spec is not None:
        check_policy(spec, optimizer)
    run = new_run(
        spec,
        training,
        optimizer,
        task=new.metadata,
        position=new.task.position(),
        batch=new.batch,
        engine=chosen.name,
        params=params,
        critic_spec=critic,
    )
    begun = open_run(run, custom_task, engine=chosen.name)
    begun.task = new.task
    return begun, origin


def trained_params(
    trained: Run, source: str, spec: Spec, training: TrainingSettings, *, value: bool = False
) -> Any:
    """Parameters of a trained run, which is called `source`, for a model of this spec.

    It may have more layers, or a recurrent controller in place of a feed-forward one; with `value` the value of a
    policy as its last output. What is added changes nothing at first; a value that is not wanted is dropped.
    """
    there = trained.spec
    recurs = (there.controller, spec.controller) == ("feedforward", "rnn")
    if there.kind != spec.kind or not (recurs or there.controller == spec.controller):
        raise UserError(
            f"start_from must be a run of a {spec.kind} with controller {spec.controller}, got one of a "
            f"{there.kind} with {there.controller}. Give the same --model and --controller."
        )
    params = map_leaves(lambda array: array.astype(training.precision), trained.evaluated)
    own = _shapes(params)
    layers = len(there.hidden_sizes)
    grows = layers < len(spec.hidden_sizes) and there.hidden_sizes == spec.hidden_sizes[:layers]
    if grows and spec.bidirectional:
        raise UserError(
            f"layers must be those of the trained model where there are two directions, {layers}, got "
            f"{len(spec.hidden_sizes)}: a layer can be added to one direction only."
        )
    if recurs or grows:
        fresh = init_params(
            spec, training.seed, training.precision, training.init_scheme, training.input_scale
        )
        params = add_recurrence(spec, fresh, params) if recurs else params
        params = add_layers(spec, fresh, params) if grows else params
    if value and spec.output_size == there.output_size + 1:
        params = add_output(params)
    if not value and spec.output_size == there.output_size - 1 and _gives_value(trained):
        params = drop_output(params)
    wanted, found = _shapes(zero_params(spec, training.precision)), _shapes(params)
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            raise UserError(
                f"start_from must be a run of a model of the same sizes, but {name} is {_shape(own.get(name))} in "
                f"{source} and {_shape(wanted.get(name))} here. Give the options of the model that it has: "
                f"`numdnc info {source}`."
            )
    return params


def _gives_value(trained: Run) -> bool:
    """Whether the last output of a model is its own value."""
    settings = trained.task.get("reinforcement", {})
    return settings.get("critic") == "shared" and not (settings.get("imitate") or settings.get("trials"))


def _origin(trained: Run, source: str, new: NewTask, spec: Spec) -> str:
    """What a run begins with and what it does not take of the trained one, in words."""
    before, after = asdict(trained.spec), asdict(spec)
    changed = [
        f"{name} {value}, there {before[name]}"
        for name, value in after.items()
        if before.get(name, value) != value
    ]
    symbols = [trained.task.get(name) != new.metadata.get(name) for name in _SYMBOLS]
    lines = [
        f"begins with all parameters of {source}, {trained.task.get('name')} at iteration {trained.iteration:,}; "
        "its optimizer, learning rate, level and place in the data are not taken",
        *([f"the model here has {'; '.join(changed)}"] if changed else []),
        *(["the symbols of its inputs and outputs are others there"] if any(symbols) else []),
    ]
    return "\n".join(lines)


def _shapes(params: Any) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in named_leaves(params)}


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape))
