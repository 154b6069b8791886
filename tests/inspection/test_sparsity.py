"""What is said of the cut of a sparse model, against the same model without the cut."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from helpers.examples import VARIATIONS, random_inputs, random_params
from numdnc.engines import get_engine
from numdnc.inspection.activity import observe
from numdnc.inspection.sparsity import judge_cut, weight_sums
from numdnc.tasks import Batch

SPEC = VARIATIONS["sparsity"]


def sums(spec, seed=0):
    rng = np.random.default_rng(seed)
    params, inputs = random_params(spec, rng, 1.0), random_inputs(spec, rng, 6, 3)
    batch = Batch(inputs, rng.integers(spec.output_size, size=(6, 3)))
    found = observe(spec, params, get_engine("reference"), batch, cut=True)
    return found.of("write_sums"), found.of("read_sums")


@pytest.mark.parametrize("name", ["sparsity", "recency", "SAM"])
def test_a_cut_drops_weight_and_never_adds_any(name):
    writing, reading = sums(VARIATIONS[name])
    assert writing.shape == (18, 2)
    assert reading.shape == (18, 2, 4)
    for before, after in (writing.T, (reading[..., 0], reading[..., 1])):
        assert (after <= before + 1e-12).all()
        assert before.max() <= 1 + 1e-12
    assert (reading[..., 3] < 1).any()
    assert (reading[..., 2] <= reading[..., 0] + 1e-12).all()


def test_a_cut_to_all_slots_drops_nothing():
    writing, reading = sums(replace(SPEC, sparsity=SPEC.memory_size))
    assert_allclose(writing[:, 0], writing[:, 1], rtol=1e-12)
    assert_allclose(reading[..., 0], reading[..., 1], rtol=1e-12)
    assert_allclose(reading[..., 3], 1, rtol=1e-12)
    assert all(finding.fine for finding in judge_cut(SPEC, writing, reading))


def test_sums_by_hand():
    """Two slots of three are kept; a quarter of the write and a fifth of the read are not on them."""
    spec = replace(SPEC, memory_size=3, word_size=2, read_heads=1)
    found = {
        "allocation_gate": np.array([0.5]),
        "write_gate": np.array([0.8]),
        "allocation": np.array([[1.0, 0, 0]]),
        "write_content": np.array([[0, 0.5, 0.5]]),
        "write_weights": np.array([[0.4, 0.2, 0]]),
        "memory": np.zeros((1, 3, 2)),
        "read_keys": np.ones((1, 1, 2)),
        "read_strengths": np.ones((1, 1)),
        "read_content": np.array([[[0.5, 0.5, 0]]]),
        "read_modes": np.array([[[0.25, 0.5, 0.25]]]),
        "backward": np.array([[[0, 0.4, 0]]]),
        "forward": np.array([[[0, 0, 1.0]]]),
        "read_weights": np.array([[[0.25, 0.35, 0]]]),
    }
    made = weight_sums(spec, found, SimpleNamespace())
    assert_allclose(made["write_sums"], [[0.8, 0.6]])
    assert_allclose(made["read_sums"], [[[0.85, 0.6, 0.35, 2 / 3]]])
    write, read = judge_cut(spec, made["write_sums"], made["read_sums"])
    assert not write.fine
    assert "drops 25.0 %" in write.words
    assert_allclose(read.numbers["by_links"], 0.35 / 0.85)
    assert "33.3 % of its weight elsewhere" in read.words
