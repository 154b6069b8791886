"""The kernels of sparse memories as plain functions of Python: they compute what the reference does.

Run as uncompiled.py is.
"""

import pytest

import helpers.uncompiled  # noqa: F401 (first of all)
from engines.cpu import test_sparse
from helpers.contract import Case

SPECS = (
    *("dnc-sparse", "dnc-sparse-4-heads", "dnc-sparse-all-slots", "dnc-sparse-content-only"),
    *("dnc-sparse-M+D", "dnc-SAM", "dnc-SDNC", "dnc-SDNC-masking"),
)


@pytest.mark.parametrize("spec_name", SPECS)
@pytest.mark.parametrize(("steps", "batch"), [(4, 3), (9, 1)])
def test_values_and_gradients_are_the_references(spec_name: str, steps: int, batch: int) -> None:
    case = Case("cpu", spec_name, "float64")
    case.assert_parity(case.problem(steps=steps, batch=batch))


# The same tests, uncompiled; after the first, which says best what is wrong.
test_several_blocks_of_slots = test_sparse.test_several_blocks_of_slots
test_free_slots = test_sparse.test_free_slots
test_a_memory_that_fills_up = test_sparse.test_a_memory_that_fills_up
test_a_slot_that_is_wiped_and_not_written = test_sparse.test_a_slot_that_is_wiped_and_not_written
test_equal_words_are_told_apart_by_their_slots = test_sparse.test_equal_words_are_told_apart_by_their_slots
test_masks_with_a_floor = test_sparse.test_masks_with_a_floor
test_slots_of_equal_usage_go_by_index = test_sparse.test_slots_of_equal_usage_go_by_index
