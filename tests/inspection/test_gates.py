"""The gates that pictures show."""

import numpy as np
import pytest

from numdnc import DNCSpec, init_params
from numdnc.engines import get_engine
from numdnc.inspection.gates import gates
from numdnc.tasks import Batch


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gates_are_those_of_the_interface(dtype: str) -> None:
    """Weights of 0 leave the biases: every gate is the sigmoid of its own, at every step."""
    spec = DNCSpec(input_size=3, output_size=2, hidden_sizes=(4,), memory_size=5, word_size=3, read_heads=2)
    params = init_params(spec, 0, dtype)
    at, first = {}, 0
    for name, size in spec.interface_sizes.items():
        at[name] = slice(first, first + size)
        first += size
    weights, bias = np.zeros_like(params.interface.weights), np.zeros_like(params.interface.bias)
    bias[at["free_gates"]] = [1, -1]
    bias[at["allocation_gate"]] = 2
    bias[at["write_gate"]] = -3
    params = params._replace(interface=params.interface._replace(weights=weights, bias=bias))
    batch = Batch(np.ones((6, 4, 3)), np.zeros((6, 4, 2)))
    found = gates(spec, params, get_engine("reference"), batch)
    assert list(found) == ["free 0", "free 1", "allocation", "write"]
    for values, logit in zip(found.values(), [1, -1, 2, -3], strict=True):
        np.testing.assert_allclose(values, np.full((6, 4), 1 / (1 + np.exp(-logit))), rtol=1e-6)


def test_each_write_head_has_gates_of_its_own() -> None:
    spec = DNCSpec(input_size=3, output_size=2, hidden_sizes=(4,), memory_size=5, word_size=3, write_heads=2)
    params = init_params(spec, 0, "float64")
    weights, bias = np.zeros_like(params.interface.weights), np.zeros_like(params.interface.bias)
    bias[spec.interface_offsets["allocation_gate"] :][:2] = [2, 4]
    bias[spec.interface_offsets["write_gate"] :][:2] = [-3, -1]
    params = params._replace(interface=params.interface._replace(weights=weights, bias=bias))
    found = gates(spec, params, get_engine("reference"), Batch(np.ones((6, 4, 3)), np.zeros((6, 4, 2))))
    assert list(found) == ["free 0", "allocation 0", "allocation 1", "write 0", "write 1"]
    for values, logit in zip(found.values(), [0, 2, 4, -3, -1], strict=True):
        np.testing.assert_allclose(values, np.full((6, 4), 1 / (1 + np.exp(-logit))), rtol=1e-6)


def test_each_memory_has_gates_of_its_own() -> None:
    spec = DNCSpec(
        input_size=3, output_size=2, hidden_sizes=(4,), memory_size=5, word_size=3, second_memory="own"
    )
    params = init_params(spec, 0, "float64")
    weights, bias = np.zeros_like(params.interface.weights), np.zeros_like(params.interface.bias)
    bias[spec.interface_offsets["free_gates"] :][:2] = [1, -2]
    bias[spec.interface_offsets["write_gate"] :][:2] = [-3, -1]
    params = params._replace(interface=params.interface._replace(weights=weights, bias=bias))
    found = gates(spec, params, get_engine("reference"), Batch(np.ones((6, 4, 3)), np.zeros((6, 4, 2))))
    assert list(found) == [
        f"{name} of memory {e}" for e in (0, 1) for name in ("free 0", "allocation", "write")
    ]
    for values, logit in zip(found.values(), [1, 0, -3, -2, 0, -1], strict=True):
        np.testing.assert_allclose(values, np.full((6, 4), 1 / (1 + np.exp(-logit))), rtol=1e-6)
