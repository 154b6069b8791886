"""Errors for losses, gradients and scores that are not finite: they name the first array that holds NaN or infinity."""

from typing import Any

import numpy as np

from numdnc.errors import UserError
from numdnc.params import cast_inputs
from numdnc.tasks import Batch, Task
from numdnc.training.gradient import loss_and_gradient
from numdnc.training.run import Run, forward_with
from numdnc.training.workers import Workers
from numdnc.tree import named_leaves


def not_finite(what: str, iteration: int) -> UserError:
    """The error that ends a training because `what` is not finite."""
    return UserError(
        f"training must stay finite, but {what} is not, at iteration {iteration}. "
        "The last checkpoint is kept; start again with a lower --learning-rate or --clip-norm."
    )


def first_not_finite(prefix: str, tree: Any) -> str | None:
    """The name of the first array of a tree that holds a NaN or an infinity."""
    return next((name for name, leaf in named_leaves(tree, prefix) if not np.isfinite(leaf).all()), None)


def find_not_finite(
    run: Run, params: Any, batch: Batch, task: Task, state: Any, mask: Any, workers: Workers
) -> str:
    """What went bad first in an update, in the order of computation; the arguments are those of the update.

    The answer is that of the first worker that finds something in its sequences.
    """
    rows = workers.shard(batch.inputs.shape[1])
    batch, mask = batch.rows(rows), None if mask is None else mask[:, rows]
    forward, inputs = forward_with(run.engine, run.spec, params), cast_inputs(batch.inputs, params)
    bad, at = first_not_finite("params", params), state
    if bad is None and state is not None:
        bad = first_not_finite("state", state)
    chunk = len(inputs) if run.spec.bidirectional else 1
    for t in range(0, len(inputs), chunk):
        if bad is not None:
            break
        outputs, at = forward(inputs[t : t + chunk], at)
        bad = first_not_finite("state", at) or first_not_finite("outputs", outputs)
        where = f" at step {t} of the window" if chunk == 1 else ""
        bad = f"{bad}{where}" if bad else None
    if bad is None:
        own = loss_and_gradient(run.spec, params, run.engine, batch, task.loss, state=state, bypass_mask=mask)
        bad = first_not_finite("gradient", own.gradient)
    found = workers.all_gather_number(bad is not None)
    if not any(found):
        return "the sum over the gradient"
    return workers.broadcast((bad or "").encode(), source=found.index(1)).decode()
