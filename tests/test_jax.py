"""`numdnc.jax`: both functions against the definition, and what JAX may do with them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.contract import Case, Problem, Result, assert_result_close
from helpers.marks import thorough_but
from helpers.second_opinion import jax, quick_jit  # before numdnc.jax: float64
from helpers.tolerances import assert_close
from numdnc import DNCSpec, LSTMSpec, NTMSpec, UserError, init_params, initial_state_backward, zero_state
from numdnc.jax import engine_forward, forward, initial_state
from numdnc.tree import map_leaves

jnp = jax.numpy
COVERED = (
    *(
        "rnn-2-layers",
        "lstm-2-layers",
        "dnc-2-layers",
        "dnc-4-heads",
        "dnc-rnn",
        "dnc-feedforward",
        "dnc-odd",
    ),
    *("dnc-learned-state", "dnc-bidirectional", "dnc-2-writers", "dnc-writers", "dnc-writers-odd"),
)
"""Models of the contract that `forward` computes."""
BY_ENGINE = ("rnn-2-layers", "dnc-BiADNC", "dnc-all", "dnc-learned-state", "dnc-SDNC", "ntm-2-layers")


def optional(part: Any) -> Any:
    """None for a part that a problem does not have."""
    return None if isinstance(part, tuple) else part


def result(run: Any, spec: Any, problem: Problem, **more: Any) -> Result:
    """What JAX makes of a problem: values, and gradients by params, inputs (unless these are symbols) and state."""
    symbols = np.issubdtype(problem.inputs.dtype, np.integer)

    def told(params: Any, inputs: Any, state: Any) -> Any:
        found = run(
            spec, params, problem.inputs if symbols else inputs, state, optional(problem.lengths), **more
        )
        wanted = problem.d_outputs, problem.d_state
        return sum(map(jnp.vdot, jax.tree.leaves(found), jax.tree.leaves(wanted))), found

    gradient = quick_jit(jax.grad(told, argnums=(0, 1, 2), has_aux=True))
    given = problem.params, () if symbols else problem.inputs, problem.state
    (d_params, d_inputs, d_state), found = gradient(*given)
    return Result(*map_leaves(np.asarray, (*found, d_params, d_inputs, d_state)))


@pytest.mark.parametrize("symbols", [False, True], ids=["vectors", "symbols"])
@pytest.mark.parametrize(
    "name", thorough_but(["lstm-2-layers", "dnc-bidirectional", "dnc-writers-odd"], COVERED)
)
def test_operations_agree_with_the_definition(name: str, symbols: bool) -> None:
    """From the middle of a sequence; rows of a bidirectional model have lengths of their own."""
    case = Case("reference", name, "float64")
    problem = case.problem(symbols=symbols)
    assert_result_close("parity", "float64", result(forward, case.spec, problem), case.run_reference(problem))


@pytest.mark.parametrize("symbols", [False, True], ids=["vectors", "symbols"])
@pytest.mark.parametrize("name", thorough_but(["dnc-BiADNC"], BY_ENGINE))
def test_an_engine_agrees_with_the_definition(name: str, symbols: bool) -> None:
    case = Case("cpu", name, "float64")
    problem = case.problem(symbols=symbols)
    found = result(engine_forward, case.spec, problem, bypass_mask=optional(problem.bypass_mask))
    assert_result_close("parity", "float64", found, case.run_reference(problem))


@pytest.mark.parametrize("run", [forward, engine_forward])
def test_the_initial_state_is_learned(run: Any) -> None:
    case = Case("reference", "dnc-learned-state", "float64")
    problem = case.problem()
    start = initial_state(case.spec, problem.params, problem.inputs.shape[1])
    wanted = case.run_reference(problem._replace(state=map_leaves(np.asarray, start)))
    wanted_d = initial_state_backward(case.spec, wanted.d_params, wanted.d_state)

    def told(params: Any) -> Any:
        outputs, state = run(case.spec, params, problem.inputs)
        wanted = problem.d_outputs, problem.d_state
        return sum(map(jnp.vdot, jax.tree.leaves((outputs, state)), jax.tree.leaves(wanted))), outputs

    d_params, outputs = jax.grad(told, has_aux=True)(problem.params)
    assert_close("parity values", "float64", np.asarray(outputs), wanted.outputs)
    assert_close("parity gradients", "float64", map_leaves(np.asarray, d_params), wanted_d)
    assert np.abs(d_params.initial.memory).max() > 1e-3


@pytest.mark.parametrize("run", [forward, engine_forward])
def test_vmap_gives_what_single_calls_give(run: Any) -> None:
    """Over parameters and inputs, values and gradients."""
    spec = LSTMSpec(input_size=3, output_size=2, hidden_sizes=(4,))
    each = [init_params(spec, seed, "float64") for seed in (0, 1)]
    params = map_leaves(lambda *leaves: np.stack(leaves), *each)
    inputs = np.random.default_rng(0).standard_normal((2, 5, 2, 3))

    def loss(params: Any, inputs: Any) -> Any:
        return (run(spec, params, inputs)[0] ** 2).sum()

    values, gradients = jax.vmap(jax.value_and_grad(loss))(params, inputs)
    for row in (0, 1):
        value, gradient = jax.value_and_grad(loss)(each[row], inputs[row])
        np.testing.assert_allclose(values[row], value, rtol=1e-14)
        mine = map_leaves(lambda leaf, row=row: np.asarray(leaf[row]), gradients)
        assert_close("rearranged gradients", "float64", mine, map_leaves(np.asarray, gradient))


def test_forward_mode_is_had_of_operations_alone() -> None:
    spec = LSTMSpec(input_size=3, output_size=2, hidden_sizes=(4,))
    params, inputs = init_params(spec, 0, "float64"), np.ones((3, 1, 3))
    change = map_leaves(np.ones_like, params)

    def slope(run: Any) -> Any:
        return jax.jvp(lambda params: run(spec, params, inputs)[0].sum(), (params,), (change,))[1]

    by_gradient = jax.grad(lambda params: forward(spec, params, inputs)[0].sum())(params)
    np.testing.assert_allclose(
        slope(forward), sum(leaf.sum() for leaf in jax.tree.leaves(by_gradient)), rtol=1e-12
    )
    with pytest.raises(TypeError, match="custom_vjp"):
        slope(engine_forward)


SIZES: dict[str, Any] = {
    "input_size": 3,
    "output_size": 2,
    "hidden_sizes": (4,),
    "memory_size": 5,
    "word_size": 2,
}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (NTMSpec(**SIZES), "got ntm"),
        (DNCSpec(**SIZES, masking=True), "masking must be False"),
        (DNCSpec(**SIZES, links=False), "links must be True"),
        (DNCSpec(**SIZES, sparsity=2), "sparsity must be None"),
        (DNCSpec(**SIZES, second_memory="own"), "second_memory must be none"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_other_models_are_refused_by_name(spec: Any, said: str) -> None:
    params = init_params(spec, 0)
    with pytest.raises(UserError, match=f"{said}.*engine_forward"):
        forward(spec, params, np.zeros((1, 1, 3), np.float32))
    outputs, _ = engine_forward(spec, params, np.zeros((1, 1, 3), np.float32), engine="reference")
    assert outputs.shape == (1, 1, 2)


@pytest.mark.parametrize("run", [forward, engine_forward])
def test_wrong_arguments_are_noticed_while_jax_traces(run: Any) -> None:
    spec = DNCSpec(**SIZES)
    params = init_params(spec, 0)
    traced = jax.jit(run, static_argnums=0)
    with pytest.raises(UserError, match="inputs must be"):
        traced(spec, params, np.zeros((1, 1, 4), np.float32))
    with pytest.raises(UserError, match="state"):
        traced(spec, params, np.zeros((1, 2, 3), np.float32), zero_state(spec, 3))
    with pytest.raises(UserError, match="lengths must be"):
        traced(spec, params, np.zeros((1, 2, 3), np.float32), lengths=np.zeros(3, int))


@pytest.mark.parametrize("run", [forward, engine_forward])
def test_inputs_that_are_no_sequences_are_refused(run: Any) -> None:
    spec = DNCSpec(**SIZES)
    params = init_params(spec, 0)
    for wrong, said in ((np.ones(3, np.float32), r"one of shape \(3,\)"), ([[1.0]], "a list")):
        with pytest.raises(UserError, match=f"inputs must be an array .*, got {said}"):
            run(spec, params, wrong)
    with (
        jax.enable_x64(False),
        pytest.raises(
            UserError, match="params must be of float32 while JAX computes in 32 bits, got float64"
        ),
    ):
        run(spec, init_params(spec, 0, np.float64), np.ones((1, 1, 3)))


def test_symbols_out_of_range_are_the_nearest_ones() -> None:
    """Also with parameters of NumPy, traced or not."""
    spec = DNCSpec(**SIZES)
    params = init_params(spec, 0)
    for run in (forward, jax.jit(lambda *given: forward(spec, *given[1:]), static_argnums=0)):
        outputs = [np.asarray(run(spec, params, np.full((2, 1), symbol))[0]) for symbol in (-1, 0, 2, 7)]
        np.testing.assert_array_equal(outputs[0], outputs[1])
        np.testing.assert_array_equal(outputs[3], outputs[2])
        assert (outputs[1] != outputs[2]).any()
    traced = jax.jit(lambda symbols: forward(spec, params, symbols)[0])
    np.testing.assert_array_equal(traced(np.full((2, 1), 2)), outputs[2])


def test_an_engine_says_what_is_wrong_with_values() -> None:
    spec = DNCSpec(**SIZES)
    with pytest.raises(Exception, match=r"integer inputs must lie in 0\.\.2"):
        symbols = np.full((1, 1), 7)
        jax.block_until_ready(engine_forward(spec, init_params(spec, 0), symbols, engine="reference"))
    with pytest.raises(UserError, match="engine must be one of"):
        engine_forward(spec, init_params(spec, 0), np.zeros((1, 1), int), engine="abacus")


@pytest.mark.thorough
def test_the_code_of_the_document_runs() -> None:
    """In float32, which JAX begins with, so in another process."""
    text = (Path(__file__).parents[1] / "docs" / "jax.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    check = (
        "import numpy as np\nwhole, end = numdnc.jax.forward(spec, params, inputs)\n"
        "assert np.allclose(whole[10:], second, atol=1e-6)\n"
        "by_engine, _ = numdnc.jax.engine_forward(spec, params, inputs)\n"
        "assert np.allclose(whole, by_engine, atol=1e-5)\n"
        "assert np.abs(gradient.interface.weights).max() > 0\n"
    )
    done = subprocess.run([sys.executable, "-c", block + check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
