"""Sizes of everything that a launch needs, and what is in shared memory.

Axes: T steps, B sequences, X input, H hidden, N slots, W word, R read heads; kernels/model.cuh has more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import Any

from numdnc.engines.gpu.declarations import Problem, fields
from numdnc.spec import GATES, DNCSpec, Spec

MOST_HEADS = 8
"""Read heads whose numbers fit into the registers of a thread."""
MOST_LAYERS = 8
_TILE = 32
"""Rows and columns of a block's part of a matrix product, as in kernels/product.cuh."""
_ACTIVATIONS = {"identity": 0, "sigmoid": 1, "oneplus": 2, "softmax": 3}


def refuse_spec(spec: Spec) -> str | None:
    """Return the reason why the kernels cannot compute this model, or None."""
    if not isinstance(spec, DNCSpec):
        return f"it computes DNCs, not the model {spec.kind}"
    if spec.read_heads > MOST_HEADS:
        return f"read_heads must be at most {MOST_HEADS}, got {spec.read_heads}"
    if len(spec.hidden_sizes) > MOST_LAYERS:
        return f"the controller must have at most {MOST_LAYERS} layers, got {len(spec.hidden_sizes)}"
    plain: dict[str, Any] = {
        "write_heads": 1,
        "second_memory": "none",
        "sparsity": None,
        "instruction_slots": None,
    }
    for name in ("masking", "sharpness", "normalisation", "bidirectional"):
        plain[name] = False
    for name, value in plain.items():
        if getattr(spec, name) != value:
            return f"it computes DNCs with {name}={value}, got {getattr(spec, name)}"
    return None


def scratch_size(threads: int) -> int:
    """Numbers that the threads of a block exchange; the kernels assert that these are enough."""
    return max(16 * threads, 2 * 64 * 36)


def activation_codes(spec: DNCSpec) -> list[int]:
    """The activation of each column of the interface vector, as kernels/interface.cuh numbers them."""
    return [
        _ACTIVATIONS[part.activation]
        for name, part in spec.interface_parts.items()
        for _ in range(spec.interface_sizes[name])
    ]


@dataclass(frozen=True)
class Plan:
    """Sizes of one launch of T steps and B sequences."""

    spec: DNCSpec
    steps: int
    batch: int
    keeps_tape: bool
    threads: int
    shared_numbers: int
    """Numbers that fit into the shared memory of a block."""

    @cached_property
    def layers(self) -> list[dict[str, int]]:
        """`Layers`, one dictionary for each."""
        spec, found = self.spec, list[dict[str, int]]()
        gates, recurrent = GATES[spec.controller], spec.controller != "feedforward"
        unit = weights = below = 0
        for units in spec.hidden_sizes:
            rows = spec.reads_size + recurrent * units + below
            layer = {"units": units, "unit": unit, "gate": gates * unit, "rows": rows, "weights": weights}
            found.append(layer | {"below": below})
            unit, weights, below = unit + units, weights + rows * gates * units, units
        return found

    @cached_property
    def sizes(self) -> dict[str, int]:
        """`Sizes`, but for what depends on where arrays are; and SCRATCH and the number of weights."""
        spec, T, W = self.spec, self.steps, self.spec.word_size
        gates, K = GATES[spec.controller], max(1, isqrt(T))
        found = {"T": T, "B": self.batch, "L": len(spec.hidden_sizes), "H": spec.hidden_total}
        found |= {"G": gates * spec.hidden_total, "N": spec.memory_size, "W": W, "R": spec.read_heads}
        found |= {"I": spec.interface_size, "F": spec.memory_size if spec.links else 0, "P": W | 1}
        found |= {"S": T + 1 if self.keeps_tape else 1, "K": K, "C": -(-T // K) if self.keeps_tape else 0}
        found |= {
            "M": gates,
            "recurrent": spec.controller != "feedforward",
            "deallocation": spec.deallocation,
        }
        last = self.layers[-1]
        found |= {"weights": last["weights"] + last["rows"] * gates * last["units"]}
        found |= {"SCRATCH": scratch_size(self.threads)}
        return found | {"D": sum(field.numbers(found) for field in fields("Record"))}

    def record_at(self) -> dict[str, tuple[int, tuple[int, ...]]]:
        """First number and shape of each field of a record."""
        return _in_order("Record", self.sizes)

    def placed(self, kernel: str) -> tuple[dict[str, int], list[int], list[int], int]:
        """Sizes Q and U, where the arrays of a block are in shared memory and outside, and the numbers shared.

        Arrays are placed in their order as long as they fit; the rows of the link fill what is left.
        """
        sizes = {**self.sizes, "Q": 0}
        shared, outside, used, out = [], [], 0, 0
        for field in fields("Shared" if kernel == "forward" else "SharedBackward"):
            if field.name == "links":
                sizes["Q"] = min(sizes["F"], (self.shared_numbers - used) // sizes["N"])
            length = field.numbers(sizes)
            fits = used + length <= self.shared_numbers
            shared.append(used if fits else -1)
            outside.append(0 if fits else out)
            used, out = (used + length, out) if fits else (used, out + length)
        return {"Q": sizes["Q"], "U": out}, shared, outside, used

    def blocks(self, most: int) -> int:
        """Blocks that a launch has work for: one for each sequence, and for each tile of the largest product."""
        sizes = self.sizes
        columns = max(sizes["I"], *(sizes["M"] * units for units in self.spec.hidden_sizes))
        tiles = -(-self.batch // _TILE) * -(-columns // _TILE)
        return min(most, max(self.batch, tiles))

    def problem(
        self, kernel: str, arrays: Mapping[str, Any], gradient: Mapping[str, Any]
    ) -> tuple[Problem, int]:
        """What a kernel is given, and the numbers of shared memory that a block needs.

        Arrays are by name; `outside` must be (B, U), with the U of `placed`.
        """
        sizes, shared, outside, used = self.placed(kernel)
        found = Problem()
        for name, value in {**self.sizes, **sizes}.items():
            if hasattr(found.size, name):
                setattr(found.size, name, int(value))
        for field in fields("Layers"):
            getattr(found.layer, field.name)[: len(self.layers)] = [each[field.name] for each in self.layers]
        for field in fields("Parts"):
            setattr(found.part, field.name, self.spec.interface_offsets.get(field.name, -1))
        places = {"record": [at for at, _ in self.record_at().values()], "shared": shared, "outside": outside}
        for name, numbers in places.items():
            getattr(found.place, name)[: len(numbers)] = numbers
        for given, held in ((arrays, found.array), (gradient, found.gradient)):
            for name, array in given.items():
                setattr(held, name, array.data_ptr())
        return found, used


def _in_order(name: str, sizes: Mapping[str, int]) -> dict[str, tuple[int, tuple[int, ...]]]:
    found, at = {}, 0
    for field in fields(name):
        found[field.name] = (at, field.shape(sizes))
        at += field.numbers(sizes)
    return found
