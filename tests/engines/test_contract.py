"""Tests of the contract: it rejects wrong engines, and its tolerances are close to the measured errors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from helpers import contract, tolerances
from helpers.contract import Case
from helpers.examples import FAMILY
from helpers.tolerances import assert_close
from numdnc import DNCSpec, initial_state_backward
from numdnc.engines import Engine
from numdnc.engines.reference import ReferenceEngine


def test_allowed_errors_are_at_most_ten_times_the_measured() -> None:
    for line in tolerances.TOLERANCES.values():
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
    [(quantity, dtype) for quantity, line in tolerances.TOLERANCES.items() for dtype in line],
)
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_results_are_told(
    quantity: str, dtype: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tolerances, "worst", {})
    assert_close(quantity, dtype, RIGHT, RIGHT)
    with pytest.raises(AssertionError):
        assert_close(quantity, dtype, wrong, RIGHT)
    with pytest.raises(AssertionError):
        assert_close(quantity, dtype, RIGHT, wrong)


class MaskLeftOut(ReferenceEngine):
    def forward(self, *given: Any, keep_tape: bool, bypass_mask: Any = None, lengths: Any = None) -> Any:
        return super().forward(*given, keep_tape=keep_tape, lengths=lengths)


class MaskOfTheFirstStep(ReferenceEngine):
    def forward(self, *given: Any, keep_tape: bool, bypass_mask: Any = None, lengths: Any = None) -> Any:
        first = np.broadcast_to(bypass_mask[:1], bypass_mask.shape)
        return super().forward(*given, keep_tape=keep_tape, bypass_mask=first, lengths=lengths)


class MaskLeftOutOfTheGradient(ReferenceEngine):
    def backward(self, spec: Any, params: Any, tape: Any, *given: Any) -> Any:
        bare = tape._replace(steps=[step._replace(bypass_mask=None) for step in tape.steps])
        return super().backward(spec, params, bare, *given)


class LearnedStartCountedTwice(ReferenceEngine):
    def backward(self, spec: Any, *given: Any) -> Any:
        d_params, d_inputs, d_state = super().backward(spec, *given)
        return initial_state_backward(spec, d_params, d_state), d_inputs, d_state


@dataclass(frozen=True)
class Given(Case):
    """A case with an engine of its own."""

    maker: Callable[[], Engine]

    @property
    def engine(self) -> Engine:
        return self.maker()


@pytest.mark.parametrize("dtype", contract.DTYPES)
@pytest.mark.parametrize(
    ("spec_name", "maker"),
    [
        ("dnc-bypass-dropout", MaskLeftOut),
        ("dnc-ADNC", MaskOfTheFirstStep),
        ("dnc-all", MaskLeftOutOfTheGradient),
        ("dnc-learned-state", LearnedStartCountedTwice),
    ],
)
def test_wrong_engines_are_told(
    spec_name: str, maker: Any, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tolerances, "worst", {})
    case = Given("wrong", spec_name, dtype, maker)
    with pytest.raises(AssertionError, match="error"):
        case.assert_parity(case.problem())


@pytest.mark.parametrize("flags", FAMILY.values(), ids=FAMILY)
def test_the_core_has_each_variation(flags: dict[str, Any]) -> None:
    core = [contract.SPECS[name] for name in contract.CORE_SPECS]
    flags = {name: value for name, value in flags.items() if name not in ("sparsity", "write_heads")}
    assert any(all(getattr(spec, name, None) == value for name, value in flags.items()) for spec in core)
    assert any(spec.sparsity for spec in core)
    assert any(spec.write_heads > 1 for spec in core if isinstance(spec, DNCSpec))


@pytest.mark.parametrize("flags", FAMILY.values(), ids=FAMILY)
def test_several_random_mixes_have_each_variation(flags: dict[str, Any]) -> None:
    """The share that is dropped, and the floor, may be any but none."""
    specs = contract.RANDOM_SPECS.values()

    def has(spec: Any, name: str) -> bool:
        value = getattr(spec, name)
        return value == flags[name] if isinstance(value, str) else bool(value) == bool(flags[name])

    having = [spec for spec in specs if all(has(spec, name) for name in flags)]
    assert len(having) >= 3
    asked = [contract.RANDOM_SPECS[name] for name in contract.RANDOM_FOR_JAX]
    assert any(spec in asked for spec in having)
