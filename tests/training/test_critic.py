"""Training of a policy: its updates are those of a plain loop, a resumed run goes on as before."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numdnc import DNCSpec, LSTMSpec, UserError, initial_state, reference
from numdnc.tasks.interfaces import InterfaceForwardReverse
from numdnc.tasks.reinforcement_task import ReinforcementSettings, ReinforcementTask
from numdnc.training.critic import check_policy
from numdnc.training.folder import RunFolder
from numdnc.training.gradient import loss_and_gradient
from numdnc.training.loop import train
from numdnc.training.optimizers import OptimizerSettings, clip, gradient_norm, update
from numdnc.training.run import Run, TrainingSettings, forward_with, new_run
from numdnc.training.workers import Workers
from numdnc.tree import leaves, zeros_like

TAPES = InterfaceForwardReverse(length=2, symbols=2, memory_width=2, slack=1)
OPTIMIZER = OptimizerSettings(learning_rate=0.02, schedule="constant", clip_norm=0.5)


def task(**settings: Any) -> ReinforcementTask:
    return ReinforcementTask(
        "tapes", TAPES, ReinforcementSettings(batch=5, evaluated=3, critic_hidden=2, **settings), seed=1
    )


def run(given: ReinforcementTask, steps: int, optimizer: OptimizerSettings = OPTIMIZER) -> Run:
    spec = LSTMSpec(input_size=given.input_size, output_size=given.output_size, hidden_sizes=(4,))
    made = new_run(
        spec,
        TrainingSettings(steps=steps, report_every=2, precision="float64"),
        optimizer,
        task={"name": "tapes"},
        position=given.position(),
        batch=5,
        engine="reference",
        critic_spec=given.settings.critic_spec(spec),
    )
    made.carries_state, made.state = False, ()
    return made


def trained(folder: Path, given: ReinforcementTask, made: Run) -> Run:
    place = RunFolder(folder)
    if not folder.exists():
        place.create(made)
    for _ in train(made, given, place):
        pass
    return made


def assert_same(one: Any, other: Any, **tolerance: float) -> None:
    for a, b in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or {"rtol": 0, "atol": 0}))


def test_updates_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    done = trained(tmp_path / "run", task(trace_decay=0.8, entropy=0.1), run(task(), 3))
    given, plain = task(trace_decay=0.8, entropy=0.1), run(task(), 3)
    assert plain.critic
    spec, params, moments = plain.spec, plain.params, plain.moments
    critic_spec, values_params, values_moments = plain.critic_spec, plain.critic.params, plain.critic.moments
    assert critic_spec is not None
    for iteration in (1, 2, 3):
        forward = forward_with(plain.engine, spec, params)
        batch = given.rollout(forward, given.next_batch())
        inputs = batch.inputs.astype(np.float64)
        start = initial_state(critic_spec, values_params, 5)
        outputs, after, tape = reference.forward(critic_spec, values_params, inputs, start, keep_tape=True)
        values, (rewards, alive) = outputs[..., 0], (batch.episode.rewards, batch.mask)
        to_go, advantage, following = np.zeros(5), np.zeros(5), np.zeros(5)
        returns, advantages = np.zeros_like(rewards), np.zeros_like(rewards)
        for t in reversed(range(len(rewards))):
            value = np.where(alive[t], values[t], 0)
            to_go = rewards[t] + to_go
            advantage = rewards[t] + following - value + 0.8 * advantage
            returns[t], advantages[t], following = to_go, advantage, value
        d_values = np.where(alive, values - returns, 0) / 5
        found, *_ = reference.backward(
            critic_spec, values_params, tape, d_values[..., None], zeros_like(after)
        )
        batch = batch._replace(episode=batch.episode._replace(advantages=advantages))
        own = loss_and_gradient(
            spec, params, plain.engine, batch, given.loss, feedback=given.feedback
        ).gradient
        args = (OPTIMIZER.learning_rate, iteration)
        values_params, values_moments = update(
            OPTIMIZER, values_params, clip(OPTIMIZER, found, gradient_norm(found)), values_moments, *args
        )
        params, moments = update(OPTIMIZER, params, clip(OPTIMIZER, own, gradient_norm(own)), moments, *args)
    assert_same(done.params, params, rtol=1e-12, atol=1e-14)
    assert_same(done.critic, (values_params, values_moments), rtol=1e-12, atol=1e-14)


def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", task(), run(task(), 6))
    trained(tmp_path / "halves", task(), run(task(), 4))
    again = RunFolder(tmp_path / "halves").load_last()
    assert again.critic_spec == whole.critic_spec
    again.target = 6
    assert_same(trained(tmp_path / "halves", task(), again).params, whole.params)
    assert_same(again.critic, whole.critic)


def test_what_the_policy_gradient_does_not_allow_is_refused(tmp_path: Path) -> None:
    spec = DNCSpec(input_size=1, output_size=1, hidden_sizes=(4,), memory_size=3, word_size=2, read_heads=1)
    with pytest.raises(UserError, match=r"weight_noise must be 0 for a policy, got 0\.1"):
        check_policy(spec, OptimizerSettings(weight_noise=0.1))
    spec = replace(spec, bypass_dropout=0.2)
    with pytest.raises(UserError, match=r"bypass_dropout must be 0 for a policy, got 0\.2"):
        check_policy(spec, OptimizerSettings())
    two = Workers()
    two.world_size = 2
    made = run(task(), 2)
    RunFolder(tmp_path / "two").create(made)
    with pytest.raises(
        UserError,
        match="a policy with a critic, or one that learns by trial, must be trained by one process, got 2",
    ):
        next(iter(train(made, task(), RunFolder(tmp_path / "two"), workers=two)))


def test_a_policy_that_is_its_own_critic() -> None:
    given = task(critic="shared", value_weight=0.3, trace_decay=0.8)
    assert (given.output_size, given.settings.critic_spec(run(given, 1).spec)) == (
        TAPES.output_size + 1,
        None,
    )
    made = run(given, 1)
    forward = forward_with(made.engine, made.spec, made.params)
    batch = given.rollout(forward, given.next_batch())
    assert batch.mask is not None
    outputs, _ = forward(batch.inputs, None)
    _, _, gradient = given.loss(outputs, batch)
    apart = task(trace_decay=0.8)  # with the same values from elsewhere
    judged = apart.with_values(batch, outputs[..., -1])
    np.testing.assert_array_equal(gradient[..., :-1], apart.loss(outputs[..., :-1], judged)[2])
    rewards = batch.episode.rewards
    returns = rewards[::-1].cumsum(axis=0)[::-1]
    expected = 0.3 * np.where(batch.mask, outputs[..., -1] - returns, 0) / 5
    np.testing.assert_allclose(gradient[..., -1], expected, rtol=1e-12)


def test_a_critic_of_the_same_kind() -> None:
    spec = run(task(), 1).spec
    assert ReinforcementSettings(critic="same").critic_spec(spec) == LSTMSpec(
        input_size=spec.input_size, output_size=1, hidden_sizes=(4,)
    )
    for settings, message in (
        ({"critic": "mlp"}, "critic must be one of lstm, same, shared, got 'mlp'"),
        ({"batch": 0}, "batch must be from 1 to"),
        ({"discount": 1.5}, r"discount must lie in \[0, 1\]"),
        ({"entropy": -1.0}, "entropy must be at least 0"),
        ({"value_weight": np.nan}, "value_weight must be at least 0"),
    ):
        with pytest.raises(UserError, match=message):
            ReinforcementSettings(**settings)
