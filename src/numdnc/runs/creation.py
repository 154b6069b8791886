"""A new run of a task."""

from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.runs.base import NewTask, TaskRun
from numdnc.runs.kinds import open_run
from numdnc.spec import Spec
from numdnc.training.memory import check_memory
from numdnc.training.optimizers import OptimizerSettings
from numdnc.training.run import TrainingSettings, new_run


def begin_run(
    new: NewTask,
    spec: Spec,
    training: TrainingSettings,
    optimizer: OptimizerSettings,
    *,
    engine: str = "auto",
    custom_task: str | None = None,
) -> TaskRun:
    """A run before its first iteration, if the states it needs at once fit into this machine's memory."""
    if spec.bidirectional and new.in_parts:
        raise UserError(
            f"bidirectional must be left out with the task {new.task.name}, got it: {new.in_parts}, but the second "
            "direction begins at the last step of a whole sequence."
        )
    chosen = select_engine(engine, spec, training.precision)
    check_memory(spec, chosen, training.precision, new.states, new.batch)
    run = new_run(
        spec,
        training,
        optimizer,
        task=new.metadata,
        position=new.task.position(),
        batch=new.batch,
        engine=chosen.name,
    )
    begun = open_run(run, custom_task, engine=chosen.name)
    begun.task = new.task
    return begun
