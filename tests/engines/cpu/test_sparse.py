"""Sparse memories of the engine `cpu`, where their size or their contents differ from those of the contract."""

from typing import Any

import numpy as np
import pytest

from helpers.sparse_memories import MANY_SLOTS, OFF, SIZES, TOLERANCE, spec_of, with_equal_words, worst_error
from numdnc import init_params, zero_state
from numdnc.engines.cpu.engine import CPUEngine
from numdnc.engines.cpu.kernels.sparse.types import LANES
from numdnc.engines.cpu.plans import make_plan
from numdnc.inspection.gradcheck import random_state
from numdnc.tree import leaves


@pytest.mark.parametrize("flags", [{}, {"recency": True}], ids=["usage", "recency"])
@pytest.mark.parametrize(("batch", "threads"), [(1, 2), (2, 1)])
def test_several_blocks_of_slots(flags: dict[str, Any], batch: int, threads: int) -> None:
    """The last block is not full; two threads search a part of one memory each."""
    spec = spec_of(MANY_SLOTS, 4, **flags)
    state = random_state(spec, batch, np.random.default_rng(1))
    assert worst_error(spec, state, threads=threads) < TOLERANCE


@pytest.mark.parametrize("free", [0, 1, 2, 7])
@pytest.mark.parametrize("batch", [1, 2])
def test_free_slots(batch: int, free: int) -> None:
    """Usages of 0, on which the gradient of the allocation depends: none, one, two and many of them."""
    spec = spec_of(LANES + 9, 3)
    rng = np.random.default_rng(free)
    state = random_state(spec, batch, rng)
    state.usage[:, rng.permutation(spec.memory_size)[:free]] = 0
    assert worst_error(spec, state) < TOLERANCE


@pytest.mark.parametrize(
    "flags", [{}, {"recency": True}, {"links": False}], ids=["usage", "recency", "content"]
)
@pytest.mark.parametrize("batch", [1, 2])
def test_a_memory_that_fills_up(batch: int, flags: dict[str, Any]) -> None:
    spec = spec_of(11, 3, **flags)
    assert worst_error(spec, zero_state(spec, batch, np.float64), steps=25) < TOLERANCE


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
    """Every word stands in three blocks; a lower slot is chosen before a higher one, also after some have changed."""
    spec = spec_of(3 * LANES, 5)
    assert worst_error(spec, with_equal_words(zero_state(spec, 1, np.float64))) < TOLERANCE


def test_backward_leaves_the_tape_as_it_was() -> None:
    spec = spec_of(20, 3, deallocation=True, masking=True)
    rng = np.random.default_rng(2)
    state, engine = random_state(spec, 2, rng), CPUEngine(threads=1)
    params, inputs = init_params(spec, 0, np.float64), rng.standard_normal((5, 2, 3))
    outputs, final, tape = engine.forward(spec, params, inputs, state, keep_tape=True)
    once, again = (leaves(engine.backward(spec, params, tape, outputs, final)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))


def test_a_step_takes_as_much_memory_in_a_large_memory_as_in_a_small_one() -> None:
    def tape_bytes(slots: int, steps: int) -> int:
        return make_plan(spec_of(slots, 4), steps, 1, np.dtype(np.float32), False, True, 1).tape.bytes

    small, large = (tape_bytes(slots, 30) - tape_bytes(slots, 10) for slots in (100, 100_000))
    assert small == large
    assert tape_bytes(100_000, 30) < 2 * 100_000 * (SIZES["word_size"] + 20) * 4


def test_nan_reaches_the_outputs() -> None:
    """A key of NaN is like no slot: nothing is read at random, and nothing beyond the memory."""
    spec = spec_of(30, 3)
    params = init_params(spec, 0, np.float64)
    first = spec.interface_offsets["read_keys"]
    params.interface.bias[first] = np.nan
    inputs = np.ones((3, 1, 3))
    outputs, _, _ = CPUEngine(threads=1).forward(
        spec, params, inputs, zero_state(spec, 1, np.float64), keep_tape=False
    )
    assert np.isnan(outputs).any(axis=2).all()
