"""The kernels of the engine `cpu` as plain functions of Python: they compute what the reference does.

Run with Numba switched off (NUMBA_DISABLE_JIT=1), by test_mutations.py: a changed kernel then needs no compiling.
"""

import numpy as np
import pytest

import helpers.uncompiled  # noqa: F401 (first of all)
from helpers.contract import Case, with_usage
from numdnc.engines.cpu import plans

SPECS = (
    *("dnc-all", "dnc-ADNC", "dnc-D+S", "dnc-2-layers", "dnc-odd", "rnn-2-layers", "lstm-2-layers"),
    *("dnc-writers", "dnc-writers-odd", "dnc-writers-all", "dnc-writers-ADNC", "ntm-2-layers", "ntm-odd"),
    *("dnc-second-memory-all", "dnc-second-memory-writers"),
)


@pytest.mark.parametrize("spec_name", SPECS)
@pytest.mark.parametrize(("steps", "batch"), [(4, 5), (2, 2), (9, 1)])
def test_values_and_gradients_are_the_references(spec_name: str, steps: int, batch: int) -> None:
    case = Case("cpu", spec_name, "float64")
    case.assert_parity(case.problem(steps=steps, batch=batch))


@pytest.mark.parametrize("spec_name", ["dnc-2-layers", "dnc-all", "dnc-writers-all"])
def test_links_are_made_again_tile_by_tile(spec_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_MAX_ALL_LINKS_BYTES", 0)
    monkeypatch.setattr(plans, "_TILE_CHUNK", 4)
    monkeypatch.setattr(plans, "_MAX_TILE_WIDTH", 3)
    plans.make_plan.cache_clear()
    case = Case("cpu", spec_name, "float64")
    case.assert_parity(case.problem(steps=9, batch=2))


def test_equal_usages_go_by_index() -> None:
    case = Case("cpu", "dnc-odd", "float64")
    usage = np.resize([0.9, 0.8, 0.9], case.spec.memory_size)
    case.assert_parity(with_usage(case.spec, case.problem(steps=1, batch=1), usage))


def test_a_blank_memory() -> None:
    case = Case("cpu", "dnc-2-layers", "float64")
    problem = case.problem(steps=1)
    case.assert_parity(
        problem._replace(state=problem.state._replace(memory=0 * problem.state.memory)), "empty parity"
    )
