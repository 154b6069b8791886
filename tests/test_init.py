"""Initial parameters, the learned start, and masks of bypass dropout."""

import dataclasses

import numpy as np
import pytest

from helpers.examples import CONTROLLERS, FAMILY, MODELS, random_inputs, random_params
from helpers.gradients import assert_gradient, weighted_sum
from numdnc import (
    DNCSpec,
    LSTMSpec,
    RNNSpec,
    UserError,
    draw_bypass_mask,
    init_params,
    initial_state,
    initial_state_backward,
    map_leaves,
    named_leaves,
    zero_state,
)
from numdnc.init import add_layers, add_output, add_recurrence
from numdnc.reference import backward, forward
from numdnc.reference.interface import parse_interface
from numdnc.tree import leaves

SPECS = [
    RNNSpec(input_size=50, output_size=40, hidden_sizes=(60, 30)),
    LSTMSpec(input_size=50, output_size=40, hidden_sizes=(60, 30)),
    DNCSpec(input_size=50, output_size=40, hidden_sizes=(60, 30), memory_size=7, word_size=9, read_heads=2),
    DNCSpec(input_size=50, output_size=40, hidden_sizes=(60,), controller="feedforward"),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.controller}")
def test_weights_have_variance_one_over_rows_and_biases_are_zero_but_for_forget_gates(spec) -> None:
    for name, leaf in named_leaves(init_params(spec, 3)):
        if leaf.ndim == 2:
            assert leaf.std() * np.sqrt(len(leaf)) == pytest.approx(1, abs=0.06), name
            assert abs(leaf.mean()) * np.sqrt(len(leaf)) < 0.06, name
        elif name.startswith("controller") and spec.controller == "lstm":
            size = len(leaf) // 4
            np.testing.assert_array_equal(leaf, np.repeat([0, 1, 0, 0], size))
        else:
            assert not leaf.any(), name


def test_the_seed_settles_every_number_and_dtypes_share_the_draws() -> None:
    one, again, other = (dict(named_leaves(init_params(SPECS[2], seed))) for seed in (0, 0, 1))
    double = init_params(SPECS[2], 0, "float64")
    rounded = dict(named_leaves(map_leaves(lambda leaf: leaf.astype("float32"), double)))
    for name, leaf in one.items():
        np.testing.assert_array_equal(leaf, again[name])
        np.testing.assert_array_equal(leaf, rounded[name])
        assert leaf.dtype == "float32"
        assert leaf.ndim == 1 or (leaf != other[name]).all()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.controller}")
def test_input_scale_enlarges_the_weights_of_the_inputs_in_every_layer_and_nothing_else(spec) -> None:
    usual, scaled = (dict(named_leaves(init_params(spec, 3, input_scale=scale))) for scale in (1, 5))
    for name, leaf in usual.items():
        factors = np.ones(leaf.shape, "float32")
        if name.startswith("controller") and name.endswith("weights"):
            factors[:50] = 5
        np.testing.assert_array_equal(scaled[name], factors * leaf, strict=True)


def test_input_scale_can_give_what_a_sparse_input_adds_variance_one() -> None:
    """As init_params says: sqrt(rows / |x|^2)."""
    spec = DNCSpec(
        input_size=92,
        output_size=9,
        hidden_sizes=(300,),
        controller="feedforward",
        word_size=64,
        read_heads=2,
    )
    weights = init_params(spec, 0, input_scale=np.sqrt((92 + 128) / 9)).controller[0].weights
    triple = np.arange(92) % 10 == 0
    triple[-2] = False
    assert triple.sum() == 9
    assert (triple @ weights[:92]).std() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("scale", [0, -1, np.inf, np.nan])
def test_an_input_scale_that_is_none_is_refused(scale) -> None:
    with pytest.raises(UserError, match="input_scale must be above 0 and finite"):
        init_params(SPECS[0], 0, input_scale=scale)


def dnc(**arguments):
    return DNCSpec(
        input_size=5,
        output_size=6,
        hidden_sizes=(8, 7),
        memory_size=9,
        word_size=4,
        read_heads=2,
        **arguments,
    )


@pytest.mark.parametrize("variation", ["deallocation", "normalisation", "bypass-dropout", "learned-state"])
def test_variation_that_leaves_the_interface_as_wide_leaves_the_draws(variation) -> None:
    paper = dict(named_leaves(init_params(dnc(), 3)))
    varied = dict(named_leaves(init_params(dnc(**FAMILY[variation]), 3)))
    for name, leaf in paper.items():
        np.testing.assert_array_equal(varied[name], leaf, strict=True)


@pytest.mark.parametrize("variation", FAMILY)
def test_every_variation_starts_with_the_same_controller(variation) -> None:
    """A second memory aside, whose reads the controller also sees."""
    paper, varied = (init_params(dnc(**flags), 3) for flags in ({}, FAMILY[variation]))
    wider = "second_memory" in FAMILY[variation]
    for layer, same in zip(paper.controller, varied.controller, strict=True):
        assert (layer.weights.shape == same.weights.shape) != wider
        if not wider:
            np.testing.assert_array_equal(layer.weights, same.weights)
        np.testing.assert_array_equal(layer.bias, same.bias)


def test_gains_start_at_one() -> None:
    names = set()
    for name, leaf in named_leaves(init_params(dnc(normalisation=True), 0)):
        if "gain" in name:
            np.testing.assert_array_equal(leaf, np.ones_like(leaf))
            names.add(name)
        elif name.endswith("cell_bias"):
            assert not leaf.any(), name
    layers = (f"controller.{layer}.{gain}" for layer in (0, 1) for gain in ("gain", "cell_gain"))
    assert names == {"interface.gain", *layers}


def test_learned_start_is_a_memory_of_short_words_and_nothing_in_the_controller() -> None:
    spec = DNCSpec(input_size=5, output_size=6, memory_size=200, word_size=30, learned_state=True)
    learned = init_params(spec, 0).initial
    lengths = np.sqrt((learned.memory**2).sum(axis=1))
    assert lengths.mean() == pytest.approx(0.1, rel=0.05)
    assert lengths.std() < 0.03
    assert abs(learned.memory.mean()) < 0.002
    assert not any(leaf.any() for leaf in leaves(learned.controller))


@pytest.mark.parametrize("flags", [{}, {"normalisation": True}, {"learned_state": True}], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_added_layers_change_nothing_at_first_and_can_be_learned(name, flags) -> None:
    small = MODELS[name]
    if flags and small.kind != "dnc":
        pytest.skip("a dnc has such variations")
    small = dataclasses.replace(small, **flags)
    spec = dataclasses.replace(small, hidden_sizes=(*small.hidden_sizes, 11, 3))
    rng = np.random.default_rng(0)
    trained, fresh = random_params(small, rng), random_params(spec, rng)
    params, inputs = add_layers(spec, fresh, trained), random_inputs(spec, rng, 6, 3)
    outputs, _, tape = forward(spec, params, inputs, initial_state(spec, params, 3), keep_tape=True)
    before, _, _ = forward(small, trained, inputs, initial_state(small, trained, 3), keep_tape=False)
    np.testing.assert_allclose(outputs, before, rtol=0, atol=1e-13)
    shapes = [[leaf.shape for leaf in leaves(tree)] for tree in (params, fresh)]
    assert shapes[0] == shapes[1]
    d_params, _, _ = backward(
        spec, params, tape, rng.standard_normal(outputs.shape), zero_state(spec, 3, "float64")
    )
    for name in ("interface", "output"):
        if hasattr(params, name):
            assert (getattr(d_params, name).weights[19:33] != 0).any(axis=1).all(), name


@pytest.mark.parametrize("learned_state", [False, True])
@pytest.mark.parametrize("name", ["dnc-feedforward", "ntm-feedforward"])
def test_added_recurrence_changes_nothing_at_first_and_can_be_learned(name, learned_state) -> None:
    small = dataclasses.replace(MODELS[name], learned_state=learned_state)
    spec, rng = dataclasses.replace(small, controller="rnn"), np.random.default_rng(0)
    trained, fresh = random_params(small, rng), init_params(spec, 0, "float64")
    params, inputs = add_recurrence(spec, fresh, trained), random_inputs(spec, rng, 6, 3)
    outputs, _, tape = forward(spec, params, inputs, initial_state(spec, params, 3), keep_tape=True)
    before, _, _ = forward(small, trained, inputs, initial_state(small, trained, 3), keep_tape=False)
    np.testing.assert_allclose(outputs, before, rtol=0, atol=1e-13)
    assert [leaf.shape for leaf in leaves(params)] == [leaf.shape for leaf in leaves(fresh)]
    d_params, _, _ = backward(
        spec, params, tape, rng.standard_normal(outputs.shape), zero_state(spec, 3, "float64")
    )
    for layer, (d_layer, size) in enumerate(zip(d_params.controller, spec.hidden_sizes, strict=True)):
        first = spec.input_size + spec.reads_size
        own = slice(first, first + size)
        assert not params.controller[layer].weights[own].any()
        assert (d_layer.weights[own] != 0).any(axis=1).all()


@pytest.mark.parametrize("name", MODELS)
def test_an_added_output_is_0_and_changes_no_other(name) -> None:
    small, rng = MODELS[name], np.random.default_rng(0)
    spec, trained = dataclasses.replace(small, output_size=small.output_size + 1), random_params(small, rng)
    params, inputs = add_output(trained), random_inputs(spec, rng, 6, 3)
    outputs, _, _ = forward(spec, params, inputs, initial_state(spec, params, 3), keep_tape=False)
    before, _, _ = forward(small, trained, inputs, initial_state(small, trained, 3), keep_tape=False)
    np.testing.assert_allclose(outputs, np.pad(before, ((0, 0), (0, 0), (0, 1))), rtol=0, atol=1e-13)


STORES = {
    "paper": {},
    "masking-sharpness": {"masking": True, "sharpness": True},
    "content-only": {"links": False},
    "normalisation": {"normalisation": True},
    "feedforward": {"controller": "feedforward"},
}
a_store = pytest.mark.parametrize("flags", STORES.values(), ids=STORES)


@a_store
def test_store_writes_to_free_slots_keeps_them_and_reads_by_content(flags) -> None:
    spec = dnc(**flags)
    start = parse_interface(spec, init_params(spec, 0, init_scheme="store").interface.bias[None])
    np.testing.assert_allclose(start.read_strengths, [[7.0] * 2], atol=0.005)
    np.testing.assert_allclose(start.write_strength, [7.0], atol=0.005)
    np.testing.assert_allclose(start.write_gate, [0.88], atol=0.005)
    np.testing.assert_allclose(start.allocation_gate, [0.95], atol=0.005)
    np.testing.assert_allclose(start.free_gates, [[0.02] * 2], atol=0.005)
    if spec.links:
        np.testing.assert_allclose(start.read_modes, [[[0.045, 0.91, 0.045]] * 2], atol=0.005)
    np.testing.assert_array_equal(start.erase, [[0.5] * 4])
    for part in (start.read_keys, start.write_key, start.write_vector):
        assert not part.any()
    if spec.masking:
        np.testing.assert_array_equal(start.read_masks, np.full((1, 2, 4), 0.5))
        np.testing.assert_array_equal(start.write_mask, np.full((1, 4), 0.5))
    if spec.sharpness:
        for sharpness in (start.forward_sharpness, start.backward_sharpness):
            np.testing.assert_allclose(sharpness, [[1 + np.log(2)] * 2], rtol=1e-6)


@a_store
def test_store_sets_the_biases_of_the_interface_and_nothing_else(flags) -> None:
    spec = dnc(**flags)
    plain, store = (
        dict(named_leaves(init_params(spec, 4, "float64", start))) for start in ("plain", "store")
    )
    for name, leaf in plain.items():
        if name != "interface.bias":
            np.testing.assert_array_equal(store[name], leaf, strict=True)
    expected = np.zeros(spec.interface_size)
    expected[[8, 9, 14]] = 6  # strengths, behind two read keys and behind the write key
    expected[[23, 24]] = -4
    expected[25:27] = [3, 2]
    if spec.links:
        expected[[28, 31]] = 3
    np.testing.assert_array_equal(store["interface.bias"], expected)


@pytest.mark.parametrize("spec", SPECS[:2], ids=lambda spec: spec.kind)
def test_model_without_a_memory_cannot_start_as_a_store(spec) -> None:
    with pytest.raises(UserError, match=f"must be plain.*store.*{spec.kind}"):
        init_params(spec, 0, init_scheme="store")


@pytest.mark.parametrize("spec", [SPECS[0], dnc()], ids=lambda spec: spec.kind)
def test_unknown_start_is_refused(spec) -> None:
    with pytest.raises(UserError, match=r"must be one of plain, store.*'shop'"):
        init_params(spec, 0, init_scheme="shop")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith("ntm")])
def test_without_a_learned_start_every_sequence_starts_blank(name, dtype) -> None:
    spec = MODELS[name]
    params = init_params(spec, 0, dtype)
    for given, wanted in zip(
        leaves(initial_state(spec, params, 3)), leaves(zero_state(spec, 3, dtype)), strict=True
    ):
        np.testing.assert_array_equal(given, wanted, strict=True)
    assert initial_state_backward(spec, params, zero_state(spec, 3)) is params


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_learned_start_stands_in_every_row(controller) -> None:
    spec = dnc(controller=controller, learned_state=True)
    params = random_params(spec, np.random.default_rng(0))
    state = initial_state(spec, params, 3)
    for b in range(3):
        np.testing.assert_array_equal(state.memory[b], params.initial.memory)
        for given, wanted in zip(leaves(state.controller), leaves(params.initial.controller), strict=True):
            np.testing.assert_array_equal(given[b], wanted)
    blank = zero_state(spec, 3, "float64")
    for name in blank._fields[2:]:
        np.testing.assert_array_equal(getattr(state, name), getattr(blank, name), strict=True)


def test_learned_start_is_not_changed_by_who_changes_the_state() -> None:
    spec = dnc(learned_state=True)
    params = init_params(spec, 0)
    before = map_leaves(np.copy, params.initial)
    for leaf in leaves(initial_state(spec, params, 3)):
        leaf += 1
    for given, wanted in zip(leaves(params.initial), leaves(before), strict=True):
        np.testing.assert_array_equal(given, wanted)


def test_gradient_of_the_learned_start_is_the_sum_over_rows_added_to_what_was_there() -> None:
    spec = dnc(learned_state=True)
    rng = np.random.default_rng(0)
    d_params = random_params(spec, rng)
    d_state = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), zero_state(spec, 3, "float64"))
    total = initial_state_backward(spec, d_params, d_state)
    np.testing.assert_allclose(
        total.initial.memory,
        d_params.initial.memory + d_state.memory[0] + d_state.memory[1] + d_state.memory[2],
    )
    for layer in (0, 1):
        for given, before, rows in zip(
            total.initial.controller[layer],
            d_params.initial.controller[layer],
            d_state.controller[layer],
            strict=True,
        ):
            np.testing.assert_allclose(given, before + rows[0] + rows[1] + rows[2])
    for part in ("controller", "interface", "output"):
        assert getattr(total, part) is getattr(d_params, part)


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_gradient_of_a_learned_start_through_a_sequence(controller) -> None:
    spec = dnc(controller=controller, learned_state=True)
    rng = np.random.default_rng(0)
    params, inputs = random_params(spec, rng), random_inputs(spec, rng, 4, 3)

    def run(params):
        return forward(spec, params, inputs, initial_state(spec, params, 3), keep_tape=True)

    outputs, final, tape = run(params)
    weights = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), (outputs, final))
    d_params, _, d_state = backward(spec, params, tape, *weights)
    assert_gradient(
        lambda point: weighted_sum(weights, run(point)[:2]),
        params,
        initial_state_backward(spec, d_params, d_state),
        directions=5,
    )


def test_bypass_mask_drops_its_share_and_keeps_the_mean() -> None:
    mask = draw_bypass_mask(dnc(bypass_dropout=0.2), 100, 20, np.random.default_rng(0), "float64")
    assert mask.shape == (100, 20, 15)
    np.testing.assert_allclose(np.unique(mask), [0, 1.25], rtol=1e-15)
    assert (mask == 0).mean() == pytest.approx(0.2, abs=0.01)
    assert mask.mean() == pytest.approx(1, abs=0.01)
    for first in (mask[:1], mask[:, :1], mask[:, :, :1]):  # steps, rows and hidden values differ
        assert (mask != first).any()


def test_bypass_mask_follows_the_seed_and_dtypes_share_the_draws() -> None:
    one, again, other = (
        draw_bypass_mask(dnc(bypass_dropout=0.3), 4, 3, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert one.dtype == "float32"
    double = draw_bypass_mask(dnc(bypass_dropout=0.3), 4, 3, np.random.default_rng(0), "float64")
    np.testing.assert_array_equal(double > 0, one > 0)


@pytest.mark.parametrize(
    "spec", [*SPECS, dnc(masking=True)], ids=lambda spec: f"{spec.kind}-{spec.controller}"
)
def test_no_mask_is_drawn_without_bypass_dropout(spec) -> None:
    rng = np.random.default_rng(0)
    assert draw_bypass_mask(spec, 4, 3, rng) is None
    assert rng.random() == np.random.default_rng(0).random()  # and no number either
