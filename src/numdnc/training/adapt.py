"""Adapt a run to its scores: the schedule plateau, restarts from the best checkpoint, and a memory that grows.

All of it happens at a report and depends on what a checkpoint holds, so that a resumed run goes on as it would have.
"""

import math
from dataclasses import replace

from numdnc.tasks import Task
from numdnc.training.folder import RunFolder
from numdnc.training.run import Run
from numdnc.training.workers import Workers
from numdnc.tree import map_leaves

FALL = 0.5
"""Factor of the learning rate where a level stands still."""
LEAST = 1 / 64
"""The learning rate does not fall below this share of its peak."""


def follow_plateau(run: Run, level: float, last_level: float) -> None:
    """Let the learning rate fall if the level stands still, and begin each later level at its peak.

    It stands still where no score was better for `patience` reports, and since the rate last fell. `last_level` was the
    level of the best score before this report, in which `run.best_iteration` is up to date.
    """
    if run.optimizer.schedule != "plateau":
        return
    waited = run.iteration - max(run.best_iteration, run.rate_iteration)
    if level > last_level:
        _set_rate(run, 1.0)
    elif waited >= run.optimizer.patience * run.training.report_every:
        _set_rate(run, max(LEAST, FALL * run.rate_scale))


def has_collapsed(run: Run, level: float, score: float) -> bool:
    """Whether the score is more than `restart_above` times the best one on the same level."""
    above, best = run.training.restart_above, run.best_score
    return above > 0 and best is not None and level == run.best_level and score > above * best


def restart_from_best(run: Run, folder: RunFolder, workers: Workers) -> None:
    """Continue with parameters, moments, average and critic of the best checkpoint; with plateau at a lower rate."""
    best = folder.load_best() if workers.rank == 0 else run
    rows = slice(None) if workers.rank == 0 else slice(0)
    run.params, run.moments, run.average, run.critic = map_leaves(
        lambda array: workers.all_gather(array[rows]), (best.params, best.moments, best.average, best.critic)
    )
    run.restarts += 1
    if run.optimizer.schedule == "plateau":
        _set_rate(run, max(LEAST, FALL * run.rate_scale))


def grow_memory(run: Run, task: Task) -> None:
    """Give the memory `slots_per_vector` slots for each vector that sequences of the current level must hold."""
    slots = math.ceil(run.training.slots_per_vector * (getattr(task, "slots_needed", None) or 0))
    if run.spec.has_memory and not run.spec.learned_state and slots > run.spec.memory_size:
        run.spec = replace(run.spec, memory_size=slots)


def _set_rate(run: Run, scale: float) -> None:
    run.rate_scale, run.rate_iteration = scale, run.iteration
