"""Time the forward and backward passes of an engine, and estimate the least time that the machine allows.

An engine is timed only after `max_relative_error` has found it to agree with the definition.
"""

import ctypes
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import DTypeLike
from threadpoolctl import threadpool_limits

from numdnc.engines import Engine, get_engine
from numdnc.init import init_params
from numdnc.inspection.gradcheck import mean_cross_entropy, random_state
from numdnc.machine import count_processors
from numdnc.params import Array, Inputs, zero_state
from numdnc.reference.losses import softmax_cross_entropy
from numdnc.spec import DNCSpec
from numdnc.tasks import Batch
from numdnc.training.gradient import loss_and_gradient
from numdnc.tree import leaves, map_leaves, zeros_like

Result = TypeVar("Result")

LARGEST_ERROR = 1e-9
"""Largest relative error, compared with the definition in float64, of an engine that may be timed."""
CHECKED_STEPS, CHECKED_BATCH = 12, 2
"""Steps and sequences that the comparison is limited to."""
LEAST_RUNS = 3


class Shape(NamedTuple):
    """Sizes of a DNC with an LSTM controller, and of the batch of sequences that it is timed on."""

    input_size: int
    hidden_sizes: tuple[int, ...]
    output_size: int
    memory_size: int
    word_size: int
    read_heads: int
    batch: int
    steps: int
    sparsity: int | None = None
    write_heads: int = 1
    bidirectional: bool = False

    @property
    def spec(self) -> DNCSpec:
        """The model."""
        return DNCSpec(
            input_size=self.input_size,
            output_size=self.output_size,
            hidden_sizes=self.hidden_sizes,
            memory_size=self.memory_size,
            word_size=self.word_size,
            read_heads=self.read_heads,
            sparsity=self.sparsity,
            write_heads=self.write_heads,
            bidirectional=self.bidirectional,
        )


SHAPES = {
    "char": Shape(74, (128,), 74, 12, 12, 1, batch=32, steps=32),
    "copy": Shape(6, (32,), 5, 64, 8, 2, batch=1, steps=44),
    "repeat": Shape(8, (64,), 7, 16, 16, 4, batch=16, steps=40),
    "babi": Shape(160, (256,), 160, 256, 64, 4, batch=8, steps=100),
    "traversal": Shape(92, (256, 256, 256), 90, 256, 50, 5, batch=2, steps=120),
    "large": Shape(64, (128,), 64, 1024, 32, 4, batch=1, steps=64),
    "write-heads": Shape(160, (256,), 160, 256, 64, 4, batch=8, steps=100, write_heads=2),
    "bidirectional": Shape(160, (172,), 160, 256, 64, 4, batch=8, steps=100, bidirectional=True),
    "sparse": Shape(64, (128,), 64, 256, 32, 4, batch=8, steps=64, sparsity=8),
    "large-sparse": Shape(64, (128,), 64, 1024, 32, 4, batch=1, steps=64, sparsity=8),
}
"""From characters and small tasks to the paper's tasks and a memory of many slots, more heads, and sparse memory."""


class MachineRates(NamedTuple):
    """Measured rates of the machine."""

    gflops: float
    """10^9 operations per second of a float32 matrix product; a multiply-add counts as two."""
    gbytes: float
    """10^9 bytes per second of a copy, counting bytes read and bytes written."""


class Timing(NamedTuple):
    """Seconds of each run over a whole batch, in order."""

    forwards: tuple[float, ...]
    backwards: tuple[float, ...]
    peak_bytes: int | None
    """Peak memory during the runs, above what was in use before; None if unknown."""

    @property
    def forward(self) -> float:
        """Median seconds of a forward pass."""
        return median(self.forwards)

    @property
    def backward(self) -> float:
        """Median seconds of a backward pass."""
        return median(self.backwards)

    @property
    def total(self) -> float:
        """Median seconds of both passes together."""
        return median(map(sum, zip(self.forwards, self.backwards, strict=True)))


class Problem(NamedTuple):
    """A model with parameters, state and data, on which an engine is timed."""

    spec: DNCSpec
    params: Any
    symbols: Inputs  # (T, B)
    targets: Inputs  # (T, B)
    state: Any


def make_problem(shape: Shape, dtype: DTypeLike = np.float32) -> Problem:
    """Initial parameters, random symbols as inputs and targets, the empty state; always the same for a shape."""
    rng, spec = np.random.default_rng(0), shape.spec
    size = (shape.steps, shape.batch)
    return Problem(
        spec,
        init_params(spec, 0, dtype),
        rng.integers(0, shape.input_size, size),
        rng.integers(0, shape.output_size, size),
        zero_state(spec, shape.batch, dtype),
    )


def time_engine(engine: Engine, shape: Shape, seconds: float) -> Timing:
    """Time forward and backward in float32 for about `seconds`, at least `LEAST_RUNS` times.

    A first run, which may compile, is not counted; its outputs give the gradient of the mean softmax cross-entropy that
    every backward pass starts from. Neither the loss nor an update of parameters is timed.
    """
    given = make_problem(shape)
    spec, params, symbols, _, state = given
    d_outputs, d_state = warm_up(engine, given)

    def run() -> tuple[float, float]:
        began = time.perf_counter()
        _, _, tape = engine.forward(spec, params, symbols, state, keep_tape=True)
        between = time.perf_counter()
        engine.backward(spec, params, tape, d_outputs, d_state)
        return between - began, time.perf_counter() - between

    memory = PeakMemory()
    forwards, backwards = zip(*repeat(run, seconds), strict=True)
    return Timing(forwards, backwards, memory.peak())


def warm_up(engine: Engine, given: Problem) -> tuple[Array, Any]:
    """Run forward and backward once; return what backward was given: gradients by outputs and final state."""
    spec, params, symbols, targets, state = given
    outputs, final, tape = engine.forward(spec, params, symbols, state, keep_tape=True)
    _, d_outputs = softmax_cross_entropy(outputs, targets)
    d_state = zeros_like(final)
    engine.backward(spec, params, tape, d_outputs, d_state)
    return d_outputs, d_state


def repeat(run: Callable[[], Result], seconds: float) -> list[Result]:
    """Call `run` until `seconds` have passed, at least `LEAST_RUNS` times, and return all results."""
    end, results = time.perf_counter() + seconds, [run() for _ in range(LEAST_RUNS)]
    while time.perf_counter() < end:
        results.append(run())
    return results


def max_relative_error(engine: Engine, shape: Shape) -> float:
    """Largest relative error of an engine in float64 over its outputs, final state and all gradients.

    The error of an array is its largest difference from the definition's array divided by the largest value there; NaN
    counts as infinite. Sequences begin with a random state and the loss depends on the final state, so that every part
    is compared.
    """
    shape = shape._replace(steps=min(shape.steps, CHECKED_STEPS), batch=min(shape.batch, CHECKED_BATCH))
    spec, params, symbols, targets, _ = make_problem(shape, np.float64)
    rng = np.random.default_rng(1)
    state = random_state(spec, shape.batch, rng)
    d_state = map_leaves(lambda leaf: rng.standard_normal(leaf.shape) / leaf.size, state)

    def arrays(computed_by: Engine) -> list[Array]:
        found = loss_and_gradient(
            *(spec, params, computed_by, Batch(symbols, targets), mean_cross_entropy),
            state=state,
            d_final_state=d_state,
        )
        return leaves((found.outputs, found.state, found.gradient, found.d_state))

    return max(map(_relative_error, arrays(engine), arrays(get_engine("reference"))))


def _relative_error(found: Array, right: Array) -> float:
    difference, largest = float(np.abs(found - right).max()), float(np.abs(right).max())
    if difference == 0:
        return 0.0
    return difference / largest if largest and np.isfinite(difference) else np.inf


def measure_machine(threads: int | None = None, seconds: float = 0.5) -> MachineRates:
    """Best rates of a 1024 x 1024 float32 product, on all cores or `threads`, and of a copy, in `seconds` each."""

    def fastest(run: Callable[[], Any]) -> float:
        def timed() -> float:
            began = time.perf_counter()
            run()
            return time.perf_counter() - began

        return min(repeat(timed, seconds))

    a, b = np.random.default_rng(0).random((2, 1024, 1024), np.float32)
    source, copy = np.ones((2, 2**25), np.float32)
    with threadpool_limits(limits=threads or count_processors(), user_api="blas"):
        product = fastest(lambda: a @ b)
    return MachineRates(
        2 * 1024**3 / product / 1e9, 2 * source.nbytes / fastest(lambda: np.copyto(copy, source)) / 1e9
    )


def lower_bound_ms(shape: Shape, rates: MachineRates) -> float:
    """A lower bound of the milliseconds for forward and backward of a shape.

    The longer of two times: the multiply-adds, three times those of a forward pass, at the machine's rate for matrix
    products; and writing and reading each link matrix once in memory. With sparsity: the similarities of a forward
    pass, what is done with K words of each head, and reading the memory once.
    """
    N, W, R, V = shape.memory_size, shape.word_size, shape.read_heads, shape.write_heads
    spec = shape.spec
    outside, below, forward = spec.input_size + spec.reads_size, 0, 0.0
    for size in spec.hidden_sizes:
        forward += 4 * size * (outside + size + below)
        if shape.bidirectional:
            forward += 4 * size * (spec.input_size + size + below)
        below = size
    forward += (
        spec.hidden_total * (spec.interface_size + spec.output_size) + spec.reads_size * spec.output_size
    )
    steps = shape.batch * shape.steps
    if (K := shape.sparsity) is None:
        forward += N * W * (2 * R + 3 * V) + V * N * N * (2 * R + 2.5)
        operations, moved_bytes = 3 * 2 * forward * steps, V * 2 * 4 * N * N * steps
    else:
        forward += K * W * (2 * R + 3)
        operations, moved_bytes = 2 * (3 * forward + N * W * (R + 1)) * steps, 4 * N * W * steps
    return 1e3 * max(operations / (rates.gflops * 1e9), moved_bytes / (rates.gbytes * 1e9))


class PeakMemory:
    """Peak memory of this process from now on, above what is in use now."""

    def __init__(self) -> None:
        self._before = None
        with suppress(OSError, AttributeError, TypeError):  # not Linux, or not permitted
            ctypes.CDLL(None).malloc_trim(0)  # else memory that was freed before could be reused unseen
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
            self._before = process_memory("VmRSS")

    def peak(self) -> int | None:
        """Bytes so far; None if the system does not report them."""
        most = process_memory("VmHWM")
        return None if most is None or self._before is None else max(0, most - self._before)


def process_memory(field: str) -> int | None:
    """Bytes that Linux reports for this process: VmRSS in use, VmHWM the peak so far; None on other systems."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return 1024 * int(line.split()[1])
    return None
