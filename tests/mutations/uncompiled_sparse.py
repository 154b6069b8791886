"""The kernels of sparse memories as plain functions of Python: they compute what the reference does.

Run as uncompiled.py is.
"""

from typing import Any

import numpy as np
import pytest

import helpers.uncompiled  # noqa: F401 (first of all)
from helpers.contract import Case
from helpers.sparse_memories import MANY_SLOTS, OFF, TOLERANCE, spec_of, with_equal_words, worst_error
from numdnc import zero_state
from numdnc.engines.cpu.kernels.sparse.types import LANES
from numdnc.inspection.gradcheck import random_state

SPECS = (
    *("dnc-sparse", "dnc-sparse-4-heads", "dnc-sparse-all-slots", "dnc-sparse-content-only"),
    *("dnc-sparse-M+D", "dnc-SAM", "dnc-SDNC", "dnc-SDNC-masking"),
)


@pytest.mark.parametrize("spec_name", SPECS)
@pytest.mark.parametrize(("steps", "batch"), [(4, 3), (9, 1)])
def test_values_and_gradients_are_the_references(spec_name: str, steps: int, batch: int) -> None:
    case = Case("cpu", spec_name, "float64")
    case.assert_parity(case.problem(steps=steps, batch=batch))


@pytest.mark.parametrize("flags", [{}, {"recency": True}], ids=["usage", "recency"])
@pytest.mark.parametrize(("batch", "threads"), [(1, 2), (2, 1)])
def test_several_blocks_of_slots(flags: dict[str, Any], batch: int, threads: int) -> None:
    spec = spec_of(MANY_SLOTS, 4, **flags)
    state = random_state(spec, batch, np.random.default_rng(1))
    assert worst_error(spec, state, threads=threads) < TOLERANCE


@pytest.mark.parametrize("free", [0, 1, 2, 7])
def test_free_slots(free: int) -> None:
    spec = spec_of(LANES + 9, 3)
    rng = np.random.default_rng(free)
    state = random_state(spec, 1, rng)
    state.usage[:, rng.permutation(spec.memory_size)[:free]] = 0
    assert worst_error(spec, state) < TOLERANCE


@pytest.mark.parametrize(
    "flags", [{}, {"recency": True}, {"links": False}], ids=["usage", "recency", "content"]
)
def test_a_memory_that_fills_up(flags: dict[str, Any]) -> None:
    spec = spec_of(11, 3, **flags)
    assert worst_error(spec, zero_state(spec, 1, np.float64), steps=25) < TOLERANCE


def test_slots_of_equal_usage_go_by_index() -> None:
    spec = spec_of(LANES + 9, 3)
    state = random_state(spec, 1, np.random.default_rng(3))
    state.usage[:] = np.resize([0.9, 0.8, 0.9], spec.memory_size)
    assert worst_error(spec, state) < TOLERANCE


def test_a_slot_that_is_wiped_and_not_written() -> None:
    """With the allocation gate shut, heads write where they read before."""
    spec = spec_of(11, 3, recency=True)
    state = random_state(spec, 2, np.random.default_rng(0))
    assert worst_error(spec, state, allocation_gate=OFF) < TOLERANCE


def test_masks_with_a_floor() -> None:
    spec = spec_of(11, 3, masking=True, mask_floor=0.2)
    assert worst_error(spec, random_state(spec, 2, np.random.default_rng(0))) < TOLERANCE


def test_equal_words_are_told_apart_by_their_slots() -> None:
    spec = spec_of(3 * LANES, 5)
    assert worst_error(spec, with_equal_words(zero_state(spec, 1, np.float64))) < TOLERANCE
