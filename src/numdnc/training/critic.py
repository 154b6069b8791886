"""The critic of a policy: a model of its own that learns which return to expect, the baseline of the policy gradient.

It sees the inputs of the policy, and nothing of its gradient reaches the policy: the advantages are constants.
"""

import math
from typing import Any, NamedTuple

from numdnc.engines import select_engine
from numdnc.errors import UserError
from numdnc.spec import Spec
from numdnc.tasks import Batch, Reinforced
from numdnc.training.gradient import loss_and_gradient
from numdnc.training.not_finite import not_finite
from numdnc.training.optimizers import OptimizerSettings, clip, gradient_norm, update
from numdnc.training.run import Critic, Run
from numdnc.training.workers import Workers


class Judged(NamedTuple):
    """A batch with advantages, and the gradient of the critic."""

    batch: Batch
    gradient: Any


def judge(run: Run, task: Reinforced, batch: Batch) -> Judged:
    """Let the critic estimate the returns of recorded episodes, and set the advantages."""
    assert run.critic_spec is not None
    assert run.critic
    values = None

    def loss(outputs: Any, batch: Batch) -> tuple[float, float, Any]:
        nonlocal values
        values = outputs[..., 0]
        value, d_values = task.value_loss(values, batch)
        return value, 1, d_values[..., None]

    engine = select_engine(run.engine_name, run.critic_spec, run.training.precision)
    found = loss_and_gradient(run.critic_spec, run.critic.params, engine, batch, loss)
    if not math.isfinite(gradient_norm(found.gradient)):
        raise not_finite("the gradient of the critic", run.iteration + 1)
    assert values is not None
    return Judged(task.with_values(batch, values), found.gradient)


def update_critic(run: Run, gradient: Any) -> None:
    """Let the optimizer move the critic's parameters, like the policy's; its gradient is clipped by itself."""
    assert run.critic
    gradient = clip(run.optimizer, gradient, gradient_norm(gradient))
    run.critic = Critic(
        *update(
            run.optimizer, run.critic.params, gradient, run.critic.moments, run.learning_rate, run.iteration
        )
    )


def check_policy(spec: Spec, optimizer: OptimizerSettings) -> None:
    """Raise UserError for what makes the policy that acts another one than that of which the gradient is taken."""
    for name, given in (("bypass_dropout", spec.bypass_dropout), ("weight_noise", optimizer.weight_noise)):
        if given:
            raise UserError(
                f"{name} must be 0 for a policy, got {given}: the gradient must be that of the policy that acted."
            )


def check_one_process(workers: Workers) -> None:
    """Raise UserError if several processes train a policy with a critic, or by trial, together."""
    if workers.world_size > 1:
        raise UserError(
            "a policy with a critic, or one that learns by trial, must be trained by one process, "
            f"got {workers.world_size}. Start it without torchrun."
        )
