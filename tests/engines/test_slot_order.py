"""Once the memory is full, float32 sorts slots by rounding errors; nothing else makes it differ from float64."""

from typing import Any
from unittest import mock

import numpy as np

from numdnc import DNCSpec, init_params, map_leaves, reference, zero_state
from numdnc.reference import allocation
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.tree import leaves, zeros_like

SPEC = DNCSpec(input_size=6, output_size=6, hidden_sizes=(8,), memory_size=32, word_size=5, read_heads=2)
STEPS = 150


class Sorting:
    """NumPy for `allocation`, with the order of the slots noted, or taken from what was noted."""

    def __init__(self, given: Any = None) -> None:
        self.orders, self._given = list[Any](), given

    def argsort(self, usage: Any, **how: Any) -> Any:
        order = np.argsort(usage, **how) if self._given is None else self._given[len(self.orders)]
        self.orders.append(order)
        return order

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def gradient(dtype: str, sorting: Sorting) -> Any:
    params = map_leaves(lambda leaf: leaf.astype(dtype), init_params(SPEC, 0, "float32", "store"))
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((STEPS, 2, 6)).astype(np.float32).astype(dtype)
    with mock.patch.object(allocation, "np", sorting):
        outputs, state, tape = reference.forward(
            SPEC, params, inputs, zero_state(SPEC, 2, dtype), keep_tape=True
        )
    d_outputs = softmax_cross_entropy(outputs, rng.integers(6, size=(STEPS, 2)))[1]
    return reference.backward(SPEC, params, tape, d_outputs, zeros_like(state))[0]


def apart(one: Any, other: Any) -> float:
    def norm(tree: Any) -> float:
        return float(np.sqrt(sum(np.square(leaf, dtype=np.float64).sum() for leaf in leaves(tree))))

    return norm(map_leaves(np.subtract, one, other)) / norm(other)


def test_with_one_order_of_the_slots_both_precisions_agree() -> None:
    double, single = Sorting(), Sorting()
    expected = gradient("float64", double)
    assert apart(gradient("float32", single), expected) > 1e-3  # 2.5e-2, or this would show nothing
    assert any((one != other).any() for one, other in zip(single.orders, double.orders, strict=True))
    assert apart(gradient("float32", Sorting(double.orders)), expected) < 9e-6  # 9.2e-7
