"""The kernels of the engine gpu, emulated: what the contract does not ask of every engine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from helpers.contract import SPECS, Case, with_usage
from helpers.gpu.emulator import Emulator
from helpers.tolerances import assert_identical
from numdnc.engines.gpu.engine import GPUEngine
from numdnc.engines.gpu.plan import Plan, refuse_spec
from numdnc.engines.gpu.sequence import Launcher

SUPPORTED = [name for name, spec in SPECS.items() if refuse_spec(spec) is None]
SMALL = "dnc-2-layers"


@dataclass(frozen=True)
class Emulated(Case):
    """A model on an emulated device."""

    launcher: Launcher

    @property
    def engine(self) -> Any:
        return GPUEngine(self.launcher, "cpu")


def emulated(name: str = SMALL, dtype: str = "float64", **options: Any) -> Emulated:
    return Emulated("gpu", name, dtype, Emulator(**options))


@pytest.fixture(autouse=True)
def unset_is_nan(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tensors that are not set are NaN."""
    empty = torch.empty

    def nan(*sizes: Any, **options: Any) -> Any:
        found = empty(*sizes, **options)
        return found.fill_(torch.nan) if found.is_floating_point() else found

    monkeypatch.setattr(torch, "empty", nan)
    yield


@pytest.mark.parametrize("name", SUPPORTED)
def test_values_and_gradients_are_the_references(name: str) -> None:
    case = emulated(name)
    case.assert_parity(case.problem(steps=5, batch=2))


@pytest.mark.parametrize("name", [SMALL, "dnc-feedforward", "dnc-content-only"])
def test_in_float32(name: str) -> None:
    case = emulated(name, "float32")
    case.assert_parity(case.problem(steps=4))


@pytest.mark.parametrize("name", [SMALL, "dnc-deallocation"])
def test_the_order_in_which_threads_run_changes_nothing(name: str) -> None:
    """Where a thread used what another had not finished, some order would give other numbers."""
    problem = emulated(name).problem(steps=3, batch=3)
    wanted = emulated(name, threads=64, seed=0).run(problem)
    for seed in range(1, 5):
        assert_identical(emulated(name, threads=64, seed=seed).run(problem), wanted)


@pytest.mark.parametrize("name", [SMALL, "dnc-odd"])
def test_more_threads_share_the_rows_of_a_product(name: str) -> None:
    case = emulated(name, threads=128)
    case.assert_parity(case.problem(steps=3, batch=2))


ALL_OUTSIDE = 8 * max(16 * 64, 2 * 64 * 36)
"""Bytes of shared memory that hold nothing but what threads exchange."""


@pytest.mark.parametrize("more", [0, 8 * 20, 8 * 300, 8 * 1000])
def test_what_does_not_fit_into_shared_memory_is_elsewhere(more: int) -> None:
    case = emulated(shared_bytes=ALL_OUTSIDE + more)
    case.assert_parity(case.problem(steps=4, batch=2))


def test_some_rows_of_the_link_are_in_shared_memory() -> None:
    rows = set()
    for kernel in ("forward", "backward"):
        for numbers in range(4608, 8000, 3):
            rows.add(Plan(SPECS[SMALL], 4, 2, True, 64, numbers).placed(kernel)[0]["Q"])
    assert rows == set(range(8))


@pytest.mark.parametrize("batch", [1, 4, 5, 9])
def test_more_sequences_than_blocks_take_several_launches(batch: int) -> None:
    case = emulated(blocks=4)
    case.assert_parity(case.problem(steps=2, batch=batch))


@pytest.mark.parametrize("batch", [33, 40])
def test_products_of_several_tiles_of_sequences(batch: int) -> None:
    case = emulated(blocks=batch)
    case.assert_parity(case.problem(steps=2, batch=batch))


def test_equal_usages_go_by_index() -> None:
    case = emulated("dnc-odd")
    usage = np.resize([0.9, 0.8, 0.9], case.spec.memory_size)
    case.assert_parity(with_usage(case.spec, case.problem(steps=1, batch=1), usage))


def test_usages_of_zero_and_one() -> None:
    """A whole product of usages divided by one of them would be 0 / 0."""
    case = emulated("dnc-odd")
    usage = np.linspace(0, 1, case.spec.memory_size)
    case.assert_parity(with_usage(case.spec, case.problem(steps=1, batch=1), usage))


@pytest.mark.parametrize("steps", [1, 2, 5, 17])
def test_links_are_computed_again_in_segments(steps: int) -> None:
    case = emulated()
    case.assert_parity(case.problem(steps=steps, batch=1))


def test_more_slots_than_a_warp_has_lanes() -> None:
    """Strips of columns, rows of several warps, parts of the allocation with several slots of a lane."""
    name = "many slots"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPECS, name, SPECS["dnc-4-heads"].__class__(**MANY))
        case = emulated(name, shared_bytes=1 << 17)
        case.assert_parity(case.problem(steps=2, batch=1))
        full = np.random.default_rng(0).permutation(np.linspace(0.98, 1, 158))
        case.assert_parity(with_usage(case.spec, case.problem(steps=1, batch=1), full))


MANY: dict[str, Any] = {"input_size": 3, "output_size": 2, "hidden_sizes": (35,), "memory_size": 158}
MANY |= {"word_size": 34, "read_heads": 2}
