"""Properties of every model, state and input."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from helpers import plain
from helpers.examples import (
    CONTROLLERS,
    links,
    random_inputs,
    random_params,
    random_state,
    single,
    weightings,
)
from numdnc import DNCSpec, map_leaves, zero_state
from numdnc.reference import forward
from numdnc.reference.allocation import allocate, retain, update_usage
from numdnc.reference.linkage import update_link

tried = settings(max_examples=100, derandomize=True)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)
specs = st.builds(
    DNCSpec,
    input_size=sizes,
    output_size=sizes,
    hidden_sizes=st.lists(sizes, min_size=1, max_size=3).map(tuple),
    controller=st.sampled_from(CONTROLLERS),
    memory_size=st.integers(1, 8),
    word_size=sizes,
    read_heads=st.integers(1, 4),
    write_heads=st.sampled_from([1, 1, 2, 3]),
)
ROUNDING = {np.float32: 1e-6, np.float64: 1e-15}
"""Measured: 1.2e-7 and 2.2e-16."""


def assert_within(values, low, high, dtype):
    assert values.min() >= low - ROUNDING[dtype]
    assert values.max() <= high + ROUNDING[dtype]


def assert_weighting(weights, dtype):
    """Entries >= 0 that sum to at most 1 over the last axis."""
    assert weights.min() >= -ROUNDING[dtype]
    assert weights.sum(axis=-1).max() <= 1 + ROUNDING[dtype]


@tried
@given(
    spec=specs,
    seed=seeds,
    T=st.integers(1, 12),
    batch=st.integers(1, 3),
    input_scale=st.sampled_from([0, 1, 100, 1e4]),
    params_scale=st.sampled_from([0, 0.3, 3, 30]),
    from_blank=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_state_of_a_run_stays_valid(spec, seed, T, batch, input_scale, params_scale, from_blank, dtype):
    rng = np.random.default_rng(seed)
    params = random_params(spec, rng, params_scale)
    inputs = input_scale * random_inputs(spec, rng, T, batch)
    state = zero_state(spec, batch, np.float64) if from_blank else random_state(spec, rng, batch)
    if dtype == np.float32:
        params, inputs, state = single((params, inputs, state))
    for t in range(T):
        outputs, state, _ = forward(spec, params, inputs[t : t + 1], state, keep_tape=False)
        assert np.isfinite(outputs).all()
        assert np.isfinite(state.memory).all()
        assert_within(state.usage, 0, 1, dtype)
        assert_weighting(state.write_weights, dtype)
        assert_weighting(state.read_weights, dtype)
        assert_weighting(state.precedence, dtype)
        assert_weighting(state.link, dtype)
        assert_weighting(state.link.swapaxes(-2, -1), dtype)
        assert not state.link.diagonal(axis1=-2, axis2=-1).any()


def with_slots(state, order):
    """The same state with its slots in another order."""
    return state._replace(
        memory=state.memory[:, order],
        usage=state.usage[:, order],
        precedence=state.precedence[..., order],
        link=state.link[..., order, :][..., order],
        write_weights=state.write_weights[..., order],
        read_weights=state.read_weights[..., order],
    )


@tried
@given(spec=specs, seed=seeds, T=st.integers(1, 6), batch=st.integers(1, 3))
def test_order_of_the_slots_plays_no_part(spec, seed, T, batch):
    rng = np.random.default_rng(seed)
    params, inputs = random_params(spec, rng), random_inputs(spec, rng, T, batch)
    state, order = random_state(spec, rng, batch), rng.permutation(spec.memory_size)
    outputs, final, _ = forward(spec, params, inputs, state, keep_tape=False)
    same_outputs, moved, _ = forward(spec, params, inputs, with_slots(state, order), keep_tape=False)
    assert_allclose(same_outputs, outputs, rtol=1e-9, atol=1e-12)
    map_leaves(
        lambda given, wanted: assert_allclose(given, wanted, atol=1e-12), moved, with_slots(final, order)
    )


usage_rows = st.lists(
    st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32)), min_size=1, max_size=12
)


@tried
@given(usage=usage_rows)
def test_allocation_equals_the_equation_slot_by_slot(usage):
    allocation, _ = allocate(np.array([usage]))
    assert_allclose(allocation[0], plain.allocation(usage, plain.rising(usage)), rtol=1e-13, atol=1e-300)
    assert_weighting(allocation, np.float64)


@tried
@given(usage=usage_rows)
def test_what_allocation_leaves_is_the_product_of_all_usages(usage):
    """Sum a = 1 - prod u: a write falls short by as much as every slot is in use."""
    allocation, _ = allocate(np.array([usage]))
    assert_allclose(1 - allocation.sum(), np.prod(usage), atol=1e-14)


@tried
@given(seed=seeds, batch=st.integers(1, 3), N=st.integers(1, 8))
def test_link_equals_the_equation_slot_by_slot(seed, batch, N):
    rng = np.random.default_rng(seed)
    before, precedence, weights = links(rng, batch, N), weightings(rng, batch, N), weightings(rng, batch, N)
    after, _ = update_link(before, precedence, weights)
    for b in range(batch):
        assert_allclose(after[b], plain.link(before[b], precedence[b], weights[b]), rtol=1e-13, atol=1e-16)


@tried
@given(usage=usage_rows, seed=seeds, heads=st.integers(1, 4))
def test_usage_rises_by_writing_and_falls_by_freeing(usage, seed, heads):
    rng = np.random.default_rng(seed)
    usage, N = np.array([usage]), len(usage)
    written, read = weightings(rng, 1, N), weightings(rng, 1, heads, N)
    filled, freed = (
        update_usage(usage, (written,), retain(read, np.full((1, heads), gate))[0])[0] for gate in (0.0, 1.0)
    )
    assert (filled >= usage - ROUNDING[np.float64]).all()
    assert (freed <= filled).all()
