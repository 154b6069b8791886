"""The model that the page computes is the definition: every array of a trace, computed again by a real browser."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser.chromium import Page
from helpers.examples import MODELS, VARIATIONS, random_params, random_spec
from helpers.marks import thorough_but
from helpers.traces import about
from numdnc import init_params, load_run, map_leaves, zero_params
from numdnc.inspection.internals import recorded_parts
from numdnc.inspection.trace import Trace, record
from numdnc.inspection.viewer import export
from numdnc.inspection.viewer.parameters import LARGEST_PARAMS, most_steps, why_not_computed
from numdnc.spec import DNCSpec, LSTMSpec, Spec
from numdnc.tasks import Batch

MIXES = {f"random-{seed}": random_spec(seed) for seed in range(200, 300)}
SPECS = {
    name: spec
    for name, spec in (MODELS | VARIATIONS | MIXES).items()
    if why_not_computed(spec, zero_params(spec)) is None
}
FEW = (
    "dnc-lstm",
    "ntm-feedforward",
    "rnn",
    "write-heads",
    "sparsity",
    "recency",
    "M+D+S",
    "BiADNC",
    "random-200",
)


@dataclass(frozen=True, kw_only=True)
class OddSpec(LSTMSpec):
    """A model with an option that the page does not know."""

    twist: bool = False


def traced(spec: Spec, seed: int = 0, *, symbols: bool = False) -> tuple[Trace, Any]:
    """A trace of nine steps in float64 and its parameters, which are exact in float32."""
    rng = np.random.default_rng(seed)
    params = map_leaves(lambda leaf: leaf.astype(np.float32).astype(float), random_params(spec, rng))
    bits = rng.integers(2, size=(9, 1, spec.input_size)).astype(float)
    inputs = rng.integers(spec.input_size, size=(9, 1)) if symbols else bits
    targets = rng.integers(2, size=(9, 1, spec.output_size)).astype(float)
    return record(spec, params, Batch(inputs, targets), about(spec)), params


def assert_computed(
    browser: Page, file: Path, trace: Trace, params: Any, *, slots_alike: bool = False
) -> None:
    """Every array but inputs, targets, mask and probabilities is what the page computes from the inputs.

    With `slots_alike`, the numbers of the slots at a step are compared in order of size: among slots that hold the
    same, rounding decides which is allocated first.
    """
    per_slot = {name for name, part in recorded_parts(trace.spec).items() if "N" in part.axes}
    file.write_text(export.page(trace, params), "utf-8")
    browser.open(file)
    assert browser.run("numdnc.canCompute()")
    for name in trace.arrays.keys() - {"inputs", "targets", "mask", "probabilities"}:
        found = np.array(browser.run(f"numdnc.computed({json.dumps(name)})"))
        found, expected = found.reshape(trace.steps, -1), trace.arrays[name].reshape(trace.steps, -1)
        if slots_alike and name in per_slot:
            found, expected = np.sort(found), np.sort(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)
    assert browser.complaints == []
    assert browser.requests == [file.as_uri(), "data:,"] or browser.requests == [file.as_uri()]


@pytest.mark.parametrize("name", thorough_but(FEW, SPECS))
def test_page_computes_what_the_definition_computes(browser: Page, tmp_path: Path, name: str) -> None:
    trace, params = traced(SPECS[name])
    assert_computed(browser, tmp_path / "trace.html", trace, params)


def test_page_computes_with_symbols(browser: Page, tmp_path: Path) -> None:
    trace, params = traced(MODELS["dnc-lstm"], symbols=True)
    assert_computed(browser, tmp_path / "trace.html", trace, params)


@pytest.mark.parametrize("name", thorough_but(["copy"], ["copy", "large", "lstm"]))
def test_page_computes_models_of_the_usual_size(browser: Page, tmp_path: Path, name: str) -> None:
    """The trained model that comes with numdnc, and two as training initialises them."""
    if name == "copy":
        run = load_run("model:copy")
        spec, params, arrays = run.spec, run.params, run.trace().arrays
        batch = Batch(arrays["inputs"][:, None], arrays["targets"][:, None])
    else:
        sizes: dict[str, Any] = {"input_size": 9, "output_size": 8, "hidden_sizes": (64, 64)}
        memory = {"memory_size": 64, "word_size": 16, "read_heads": 4}
        spec = DNCSpec(**sizes, **memory) if name == "large" else LSTMSpec(**sizes)
        params = init_params(spec, 1)
        rng = np.random.default_rng(1)
        bits = rng.integers(2, size=(2, 30, 1, 9)).astype(float)
        batch = Batch(bits[0], bits[1, ..., :8])
    params = map_leaves(lambda leaf: leaf.astype(np.float32).astype(float), params)
    assert_computed(
        browser, tmp_path / "trace.html", record(spec, params, batch, about(spec)), params, slots_alike=True
    )


def test_page_computes_with_parameters_in_float16(browser: Page, tmp_path: Path) -> None:
    """They are rounded; with these parameters the definition computes the same."""
    spec = LSTMSpec(input_size=3, output_size=2, hidden_sizes=(300,))
    trace, params = traced(spec)
    rounded = map_leaves(lambda leaf: leaf.astype(np.float16).astype(float), params)
    inputs = trace.arrays["inputs"].astype(float)[:, None]
    batch = Batch(inputs, trace.arrays["targets"].astype(float)[:, None])
    assert_computed(browser, tmp_path / "trace.html", record(spec, rounded, batch, trace.about), params)
    assert abs(rounded.output.weights - params.output.weights).max() > 0


def test_page_computes_with_inputs_of_any_numbers(browser: Page, tmp_path: Path) -> None:
    spec = MODELS["dnc-lstm"]
    rng = np.random.default_rng(3)
    _, params = traced(spec)
    numbers = rng.normal(size=(9, 1, spec.input_size)).astype(np.float32)
    batch = Batch(numbers, np.ones((9, 1, spec.output_size)))
    assert_computed(browser, tmp_path / "trace.html", record(spec, params, batch, about(spec)), params)


def test_model_too_large_or_unknown_is_not_computed() -> None:
    large = LSTMSpec(input_size=1, output_size=1, hidden_sizes=(450,))
    trace, params = traced(large)
    assert 2 * sum(leaf.size for leaf in params.controller[0][:2]) > LARGEST_PARAMS
    assert "its parameters take 1.6 MiB in float16" in str(why_not_computed(large, params))
    assert '"model":null' in export.page(trace, params)
    odd = OddSpec(input_size=1, output_size=1, hidden_sizes=(2,), twist=True)
    assert "the option twist" in str(why_not_computed(odd, zero_params(odd)))
    sparse = DNCSpec(input_size=1, output_size=1, hidden_sizes=(2,), memory_size=300, sparsity=2)
    assert "300 slots" in str(why_not_computed(sparse, traced(sparse)[1]))
    wide = DNCSpec(input_size=1, output_size=1, hidden_sizes=(2,), memory_size=512)
    assert most_steps(wide) == 46
    assert why_not_computed(wide, zero_params(wide), 46) is None
    assert "of 47 steps" in str(why_not_computed(wide, zero_params(wide), 47))
    middling = LSTMSpec(input_size=1, output_size=1, hidden_sizes=(300,))
    fits = map_leaves(lambda leaf: leaf + 1, zero_params(middling))
    assert why_not_computed(middling, fits) is None
    assert "too large for it" in str(why_not_computed(middling, map_leaves(lambda leaf: leaf * 7e4, fits)))


def test_a_second_memory_is_not_computed() -> None:
    spec = DNCSpec(input_size=1, output_size=1, hidden_sizes=(2,), second_memory="reads")
    assert "the option second_memory" in str(why_not_computed(spec, zero_params(spec)))
