"""Sparse weightings and links: what is kept, what is cut, and which gradients pass."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from helpers import plain
from helpers.examples import random_inputs, random_params, random_state, single, weightings
from helpers.gradients import assert_backward
from numdnc import DNCSpec, map_leaves, zero_state, zeros_like
from numdnc.reference import backward, forward
from numdnc.reference.access import access, access_backward
from numdnc.reference.content import content_weights, content_weights_backward
from numdnc.reference.interface import parse_interface
from numdnc.reference.sparse import (
    cap_links,
    cut,
    cut_backward,
    largest,
    link_matrix,
    link_matrix_backward,
    list_links,
)
from numdnc.tree import leaves, named_leaves


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spec_of(N, K, R=2, W=3, **variations):
    return DNCSpec(
        input_size=4,
        output_size=5,
        hidden_sizes=(6,),
        memory_size=N,
        word_size=W,
        read_heads=R,
        sparsity=K,
        **variations,
    )


@pytest.mark.parametrize(
    "weights, count, expected",
    [
        ([0.1, 0.4, 0.2, 0.3], 2, [0, 0.4, 0, 0.3]),
        ([0.1, 0.4, 0.2, 0.3], 1, [0, 0.4, 0, 0]),
        ([0.1, 0.4, 0.2, 0.3], 4, [0.1, 0.4, 0.2, 0.3]),
        ([0.2, 0.2, 0.2, 0.2], 2, [0.2, 0.2, 0, 0]),
        ([0.1, 0.3, 0.1, 0.3], 3, [0.1, 0.3, 0, 0.3]),
        ([0.0, 0.0, 0.5, 0.0], 2, [0, 0, 0.5, 0]),
    ],
)
def test_the_largest_weights_are_kept_as_they_are_and_of_equal_ones_the_first(weights, count, expected):
    assert_array_equal(cut(np.array([weights]), count), [expected])


def test_without_sparsity_nothing_is_cut(rng):
    weights = weightings(rng, 2, 5)
    assert cut(weights, None) is weights
    assert cut_backward(weights, None, weights) is weights


def test_negative_values_have_largest_ones_too():
    assert_array_equal(largest(np.array([-3.0, -1, -2]), 2), [False, True, True])


def test_gradient_passes_through_what_is_kept_alone(rng):
    before = weightings(rng, 2, 4, 6)
    after = cut(before, 3)
    assert_backward(lambda w: cut(w, 3), (before,), lambda d: (cut_backward(after, 3, d),))
    assert_array_equal(cut_backward(np.array([0, 0.2, 0]), 2, np.ones(3)), [0, 1, 0])


def test_content_weights_are_a_softmax_over_the_most_similar_slots():
    memory = np.array([[[1.0, 0], [-1, 0], [0, 1], [1, 0.1]]])
    key, strength = np.array([[[2.0, 0]]]), np.array([[3.0]])
    similar, _ = content_weights(memory, key, strength)
    weights, _ = content_weights(memory, key, strength, 2)
    best = similar[0, 0, [0, 3]]
    assert_allclose(weights[0, 0], [best[0] / best.sum(), 0, 0, best[1] / best.sum()], rtol=1e-14)


def test_of_an_empty_memory_the_first_slots_are_found():
    weights, _ = content_weights(np.zeros((1, 5, 3)), np.ones((1, 1, 3)), np.ones((1, 1)), 2)
    assert_array_equal(weights, [[[0.5, 0.5, 0, 0, 0]]])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_gradient_of_content_weights(count, rng):
    given = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 3, 3)), 1 + rng.random((2, 3))
    _, tape = content_weights(*given, count)
    assert_backward(
        lambda *arguments: content_weights(*arguments, count)[0],
        given,
        lambda d: content_weights_backward(tape, d),
    )


def test_links_are_cut_row_by_row_then_column_by_column():
    link = np.array([[[0.0, 0.5, 0.4, 0.3], [0.6, 0, 0.1, 0], [0.2, 0.7, 0, 0.1], [0.3, 0.2, 0.5, 0]]])
    rows = [[0, 0.5, 0.4, 0], [0.6, 0, 0.1, 0], [0.2, 0.7, 0, 0], [0.3, 0, 0.5, 0]]
    both = [[0, 0.5, 0.4, 0], [0.6, 0, 0, 0], [0, 0.7, 0, 0], [0.3, 0, 0.5, 0]]
    assert_array_equal(cut(link, 2)[0], rows)
    assert_array_equal(cap_links(link, 2)[0], both)
    assert_array_equal(cap_links(link, 4), link)


def test_of_equal_links_those_of_the_first_slots_are_kept():
    assert_array_equal(cap_links(np.full((1, 3, 3), 0.2), 1)[0], [[0.2, 0, 0], [0, 0, 0], [0, 0, 0]])


def test_links_are_listed_by_rising_slot_and_filled_up_with_zeros():
    link = np.array([[[0, 0, 0.3, 0.1], [0, 0, 0, 0], [0, 0.7, 0, 0], [0.2, 0, 0.1, 0]]])
    slots, values = list_links(link, 2)
    assert_array_equal(slots[0], [[2, 3], [0, 0], [1, 0], [0, 2]])
    assert_array_equal(values[0], [[0.3, 0.1], [0, 0], [0.7, 0], [0.2, 0.1]])
    assert_array_equal(link_matrix(slots, values), link)


def test_gradient_by_the_listed_links(rng):
    link = cap_links(rng.random((2, 5, 5)) * (1 - np.eye(5)), 2)
    slots, values = list_links(link, 3)
    d_link = rng.standard_normal(link.shape)
    d_values = link_matrix_backward(slots, values, d_link)
    assert_allclose((d_values * values).sum(), (d_link * link).sum(), rtol=1e-13)
    assert_array_equal(d_values != 0, values != 0)


def test_lists_of_links_agree_with_the_plain_ones(rng):
    link = cap_links(rng.random((2, 6, 6)) * (1 - np.eye(6)), 3)
    for found, wanted in zip(list_links(link, 3), plain.link_lists(link[1], 3), strict=True):
        assert_array_equal(found[1], wanted)


def run(spec, seed=0, T=5, B=2):
    rng = np.random.default_rng(seed)
    params, inputs = random_params(spec, rng), random_inputs(spec, rng, T, B)
    outputs, final, tape = forward(spec, params, inputs, random_state(spec, rng, B), keep_tape=True)
    d_outputs = rng.standard_normal(outputs.shape)
    d_final = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), final)
    return outputs, final, backward(spec, params, tape, d_outputs, d_final)


@pytest.mark.parametrize("K", [1, 2, 3])
@pytest.mark.parametrize(
    "variations", [{}, {"recency": True}, {"masking": True, "deallocation": True}], ids=str
)
def test_no_weighting_and_no_row_or_column_of_links_has_more_entries(K, variations):
    spec = spec_of(6, K, **variations)
    _, final, _ = run(spec)
    for weights in (final.write_weights, final.read_weights, final.precedence, final.link_values):
        assert np.count_nonzero(weights, axis=-1).max() == K
    link = link_matrix(final.link_slots, final.link_values)
    assert np.count_nonzero(link, axis=1).max() <= K
    assert not link.diagonal(axis1=1, axis2=2).any()
    assert link.min() >= 0
    assert max(link.sum(axis=1).max(), link.sum(axis=2).max()) <= 1


@pytest.mark.parametrize(
    "variations",
    [{}, {"links": False}, {"masking": True, "deallocation": True, "normalisation": True}],
    ids=str,
)
def test_with_all_slots_it_is_the_dense_model(variations, rng):
    """Values and gradients of the blank state, bit for bit."""
    sparse = spec_of(5, 5, **variations)
    dense = replace(sparse, sparsity=None)
    params, inputs = random_params(dense, rng), random_inputs(dense, rng, 8, 2)
    results = []
    for spec in (sparse, dense):
        state = zero_state(spec, 2, np.float64)
        outputs, final, tape = forward(spec, params, inputs, state, keep_tape=True)
        d_params, d_inputs, _ = backward(spec, params, tape, np.cos(outputs), zeros_like(state))
        results.append((outputs, d_params, d_inputs, final))
    for got, wanted in zip(leaves(results[0][:3]), leaves(results[1][:3]), strict=True):
        assert_array_equal(got, wanted)
    final, wanted = (dict(named_leaves(result[3])) for result in results)
    if sparse.links:
        wanted["link_slots"], wanted["link_values"] = list_links(wanted.pop("link"), 5)
    assert final.keys() == wanted.keys()
    for name, leaf in wanted.items():
        assert_array_equal(final[name], leaf, err_msg=name)


def test_no_gradient_passes_through_zeros_of_the_initial_state():
    spec = spec_of(6, 2)
    rng = np.random.default_rng(3)
    state = random_state(spec, rng, 2)
    interface = parse_interface(spec, rng.standard_normal((2, spec.interface_size)))
    after, tape = access(spec, interface, state)
    _, d_before = access_backward(spec, tape, map_leaves(np.ones_like, after))
    for name in ("write_weights", "read_weights", "precedence", "link_values"):
        passed = getattr(d_before, name) != 0
        assert passed.any()
        assert not passed[getattr(state, name) == 0].any(), name
    assert not d_before.link_slots.any()


def test_it_stays_single():
    spec = spec_of(6, 2, masking=True)
    rng = np.random.default_rng(0)
    params, inputs, state = single(
        (random_params(spec, rng), random_inputs(spec, rng, 4, 2), random_state(spec, rng, 2))
    )
    outputs, final, tape = forward(spec, params, inputs, state, keep_tape=True)
    results = outputs, final, backward(spec, params, tape, outputs, final)
    assert {leaf.dtype for leaf in leaves(results)} == {np.dtype(np.float32)}
