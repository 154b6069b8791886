"""The training loop: a batch, its loss and gradient, an update; now and then a report and a checkpoint."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numdnc.init import draw_bypass_mask
from numdnc.params import Array, DNCParams, Inputs
from numdnc.tasks import Batch, Differentiable, Forward, Interactive, Reinforced, Task
from numdnc.training.adapt import follow_plateau, grow_memory, has_collapsed, restart_from_best
from numdnc.training.critic import check_one_process, judge, update_critic
from numdnc.training.events import Event, Finished, Report, Tick
from numdnc.training.folder import RunFolder
from numdnc.training.gradient import loss_and_gradient, no_feedback
from numdnc.training.not_finite import find_not_finite, first_not_finite, not_finite
from numdnc.training.optimizers import clip, gradient_norm, update, with_noise
from numdnc.training.run import Run, forward_with
from numdnc.training.timer import Timer
from numdnc.training.workers import SINGLE, Workers
from numdnc.tree import leaves, map_leaves

_DROPOUT = 1
"""Sets the random numbers of dropout apart from those of weight noise."""
_STOPS = {1: "minutes", 2: "interrupted", 3: "launcher_exited"}
"""What can stop a run from outside; of several the highest is reported."""


def train(
    run: Run,
    task: Task,
    folder: RunFolder,
    *,
    workers: Workers = SINGLE,
    minutes: float = math.inf,
    interrupted: Callable[[], bool] = lambda: False,
    health: Callable[[], dict[str, float]] = dict,
) -> Iterator[Event]:
    """Train until `run.target`, for `minutes`, or until `interrupted()`; the run is saved in every case.

    Each report holds what `health()` returns at that moment (see inspection/health.py); it must change nothing.
    A run also stops at the report at which its task is solved for the first time, or at which the scores have not
    become better for `early_stop` reports; if it is continued, it trains on.
    If a loss or gradient is not finite, UserError names the first array that is not, and the last checkpoint stays as
    it was.

    Each of several `workers` calls this with the same run and the same task, and holds its own rows of the state
    meanwhile; rank 0 writes for all.
    """
    interactive = task if isinstance(task, Interactive) else None  # found once: asking a protocol is slow
    if run.critic or (interactive is not None and interactive.tries_actions):
        check_one_process(workers)
    task.move_to(run.position)
    _check_same_run(run, task, workers)
    rows = workers.shard(run.batch)
    run.state = map_leaves(lambda array: array[rows], run.state)
    grow_memory(run, task)
    feedback = task.feedback if isinstance(task, Differentiable) else no_feedback
    timer, norm = Timer(run, minutes), 0.0
    was_solved = run.solved_iteration is not None
    while True:
        report_due = run.iteration % run.training.report_every == 0 or run.iteration == run.target
        timer.read(run, report_due=report_due)
        reported = report_due and bool(run.recent_count)
        if reported:
            yield _report(run, task, folder, workers, timer, norm, health())
            timer.reported(run)
        solved = run.solved_iteration is not None and not was_solved
        stops_early = reported and run.stagnates and run.iteration < run.target
        ends = "solved" if solved else "early_stop" if stops_early else None
        if reason := ends or _reason_to_stop(run, workers, timer, interrupted):
            _save(run, folder, workers)
            yield Finished(reason, run.iteration)
            return
        with np.errstate(all="ignore"):  # overflow ends in an error that names an array, not in a warning
            batch = _next_batch(run, task, interactive, workers)
            judged = judge(run, task, batch) if run.critic and isinstance(task, Reinforced) else None
            batch = batch if judged is None else judged.batch
            state = None if batch.starts_sequence else run.state
            mask = _bypass_mask(run, batch)
            params = with_noise(run.optimizer, run.params, run.training.seed, run.iteration)
            found = loss_and_gradient(
                *(run.spec, params, run.engine, batch, task.loss),
                state=state,
                bypass_mask=mask,
                feedback=feedback,
                workers=workers,
            )
            norm = gradient_norm(found.gradient)
            if not (math.isfinite(found.loss) and math.isfinite(norm)):
                what = find_not_finite(run, params, batch, task, state, mask, workers)
                raise not_finite(what, run.iteration + 1)
            run.iteration += 1
            if judged is not None:
                update_critic(run, judged.gradient)
            gradient = clip(run.optimizer, found.gradient, norm)
            _update_parameters(run, gradient, continues=not batch.starts_sequence)
        run.state, run.position = found.state if run.carries_state else (), task.position()
        run.recent_nats += found.loss * found.predictions
        run.recent_count += found.predictions
        yield Tick(run.iteration, _mean_loss(run, task), timer.seconds_left)


def _next_batch(run: Run, task: Task, interactive: Interactive | None, workers: Workers) -> Batch:
    """The next batch, the same in all workers, with the model's choices where the task lets it choose."""
    batch = task.next_batch()
    if interactive is not None:
        params = run.evaluated if interactive.tries_actions else run.params
        batch = interactive.rollout(_sharded(forward_with(run.engine, run.spec, params), workers), batch)
    workers.record(batch.inputs, batch.targets)
    return batch


def _update_parameters(run: Run, gradient: Any, *, continues: bool) -> None:
    """Let the optimizer move the parameters; `continues` if the batch went on from a carried state."""
    params, moments = update(
        run.optimizer, run.params, gradient, run.moments, run.learning_rate, run.iteration
    )
    if continues:
        params = _with_initial_of(run.params, params)
        moments = tuple(map(_with_initial_of, run.moments, moments))
    run.params, run.moments = params, moments
    run.update_average()


def _with_initial_of(before: Any, after: Any) -> Any:
    """Keep the learned initial state, which a batch that continues sequences must not move, not by momentum either."""
    return after._replace(initial=before.initial) if isinstance(after, DNCParams) else after


def _bypass_mask(run: Run, batch: Batch) -> Array | None:
    """A mask for the whole batch, drawn anew for every iteration from its number and the seed; None without dropout."""
    if not run.spec.bypass_dropout:
        return None
    rng = np.random.default_rng([run.training.seed, run.iteration, _DROPOUT])
    steps, width = batch.inputs.shape[:2]
    return draw_bypass_mask(run.spec, steps, width, rng, run.training.precision)


def _sharded(forward: Forward, workers: Workers) -> Forward:
    """The same model, of which each worker computes its rows and gets all outputs; the state is that of its rows."""

    def sharded(inputs: Inputs, state: Any, lengths: NDArray[np.integer] | None = None) -> tuple[Array, Any]:
        rows = workers.shard(inputs.shape[1])
        outputs, state = forward(inputs[:, rows], state, None if lengths is None else lengths[rows])
        return workers.all_gather(outputs, axis=1), state

    return sharded


def _report(
    run: Run,
    task: Task,
    folder: RunFolder,
    workers: Workers,
    timer: Timer,
    norm: float,
    health: dict[str, float],
) -> Report:
    """Score the held-out data, pass the scores to the task, adapt to them, add a line to metrics.jsonl, save.

    After a collapse the scores are not passed on: training continues at the level of the best checkpoint.
    """
    workers.record(*leaves(run.params))
    workers.check_identical()
    with np.errstate(all="ignore"):
        scores = workers.broadcast_object(task.score(_sharded(run.forward, workers)))
    if not all(map(math.isfinite, scores.values())):
        raise not_finite("the held-out score", run.iteration)
    report = Report(
        seconds=round(run.seconds, 3),
        iteration=run.iteration,
        train=_mean_loss(run, task),
        held_out=next(iter(scores.values())),
        scores=scores,
        solved=task.solved(scores),
        per_second=timer.predictions_per_second(run),
        seconds_left=timer.seconds_left,
        learning_rate=run.learning_rate,
        gradient_norm=norm,
        health=health,
    )
    run.recent_nats, run.recent_count = 0.0, 0
    level, last_level = scores.get("level", 0.0), run.best_level
    collapsed = has_collapsed(run, level, report.held_out)
    better = run.best_score is None or (-level, report.held_out) < (-run.best_level, run.best_score)
    if better:
        run.best_score, run.best_iteration, run.best_level = report.held_out, run.iteration, level
    if report.solved and run.solved_iteration is None:
        run.solved_iteration, run.solved_seconds = run.iteration, run.seconds
    if collapsed:
        restart_from_best(run, folder, workers)
    else:
        task.on_scores(scores)
        follow_plateau(run, level, last_level)
        grow_memory(run, task)
    run.position = task.position()
    if workers.rank == 0:
        folder.append_metrics(report.record())
    _save(run, folder, workers, best=better)
    return report


def _mean_loss(run: Run, task: Task) -> float:
    """Since the last report, in the task's unit; NaN where nothing was to be predicted."""
    return run.recent_nats / run.recent_count / task.nats_per_unit if run.recent_count else math.nan


def _reason_to_stop(run: Run, workers: Workers, timer: Timer, interrupted: Callable[[], bool]) -> str | None:
    """Why training ends here, the same in all workers; None if it goes on."""
    if run.iteration >= run.target:
        return "steps"
    stop = 3 if workers.launcher_exited() else 2 if interrupted() else int(timer.is_over)
    return _STOPS.get(int(max(workers.all_gather_number(stop))))


def _save(run: Run, folder: RunFolder, workers: Workers, *, best: bool = False) -> None:
    run = replace(run, state=map_leaves(workers.all_gather, run.state))
    if workers.rank > 0:
        return
    trees = (
        ("params", run.params),
        ("moments", run.moments),
        ("state", run.state),
        ("average", run.average),
        ("critic", run.critic),
    )
    bad = next(filter(None, (first_not_finite(name, tree) for name, tree in trees)), None)
    if bad is not None:
        raise not_finite(bad, run.iteration)
    if best:
        folder.save_best(run)
    folder.save_last(run)


def _check_same_run(run: Run, task: Task, workers: Workers) -> None:
    """Raise UserError if workers would train different runs."""
    settled = [asdict(run.spec), asdict(run.training), asdict(run.optimizer), run.target, task.position()]
    workers.record(json.dumps(settled).encode(), *leaves(run.params))
    workers.check_identical()
