"""REINVENT: its loss and gradient, the molecules it writes, and what a small agent learns."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numdnc import LSTMSpec, UserError, init_params, select_engine
from numdnc.data import Corpus
from numdnc.tasks import Batch
from numdnc.tasks.molecules import MoleculeSettings, MoleculeTask, ReinventSettings, ReinventTask
from numdnc.tasks.molecules.likelihood import batch_of, log_likelihood
from numdnc.tasks.molecules.sampling import Samples
from numdnc.tasks.molecules.smiles import Vocabulary
from numdnc.training.gradient import loss_and_gradient
from numdnc.training.optimizers import OptimizerSettings, clip, first_moments, gradient_norm, update
from numdnc.training.run import forward_with
from numdnc.tree import map_leaves, named_leaves

EXAMPLE = Path(__file__).parents[2] / "examples" / "molecules.smi"
VOCABULARY = Vocabulary(("(", ")", "C", "N", "O"))
SPEC = LSTMSpec(input_size=6, output_size=6, hidden_sizes=(7,))
ENGINE = select_engine("reference", SPEC, "float64")


def oxygens(smiles: str) -> float:
    """The share of oxygen."""
    return smiles.count("O") / len(smiles)


def params_of(seed: int) -> Any:
    return init_params(SPEC, seed, "float64", "plain", 10.0)


def task_of(score: Any = oxygens, prior: int = 1, max_tokens: int = 12, **settings: Any) -> ReinventTask:
    forward = forward_with(ENGINE, SPEC, params_of(prior))
    chosen = ReinventSettings(**{"batch": 5, "evaluated": 40, **settings})
    return ReinventTask(VOCABULARY, forward, score, chosen, max_tokens=max_tokens, seed=0)


def written(*molecules: str, ended: bool = True) -> Batch:
    tokens = [VOCABULARY.encode(list(molecule)) for molecule in molecules]
    return batch_of(tokens, np.full(len(tokens), ended))


def test_the_loss_is_the_square_of_the_difference_of_log_likelihoods() -> None:
    task = task_of(sigma=7.0)
    batch = written("CO", "C(", "CCN", "O")  # the second is not valid
    agent = forward_with(ENGINE, SPEC, params_of(2))(batch.inputs, None)[0]
    prior = task.prior(batch.inputs, None)[0]
    differences = log_likelihood(prior, batch) + 7 * np.array([0.5, 0, 0, 1]) - log_likelihood(agent, batch)
    loss, count, _ = task.loss(agent, batch)
    assert (loss, count) == (pytest.approx((differences**2).mean()), 4)
    unchanged = written("C(", "CC")
    assert task.loss(task.prior(unchanged.inputs, None)[0], unchanged)[0] == pytest.approx(0)


def test_the_gradient_is_that_of_finite_differences() -> None:
    """Through outputs and parameters; the molecules are constants."""
    task, params = task_of(), params_of(2)
    agent = forward_with(ENGINE, SPEC, params)
    batch = task.rollout(agent, task.next_batch())
    assert batch.mask is not None
    assert not batch.mask.all()
    found = loss_and_gradient(SPEC, params, ENGINE, batch, task.loss)
    assert found.loss > 0.1
    rng = np.random.default_rng(0)
    direction = map_leaves(lambda array: rng.normal(size=array.shape), params)

    def loss_at(step: float) -> float:
        moved = map_leaves(lambda array, along: array + step * along, params, direction)
        return task.loss(forward_with(ENGINE, SPEC, moved)(batch.inputs, None)[0], batch)[0]

    pairs = zip(named_leaves(found.gradient), named_leaves(direction), strict=True)
    slope = sum(float((gradient * along).sum()) for (_, gradient), (_, along) in pairs)
    assert slope == pytest.approx((loss_at(1e-5) - loss_at(-1e-5)) / 2e-5, rel=1e-6)  # 2e-8 measured


def test_what_has_not_ended_or_is_not_valid_scores_nothing() -> None:
    task = task_of()
    assert task.scores_of(written("CO", "C)", "", "OC")).tolist() == [0.5, 0, 0, 0.5]
    assert task.scores_of(written("CO", "O", ended=False)).tolist() == [0, 0]
    tokens = [VOCABULARY.encode(list(molecule)) for molecule in ("CO", "OC", "C", "C(")]
    samples = Samples(tokens, np.array([True, True, False, True]), np.zeros(4))
    assert task.judge(samples) == {"shortfall": 1 - 1 / 4, "invalid": 1 / 2, "repeated": 1 / 2}


def test_the_score_is_given_canonical_smiles_and_must_be_a_number_in_range() -> None:
    seen: list[str] = []

    def score(smiles: str) -> float:
        seen.append(smiles)
        return 0.25

    assert task_of(score).scores_of(written("OCC", "C(")).tolist() == [0.25, 0]
    assert seen == ["CCO"]
    for wrong in (1.5, float("nan"), None, "high"):
        with pytest.raises(UserError, match="the score of CCO must be a number from -1 to 1, got"):
            task_of(lambda _, wrong=wrong: wrong).scores_of(written("OCC"))


def test_batches_are_the_agents_own_and_new_every_time() -> None:
    task, agent = task_of(), forward_with(ENGINE, SPEC, params_of(2))
    position = task.position()
    first, second = (task.rollout(agent, task.next_batch()) for _ in range(2))
    assert first.inputs.shape[1] == 5
    assert not (first.inputs.shape == second.inputs.shape and (first.inputs == second.inputs).all())
    later = task_of()
    later.rollout(agent, later.next_batch())
    later.move_to(position)
    np.testing.assert_array_equal(later.rollout(agent, later.next_batch()).inputs, first.inputs)
    assert task.score(agent) == task.score(agent)
    example = task.example(41)
    np.testing.assert_array_equal(example.inputs[:, 0], example.inputs[:, 40])
    assert example.inputs[1 : len(task.molecule(1)) + 1, 1].tolist() == task.molecule(1).tolist()
    with pytest.raises(UserError, match=r"must be one of 0\.\.39 that the prior writes, got 40"):
        task.molecule(40)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sigma": -1.0}, "sigma must be a number of at least 0"),
        ({"batch": 0}, "batch must be from 1 to"),
        ({"evaluated": 1 << 21}, "evaluated must be from 1 to"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        ReinventSettings(**settings)


def trained(task: Any, params: Any, rate: float, updates: int) -> Any:
    """Parameters after some updates."""
    settings = OptimizerSettings(learning_rate=rate)
    moments = first_moments(settings, params)
    for iteration in range(1, updates + 1):
        batch = task.next_batch()
        if isinstance(task, ReinventTask):
            batch = task.rollout(forward_with(ENGINE, SPEC, params), batch)
        gradient = loss_and_gradient(SPEC, params, ENGINE, batch, task.loss).gradient
        gradient = clip(settings, gradient, gradient_norm(gradient))
        params, moments = update(settings, params, gradient, moments, rate, iteration)
    return params


@pytest.mark.thorough
def test_an_agent_learns_to_write_what_scores_and_stays_valid() -> None:
    """Chains of C, N and O with branches: the prior writes them, the agent those with much oxygen."""
    rng = np.random.default_rng(0)
    chains = {"".join(rng.choice(["C", "N", "O", "C(C)", "N(O)"], rng.integers(2, 6))) for _ in range(300)}
    data = Corpus("chains", "\n".join(sorted(chains)).encode())
    chosen = MoleculeSettings(batch=16, max_tokens=30)
    molecules = MoleculeTask(data, chosen, 0)
    assert molecules.vocabulary == VOCABULARY
    prior = trained(molecules, params_of(0), 2e-2, 300)
    task = ReinventTask(
        VOCABULARY,
        forward_with(ENGINE, SPEC, prior),
        oxygens,
        ReinventSettings(batch=16, evaluated=200),
        max_tokens=30,
        seed=0,
    )
    before, agent = task.score(task.prior), trained(task, prior, 5e-3, 60)
    after = task.score(forward_with(ENGINE, SPEC, agent))
    assert before["invalid"] < 0.2  # 0.07 measured
    assert after["shortfall"] < before["shortfall"] - 0.2  # 0.36 after 0.76
    assert after["invalid"] < before["invalid"] + 0.1  # 0.05
