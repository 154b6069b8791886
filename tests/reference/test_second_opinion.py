"""The reference against a DNC written again in JAX, and against the peer's, where that is found."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from helpers import second_opinion
from helpers.contract import RANDOM_FOR_JAX, SPECS, Case, Problem
from helpers.marks import thorough_but
from helpers.second_opinion import Opinion, as_tree, translate_params, translate_state
from helpers.tolerances import assert_close
from numdnc import initial_state, initial_state_backward, map_leaves, zeros_like
from numdnc.reference.losses import sigmoid_cross_entropy, softmax_cross_entropy

STEPS = 12
BY_SLOT = {"memory", "usage", "precedence", "link", "write_weights", "read_weights"}
PEERS = Path(os.environ.get("NUMDNC_PEERS", Path(__file__).parents[3] / "shared" / "peers"))


def opinions(case: Case, problem: Problem, shares: tuple[int, int]) -> tuple[Opinion, Opinion]:
    """Ours and JAX's, on shares[0] softmax loss + shares[1] sigmoid loss + what d_state says of the final state.

    Sequences start in the problem's state, plus what the model has learned of its start.
    """
    spec, rng, shape = case.spec, np.random.default_rng(5), problem.d_outputs.shape
    targets = rng.integers(0, spec.output_size, shape[:2])
    bits = rng.integers(0, 2, shape).astype("float64")
    counts = rng.integers(0, 2, shape[:2]).astype("float64")
    learned = initial_state(spec, problem.params, shape[1])
    begun = problem._replace(state=map_leaves(np.add, learned, problem.state))
    outputs, _, _ = case.forward(begun)
    by_softmax, d_softmax = softmax_cross_entropy(outputs, targets, counts)
    by_sigmoid, d_sigmoid = sigmoid_cross_entropy(outputs, bits, counts)
    begun = begun._replace(d_outputs=shares[0] * d_softmax + shares[1] * d_sigmoid)
    outputs, state, d_params, d_inputs, d_state = case.run(begun)
    ours = Opinion(
        by_softmax,
        by_sigmoid,
        outputs,
        translate_state(state),
        translate_params(spec, initial_state_backward(spec, d_params, d_state)),
        d_inputs,
        translate_state(d_state),
    )
    inputs = problem.inputs
    if inputs.ndim == 2:
        inputs = np.eye(spec.input_size)[inputs]
    params, _, state, _, d_state, mask, lengths = problem
    asked = (params, inputs, state, d_state, mask, lengths, targets, bits, counts, shares)
    return ours, second_opinion.ask(spec, *asked)


def assert_agree(ours: Opinion, theirs: Opinion, quantity: str = "second opinion") -> None:
    if isinstance(ours.d_inputs, tuple):  # symbols have no gradient
        theirs = theirs._replace(d_inputs=())
    for name, got, wanted in zip(Opinion._fields, ours, theirs, strict=True):
        kind = "gradients" if name.startswith("d_") else "values"
        assert_close(f"{quantity} {kind}", "float64", as_tree(got), as_tree(wanted))


def without_slots(opinion: Opinion) -> Opinion:
    state, d_state = (
        {name: leaf for name, leaf in part.items() if name not in BY_SLOT}
        for part in (opinion.state, opinion.d_state)
    )
    return opinion._replace(state=state, d_state=d_state)


@pytest.mark.parametrize(
    "spec_name",
    thorough_but(
        ["lstm-2-layers"], [n for n, spec in SPECS.items() if spec.kind != "ntm" and n != "dnc-ones"]
    ),
)
def test_agrees_with_jax(spec_name: str) -> None:
    """From the middle of a sequence, by vectors and by symbols, and from the blank state, see `Case.blank_problem`.

    Not with one slot, where weights over slots are constant and JAX's gradients are nothing but rounding. NTMs are
    compared with PyTorch in test_ntm.py.
    """
    case = Case("reference", spec_name, "float64")
    assert_agree(*opinions(case, case.problem(steps=STEPS), (0, 1)))
    assert_agree(*opinions(case, case.problem(steps=STEPS, symbols=True), (1, 0)))
    # Of a sparse model one step, which writes words of one direction: to choose among these is to choose by rounding.
    blank = case.blank_problem(steps=STEPS if case.spec.sparsity is None else 1)
    ours, theirs = opinions(case, blank, (1, 1))
    assert_agree(without_slots(ours), without_slots(theirs))


@pytest.mark.thorough
@pytest.mark.parametrize("spec_name", RANDOM_FOR_JAX)
def test_agrees_with_jax_on_mixes(spec_name: str) -> None:
    case = Case("reference", spec_name, "float64")
    assert_agree(*opinions(case, case.problem(), (1, 1)), case.line("second opinion"))


@pytest.mark.thorough
@pytest.mark.parametrize("spec_name", ["dnc-2-layers", "dnc-all"])
def test_agrees_with_jax_over_fifty_steps(spec_name: str) -> None:
    case = Case("reference", spec_name, "float64")
    assert_agree(*opinions(case, case.problem(steps=50), (1, 1)))


@pytest.mark.thorough
def test_agrees_with_jax_on_the_first_step() -> None:
    """From the blank state all usages are equal, so slots go by index."""
    case = Case("reference", "dnc-4-heads", "float64")
    problem = case.problem(steps=1)
    assert_agree(*opinions(case, problem._replace(state=zeros_like(problem.state)), (1, 1)))


def load_peer() -> ModuleType:
    path = PEERS / "jax_dnc.py"
    if not path.exists():
        pytest.skip("no peer: set NUMDNC_PEERS to the folder that holds jax_dnc.py")
    spec = importlib.util.spec_from_file_location("jax_dnc", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peer_params(spec: Any, params: Any) -> dict[str, Any]:
    """The peer's names: a matrix per source, gates side by side as here."""
    outside, named = spec.input_size + spec.reads_size, {}
    for level, (layer, size) in enumerate(zip(params.controller, spec.hidden_sizes, strict=True)):
        x, own, below = np.split(layer.weights, [outside, outside + size])
        named |= {f"lstm{level}_x": x, f"lstm{level}_h": own, f"lstm{level}_b": layer.bias}
        if level > 0:
            named[f"lstm{level}_below"] = below
    hidden, reads = np.split(params.output.weights, [spec.hidden_total])
    named |= {"interface": params.interface.weights, "interface_b": params.interface.bias}
    return named | {"output": hidden, "output_b": params.output.bias, "output_reads": reads}


@pytest.mark.parametrize("spec_name", ["dnc-2-layers", "dnc-4-heads"])
def test_agrees_with_the_peer(spec_name: str) -> None:
    peer, case = load_peer(), Case("reference", spec_name, "float64")
    spec, problem = case.spec, case.blank_problem(steps=STEPS)
    targets = np.random.default_rng(5).integers(0, spec.output_size, problem.d_outputs.shape[:2])
    loss, d_outputs = softmax_cross_entropy(case.forward(problem)[0], targets)
    result = case.run(problem._replace(d_outputs=d_outputs, d_state=zeros_like(problem.state)))

    sizes = {"N": spec.memory_size, "W": spec.word_size, "R": spec.read_heads, "layers": spec.hidden_sizes}
    sizes |= {"input": spec.input_size, "output": spec.output_size}
    ask_peer = second_opinion.quick_jit(peer.value_and_grad(sizes))
    peer_loss, peer_gradient = ask_peer(peer_params(spec, problem.params), problem.inputs, targets)
    assert_close("second opinion values", "float64", as_tree(loss), as_tree(peer_loss))
    gradient = peer_params(spec, result.d_params)
    assert_close("second opinion gradients", "float64", as_tree(gradient), as_tree(peer_gradient))
