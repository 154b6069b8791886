"""`--set` and `--memory-size`: another task or memory than a run was trained with."""

import dataclasses
from typing import Any

from numdnc.cli.episodes import check_sizes
from numdnc.errors import UserError
from numdnc.init import initial_state
from numdnc.spec import Spec
from numdnc.tasks.sequence_task import SequenceTask
from numdnc.training.run import Run
from numdnc.tree import leaves


def with_memory_size(spec: Spec, memory_size: int) -> Spec:
    """A DNC's spec with so many memory slots."""
    if not spec.has_memory:
        raise UserError(f"--memory-size must be given for a dnc, got a run of a {spec.kind}. Leave it out.")
    if spec.learned_state and memory_size != spec.memory_size:
        raise UserError(
            f"--memory-size must be {spec.memory_size} for a dnc that has learned its initial memory, "
            f"got {memory_size}. Leave it out."
        )
    return dataclasses.replace(spec, memory_size=memory_size)


def set_memory_size(run: Run, memory_size: int) -> None:
    """Let a run of separate sequences go on with so many memory slots; each of its sequences begins anew anyway."""
    run.spec = with_memory_size(run.spec, memory_size)
    run.state = initial_state(run.spec, run.params, len(leaves(run.state)[0]))


def override_settings(
    run: Run, task: SequenceTask, overrides: tuple[str, ...], sequences: int | None
) -> SequenceTask:
    """The run's task with other settings and another number of sequences to score."""
    settings = task.settings
    if sequences is not None:
        if sequences < 1:
            raise UserError(f"sequences must be at least 1, got {sequences}.")
        settings = dataclasses.replace(settings, evaluated=sequences)
    episodes: Any = task.generator
    before = dataclasses.asdict(episodes)
    wanted = dict(_parse_override(text, before) for text in overrides)
    # A curriculum is over once the run is scored; what grew may now be set to any value.
    settings = dataclasses.replace(settings, grow="")
    changed = SequenceTask(task.name, dataclasses.replace(episodes, **wanted), settings, run.training.seed)
    check_sizes(run, changed)
    return changed


def _parse_override(text: str, before: dict[str, Any]) -> tuple[str, Any]:
    """Name and value of NAME=VALUE, the value of the kind that it had before."""
    name, equals, value = text.partition("=")
    name = name.replace("-", "_")
    if not equals or name not in before:
        raise UserError(f"--set must be NAME=VALUE with a name of {', '.join(before)}, got {text!r}.")
    kind = type(before[name])
    try:
        if kind is bool:
            return name, {"true": True, "yes": True, "false": False, "no": False}[value.lower()]
        return name, kind(value)
    except (ValueError, KeyError):
        kinds = {bool: "yes or no", int: "a whole number", float: "a number"}
        raise UserError(f"{name} must be {kinds[kind]}, got {value!r}.") from None
