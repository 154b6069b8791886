"""The contract, first part: every engine, every model, both dtypes, compared with itself.

Problems, tolerances and comparisons are in helpers/contract.py; the comparison with the reference is in test_parity.py,
what is known by hand in test_known_values.py, what engines refuse in test_refusals.py.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from helpers.contract import (
    B,
    Case,
    Result,
    T,
    assert_result_close,
    for_each_case,
    for_each_case_and_mix,
    for_each_case_in_chunks,
    for_each_dnc_that,
    piece,
)
from helpers.gradients import with_gradient
from helpers.tolerances import assert_close, assert_identical
from numdnc import map_leaves, named_leaves, zeros_like
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
    controller = map_leaves(lambda a: a / 2, problem.state.controller)
    other = problem._replace(inputs=-problem.inputs, state=problem.state._replace(controller=controller))
    wanted = case.run(problem)[2:], case.run(other)[2:]
    tapes = [case.forward(each, keep_tape=True)[2] for each in (problem, other)]
    got = case.backward(problem, tapes[0]), case.backward(other, tapes[1])
    assert_identical(got, wanted)


@for_each_case
def test_nothing_is_read_from_old_or_unset_memory(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = case.problem()
    wanted = case.run(problem)
    with np.errstate(all="ignore"):
        case.run(
            all_nan(problem)._replace(state=all_nan_but_sparse(case.spec, problem.state))
        )  # whatever the engine keeps between calls is NaN now
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
    return map_leaves(lambda leaf: np.full_like(leaf, np.nan) if leaf.dtype.kind == "f" else leaf, tree)


def all_nan_but_sparse(spec: Any, state: Any) -> Any:
    """All NaN, but what must be 0 or a whole number in the state of a sparse model."""
    return map_leaves(lambda leaf, free: np.where(free, np.nan, leaf), state, with_gradient(spec, state))


def fill_with_nan(tree: Any) -> None:
    for leaf in leaves(tree):
        leaf.fill(np.nan)


# The same thing computed in another way.


@for_each_case_in_chunks
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
        return leaf[row] if "state" in name.split(".")[0] or name == "lengths" else leaf[:, row]

    return from_named(tree, {name: pick(name, leaf) for name, leaf in named_leaves(tree)})


def strided(leaf: Any) -> Any:
    """Every second number of a wider array, the others NaN."""
    unset = np.nan if leaf.dtype.kind == "f" else -1
    wide = np.full((*leaf.shape[:-1], 2 * leaf.shape[-1]), unset, leaf.dtype)
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


SLOT_AXES = {"memory": [-2], "usage": [-1], "precedence": [-1], "link": [-2, -1]}
SLOT_AXES |= {"write_weights": [-1], "read_weights": [-1]}


@for_each_dnc_that(lambda spec: spec.usage_writing and not spec.sparse_links)
def test_slots_have_no_order(case: Case) -> None:
    """Not with `recency`, where several slots are of one age, nor where links are lists by slot."""
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
