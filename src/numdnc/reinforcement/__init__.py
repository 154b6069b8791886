"""Policy gradient: policies of several actions a step, returns and advantages, rollouts, and their losses.

A policy is any model of numdnc. It steps through a batch of episodes side by side (`rollout`), which are recorded; then
`policy_gradient` gives the gradient of the loss by the recorded outputs, from which an engine's ordinary backward pass
goes on. docs/equations/policy-gradient.md derives the estimator.
"""

from numdnc.reinforcement.episode import Episode
from numdnc.reinforcement.losses import optimal_loss, policy_gradient, value_loss
from numdnc.reinforcement.policy import entropy, likeliest_actions, log_probability, sample_actions
from numdnc.reinforcement.returns import advantages, rewards_to_go
from numdnc.reinforcement.rollout import Choose, Environment, Episodes, Observation, Rollout, rollout

__all__ = [
    "Choose",
    "Environment",
    "Episode",
    "Episodes",
    "Observation",
    "Rollout",
    "advantages",
    "entropy",
    "likeliest_actions",
    "log_probability",
    "optimal_loss",
    "policy_gradient",
    "rewards_to_go",
    "rollout",
    "sample_actions",
    "value_loss",
]
