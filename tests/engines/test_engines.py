"""The contract: every engine, every model, both dtypes. Problems, tolerances and comparisons are in contract.py,
what engines refuse in test_refusals.py."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from helpers import contract
from helpers.contract import (
    OPEN,
    SHUT,
    SPECS,
    B,
    Case,
    Problem,
    Result,
    T,
    assert_close,
    assert_finite,
    assert_identical,
    assert_result_close,
    assert_within,
    command,
    dot,
    each_step,
    for_each_case,
    for_each_case_and_mix,
    for_each_dnc,
    for_each_dnc_that,
    for_each_fast_case,
    for_each_fast_case_and_mix,
    for_each_fast_dnc,
    for_each_fast_mix,
    piece,
)
from numdnc import DNCSpec, map_leaves, named_leaves, zero_state, zeros_like
from numdnc.tree import from_named, leaves


@for_each_case
def test_shapes_and_dtypes_are_kept(case: Case) -> None:
    problem = case.problem()
    result = case.run(problem)
    assert result.outputs.shape == (T, B, case.spec.output_size)
    given = problem.state, problem.params, problem.inputs, problem.state
    for got, like in zip(result[1:], given, strict=True):
        assert type(got) is type(like)
        assert [(n, a.shape) for n, a in named_leaves(got)] == [(n, a.shape) for n, a in named_leaves(like)]
    assert {leaf.dtype.name for leaf in leaves(result)} == {case.dtype}


@for_each_fast_case_and_mix
def test_values_and_gradients_are_the_references(case: Case) -> None:
    case.assert_parity(case.problem())


@for_each_fast_case
@pytest.mark.parametrize(
    ("steps", "batch"), [(0, B), (1, B), (1, 1), (5, 1), (2, 4), (2, 17), (2, 0), (0, 0)]
)
def test_any_number_of_steps_and_rows(case: Case, steps: int, batch: int) -> None:
    case.assert_parity(case.problem(steps=steps, batch=batch))


@for_each_case
def test_no_steps_change_nothing(case: Case) -> None:
    problem = case.problem(steps=0)
    wanted = Result(
        np.zeros((0, B, case.spec.output_size), case.dtype),
        problem.state,
        zeros_like(problem.params),
        problem.inputs,
        problem.d_state,
    )
    assert_identical(case.run(problem), wanted)


@for_each_fast_case
@pytest.mark.parametrize("steps", [1, T])
def test_from_the_blank_state(case: Case, steps: int) -> None:
    problem = case.blank_problem(steps=steps)
    pair = [case.run(problem), case.run_reference(problem)]
    if steps > 1 and isinstance(case.spec, DNCSpec):  # which slot is which is open, see `Case.blank_problem`
        pair = [r._replace(state=r.state.controller, d_state=r.d_state.controller) for r in pair]
    assert_result_close("empty parity", case.dtype, *pair)


# What an engine may not do to what it is given, and what it must not remember.


@for_each_case
def test_twice_the_same_bits_from_unchanged_arguments(case: Case) -> None:
    problem = case.problem()
    first = case.run(problem)
    assert_identical(problem, case.problem())
    assert_identical(case.run(problem), first)


@for_each_case
def test_without_tape_the_same_bits(case: Case) -> None:
    problem = case.problem()
    outputs, state, tape = case.forward(problem, keep_tape=False)
    assert tape is None
    assert_identical((outputs, state), case.run(problem)[:2])


@for_each_case
def test_a_tape_serves_twice_and_outlives_what_came_with_it(case: Case) -> None:
    problem = case.problem()
    wanted = case.run(problem)[2:]
    outputs, state, tape = case.forward(problem, keep_tape=True)
    case.run(case.problem(steps=5, batch=4))  # other sizes in between
    fill_with_nan((outputs, state))
    first = case.backward(problem, tape)
    assert_identical(first, wanted)
    fill_with_nan(first)
    assert_identical(case.backward(problem, tape), wanted)


@for_each_case
def test_two_tapes_at_once(case: Case) -> None:
    problem = case.problem()
    other = problem._replace(inputs=-problem.inputs, state=map_leaves(lambda a: a / 2, problem.state))
    wanted = case.run(problem)[2:], case.run(other)[2:]
    tapes = [case.forward(each, keep_tape=True)[2] for each in (problem, other)]
    got = case.backward(problem, tapes[0]), case.backward(other, tapes[1])
    assert_identical(got, wanted)


@for_each_case
def test_nothing_is_read_from_old_or_unset_memory(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = case.problem()
    wanted = case.run(problem)
    with np.errstate(all="ignore"):
        case.run(all_nan(problem))  # whatever the engine keeps between calls is NaN now
    freed = [all_nan(wanted) for _ in range(20)]
    del freed
    for name in ("empty", "empty_like"):
        monkeypatch.setattr(np, name, poisoned(getattr(np, name)))
    assert_identical(case.run(problem), wanted)


def poisoned(allocate: Any) -> Any:
    """The allocator, but with NaN where it leaves numbers unset."""

    def allocate_nan(*arguments: Any, **options: Any) -> Any:
        array = allocate(*arguments, **options)
        if np.issubdtype(array.dtype, np.floating):
            array.fill(np.nan)
        return array

    return allocate_nan


def all_nan(tree: Any) -> Any:
    return map_leaves(lambda leaf: np.full_like(leaf, np.nan), tree)


def fill_with_nan(tree: Any) -> None:
    for leaf in leaves(tree):
        leaf.fill(np.nan)


# The same thing computed in another way.


@for_each_fast_mix
def test_mixes_in_other_sizes_and_by_symbols(case: Case) -> None:
    case.assert_parity(case.problem(steps=5, batch=1))
    case.assert_parity(case.problem(steps=2, batch=17))
    case.assert_parity(case.problem(symbols=True))


@for_each_case_and_mix
@pytest.mark.parametrize("cuts", [(4,), (1, 1, 6), range(1, T)], ids=["two", "one of none", "each step"])
def test_the_whole_is_its_chunks(case: Case, cuts: Any) -> None:
    whole = case.problem()
    state, chunks = whole.state, []
    for start, stop in pairwise((0, *cuts, T)):
        chunk = piece(whole, slice(start, stop))._replace(state=state)
        outputs, state, tape = case.forward(chunk, keep_tape=True)
        chunks.append((chunk, outputs, tape))
    d_params, d_inputs, d_state = zeros_like(whole.params), [], whole.d_state
    for chunk, _, tape in reversed(chunks):
        d_params_chunk, d_inputs_chunk, d_state = case.backward(chunk._replace(d_state=d_state), tape)
        d_params = map_leaves(np.add, d_params, d_params_chunk)
        d_inputs.insert(0, d_inputs_chunk)
    outputs = np.concatenate([outputs for _, outputs, _ in chunks])
    got = Result(outputs, state, d_params, np.concatenate(d_inputs), d_state)
    assert_result_close(case.line("rearranged"), case.dtype, got, case.run(whole))


@for_each_case_and_mix
def test_a_batch_is_its_rows(case: Case) -> None:
    whole = case.problem()
    wanted = case.run(whole)
    parts = [case.run(rows(whole, slice(b, b + 1))) for b in range(B)]
    d_params = zeros_like(whole.params)
    for b, got in enumerate(parts):
        d_params = map_leaves(np.add, d_params, got.d_params)
        row = rows(wanted._replace(d_params=()), slice(b, b + 1))
        assert_result_close(case.line("rearranged"), case.dtype, got._replace(d_params=()), row)
    assert_close(case.line("rearranged gradients"), case.dtype, d_params, wanted.d_params)


def rows(tree: Any, row: slice) -> Any:
    """These rows of the batch, of a Problem or a Result; parameters have none."""

    def pick(name: str, leaf: Any) -> Any:
        if "params" in name.split(".")[0]:
            return leaf
        return leaf[row] if "state" in name.split(".")[0] else leaf[:, row]

    return from_named(tree, {name: pick(name, leaf) for name, leaf in named_leaves(tree)})


def strided(leaf: Any) -> Any:
    """Every second number of a wider array, the others NaN."""
    wide = np.full((*leaf.shape[:-1], 2 * leaf.shape[-1]), np.nan, leaf.dtype)
    wide[..., ::2] = leaf
    return wide[..., ::2]


def backwards(leaf: Any) -> Any:
    """Laid out from the end, all strides negative."""
    flip = (slice(None, None, -1),) * leaf.ndim
    return leaf[flip].copy()[flip]


def read_only(leaf: Any) -> Any:
    leaf = leaf.copy()
    leaf.flags.writeable = False
    return leaf


LAYOUTS = {"strided": strided, "fortran": np.asfortranarray, "backwards": backwards, "read-only": read_only}


@for_each_case
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_any_layout_in_memory(case: Case, layout: Any) -> None:
    problem = case.problem()
    got = case.run(map_leaves(layout, problem))
    assert_result_close("rearranged", case.dtype, got, case.run(problem))


@for_each_case
@pytest.mark.parametrize("integer", ["int64", "int32", "uint8", "uint64", "strided"])
def test_symbols_are_one_hot_rows(case: Case, integer: str) -> None:
    problem = case.problem(symbols=True)
    one_hot = problem._replace(inputs=np.eye(case.spec.input_size, dtype=case.dtype)[problem.inputs])
    given = (
        np.repeat(problem.inputs, 2, 1)[:, ::2] if integer == "strided" else problem.inputs.astype(integer)
    )
    got, wanted = case.run(problem._replace(inputs=given)), case.run(one_hot)
    assert_result_close("rearranged", case.dtype, got, wanted._replace(d_inputs=()))


SLOT_AXES = {"memory": [1], "usage": [1], "precedence": [1], "link": [1, 2], "write_weights": [1]}
SLOT_AXES["read_weights"] = [2]


@for_each_dnc
def test_slots_have_no_order(case: Case) -> None:
    order = np.random.default_rng(1).permutation(case.spec.memory_size)

    def permuted(problem: Any) -> Any:
        """With the slots of state and d_state in another order."""
        arrays = dict(named_leaves(problem))
        for name in arrays:
            for axis in SLOT_AXES.get(name.rpartition(".")[2], []) if "state" in name else []:
                arrays[name] = arrays[name].take(order, axis)
        return from_named(problem, arrays)

    problem = case.problem()
    assert_result_close("rearranged", case.dtype, case.run(permuted(problem)), permuted(case.run(problem)))


# Gradients, extremes, invariants, and what is known by hand.


@pytest.mark.thorough
@pytest.mark.parametrize("spec_name", SPECS)
def test_reference_gradients_by_central_differences(spec_name: str) -> None:
    case = Case("reference", spec_name, "float64")
    assert_gradients_are_slopes(case, case.problem(steps=4, gap=3e-4))
    if isinstance(case.spec, DNCSpec):
        assert_gradients_are_slopes(case, contract.freed_problem(case))


def assert_gradients_are_slopes(case: Case, problem: Problem) -> None:
    """Along random directions: over everything at once, and over each array alone."""
    rng = np.random.default_rng(3)
    point, gradient = problem[:3], case.run(problem)[2:]
    names = [name for name, _ in named_leaves(point)]
    for moved in [names, names, names, *([name] for name in names)]:
        arrays = {n: rng.uniform(-1, 1, a.shape) * (n in moved) for n, a in named_leaves(point)}
        direction = from_named(point, arrays)
        difference = contract.central_difference(case, problem, direction) - dot(gradient, direction)
        own = np.sqrt(sum((a**2).sum() for n, a in named_leaves(gradient) if n in moved))
        size = max(own, 1e-3 * np.sqrt(dot(gradient, gradient)))
        assert_within("central differences", "float64", abs(difference) / size, ", ".join(moved))


def huge(leaf: Any) -> Any:
    return np.copysign(leaf.dtype.type(1e4), leaf)


@for_each_case
def test_huge_inputs_stay_finite(case: Case) -> None:
    problem = case.problem()
    problem = problem._replace(inputs=huge(problem.inputs))
    assert_finite(case.run(problem))
    assert_finite(case.run(problem._replace(state=zeros_like(problem.state))))


@for_each_dnc
def test_huge_memory_stays_finite(case: Case) -> None:
    problem = case.problem()
    state = problem.state._replace(memory=huge(problem.state.memory), reads=huge(problem.state.reads))
    assert_finite(case.run(problem._replace(state=state)))


@for_each_case
def test_huge_parameters_give_finite_values(case: Case) -> None:
    problem = case.problem()
    assert_finite(case.forward(problem._replace(params=map_leaves(huge, problem.params)))[:2])


@for_each_dnc
@pytest.mark.parametrize("strength", [1, 30])
@pytest.mark.parametrize("start", [0, 1], ids=["blank", "random"])
def test_invariants_hold_at_every_step(case: Case, strength: int, start: int) -> None:
    problem = case.problem(steps=25)
    params, state = (
        map_leaves(lambda a, by=by: a * a.dtype.type(by), tree)
        for tree, by in ((problem.params, strength), (problem.state, start))
    )
    for _, after in each_step(case.engine, case.spec, problem._replace(params=params, state=state)):
        assert_within("invariants", case.dtype, excess(after), "invariants")


def excess(state: Any) -> float:
    """By how much weightings are below 0 or sum to more than 1, usages leave [0, 1], a slot follows itself."""
    weightings, looped = [state.write_weights, state.read_weights], False
    if isinstance(state.link, np.ndarray):
        weightings += [state.precedence, state.link, state.link.swapaxes(1, 2)]
        looped = state.link.diagonal(axis1=1, axis2=2).any()
    return max(
        0.0,
        *(float(-w.min()) for w in [*weightings, state.usage]),
        *(float(w.sum(-1, dtype=np.float64).max()) - 1 for w in weightings),
        float(state.usage.max()) - 1,
        float("inf") if looped else 0.0,
    )


BACKWARD, CONTENT, FORWARD = np.eye(3) * OPEN


@for_each_dnc
@pytest.mark.parametrize("usages", [[0], [0.5], [1], [0.9, 0.8, 0.9]], ids=str)
def test_equal_usages_are_allocated_by_index(case: Case, usages: list[float]) -> None:
    usage = np.resize(usages, case.spec.memory_size)
    problem = contract.with_usage(case.spec, case.problem(steps=1), usage)
    case.assert_parity(problem)

    params = command(case.spec, case.dtype, write_gate=OPEN, allocation_gate=OPEN, free_gates=SHUT)
    _, after, _ = case.forward(problem._replace(params=params))
    ranked = [(u, n) for n, u in enumerate(usage)]
    wanted = [(1 - one[0]) * np.prod([other[0] for other in ranked if other < one]) for one in ranked]
    assert_close("parity values", case.dtype, after.write_weights, np.tile(wanted, (B, 1)))


@for_each_fast_dnc
def test_a_wholly_freed_slot(case: Case) -> None:
    case.assert_parity(contract.freed_problem(case))


@for_each_dnc
def test_empty_memory(case: Case) -> None:
    problem = case.problem()
    problem = problem._replace(state=problem.state._replace(memory=np.zeros_like(problem.state.memory)))
    case.assert_parity(problem, "empty parity")

    looking = {"write_gate": SHUT, "read_modes": CONTENT, "read_keys": 1, "read_strengths": 5}
    params = command(case.spec, case.dtype, **looking)
    _, after, _ = case.forward(problem._replace(params=params))
    everywhere = np.full(after.read_weights.shape, 1 / case.spec.memory_size)
    assert_close("parity values", case.dtype, after.read_weights, everywhere)


@for_each_dnc_that(lambda spec: spec.word_size > 2)
def test_a_chain_is_written_and_followed(case: Case) -> None:
    """Known by hand: A and B go to slots 0 and 1; A is found, B comes after it, A before; C takes A's freed slot, and
    is freed in turn, which wipes it where the model deallocates.

    Before there is a link to follow a head reads nothing; or of all slots alike where what it follows is sharpened,
    or where it only has its key, which is 0.
    """
    spec, dtype = case.spec, case.dtype
    a, b, c = np.eye(spec.word_size)[:3]
    still = {"free_gates": SHUT, "write_gate": SHUT}
    writing = {"free_gates": SHUT, "write_gate": OPEN, "allocation_gate": OPEN, "erase": OPEN}
    found = {"read_modes": CONTENT, "read_strengths": OPEN}
    sharp = {"forward_sharpness": OPEN, "backward_sharpness": OPEN}
    after_a = {**writing, **sharp, "write_vector": a, "read_modes": FORWARD}
    after_b = {**writing, **sharp, "write_vector": b, "read_modes": FORWARD}
    followed = [
        ({**still, **sharp, "read_modes": FORWARD}, b),
        ({**still, **sharp, "read_modes": BACKWARD}, a),
    ]
    each = 1 / spec.memory_size
    if not spec.links:
        start, followed = [(after_a, each * a), (after_b, each * (a + b))], []
    elif spec.sharpness:
        start = [(after_a, each * a), (after_b, b)]
    else:
        start = [(after_a, 0 * a), (after_b, 0 * a)]
    left = 0 * c if spec.deallocation else c
    steps = [
        *start,
        ({**still, **found, "read_keys": a}, a),
        *followed,
        ({**writing, "free_gates": OPEN, "write_vector": c, **found, "read_keys": c}, c),
        ({**still, "free_gates": OPEN, **found, "read_keys": b}, b),
    ]
    state = zero_state(spec, B, dtype)
    for parts, wanted in steps:
        problem = case.problem(steps=1)._replace(params=command(spec, dtype, **parts), state=state)
        _, state, _ = case.forward(problem)
        assert_close("parity values", dtype, state.reads, np.broadcast_to(wanted, state.reads.shape))
    memory = np.zeros(state.memory.shape)
    memory[:, 0], memory[:, 1] = left, b
    assert_close("parity values", dtype, state.memory, memory)


# The variations.


@for_each_dnc_that(lambda spec: spec.bypass_dropout)
def test_a_mask_of_ones_is_none(case: Case) -> None:
    problem = case.problem()
    ones = problem._replace(bypass_mask=np.ones_like(problem.bypass_mask))
    assert_result_close("rearranged", case.dtype, case.run(ones), case.run(problem._replace(bypass_mask=())))


@for_each_dnc_that(lambda spec: spec.bypass_dropout)
def test_behind_a_mask_of_zeros_outputs_come_from_the_reads(case: Case) -> None:
    problem = case.problem()
    problem = problem._replace(bypass_mask=np.zeros_like(problem.bypass_mask))
    result, hidden = case.run(problem), case.spec.hidden_total
    weights, bias = problem.params.output.weights[hidden:], problem.params.output.bias
    states = [state for _, state in each_step(case.engine, case.spec, problem)]
    wanted = np.stack([state.reads.reshape(B, -1) @ weights + bias for state in states])
    assert_close("rearranged values", case.dtype, result.outputs, wanted)
    assert not result.d_params.output.weights[:hidden].any()
    assert result.d_params.output.weights[hidden:].all()


@for_each_dnc_that(lambda spec: spec.bypass_dropout)
def test_a_mask_hides_nothing_from_the_memory(case: Case) -> None:
    problem = case.problem()
    masked, bare = (case.run(each) for each in (problem, problem._replace(bypass_mask=())))
    assert_close("rearranged values", case.dtype, masked.state, bare.state)
    assert not np.array_equal(masked.outputs, bare.outputs)


@for_each_dnc_that(lambda spec: spec.learned_state)
def test_a_learned_start_acts_through_the_state_alone(case: Case) -> None:
    problem = case.problem()
    result = case.run(problem)
    other = problem.params._replace(initial=map_leaves(lambda leaf: 2 * leaf, problem.params.initial))
    assert_identical(case.run(problem._replace(params=other)), result)
    assert leaves(problem.params.initial)
    assert not any(leaf.any() for leaf in leaves(result.d_params.initial))


@for_each_dnc_that(lambda spec: spec.masking)
def test_a_mask_of_one_column_compares_that_column(case: Case) -> None:
    """Known by hand: of W columns one counts whole, the others what the floor leaves."""
    rng, column = np.random.default_rng(4), 3
    spec, problem = case.spec, case.problem(steps=1)
    keys = rng.standard_normal((spec.read_heads, spec.word_size))
    only = np.where(np.arange(spec.word_size) == column, OPEN, SHUT)
    parts = {"read_keys": keys.ravel(), "read_masks": only, "read_modes": CONTENT}
    params = command(spec, case.dtype, write_gate=SHUT, free_gates=SHUT, **parts)
    _, after, _ = case.forward(problem._replace(params=params))
    counts = np.where(np.arange(spec.word_size) == column, 1, spec.mask_floor)
    words, keys = problem.state.memory.astype(float) * counts, keys.astype(case.dtype).astype(float) * counts
    lengths = np.sqrt((keys**2).sum(-1) + 1e-6)[:, None] * np.sqrt((words**2).sum(-1) + 1e-6)[:, None]
    likeness = np.exp((1 + np.log(2)) * (keys @ words.swapaxes(1, 2) / lengths))
    wanted = likeness / likeness.sum(-1, keepdims=True)
    assert_close("parity values", case.dtype, after.read_weights, wanted)


@for_each_dnc_that(lambda spec: spec.sharpness)
def test_an_empty_link_is_sharpened_to_all_slots_alike(case: Case) -> None:
    problem = case.problem(steps=1)
    blank = problem.state._replace(link=np.zeros_like(problem.state.link))
    for mode in (FORWARD, BACKWARD):
        params = command(case.spec, case.dtype, write_gate=SHUT, read_modes=mode, forward_sharpness=OPEN)
        _, after, _ = case.forward(problem._replace(params=params, state=blank))
        everywhere = np.full(after.read_weights.shape, 1 / case.spec.memory_size)
        assert_close("parity values", case.dtype, after.read_weights, everywhere)
