"""The models and problems that every engine is tested on. The tests are in tests/engines.

To add a model, add a line to `SPECS`; an engine joins by being in the registry. `RANDOM_SPECS` are mixes of any
variations, on which only the main tests run. `PYTHONPATH=tests python -m helpers.contract` runs the suite and prints
the errors it measured beside the ones allowed.

Axes: T steps, B batch, X input, Y output, H hidden, N slots, W word, R read heads, V write heads, E memories, S shifts;
no two have the same size, except in the models where all are 1, in the first layers of D+S (which must not be
confused), in the random ones, in "ntm-rnn", where as many shifts as rows are made, and in "dnc-writers-odd" and
"dnc-second-memory-writers", which have as many write heads as rows.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.examples import FAMILY, PUBLISHED, ages, link_lists, random_spec, some
from helpers.ties import nearest_tie
from helpers.tolerances import TOLERANCES, assert_close, dot, worst
from numdnc import (
    DNCSpec,
    LSTMSpec,
    NTMSpec,
    RNNSpec,
    draw_bypass_mask,
    engines,
    init_params,
    zero_params,
    zero_state,
)
from numdnc.engines import ENGINE_NAMES, Engine, get_engine
from numdnc.spec import Spec
from numdnc.tree import from_named, map_leaves, named_leaves, zeros_like

T, B = 9, 3
engines._MODULES["gpu"] = "helpers.gpu.engine"  # emulated where there is no GPU

_NOT_IN_ALL = (
    *("content-only", "bidirectional", "sparsity", "recency", "write-heads"),
    *("second-memory", "second-memory-reads"),
)
"""What excludes others: without links nothing is sharpened, and two directions cannot be computed in chunks. Several
write heads and two memories have models of their own."""
_OUTSIDE = {"input_size": 6, "output_size": 10}
_MEMORY = {**_OUTSIDE, "memory_size": 7, "word_size": 5}
_ONE_LAYER = {**_MEMORY, "hidden_sizes": (8,), "read_heads": 2}
_TWO_LAYERS = {**_MEMORY, "hidden_sizes": (8, 11), "read_heads": 2}
_FOUR_HEADS = {**_ONE_LAYER, "read_heads": 4}
_ODD = {
    **{"input_size": 11, "output_size": 15, "hidden_sizes": (37,), "memory_size": 19},
    **{"word_size": 13, "read_heads": 4},
}
SPECS: dict[str, Spec] = {
    "rnn": RNNSpec(**_OUTSIDE, hidden_sizes=(8,)),
    "rnn-2-layers": RNNSpec(**_OUTSIDE, hidden_sizes=(8, 11)),
    "lstm": LSTMSpec(**_OUTSIDE, hidden_sizes=(8,)),
    "lstm-2-layers": LSTMSpec(**_OUTSIDE, hidden_sizes=(8, 11)),
    "dnc": DNCSpec(**_MEMORY, hidden_sizes=(8,), read_heads=1),
    "dnc-2-layers": DNCSpec(**_TWO_LAYERS),
    "dnc-4-heads": DNCSpec(**_MEMORY, hidden_sizes=(8,), read_heads=4),
    "dnc-rnn": DNCSpec(**_TWO_LAYERS, controller="rnn"),
    "dnc-feedforward": DNCSpec(**_TWO_LAYERS, controller="feedforward"),
    "dnc-odd": DNCSpec(**_ODD),
    "dnc-ones": DNCSpec(
        input_size=1, output_size=1, hidden_sizes=(1,), memory_size=1, word_size=1, read_heads=1
    ),
    "dnc-masking": DNCSpec(**_ONE_LAYER, masking=True, mask_floor=0.2),
    "dnc-deallocation": DNCSpec(**_ONE_LAYER, controller="rnn", deallocation=True),
    "dnc-sharpness": DNCSpec(**_ONE_LAYER, controller="feedforward", sharpness=True),
    "dnc-content-only": DNCSpec(**_ONE_LAYER, links=False),
    "dnc-normalisation": DNCSpec(**_TWO_LAYERS, normalisation=True),
    "dnc-bypass-dropout": DNCSpec(**_TWO_LAYERS, controller="rnn", bypass_dropout=0.3),
    "dnc-learned-state": DNCSpec(**_TWO_LAYERS, learned_state=True),
    "dnc-M+D": DNCSpec(**_TWO_LAYERS, controller="feedforward", **PUBLISHED["M+D"]),
    "dnc-D+S": DNCSpec(**{**_TWO_LAYERS, "hidden_sizes": (8, 8, 11)}, controller="rnn", **PUBLISHED["D+S"]),
    "dnc-M+D+S": DNCSpec(**_ONE_LAYER, **PUBLISHED["M+D+S"]),
    "dnc-ADNC": DNCSpec(**_ONE_LAYER, **PUBLISHED["ADNC"]),
    "dnc-bidirectional": DNCSpec(**_TWO_LAYERS, bidirectional=True),
    "dnc-BiADNC": DNCSpec(**_TWO_LAYERS, **PUBLISHED["BiADNC"]),
    "dnc-all": DNCSpec(
        **_FOUR_HEADS,
        **{flag: value for name in FAMILY if name not in _NOT_IN_ALL for flag, value in FAMILY[name].items()},
    ),
    "dnc-2-writers": DNCSpec(**_MEMORY, hidden_sizes=(8,), read_heads=1, write_heads=2),
    "dnc-writers": DNCSpec(**{**_TWO_LAYERS, "read_heads": 4}, write_heads=2),
    "dnc-writers-content-only": DNCSpec(**{**_ONE_LAYER, "read_heads": 1}, write_heads=2, links=False),
    "dnc-writers-ADNC": DNCSpec(**_FOUR_HEADS, write_heads=2, **PUBLISHED["ADNC"]),
    "dnc-writers-BiADNC": DNCSpec(**{**_TWO_LAYERS, "read_heads": 4}, write_heads=2, **PUBLISHED["BiADNC"]),
    "dnc-writers-feedforward": DNCSpec(
        **_FOUR_HEADS, controller="feedforward", write_heads=2, deallocation=True
    ),
    "dnc-writers-odd": DNCSpec(**{**_ODD, "memory_size": 9}, write_heads=3),
    "dnc-writers-all": DNCSpec(
        **_FOUR_HEADS,
        write_heads=2,
        **{flag: value for name in FAMILY if name not in _NOT_IN_ALL for flag, value in FAMILY[name].items()},
    ),
    "dnc-instructions": DNCSpec(**_TWO_LAYERS, instruction_slots=3),
    "dnc-instructions-odd": DNCSpec(
        **{**_OUTSIDE, "output_size": 7},
        hidden_sizes=(13,),
        memory_size=5,
        word_size=3,
        read_heads=1,
        instruction_slots=1,
    ),
    "dnc-second-memory": DNCSpec(**_FOUR_HEADS, second_memory="own"),
    "dnc-second-memory-reads": DNCSpec(**_FOUR_HEADS, second_memory="reads"),
    "dnc-second-memory-of-1-head": DNCSpec(**{**_FOUR_HEADS, "read_heads": 1}, second_memory="reads"),
    "dnc-second-memory-writers": DNCSpec(
        **_FOUR_HEADS, second_memory="own", write_heads=3, deallocation=True
    ),
    "dnc-second-memory-bidirectional": DNCSpec(**_FOUR_HEADS, second_memory="reads", bidirectional=True),
    "dnc-second-memory-feedforward": DNCSpec(
        **_FOUR_HEADS, controller="feedforward", second_memory="own", links=False, deallocation=True
    ),
    "dnc-second-memory-odd": DNCSpec(
        **_ODD,
        second_memory="own",
    ),
    "dnc-second-memory-all": DNCSpec(
        **_FOUR_HEADS,
        second_memory="reads",
        **{flag: value for name in FAMILY if name not in _NOT_IN_ALL for flag, value in FAMILY[name].items()},
    ),
    "dnc-MT-DNC": DNCSpec(**_FOUR_HEADS, **PUBLISHED["MT-DNC"]),
    "dnc-sparse": DNCSpec(**_TWO_LAYERS, sparsity=3),
    "dnc-sparse-4-heads": DNCSpec(**_MEMORY, hidden_sizes=(8,), read_heads=4, sparsity=2),
    "dnc-sparse-1": DNCSpec(**_ONE_LAYER, sparsity=1),
    "dnc-sparse-all-slots": DNCSpec(**_ONE_LAYER, controller="rnn", sparsity=7),
    "dnc-sparse-content-only": DNCSpec(**_ONE_LAYER, links=False, sparsity=3),
    "dnc-sparse-M+D": DNCSpec(**_ONE_LAYER, controller="feedforward", **PUBLISHED["M+D"], sparsity=3),
    "dnc-SAM": DNCSpec(**_ONE_LAYER, links=False, recency=True, sparsity=3),
    "dnc-SDNC": DNCSpec(**_TWO_LAYERS, recency=True, sparsity=3),
    "dnc-SDNC-masking": DNCSpec(
        **_TWO_LAYERS, recency=True, sparsity=3, masking=True, normalisation=True, learned_state=True
    ),
    "ntm": NTMSpec(**_MEMORY, hidden_sizes=(8,), read_heads=1, write_heads=2, shift_range=6),
    "ntm-2-layers": NTMSpec(**_TWO_LAYERS, write_heads=4, shift_range=6, learned_state=True),
    "ntm-rnn": NTMSpec(**_TWO_LAYERS, controller="rnn"),
    "ntm-feedforward": NTMSpec(
        **{**_TWO_LAYERS, "read_heads": 4}, controller="feedforward", write_heads=2, shift_range=2
    ),
    "ntm-odd": NTMSpec(
        **_ODD,
        write_heads=2,
        shift_range=2,
    ),
    "ntm-ones": NTMSpec(
        input_size=1, output_size=1, hidden_sizes=(1,), memory_size=1, word_size=1, read_heads=1
    ),
}
CORE_SPECS = (
    *("rnn-2-layers", "lstm-2-layers", "dnc-2-layers", "dnc-ones"),
    *("dnc-M+D", "dnc-D+S", "dnc-ADNC", "dnc-BiADNC", "dnc-all", "dnc-sparse", "dnc-SAM", "dnc-SDNC"),
    *(
        "dnc-instructions",
        "dnc-writers",
        "dnc-writers-all",
        "dnc-second-memory-writers",
        "dnc-second-memory-all",
    ),
    *("ntm-2-layers", "ntm-feedforward"),
)
"""The models of `make test`: every controller and every variation. The others are behind the marker `thorough`, and so
is float32 in all engines but `cpu`; there, what is not of the core is compared with the reference alone."""
CORE_OF_TORCH = (
    "rnn-2-layers",
    "lstm-2-layers",
    "dnc-D+S",
    "dnc-ADNC",
    "dnc-all",
    "dnc-writers-all",
    "dnc-second-memory-all",
)
"""Those of the engine torch, which takes most of the time."""
CORE_OF_GPU = ("dnc-2-layers", "dnc-deallocation")
"""Those of the engine gpu where it is emulated; the first tests of kernels, in engines/gpu, have more."""
RANDOM_MIXES = 36
RANDOM_SPECS: dict[str, Spec] = {f"random-{seed}": random_spec(seed) for seed in range(RANDOM_MIXES)}
RANDOM_FOR_JAX = tuple(f"random-{seed}" for seed in (0, 2, 3, 5, 6, 7, 9, 10, 16, 18))
"""Those that JAX is asked about: among them are every variation, and the largest errors of all that have two slots."""


class Problem(NamedTuple):
    """What goes into an engine."""

    params: Any
    inputs: NDArray[Any]
    state: Any
    d_outputs: NDArray[Any]
    d_state: Any
    bypass_mask: Any
    """An empty tuple where the model has no bypass dropout."""
    lengths: Any
    """An empty tuple where the model has one direction."""


class Result(NamedTuple):
    """What comes out of it."""

    outputs: NDArray[Any]
    state: Any
    d_params: Any
    d_inputs: Any
    """An empty tuple for symbols, which have no gradient."""
    d_state: Any


@dataclass(frozen=True)
class Case:
    """An engine, a model and a dtype, and what a test does with them."""

    engine_name: str
    spec_name: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.engine_name}-{self.spec_name}-{self.dtype}"

    @property
    def spec(self) -> Any:
        return (SPECS | RANDOM_SPECS)[self.spec_name]

    @property
    def engine(self) -> Engine:
        """The engine; where it says why it cannot run this, the test is skipped with that reason."""
        engine = get_engine(self.engine_name)
        reason = engine.supports(self.spec, self.dtype)
        if reason is not None and self.engine_name != "reference":
            pytest.skip(f"{self.engine_name}: {reason}")
        return engine

    def problem(self, **options: Any) -> Problem:
        return make_problem(self.spec, self.dtype, **options)

    def blank_problem(self, **options: Any) -> Problem:
        """From the zero state, where all usages are equal, and with a loss that sees no single slot at the end.

        Slots that were written alike are equal but for rounding, so from the second step on their order is open,
        while nothing that a user sees depends on it.
        """
        problem = self.problem(**options)
        d_state = problem.d_state
        if isinstance(self.spec, DNCSpec):
            d_state = zeros_like(d_state)._replace(controller=d_state.controller, reads=d_state.reads)
        return problem._replace(state=zeros_like(problem.state), d_state=d_state)

    def forward(self, problem: Problem, *, keep_tape: bool = False) -> tuple[Any, Any, Any]:
        return forward(self.engine, self.spec, problem, keep_tape=keep_tape)

    def backward(self, problem: Problem, tape: Any) -> tuple[Any, Any, Any]:
        d_params, d_inputs, d_before = self.engine.backward(
            self.spec, problem.params, tape, problem.d_outputs, problem.d_state
        )
        assert (d_inputs is None) == np.issubdtype(problem.inputs.dtype, np.integer)
        return d_params, () if d_inputs is None else d_inputs, d_before

    def run(self, problem: Problem) -> Result:
        """Forward and backward."""
        outputs, state, tape = self.forward(problem, keep_tape=True)
        return Result(outputs, state, *self.backward(problem, tape))

    def run_reference(self, problem: Problem) -> Result:
        """The definition's result, in float64."""
        return Case("reference", self.spec_name, "float64").run(cast(problem, "float64"))

    def line(self, quantity: str) -> str:
        """The line of the table for this model."""
        return f"mixed {quantity}" if self.spec_name in RANDOM_SPECS else quantity

    def assert_parity(self, problem: Problem, quantity: str = "parity") -> None:
        """The engine's result is the reference's; the reference is not compared with itself."""
        if self.engine_name == "reference":
            return
        got, wanted = self.run(problem), self.run_reference(problem)
        assert_result_close(self.line(quantity), self.dtype, got, wanted)


def forward(engine: Engine, spec: Spec, problem: Problem, *, keep_tape: bool = False) -> tuple[Any, Any, Any]:
    params, inputs, state = problem[:3]
    mask = None if isinstance(problem.bypass_mask, tuple) else problem.bypass_mask
    lengths = None if isinstance(problem.lengths, tuple) else problem.lengths
    return engine.forward(spec, params, inputs, state, keep_tape=keep_tape, bypass_mask=mask, lengths=lengths)


ENGINES = ENGINE_NAMES[1:]
"""All but "auto"."""
DTYPES = ("float32", "float64")
CASES = [Case(*names) for names in product(ENGINES, SPECS, DTYPES)]


def _normalises_two(spec: Any) -> bool:
    """Layer norm makes -1 and 1 of any two numbers, so its gradient is nearly 0: in float32 rounding is most of it.

    How much is a matter of the processor: rows beside their batch part by 7e-5 on an AMD EPYC, by 3.5e-4 on an Intel
    Xeon (engine torch). In float64 such models are held to the table like all others.
    """
    return spec.normalisation and spec.controller == "lstm" and 2 in spec.hidden_sizes


RANDOM_CASES = [
    Case(engine, name, dtype)
    for engine, name, dtype in product(ENGINES, RANDOM_SPECS, DTYPES)
    if dtype == "float64" or not _normalises_two(RANDOM_SPECS[name])
]


def _is_core(case: Case) -> bool:
    return _of_core(case) and (case.engine_name == "cpu" or case.dtype == "float64")


def _of_core(case: Case) -> bool:
    return case.spec_name in {"torch": CORE_OF_TORCH, "gpu": CORE_OF_GPU}.get(case.engine_name, CORE_SPECS)


def _alone(cases: list[Case]) -> list[Case]:
    """Those that are also compared with themselves: one dtype is enough where the operations are the same."""
    return [case for case in cases if case.engine_name == "cpu" or case.dtype == "float64" or _of_core(case)]


def for_each(cases: list[Case]) -> Any:
    """Every case; those outside the core are behind the marker `thorough`."""
    marks = {True: (), False: (pytest.mark.thorough,)}
    listed = [pytest.param(case, marks=marks[_is_core(case)], id=str(case)) for case in cases]
    return pytest.mark.parametrize("case", listed)


def fast(cases: list[Case]) -> list[Case]:
    """Without the reference, which is not compared with itself."""
    return [case for case in cases if case.engine_name != "reference"]


for_each_case = for_each(_alone(CASES))
for_each_case_and_mix = for_each(_alone(CASES + RANDOM_CASES))
for_each_fast_case = for_each(fast(CASES))
for_each_fast_case_and_mix = for_each(fast(CASES + RANDOM_CASES))
for_each_fast_mix = for_each(fast(RANDOM_CASES))


for_each_case_in_chunks = for_each(
    [case for case in _alone(CASES + RANDOM_CASES) if not case.spec.bidirectional]
)
"""Models that may be computed piece by piece: a second direction must know the whole sequence."""


def for_each_dnc_that(has: Callable[[DNCSpec], object], *, fast_only: bool = False) -> Any:
    """Every engine and dtype with each DNC of the table of which this holds."""
    cases = [case for case in CASES if isinstance(case.spec, DNCSpec) and has(case.spec)]
    return for_each(fast(cases) if fast_only else _alone(cases))


for_each_dnc = for_each_dnc_that(lambda spec: True)
for_each_fast_dnc = for_each_dnc_that(lambda spec: True, fast_only=True)
for_each_engine = pytest.mark.parametrize("engine_name", ENGINES)


def cast(tree: Any, dtype: Any) -> Any:
    """A copy of the tree in another float dtype; integers keep theirs."""
    return map_leaves(lambda a: a.astype(a.dtype if np.issubdtype(a.dtype, np.integer) else dtype), tree)


def make_problem(
    spec: Spec, dtype: str, *, steps: int = T, batch: int = B, gap: float = 1e-5, symbols: bool = False
) -> Problem:
    """Random parameters, inputs, gradients, and a state as in the middle of a sequence, rounded to dtype.

    Both dtypes get the same draws. No choice of slots comes nearer to a tie than `gap`, so that rounding cannot change
    it.
    """
    return cast(_distinct_problem(spec, steps, batch, gap, symbols), dtype)


@cache
def _distinct_problem(spec: Spec, steps: int, batch: int, gap: float, symbols: bool) -> Problem:
    for seed in range(1000):
        problem = _random_problem(spec, steps, batch, symbols, seed)
        mask = None if isinstance(problem.bypass_mask, tuple) else problem.bypass_mask
        lengths = None if isinstance(problem.lengths, tuple) else problem.lengths
        if nearest_tie(spec, *problem[:3], mask, lengths) > gap:
            return problem
    raise AssertionError(f"no problem of {steps} steps and {batch} rows stays {gap} from ties in {spec}")


def _random_problem(spec: Spec, steps: int, batch: int, symbols: bool, seed: int) -> Problem:
    rng = np.random.default_rng(seed)

    def jitter(leaf: NDArray[Any]) -> NDArray[Any]:
        return leaf + 0.3 * rng.standard_normal(leaf.shape)

    inputs: Any = rng.standard_normal((steps, batch, spec.input_size))
    if symbols:
        inputs = rng.integers(0, spec.input_size, (steps, batch))
    d_outputs = rng.standard_normal((steps, batch, spec.output_size))
    state = random_state(spec, batch, rng)
    d_state = map_leaves(lambda leaf: rng.standard_normal(leaf.shape), state)
    params = map_leaves(jitter, init_params(spec, seed, "float64"))
    mask = draw_bypass_mask(spec, steps, batch, rng, "float64")
    lengths: Any = ()
    if spec.bidirectional:
        lengths = rng.integers(0, steps, batch, endpoint=True)
    return Problem(params, inputs, state, d_outputs, d_state, () if mask is None else mask, lengths)


def each_step(engine: Engine, spec: Spec, problem: Problem) -> Iterator[tuple[NDArray[Any], Any]]:
    """Outputs (1, B, Y) and state after every step, taken one at a time."""
    for t in range(len(problem.inputs)):
        outputs, state, _ = forward(engine, spec, piece(problem, slice(t, t + 1)))
        problem = problem._replace(state=state)
        yield outputs, state


def piece(problem: Problem, steps: slice) -> Problem:
    """The problem of these steps alone, from the same state."""
    inputs, d_outputs, mask = (
        map_leaves(lambda leaf: leaf[steps], part)
        for part in (problem.inputs, problem.d_outputs, problem.bypass_mask)
    )
    return problem._replace(inputs=inputs, d_outputs=d_outputs, bypass_mask=mask, lengths=())


def _weightings(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """Non-negative, summing to less than 1 over the last axis."""
    weights = rng.uniform(0.1, 1, shape)
    return weights / weights.sum(-1, keepdims=True) * rng.uniform(0.4, 0.9, (*shape[:-1], 1))


def _links(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """Non-negative, no diagonal, rows and columns summing to less than 1."""
    return rng.uniform(0, 0.9 / shape[-1], shape) * (1 - np.eye(shape[-1]))


_DRAWS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], NDArray[Any]]] = {
    "hidden": lambda rng, shape: rng.uniform(-0.9, 0.9, shape),
    "usage": lambda rng, shape: rng.uniform(0.05, 0.95, shape),
    "age": lambda rng, shape: ages(rng, *shape),
    "precedence": _weightings,
    "link": _links,
    "write_weights": _weightings,
    "read_weights": _weightings,
}
"""How to draw a part of the state; any other part is normal."""


def random_state(spec: Spec, batch: int, rng: np.random.Generator) -> Any:
    """A state that keeps the invariants and has no structure beyond them."""
    blank = zero_state(spec, batch, np.float64)
    arrays = {}
    for name, leaf in named_leaves(blank):
        draw = _DRAWS.get(name.rpartition(".")[2], lambda rng, shape: rng.standard_normal(shape))
        arrays[name] = draw(rng, leaf.shape)
    if spec.has_memory and spec.sparsity is not None:
        for name in ("precedence", "write_weights", "read_weights"):
            if name in arrays:
                arrays[name] = some(rng, arrays[name], spec.sparsity)
        if spec.links:
            lists = link_lists(rng, batch, spec.memory_size, spec.sparsity)
            arrays["link_slots"], arrays["link_values"] = lists
    return from_named(blank, arrays)


def assert_result_close(quantity: str, dtype: str, got: Result, wanted: Result) -> None:
    """Values by the line `<quantity> values` of the table, gradients by `<quantity> gradients`."""
    assert_close(f"{quantity} values", dtype, got[:2], wanted[:2])
    for given, expected in zip(got[2:], wanted[2:], strict=True):
        assert_close(f"{quantity} gradients", dtype, given, expected)


OPEN, SHUT = 1e3, -1e3
"""Raw gate values whose sigmoid is exactly 1 and 0."""


def command(spec: DNCSpec, dtype: str, **parts: Any) -> Any:
    """Parameters that send these raw values over the interface whatever the input is; the other parts are 0.

    Parts that this model does not have are passed over. Three read modes stand for those of all write heads.
    """
    params = zero_params(spec, dtype)
    for name in parts.keys() & spec.interface_sizes:
        values = parts[name]
        part = interface_part(spec, params, name)
        if name == "read_modes" and len(values) == 3:
            values = np.repeat(values, [spec.write_heads, 1, spec.write_heads])
        part[:] = np.resize(values, part.shape)
    return params


def interface_part(spec: DNCSpec, params: Any, name: str) -> NDArray[Any]:
    """The bias of one part of the interface, to be changed."""
    sizes, names = spec.interface_sizes, list(spec.interface_sizes)
    start = sum(sizes[before] for before in names[: names.index(name)])
    return params.interface.bias[start : start + sizes[name]]


def with_usage(spec: DNCSpec, problem: Problem, usage: NDArray[Any]) -> Problem:
    """The problem with this usage in every row, which nothing written before and no free gate changes."""
    problem = cast(problem, problem.state.usage.dtype)
    problem.state.usage[:] = usage
    problem.state.write_weights[:] = 0
    interface_part(spec, problem.params, "free_gates")[:] = SHUT
    return problem


def freed_problem(case: Case) -> Problem:
    """One step in which every head frees slot 0 wholly: products over heads and over slots have exact zeros.

    The other slots, or as many as a weighting may hold, are read a little, so that no directional weighting is 0, where
    sharpness is steep.
    """
    N, K = case.spec.memory_size, case.spec.sparsity
    usage = np.linspace(0.2, 0.9, N)
    problem = with_usage(case.spec, case.problem(steps=1), usage)
    little = np.where(np.arange(N) < (N if K is None else K), 0.05, 0)
    problem.state.read_weights[:] = np.where(np.arange(N) == 0, 1, little)
    interface_part(case.spec, problem.params, "free_gates")[:] = OPEN
    return problem


def central_difference(case: Case, problem: Problem, direction: tuple[Any, Any, Any]) -> float:
    """Slope of the loss that has this problem's gradients, in a direction of (params, inputs, state)."""
    h = 3e-5

    def loss(shift: float) -> float:
        params, inputs, state = map_leaves(lambda a, d: a + shift * d, problem[:3], direction)
        moved = problem._replace(params=params, inputs=inputs, state=state)
        outputs, state, _ = case.forward(moved)
        return dot((outputs, state), (problem.d_outputs, problem.d_state))

    return (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h)


if __name__ == "__main__":
    tests = Path(__file__).parents[1]
    second_opinion = tests / "reference" / "test_second_opinion.py"
    code = pytest.main(["-m", "thorough or not thorough", str(tests / "engines"), str(second_opinion)])
    for (quantity, dtype), found in sorted(worst.items()):
        print(f"{quantity:30} {dtype}  {found:8.2g}   {TOLERANCES[quantity][dtype]}")  # noqa: T201
    sys.exit(code)
