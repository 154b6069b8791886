"""The contract's own comparisons: they must tell wrong from right, by tolerances that fit what was measured."""

from typing import Any

import numpy as np
import pytest

import contract
from contract import assert_close


def test_allowed_errors_are_at_most_ten_times_the_measured() -> None:
    for line in contract.TOLERANCES.values():
        for tolerance in line.values():
            assert tolerance.measured <= tolerance.allowed <= 10 * tolerance.measured


RIGHT = np.array([1, 2.0, 3])
WRONG = {
    "2.001 for 2.0": np.array([1, 2.001, 3]),
    "swapped": RIGHT[::-1],
    "another shape": RIGHT[None],
    "NaN": np.array([1, np.nan, 3]),
    "infinity": np.array([1, 2.0, np.inf]),
    "zeros": np.zeros(3),
    "another tree": (RIGHT,),
}


@pytest.mark.parametrize(
    ("quantity", "dtype"),
    [(quantity, dtype) for quantity, line in contract.TOLERANCES.items() for dtype in line],
)
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_results_are_told(
    quantity: str, dtype: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "worst", {})
    assert_close(quantity, dtype, RIGHT, RIGHT)
    with pytest.raises(AssertionError):
        assert_close(quantity, dtype, wrong, RIGHT)
    with pytest.raises(AssertionError):
        assert_close(quantity, dtype, RIGHT, wrong)
