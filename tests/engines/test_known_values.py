"""The contract, last part: slopes, extremes, invariants, what is known by hand, and the variations."""

from typing import Any

import numpy as np
import pytest

from helpers import contract, plain
from helpers.contract import (
    OPEN,
    SHUT,
    SPECS,
    B,
    Case,
    Problem,
    assert_result_close,
    command,
    each_step,
    for_each_case,
    for_each_dnc,
    for_each_dnc_that,
)
from helpers.gradients import with_gradient
from helpers.tolerances import assert_close, assert_finite, assert_identical, assert_within, dot
from numdnc import DNCSpec, map_leaves, named_leaves, zero_state, zeros_like
from numdnc.engines.check_sparse import check_sparse_state
from numdnc.reference.instructions import follow_instructions
from numdnc.reference.sparse import link_matrix
from numdnc.tree import from_named, leaves


@pytest.mark.thorough
@pytest.mark.parametrize("spec_name", SPECS)
def test_reference_gradients_by_central_differences(spec_name: str) -> None:
    case = Case("reference", spec_name, "float64")
    steps = (
        3 if spec_name == "dnc-second-memory-writers" else 4
    )  # four with its usages come near a tie in every draw
    assert_gradients_are_slopes(case, case.problem(steps=steps, gap=3e-4))
    if isinstance(case.spec, DNCSpec) and case.spec.usage_writing:
        assert_gradients_are_slopes(case, contract.freed_problem(case))


def assert_gradients_are_slopes(case: Case, problem: Problem) -> None:
    """Along random directions: over everything at once, and over each array alone.

    Where a sparse state has no gradient, it stays.
    """
    rng = np.random.default_rng(3)
    point, gradient = problem[:3], case.run(problem)[2:]
    names = [name for name, _ in named_leaves(point)]
    free = {f"2.{name}": leaf for name, leaf in named_leaves(with_gradient(case.spec, problem.state))}
    for moved in [names, names, names, *([name] for name in names)]:
        arrays = {
            n: rng.uniform(-1, 1, a.shape) * (n in moved) * free.get(n, True) for n, a in named_leaves(point)
        }
        direction = from_named(point, arrays)
        difference = contract.central_difference(case, problem, direction) - dot(gradient, direction)
        own = np.sqrt(sum((a**2).sum() for n, a in named_leaves(gradient) if n in moved))
        size = max(own, 1e-3 * np.sqrt(dot(gradient, gradient)))
        assert_within("central differences", "float64", abs(difference) / size, ", ".join(moved))


def huge(leaf: Any, size: float = 1e4) -> Any:
    return np.copysign(leaf.dtype.type(size), leaf)


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
    """Of a second memory that writes the product of R reads, their variance would overflow float32 with 1e4."""
    size = 1e2 if getattr(case.spec, "second_memory", "none") == "reads" else 1e4
    problem = case.problem()
    params = map_leaves(lambda leaf: huge(leaf, size), problem.params)
    assert_finite(case.forward(problem._replace(params=params))[:2])


@for_each_dnc
@pytest.mark.parametrize("strength", [1, 30])
@pytest.mark.parametrize("start", [0, 1], ids=["blank", "random"])
def test_invariants_hold_at_every_step(case: Case, strength: int, start: int) -> None:
    problem = case.problem(steps=25, gap=0)  # nothing here depends on which slots are chosen
    params, state = (
        map_leaves(lambda a, by=by: a * a.dtype.type(by), tree)
        for tree, by in ((problem.params, strength), (problem.state, start))
    )
    for _, after in each_step(case.engine, case.spec, problem._replace(params=params, state=state)):
        assert_within("invariants", case.dtype, excess(after), "invariants")
        if case.spec.sparsity is not None:
            check_sparse_state(case.spec, after)


def excess(state: Any) -> float:
    """By how much weightings are below 0 or sum to more than 1, usages leave [0, 1], a slot follows itself."""
    weightings, looped, usages = [state.write_weights, state.read_weights], False, leaves(state.usage)
    link = link_matrix(state.link_slots, state.link_values) if has(state.link_slots) else state.link
    if has(link):
        weightings += [state.precedence, link, link.swapaxes(-2, -1)]
        looped = link.diagonal(axis1=-2, axis2=-1).any()
    return max(
        0.0,
        *(float(-w.min()) for w in [*weightings, *usages]),
        *(float(w.sum(-1, dtype=np.float64).max()) - 1 for w in weightings),
        *(float(usage.max()) - 1 for usage in usages),
        float("inf") if looped else 0.0,
    )


def has(part: Any) -> bool:
    return isinstance(part, np.ndarray)


BACKWARD, CONTENT, FORWARD = np.eye(3) * OPEN


@for_each_dnc_that(lambda spec: spec.usage_writing)
@pytest.mark.parametrize("usages", [[0], [0.5], [1], [0.9, 0.8, 0.9]], ids=str)
def test_equal_usages_are_allocated_by_index(case: Case, usages: list[float]) -> None:
    usage = np.resize(usages, case.spec.memory_size)
    problem = contract.with_usage(case.spec, case.problem(steps=1), usage)
    case.assert_parity(problem)

    params = command(case.spec, case.dtype, write_gate=OPEN, allocation_gate=OPEN, free_gates=SHUT)
    _, after, _ = case.forward(problem._replace(params=params))
    heads = []
    for _ in range(case.spec.write_heads):
        ranked = [(u, n) for n, u in enumerate(usage)]
        wanted = [(1 - one[0]) * np.prod([other[0] for other in ranked if other < one]) for one in ranked]
        usage = 1 - (1 - usage) * (1 - np.array(wanted))
        heads.append(plain.cut(wanted, case.spec.sparsity))
    wanted = np.array(heads if case.spec.write_heads > 1 else heads[0])
    everywhere = np.broadcast_to(wanted, after.write_weights.shape)
    assert_close("parity values", case.dtype, after.write_weights, everywhere)


@for_each_dnc
def test_empty_memory(case: Case) -> None:
    problem = case.problem()
    problem = problem._replace(state=problem.state._replace(memory=np.zeros_like(problem.state.memory)))
    if case.spec.sparsity is None or case.dtype == "float64":  # in float32 words of one direction are ties
        case.assert_parity(problem, "empty parity")

    looking = {"write_gate": SHUT, "read_modes": CONTENT, "read_keys": 1, "read_strengths": 5}
    params = command(case.spec, case.dtype, **looking)
    _, after, _ = case.forward(problem._replace(params=params))
    found = case.spec.sparsity or case.spec.memory_size
    everywhere = np.where(np.arange(case.spec.memory_size) < found, 1 / found, 0)
    everywhere = np.broadcast_to(everywhere, after.read_weights.shape)
    assert_close("parity values", case.dtype, after.read_weights, everywhere)


@for_each_dnc_that(
    lambda spec: (
        spec.word_size > 2
        and (spec.usage_writing or spec.links)
        and spec.write_heads == 1
        and spec.second_memory != "reads"
    )
)
def test_a_chain_is_written_and_followed(case: Case) -> None:
    """Known by hand: A and B go to slots 0 and 1; A is found, B comes after it, A before; C takes A's freed slot, and
    is freed in turn, which wipes it where the model deallocates. With `recency` C takes slot 2.

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
    each = 1 / (spec.sparsity or spec.memory_size)
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
    memory[..., 0, :], memory[..., 1, :] = left, b
    if spec.recency:
        memory[..., 0, :], memory[..., 2, :] = a, c
    assert_close("parity values", dtype, state.memory, memory)


@for_each_dnc_that(lambda spec: spec.write_heads > 1 and spec.word_size > 2)
def test_several_heads_write_to_slots_of_their_own(case: Case) -> None:
    """Known by hand: in each of two steps every write head takes the next free slot. A head that found the word of the
    first write head then walks along its links to what that one wrote next, V slots further, and back.
    """
    spec, dtype, V = case.spec, case.dtype, case.spec.write_heads
    N, W = spec.memory_size, spec.word_size
    taken = min(2 * V, N)
    still = {"free_gates": SHUT, "write_gate": SHUT, "forward_sharpness": OPEN, "backward_sharpness": OPEN}
    writing = {**still, "write_gate": OPEN, "allocation_gate": OPEN, "erase": OPEN}
    words = np.random.default_rng(1).standard_normal((2, V, W))
    found = {"read_modes": CONTENT, "read_strengths": OPEN, "read_masks": OPEN, "read_keys": words[0, 0]}
    steps = [{**writing, "write_vector": words[0]}, {**writing, "write_vector": words[1]}, {**still, **found}]
    state = zero_state(spec, B, dtype)

    def step(parts: dict[str, Any]) -> Any:
        problem = case.problem(steps=1)._replace(params=command(spec, dtype, **parts), state=state)
        return case.forward(problem)[1]

    for parts in steps:
        state = step(parts)
    memory = np.zeros((N, W))
    memory[:taken] = words.reshape(-1, W)[:taken]
    assert_close("parity values", dtype, state.memory, np.broadcast_to(memory, state.memory.shape))
    if spec.links:
        assert_close("parity values", dtype, state.reads, np.broadcast_to(words[0, 0], state.reads.shape))
        modes = np.eye(2 * V + 1) * OPEN
        for mode, word in ((V + 1, words[1, 0]), (0, words[0, 0])):
            state = step({**still, "read_modes": modes[mode]})
            assert_close("parity values", dtype, state.reads, np.broadcast_to(word, state.reads.shape))


# The variations.


@for_each_dnc_that(lambda spec: spec.bypass_dropout)
def test_a_mask_of_ones_is_none(case: Case) -> None:
    problem = case.problem()
    ones = problem._replace(bypass_mask=np.ones_like(problem.bypass_mask))
    assert_result_close("rearranged", case.dtype, case.run(ones), case.run(problem._replace(bypass_mask=())))


@for_each_dnc_that(lambda spec: spec.bypass_dropout and not spec.bidirectional)
def test_behind_a_mask_of_zeros_outputs_come_from_the_reads(case: Case) -> None:
    problem = case.problem()
    problem = problem._replace(bypass_mask=np.zeros_like(problem.bypass_mask))
    result, hidden = case.run(problem), case.spec.hidden_total
    weights, bias = problem.params.output.weights[hidden:], problem.params.output.bias
    states = [state for _, state in each_step(case.engine, case.spec, problem)]
    wanted = np.stack([state.reads.reshape(B, -1) @ weights + bias for state in states])
    if case.spec.instruction_slots is not None:
        wanted, _ = follow_instructions(problem.params.instructions, wanted)
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


@for_each_dnc_that(lambda spec: spec.masking and spec.sparsity is None)
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
    lengths = np.sqrt((keys**2).sum(-1) + 1e-6)[:, None] * np.sqrt((words**2).sum(-1) + 1e-6)[..., None, :]
    likeness = np.exp((1 + np.log(2)) * (keys @ words.swapaxes(-1, -2) / lengths))
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
