"""The peer of the benchmarks computes what this package computes, or comparing their speed would mean nothing."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import second_opinion  # before JAX: float64
from numdnc.engines import get_engine
from numdnc.inspection.benchmark import Shape, make_problem
from numdnc.tree import map_leaves

PEER = Path(__file__).parents[1] / "benchmarks" / "jax_peer.py"


@pytest.mark.parametrize("variation", [{}, {"write_heads": 3}, {"bidirectional": True}], ids=str)
def test_outputs_are_those_of_the_definition(variation: dict[str, Any]) -> None:
    found = importlib.util.spec_from_file_location("jax_peer", PEER)
    assert found and found.loader
    peer = importlib.util.module_from_spec(found)
    found.loader.exec_module(peer)
    shape = Shape(7, (9, 4), 6, 11, 5, 2, batch=3, steps=8, **variation)
    given = make_problem(shape, np.float64)
    params = map_leaves(lambda array: 6 * array, given.params)
    outputs = get_engine("reference").forward(
        given.spec, params, given.symbols, given.state, keep_tape=False
    )[0]
    one_hot = second_opinion.jax.nn.one_hot(given.symbols, 7)
    theirs = second_opinion.quick_jit(lambda params: peer.forward(given.spec, params, one_hot))(params)
    assert np.abs(outputs).max() > 1
    np.testing.assert_allclose(theirs, outputs, rtol=0, atol=1e-12)
