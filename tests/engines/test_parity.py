"""The contract, second part: every fast engine computes what the reference does."""

import pytest

from helpers import contract
from helpers.contract import (
    B,
    Case,
    T,
    assert_result_close,
    for_each_dnc_that,
    for_each_fast_case,
    for_each_fast_case_and_mix,
    for_each_fast_mix,
)
from numdnc import DNCSpec


@for_each_fast_case_and_mix
def test_values_and_gradients_are_the_references(case: Case) -> None:
    case.assert_parity(case.problem())


@for_each_fast_case
@pytest.mark.parametrize(
    ("steps", "batch"), [(0, B), (1, B), (1, 1), (5, 1), (2, 4), (2, 17), (2, 0), (0, 0)]
)
def test_any_number_of_steps_and_rows(case: Case, steps: int, batch: int) -> None:
    case.assert_parity(case.problem(steps=steps, batch=batch))


@for_each_fast_case
@pytest.mark.parametrize("steps", [1, T])
def test_from_the_blank_state(case: Case, steps: int) -> None:
    problem = case.blank_problem(steps=steps)
    pair = [case.run(problem), case.run_reference(problem)]
    if steps > 1 and isinstance(case.spec, DNCSpec):  # which slot is which is open, see `Case.blank_problem`
        pair = [r._replace(state=r.state.controller, d_state=r.d_state.controller) for r in pair]
    assert_result_close("empty parity", case.dtype, *pair)


@for_each_fast_mix
def test_mixes_in_other_sizes_and_by_symbols(case: Case) -> None:
    case.assert_parity(case.problem(steps=5, batch=1))
    case.assert_parity(case.problem(steps=2, batch=17))
    case.assert_parity(case.problem(symbols=True))


@for_each_dnc_that(lambda spec: spec.usage_writing, fast_only=True)
def test_a_wholly_freed_slot(case: Case) -> None:
    case.assert_parity(contract.freed_problem(case))
