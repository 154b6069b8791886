"""The training loop: an update an iteration, a report now and then."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np

from numdnc.errors import UserError
from numdnc.init import draw_bypass_mask, initial_state, initial_state_backward
from numdnc.params import Array, DNCParams, Inputs, cast_inputs
from numdnc.tasks import Batch, Forward, Interactive, Scores, Task
from numdnc.training.folder import RunFolder
from numdnc.training.optimizers import clip, gradient_norm, learning_rate_at, update, with_noise
from numdnc.training.pace import Pace
from numdnc.training.run import Run, forward_with
from numdnc.training.workers import SINGLE, Workers
from numdnc.tree import leaves, map_leaves, named_leaves, zeros_like

_DROPOUT = 1
"""Sets the random numbers of dropout apart from those of weight noise."""
_STOPS = {1: "minutes", 2: "interrupted", 3: "launcher_exited"}
"""What can end a run from outside; the highest is said where several do."""


class Report(NamedTuple):
    """A progress line."""

    seconds: float  # trained in all, over every resume
    iteration: int
    train: float  # mean loss over the iterations since the last report, in the task's unit
    held_out: float  # the first of the scores; with a curriculum, on its present level
    scores: Scores
    solved: bool  # whether nothing is left to learn
    per_second: (
        float  # predictions trained on, since the last report (or the first iteration, which may compile)
    )
    seconds_left: float
    learning_rate: float
    gradient_norm: float  # of the last iteration, before clipping
    health: dict[str, float]  # what was given to look at the model found

    def record(self) -> dict[str, Any]:
        """The line of metrics.jsonl: each score is a key of its own, health is an object (left out if empty)."""
        plain = self._asdict()
        scores, health = plain.pop("scores"), plain.pop("health")
        return {**plain, **scores, **({"health": health} if health else {})}


class Tick(NamedTuple):
    """An iteration is done."""

    iteration: int
    train: float  # mean loss since the last report, in the task's unit
    seconds_left: float


class Finished(NamedTuple):
    """The run has stopped and is saved."""

    reason: str  # "solved", "steps", "minutes", "interrupted" or "launcher_exited" (by torchrun)
    iteration: int


def train(
    run: Run,
    task: Task,
    folder: RunFolder,
    *,
    workers: Workers = SINGLE,
    minutes: float = math.inf,
    interrupted: Callable[[], bool] = lambda: False,
    health: Callable[[], dict[str, float]] = dict,
) -> Iterator[Tick | Report | Finished]:
    """Train until `run.target`, for `minutes`, or until `interrupted()`; what was done is saved in every case.

    Each report holds what `health()` says at that moment, by name (see inspection/health.py); it must change nothing.
    A run also stops at the report at which its task is solved for the first time; after that it goes on if told to.
    A loss or gradient that is not finite raises UserError, names the first array that went bad, and leaves the
    last checkpoint as it was.

    Each of several `workers` calls this with the same run and the same task, and holds its own rows of the state
    meanwhile; the first writes for all.
    """
    task.move_to(run.position)
    settled = [asdict(run.spec), asdict(run.training), asdict(run.optimizer), run.target, task.position()]
    workers.record(json.dumps(settled).encode(), *leaves(run.params))
    workers.check_identical()
    rows = workers.shard(len(leaves(run.state)[0]))
    run.state = map_leaves(lambda array: array[rows], run.state)
    began, began_seconds = time.perf_counter(), run.seconds
    first_iteration = run.iteration
    last_report, counted = began, run.recent_count
    pace, warm = Pace(first_iteration, began), [first_iteration + 1]
    norm, solved_before = 0.0, run.solved_iteration is not None
    while True:
        now = time.perf_counter()
        run.seconds = began_seconds + now - began
        due = run.iteration % run.training.report_every == 0 or run.iteration == run.target
        if run.iteration in warm:
            pace.settle(run.iteration, now)
            if not due and len(warm) == 1:
                last_report, counted = now, run.recent_count
        remaining = pace.seconds(run.target - run.iteration, run.iteration, now)
        left = max(0.0, min(remaining, 60 * minutes - (now - began)))
        if due and run.recent_count:
            speed = (run.recent_count - counted) / (now - last_report)
            yield _report(run, task, folder, workers, norm, speed, left, health)
            last_report, counted = now, 0.0
            if len(warm) == 1:  # the first report compiles too
                warm.append(run.iteration + 1)
        if run.solved_iteration is not None and not solved_before:
            reason = "solved"
        elif run.iteration >= run.target:
            reason = "steps"
        elif stop := max(workers.all_gather_number(_stop(workers, interrupted, now - began >= 60 * minutes))):
            reason = _STOPS[int(stop)]
        else:
            with np.errstate(all="ignore"):  # whatever overflows is caught by name, not by a warning
                norm = _iterate(run, task, workers)
            yield Tick(run.iteration, _mean_loss(run, task), left)
            continue
        _save(run, folder, workers)
        yield Finished(reason, run.iteration)
        return


def _mean_loss(run: Run, task: Task) -> float:
    """Since the last report, in the task's unit; NaN where nothing was to be predicted."""
    return run.recent_nats / run.recent_count / task.nats_per_unit if run.recent_count else math.nan


def _stop(workers: Workers, interrupted: Callable[[], bool], over: bool) -> int:
    """The number in `_STOPS` of what ends the run in this process; 0 if nothing does."""
    return 3 if workers.launcher_exited() else 2 if interrupted() else int(over)


def _iterate(run: Run, task: Task, workers: Workers) -> float:
    """One update; the gradient's norm before clipping."""
    engine, spec = run.engine, run.spec
    batch = task.next_batch()
    if isinstance(task, Interactive):
        batch = task.rollout(_shared(run.forward, workers), batch)
    batch = batch._replace(inputs=cast_inputs(batch.inputs, run.params))
    mask = _bypass_mask(run, batch)
    workers.record(batch.inputs, batch.targets)
    rows = workers.shard(batch.inputs.shape[1])
    batch, mask = batch.rows(rows), mask if mask is None else mask[:, rows]
    params = with_noise(run.optimizer, run.params, run.training.seed, run.iteration)
    if batch.starts_sequence:
        run.state = initial_state(spec, params, batch.inputs.shape[1])
    outputs, state, tape = engine.forward(
        spec, params, batch.inputs, run.state, keep_tape=True, bypass_mask=mask
    )
    nats, count, d_outputs = task.loss(outputs, batch)
    gradient, _, d_before = engine.backward(spec, params, tape, d_outputs, zeros_like(state))
    if batch.starts_sequence:
        gradient = initial_state_backward(spec, gradient, d_before)
    own = gradient
    gradient, nats, count = workers.all_reduce_mean(gradient, nats, count)
    norm = gradient_norm(gradient)
    if not math.isfinite(nats) or not math.isfinite(norm):
        raise UserError(_stopped(_first_bad(run, params, batch, own, workers), run.iteration + 1))
    run.iteration += 1
    rate = learning_rate_at(run.optimizer, run.iteration, run.training.steps)
    params, moments = update(
        run.optimizer, run.params, clip(run.optimizer, gradient, norm), run.moments, rate, run.iteration
    )
    if not batch.starts_sequence:
        params = _with_start_of(run.params, params)
        moments = tuple(map(_with_start_of, run.moments, moments))
    run.params, run.moments = params, moments
    run.state, run.position = state, task.position()
    run.recent_nats += nats * count
    run.recent_count += count
    return norm


def _with_start_of(before: Any, after: Any) -> Any:
    """A batch that goes on from a carried state says nothing of where to start: momentum must not move that either."""
    return after._replace(initial=before.initial) if isinstance(after, DNCParams) else after


def _bypass_mask(run: Run, batch: Batch) -> Array | None:
    """Drawn anew for every iteration; the same for the same seed and iteration."""
    rng = np.random.default_rng([run.training.seed, run.iteration, _DROPOUT])
    steps, width = batch.inputs.shape[:2]
    return draw_bypass_mask(run.spec, steps, width, rng, run.training.precision)


def _report(
    run: Run,
    task: Task,
    folder: RunFolder,
    workers: Workers,
    norm: float,
    speed: float,
    left: float,
    health: Callable[[], dict[str, float]],
) -> Report:
    """Score the held-out data, tell the task, note it in metrics.jsonl, save."""
    workers.record(*leaves(run.params))
    workers.check_identical()
    with np.errstate(all="ignore"):
        scores = workers.broadcast_object(task.score(_shared(run.forward, workers)))
    if not all(map(math.isfinite, scores.values())):
        raise UserError(_stopped("the held-out score", run.iteration))
    held_out = next(iter(scores.values()))
    report = Report(
        seconds=round(run.seconds, 3),
        iteration=run.iteration,
        train=_mean_loss(run, task),
        held_out=held_out,
        scores=scores,
        solved=task.solved(scores),
        per_second=speed,
        seconds_left=left,
        learning_rate=learning_rate_at(run.optimizer, run.iteration, run.training.steps),
        gradient_norm=norm,
        health=health(),
    )
    run.recent_nats, run.recent_count = 0.0, 0
    level = scores.get("level", 0.0)
    better = run.best_score is None or (-level, held_out) < (-run.best_level, run.best_score)
    if better:
        run.best_score, run.best_iteration, run.best_level = held_out, run.iteration, level
    if report.solved and run.solved_iteration is None:
        run.solved_iteration, run.solved_seconds = run.iteration, run.seconds
    task.on_scores(scores)
    run.position = task.position()
    if workers.rank == 0:
        folder.append_metrics(report.record())
    _save(run, folder, workers, best=better)
    return report


def _shared(forward: Forward, workers: Workers) -> Forward:
    """The same model, of which each process computes its rows; the state it hands on is that of these rows."""

    def shared(inputs: Inputs, state: Any) -> tuple[Array, Any]:
        outputs, state = forward(inputs[:, workers.shard(inputs.shape[1])], state)
        return workers.all_gather(outputs, axis=1), state

    return shared


def _save(run: Run, folder: RunFolder, workers: Workers, *, best: bool = False) -> None:
    run = replace(run, state=map_leaves(workers.all_gather, run.state))
    if workers.rank > 0:
        return
    trees = (("params", run.params), ("moments", run.moments), ("state", run.state))
    bad = next(filter(None, (_first_not_finite(name, tree) for name, tree in trees)), None)
    if bad is not None:
        raise UserError(_stopped(bad, run.iteration))
    if best:
        folder.save_best(run)
    folder.save_last(run)


def _first_bad(run: Run, params: Any, batch: Batch, gradient: Any, workers: Workers) -> str:
    """Why the loss or gradient is not finite: what went bad first, in the order of computation.

    Of several processes the first that finds something in its rows says so.
    """
    forward, state = forward_with(run.engine, run.spec, params), run.state
    bad = _first_not_finite("params", params) or _first_not_finite("state", state)
    for t in range(len(batch.inputs)):
        if bad is not None:
            break
        outputs, state = forward(batch.inputs[t : t + 1], state)
        bad = _first_not_finite("state", state) or _first_not_finite("outputs", outputs)
        bad = f"{bad} at step {t} of the window" if bad else None
    bad = bad or _first_not_finite("gradient", gradient)
    found = workers.all_gather_number(bad is not None)
    if not any(found):
        return "the sum over the gradient"
    return workers.broadcast((bad or "").encode(), source=found.index(1)).decode()


def _stopped(bad: str, iteration: int) -> str:
    return (
        f"training must stay finite, but {bad} is not, at iteration {iteration}. "
        "The last checkpoint is kept; start again with a lower --learning-rate or --clip-norm."
    )


def _first_not_finite(prefix: str, tree: Any) -> str | None:
    """The name of the first array of a tree that holds a NaN or an infinity."""
    return next((name for name, leaf in named_leaves(tree, prefix) if not np.isfinite(leaf).all()), None)
