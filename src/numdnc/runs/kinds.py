"""The registry of kinds of runs, and how a run is opened as one of them."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from numdnc.errors import UserError
from numdnc.models import locate, model_name
from numdnc.names import quoted
from numdnc.runs.arrays import ArrayRun
from numdnc.runs.babi import BabiRun
from numdnc.runs.base import TaskRun
from numdnc.runs.catbabi import CatbabiRun
from numdnc.runs.consent import Confirm, allowed_source, refuse
from numdnc.runs.environments import EnvironmentRun
from numdnc.runs.graphs import GraphRun, read_own_graph
from numdnc.runs.interfaces import InterfaceRun
from numdnc.runs.memory import UNCHANGED, MemoryOverride
from numdnc.runs.molecules import MoleculeRun
from numdnc.runs.reinvent import ReinventRun
from numdnc.runs.sequences import SequenceRun
from numdnc.runs.shrdlu import ShrdluRun
from numdnc.runs.text import TextRun
from numdnc.runs.typed import TypedRun
from numdnc.training.checkpoint import load_run as load_checkpoint_run
from numdnc.training.folder import RunFolder
from numdnc.training.run import Run

KINDS: tuple[type[TaskRun], ...] = (
    TextRun,
    GraphRun,
    TypedRun,
    SequenceRun,
    ArrayRun,
    BabiRun,
    CatbabiRun,
    MoleculeRun,
    ReinventRun,
    InterfaceRun,
    ShrdluRun,
    EnvironmentRun,
)
"""All kinds; among those that store the same kind of task, the first that accepts the run is used."""


_FLAGS = {
    "custom_task": "--task",
    "data_folder": "--data",
    "number": "--sample",
    "overrides": "--set",
    "picture": "--show or --plot",
    "user_input": "--input",
}
"""Options that have another name on the command line, which messages use."""


def load_run(
    path: str | Path,
    *,
    last: bool = False,
    finite: bool = True,
    engine: str = "auto",
    memory_size: int | None = None,
    sparsity: int | None = None,
    corpus: str | Sequence[str] = (),
    data_folder: str | Path | None = None,
    custom_task: str | None = None,
) -> TaskRun:
    """Open a trained run to score it, ask it and look into it; see `TaskRun`.

    Args:
        path: The run's folder, one of its checkpoints, NAME.safetensors, or model:NAME of a model that comes with
            numdnc (`numdnc models`).
        last: Of a folder, take the last checkpoint, not the best.
        finite: Refuse parameters that are NaN or infinite; without it only `diagnose` is of use.
        engine: What computes the model; "auto" takes the fastest that can.
        memory_size: Run a model with this many memory slots, by default as it was trained.
        sparsity: Run a DNC with weightings and links cut to this many entries, by default as it was trained. One that
            was trained without a cut may need 16 or more, or some training with it.
        corpus: Where a run's text lies now, if it has moved; of several files all, in order.
        data_folder: Folder to look for named corpora in, or where the stories of bAbI lie now.
        custom_task: The run's custom task, MODULE:CLASS or FILE.py:CLASS. It is code, so data alone never loads it: it
            must be named here once, unless the run was trained on this machine.

    Raises:
        UserError: Where there is no run, it is damaged, or an option is not one of its kind.

    """
    return open_path(
        Path(path),
        last=last,
        finite=finite,
        engine=engine,
        memory_size=memory_size,
        sparsity=sparsity,
        custom_task=custom_task,
        corpus=corpus,
        data_folder=data_folder and Path(data_folder),
    )


def open_path(
    path: Path,
    *,
    last: bool = False,
    finite: bool = True,
    engine: str = "auto",
    memory_size: int | None = None,
    sparsity: int | None = None,
    custom_task: str | None = None,
    confirm: Confirm = refuse,
    needs: str = "evaluate",
    **where: Any,
) -> TaskRun:
    """`load_run`, with `confirm` to ask the user before the code of a custom task is loaded.

    A run that does not have the method `needs` is refused before that.
    """
    run = load_trained(path, last=last, finite=finite)
    path = locate(path)
    folder = path.parent if path.suffix == ".safetensors" else path
    if not any(_has(kind, needs) for kind in _stored_as(run)):
        refuse_method(_stored_as(run)[-1], needs, str(run.task.get("name")))
    source = custom_task_of(run, folder, custom_task, confirm)
    opened = open_run(run, source, engine=engine, memory=MemoryOverride(memory_size, sparsity), **where)
    if isinstance(opened, GraphRun) and run.trained_model is not None:
        opened.own_graph = read_own_graph(folder)
    return opened


def load_trained(path: Path, *, last: bool = False, finite: bool = True) -> Run:
    """What a run's folder, a checkpoint or model:NAME holds, whatever its task."""
    if last and model_name(path) is not None:
        raise UserError(
            f"--last must be given with a run's folder, got {path}, which is one checkpoint. Leave it out."
        )
    path = locate(path)
    if path.suffix == ".safetensors":
        if last:
            raise UserError(f"--last must be given with a run's folder, got {path}. Leave it out.")
        return load_checkpoint_run(path, finite=finite)
    place = RunFolder(path)
    return place.load_last(finite=finite) if last else place.load_best(finite=finite)


def custom_task_of(run: Run, folder: Path, named: str | None, confirm: Confirm = refuse) -> str | None:
    """The source of the custom task of a run in `folder`, if it has one and the user agrees; see consent.py."""
    stored = _stored_as(run)[0].custom_task_source(run)
    if stored is not None:
        return allowed_source(folder, stored, named, confirm)
    if named is not None:
        raise UserError(f"--task must be given for a run of a custom task, got {named}. Leave it out.")
    return None


def open_run(
    run: Run,
    custom_task: str | None = None,
    *,
    engine: str = "auto",
    memory: MemoryOverride = UNCHANGED,
    **where: Any,
) -> TaskRun:
    """Open a run as one of its kind; `where` are keywords of the kind that say where its data lies now."""
    kind = next(kind for kind in _stored_as(run) if kind.accepts(run, custom_task))
    options = given({**where, "custom_task": custom_task})
    _check_options(kind, "__init__", str(run.task.get("name")), options)
    return kind(run, engine=engine, memory=memory, **options)


def call(run: TaskRun, method: str, **options: Any) -> Any:
    """Call a method of a run with the options that have a value; refuse those that its kind does not take."""
    wanted = given(options)
    _check_options(type(run), method, run.name, wanted)
    return getattr(run, method)(**wanted)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that have a value."""
    return {
        name: value
        for name, value in options.items()
        if not (value is None or value is False or value == () or value == {})
    }


def _check_options(kind: type[TaskRun], method: str, name: str, options: Mapping[str, Any]) -> None:
    """Refuse options that a method takes for runs of other kinds only."""
    if not _has(kind, method):
        return  # the method itself refuses the run
    for option in options:
        if option not in _parameters(kind, method):
            flag = _FLAGS.get(option, f"--{option.replace('_', '-')}")
            takers = _in_words([other for other in KINDS if option in _parameters(other, method)])
            raise UserError(f"{flag} must be given for a run of {takers}, got one of {name}. Leave it out.")


def refuse_method(kind: type[TaskRun], method: str, name: str) -> NoReturn:
    """Refuse to call a method that runs of this kind do not have."""
    raise UserError(
        f"{'sample' if method == 'stream' else method} must be given a run of {kinds_with(method)}, got one of {name}. "
        f"What can be done with it: {', '.join(kind.next_commands).replace('{}', 'DIR')}."
    )


def kinds_with(method: str) -> str:
    """The kinds that have a method, in words."""
    return _in_words([kind for kind in KINDS if _has(kind, method)])


def _has(kind: type[TaskRun], method: str) -> bool:
    return getattr(kind, method) is not getattr(TaskRun, method)


def _in_words(kinds: list[type[TaskRun]]) -> str:
    """The kinds in words, without those that extend another one of them."""
    *others, last = [kind.noun for kind in kinds if not set(kind.__mro__[1:]) & set(kinds)]
    return f"{', '.join(others)} or {last}" if others else last


def _parameters(kind: type[TaskRun], method: str) -> Collection[str]:
    return inspect.signature(getattr(kind, method)).parameters


def _stored_as(run: Run) -> list[type[TaskRun]]:
    """The kinds that store the same kind of task as this run."""
    stored = run.task.get("kind", TextRun.kind)
    found = [kind for kind in KINDS if kind.kind == stored]
    if not found:
        names = ", ".join(dict.fromkeys(kind.kind for kind in KINDS))
        raise UserError(
            f"the kind of a run must be one of {names}, got {quoted(str(stored))}. "
            "Use the version of numdnc that wrote it."
        )
    return found
