"""Difference of gradients in float32 and float64 once the memory is full, and how much of it the slots' order causes.

    python benchmarks/slot_order.py [--seeds 5] [--steps 400] [--slots 64]

Prints |g32 - g64| / |g64| over the whole gradient by the parameters, median and worst over the seeds: for each engine;
for two engines in float32; for the definition in float32 with the order of float64; and for it with slots ranked by
usages rounded to multiples of 2^-bits, ties by slot. Inputs are random, the memory is empty at first.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import numpy as np

from numdnc import DNCSpec, init_params, zero_state
from numdnc.engines import get_engine
from numdnc.reference import access
from numdnc.reference.allocation import AllocationTape, _exclusive_product
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.tree import leaves, map_leaves, zeros_like

STARTS = {
    "plain": ("plain", {}),
    "store": ("store", {}),
    "store, layer norm": ("store", {"normalisation": True}),
}
BITS = (8, 12, 16, 20)


def gradient(spec: DNCSpec, start: str, seed: int, steps: int, engine: str, dtype: str) -> Any:
    params = map_leaves(lambda leaf: leaf.astype(dtype), init_params(spec, seed, "float32", start))
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((steps, 1, spec.input_size)).astype(np.float32).astype(dtype)
    targets = rng.integers(spec.output_size, size=(steps, 1))
    chosen = get_engine(engine)
    outputs, state, tape = chosen.forward(spec, params, inputs, zero_state(spec, 1, dtype), keep_tape=True)
    d_outputs = softmax_cross_entropy(outputs, targets)[1]
    return chosen.backward(spec, params, tape, d_outputs, zeros_like(state))[0]


def apart(one: Any, other: Any) -> float:
    def norm(tree: Any) -> float:
        return float(np.sqrt(sum(np.square(leaf, dtype=np.float64).sum() for leaf in leaves(tree))))

    return norm(map_leaves(np.subtract, one, other)) / norm(other)


def allocating(order_of: Callable[[Any], Any]) -> Any:
    """The definition's allocation with another order of the slots."""

    def allocate(usage: Any) -> Any:
        order = order_of(usage)
        ranked = np.take_along_axis(usage, order, 1)
        before = _exclusive_product(ranked)
        allocation = np.empty_like(usage)
        np.put_along_axis(allocation, order, (1 - ranked) * before, 1)
        return allocation, AllocationTape(order, ranked, before)

    return mock.patch.object(access, "allocate", allocate)


def rounded(bits: int) -> Callable[[Any], Any]:
    return lambda usage: np.argsort(np.rint(usage * usage.dtype.type(2.0**bits)), axis=1, kind="stable")


def imposed(gradient_in: Callable[[str], Any]) -> float:
    orders: list[Any] = []

    def noted(usage: Any) -> Any:
        orders.append(np.argsort(usage, axis=1, kind="stable"))
        return orders[-1]

    with allocating(noted):
        double = gradient_in("float64")
    given = iter(orders)
    with allocating(lambda usage: next(given)):
        return apart(gradient_in("float32"), double)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("seeds", 5), ("steps", 400), ("slots", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    for title, (start, flags) in STARTS.items():
        spec = DNCSpec(
            input_size=10,
            output_size=10,
            hidden_sizes=(32,),
            memory_size=options.slots,
            word_size=16,
            read_heads=2,
            **flags,
        )
        found: dict[str, list[float]] = {}
        for seed in range(options.seeds):
            of = partial(gradient, spec, start, seed, options.steps)
            single = {engine: of(engine, "float32") for engine in ("reference", "cpu", "torch")}
            errors = {f"engine {name}": apart(one, of(name, "float64")) for name, one in single.items()}
            errors["cpu beside reference, float32"] = apart(single["cpu"], single["reference"])
            errors["order of float64"] = imposed(partial(of, "reference"))
            for bits in BITS:
                with allocating(rounded(bits)):
                    errors[f"rounded to 2^-{bits}"] = apart(*(of("reference", f"float{n}") for n in (32, 64)))
            for name, error in errors.items():
                found.setdefault(name, []).append(error)
        for name, all_errors in found.items():
            print(
                f"{title}: {name}: median {np.median(all_errors):.1e}, worst {max(all_errors):.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
