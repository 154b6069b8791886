"""The torch modules: their results, and torch's conventions. Packed and padded input: test_lengths.py."""

import copy
import inspect
import io
import pickle
import re
import subprocess
import sys
import typing
import weakref
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

import numdnc
from helpers import contract
from helpers.examples import random_inputs, random_params, random_state, single
from numdnc import UserError, init_params, initial_state, initial_state_backward, nn
from numdnc.engines import get_engine
from numdnc.engines.cpu import CPUEngine
from numdnc.nn.modules import module_for
from numdnc.tree import leaves, map_leaves, named_leaves, zeros_like

ALLOWED = {"float64": 6e-14, "float32": 1e-5}
"""Largest error of values and gradients, beside the largest number of an array if that is more than 1; measured 6e-15
and 1e-6."""
T, B = 7, 3
COMPARED = (
    "rnn-2-layers",
    "lstm-2-layers",
    "dnc-2-layers",
    "dnc-M+D+S",
    "dnc-normalisation",
    "dnc-content-only",
    "ntm-2-layers",
)
SIZES: dict[str, Any] = {"input_size": 5, "hidden_size": 6, "output_size": 4}
MEMORY: dict[str, Any] = {**SIZES, "memory_size": 7, "word_size": 3, "read_heads": 2}


def loaded(spec: Any, params: Any, **options: Any) -> Any:
    """A module with these parameters."""
    weights = {name: torch.from_numpy(leaf) for name, leaf in named_leaves(params)}
    module = module_for(spec, dtype=weights["output.bias"].dtype, **options)
    module.load_state_dict(weights)
    return module


def as_tensors(tree: Any, *, grad: bool = False) -> Any:
    """Copies as tensors."""
    return map_leaves(lambda leaf: torch.tensor(leaf, requires_grad=grad and leaf.dtype.kind == "f"), tree)


def close(got: Any, wanted: Any, allowed: float) -> None:
    """Two trees agree, name by name."""
    pairs = zip(named_leaves(got), named_leaves(wanted), strict=True)
    for (name, mine), (_, theirs) in pairs:
        error = np.abs(mine.detach().numpy() - theirs).max(initial=0) / max(1, np.abs(theirs).max(initial=0))
        assert error <= allowed, (name, error)


def parity(spec: Any, dtype: str, *, symbols: bool, **options: Any) -> None:
    """Two calls with the state carried on, against the definition: values and all gradients."""
    rng = np.random.default_rng(0)
    given = (
        random_params(spec, rng),
        random_inputs(spec, rng, T, B, symbols=symbols),
        random_state(spec, rng, B),
        rng.standard_normal((T, B, spec.output_size)),
        random_state(spec, rng, B),
    )
    params, inputs, state, d_outputs, d_after = given if dtype == "float64" else map(single, given)
    reference, cut = get_engine("reference"), 3
    first, middle, early = reference.forward(spec, params, inputs[:cut], state, keep_tape=True)
    second, after, late = reference.forward(spec, params, inputs[cut:], middle, keep_tape=True)
    d_late, d_second, d_middle = reference.backward(spec, params, late, d_outputs[cut:], d_after)
    d_early, d_first, d_state = reference.backward(spec, params, early, d_outputs[:cut], d_middle)

    module = loaded(spec, params, **options).eval()
    x, h = as_tensors(inputs, grad=True), as_tensors(state, grad=True)
    one, between = module(x[:cut], h)
    two, end = module(x[cut:], between)
    outputs = torch.cat([one, two])
    torch.autograd.backward([outputs, *leaves(end)], [*map(torch.from_numpy, (d_outputs, *leaves(d_after)))])
    allowed = ALLOWED[dtype]
    close(outputs, np.concatenate([first, second]), allowed)
    close(end, after, allowed)
    d_params = map_leaves(np.add, d_early, d_late)
    if getattr(spec, "learned_state", False):
        assert all(leaf.grad is None for leaf in leaves(module.params().initial))
        d_params = d_params._replace(initial=())
    got = map_leaves(lambda p: p.grad, module.params())
    close(got._replace(initial=()) if spec.has_memory else got, d_params, allowed)
    close(map_leaves(lambda leaf: leaf.grad, h), d_state, allowed)
    if not symbols:
        close(x.grad, np.concatenate([d_first, d_second]), allowed)


@pytest.mark.parametrize("symbols", [False, True], ids=["vectors", "symbols"])
@pytest.mark.parametrize("dtype", ALLOWED)
@pytest.mark.parametrize("name", COMPARED)
def test_values_and_gradients_are_the_definitions(name: str, dtype: str, symbols: bool) -> None:
    parity(contract.SPECS[name], dtype, symbols=symbols)


@pytest.mark.parametrize("engine", ["reference", "torch"])
@pytest.mark.parametrize("symbols", [False, True], ids=["vectors", "symbols"])
def test_any_engine_may_be_asked_for(engine: str, symbols: bool) -> None:
    parity(contract.SPECS["dnc-learned-state"], "float64", symbols=symbols, engine=engine)


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_a_learned_start_has_the_definitions_gradient(engine: str) -> None:
    spec, rng = contract.SPECS["dnc-learned-state"], np.random.default_rng(1)
    params, inputs = random_params(spec, rng), random_inputs(spec, rng, T, B)
    reference = get_engine("reference")
    state = initial_state(spec, params, B)
    outputs, after, tape = reference.forward(spec, params, inputs, state, keep_tape=True)
    d_params, _, d_state = reference.backward(spec, params, tape, outputs, zeros_like(after))
    d_params = initial_state_backward(spec, d_params, d_state)

    module = loaded(spec, params, engine=engine)
    output, end = module(torch.from_numpy(inputs))
    output.backward(output.detach())
    close(output, outputs, ALLOWED["float64"])
    close(end, after, ALLOWED["float64"])
    assert np.abs(d_params.initial.memory).max() > 1e-3
    close(map_leaves(lambda p: p.grad, module.params()), d_params, ALLOWED["float64"])


@pytest.mark.parametrize(
    "module",
    [
        nn.RNN(3, 2, 2, dtype=torch.float64, seed=0),
        nn.LSTM(3, (2, 3), 2, dtype=torch.float64, seed=0),
        nn.DNC(
            3, 2, 2, memory_size=3, word_size=2, read_heads=2, controller="rnn", masking=True, sharpness=True,
            deallocation=True, learned_state=True, dtype=torch.float64, seed=0,
        ),
    ],
    ids=lambda module: module.spec.kind,
)  # fmt: skip
def test_torchs_own_gradient_check(module: Any) -> None:
    torch.manual_seed(0)
    names = [name for name, _ in module.named_parameters()]
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)

    def computed(x: Any, *params: Any) -> tuple[Any, ...]:
        outputs, state = torch.func.functional_call(module, dict(zip(names, params, strict=True)), (x,))
        return (outputs, *leaves(state))

    assert torch.autograd.gradcheck(computed, (x, *module.parameters()))


def test_a_second_derivative_is_refused_or_torchs() -> None:
    module, x = nn.LSTM(**SIZES), torch.randn(T, B, 5, requires_grad=True)
    with pytest.raises(
        UserError, match="engine must be torch for such a gradient, got cpu and create_graph=True"
    ):
        torch.autograd.grad(module(x)[0].sum(), x, create_graph=True)
    module.engine = "torch"
    (d_x,) = torch.autograd.grad(module(x)[0].sum(), x, create_graph=True)
    d_x.square().sum().backward()
    assert x.grad.abs().max() > 0


def test_a_graph_that_is_kept_gives_the_same_gradient_again() -> None:
    module, x = nn.DNC(**MEMORY), torch.randn(T, B, 5, requires_grad=True)
    loss = module(x)[0].square().sum()
    (first,) = torch.autograd.grad(loss, x, retain_graph=True)
    (second,) = torch.autograd.grad(loss, x)
    assert torch.equal(first, second)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_a_tape_is_free_after_backward_while_outputs_live_on() -> None:
    module, forward, tapes = nn.DNC(**MEMORY), CPUEngine.forward, []

    def noted(*given: Any, **options: Any) -> Any:
        outputs, state, tape = forward(*given, **options)
        tapes.append(weakref.ref(tape.controller_tape.hidden))
        return outputs, state, tape

    with mock.patch.object(CPUEngine, "forward", autospec=True, side_effect=noted):
        output, _ = module(torch.randn(T, B, 5))
    assert tapes[0]() is not None
    output.sum().backward()
    assert tapes[0]() is None


@pytest.mark.parametrize("changed", ["parameter", "input", "state"])
def test_a_change_between_forward_and_backward_is_caught(changed: str) -> None:
    module, x = nn.DNC(**MEMORY), torch.randn(T, B, 5)
    _, state = module(x)
    state = nn.detach(state)
    output, _ = module(x, state)
    with torch.no_grad():
        {"parameter": module.output.weights, "input": x, "state": state.memory}[changed].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_nothing_is_copied_and_no_tape_kept_without_a_gradient() -> None:
    module, x = nn.DNC(**MEMORY), torch.randn(T, B, 5)
    forward = CPUEngine.forward
    with mock.patch.object(CPUEngine, "forward", autospec=True, side_effect=forward) as seen:
        with torch.no_grad():
            output, state = module(x)
        module(x)
        module.requires_grad_(False)(x)
    assert [call.kwargs["keep_tape"] for call in seen.call_args_list] == [False, True, False]
    assert not output.requires_grad
    assert not any(leaf.requires_grad for leaf in leaves(state))
    _, _, params, inputs, *_ = seen.call_args_list[1].args
    assert np.shares_memory(inputs, x.numpy())
    for array, tensor in zip(leaves(params), leaves(module.params()), strict=True):
        assert np.shares_memory(array, tensor.detach().numpy())


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_batch_first_and_no_batch(engine: str) -> None:
    module = nn.DNC(**MEMORY, engine=engine).eval()
    x = torch.randn(T, B, 5)
    output, state = module(x)
    module.batch_first = True
    turned, again = module(x.transpose(0, 1))
    assert torch.equal(turned, output.transpose(0, 1))
    assert all(map(torch.equal, leaves(state), leaves(again)))
    carried, _ = module(x.transpose(0, 1), state)
    alone, end = module(x[:, 1])
    assert alone.shape == (T, 4)
    assert end.memory.shape == (7, 3)
    assert torch.allclose(alone, output[:, 1], atol=1e-6)
    on, _ = module(x[:, 1], end)
    assert torch.allclose(on, carried[1], atol=1e-6)
    symbols, _ = module(torch.tensor([1, 4, 0]))
    rows, _ = module(torch.eye(5)[[1, 4, 0]])
    assert torch.allclose(symbols, rows, atol=1e-6)


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_no_steps_and_no_rows(engine: str) -> None:
    module = nn.DNC(**MEMORY, engine=engine)
    _, state = module(torch.randn(T, B, 5))
    output, after = module(torch.zeros(0, B, 5), state)
    assert output.shape == (0, B, 4)
    assert all(map(torch.equal, leaves(after), leaves(state)))
    output, after = module(torch.zeros(T, 0, 5))
    assert output.shape == (T, 0, 4)
    assert after.memory.shape == (0, 7, 3)
    assert module(torch.zeros(T, 0, 5), lengths=[])[0].shape == (T, 0, 4)


@pytest.mark.parametrize("name", [*COMPARED, "dnc-learned-state"])
def test_parameters_have_the_names_of_checkpoints(name: str) -> None:
    spec = contract.SPECS[name]
    module, params = module_for(spec, seed=3), init_params(spec, 3)
    weights = module.state_dict()
    assert sorted(weights) == sorted(leaf_name for leaf_name, _ in named_leaves(params))
    for leaf_name, leaf in named_leaves(params):
        assert_array_equal(weights[leaf_name].numpy(), leaf)
    assert module.spec == spec


def test_parameters_are_settled_by_torchs_seed_or_ones_own() -> None:
    def drawn(**options: Any) -> list[Any]:
        return [p.detach() for p in nn.DNC(**MEMORY, **options).parameters()]

    torch.manual_seed(5)
    first = drawn()
    torch.manual_seed(5)
    second, third = drawn(), drawn()
    assert all(map(torch.equal, first, second))
    assert not all(map(torch.equal, second, third))
    assert all(map(torch.equal, drawn(seed=1), drawn(seed=1)))
    module = nn.DNC(**MEMORY, seed=1, init_scheme="store")
    stored = [p.detach().clone() for p in module.parameters()]
    module.reset_parameters()
    assert not all(map(torch.equal, stored, module.parameters()))
    module.reset_parameters(1)
    assert all(map(torch.equal, stored, module.parameters()))
    assert not torch.equal(module.interface.bias, nn.DNC(**MEMORY, seed=1).interface.bias)
    rows, larger = module.spec.input_size, nn.DNC(**MEMORY, seed=1, init_scheme="store", input_scale=4)
    of_inputs = [m.controller.get_submodule("0").weights[:rows] for m in (module, larger)]
    assert torch.equal(4 * of_inputs[0], of_inputs[1])


def test_copies_are_whole_and_their_own() -> None:
    module = nn.DNC(**MEMORY, learned_state=True, batch_first=True)
    x = torch.randn(B, T, 5)
    wanted, _ = module(x)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(twin(x)[0], wanted)
        with torch.no_grad():
            twin.output.bias.add_(1)
        assert torch.equal(module(x)[0], wanted)
        twin.load_state_dict(module.state_dict())
        assert torch.equal(twin(x)[0], wanted)
    with pytest.raises(RuntimeError, match="size mismatch for output"):
        nn.DNC(**MEMORY | {"output_size": 9}, learned_state=True).load_state_dict(module.state_dict())


def test_it_says_what_it_is() -> None:
    module = nn.DNC(**MEMORY, num_layers=2, masking=True, batch_first=True, engine="torch")
    assert module.extra_repr() == (
        "input_size=5, output_size=4, hidden_sizes=(6, 6), memory_size=7, word_size=3, read_heads=2, masking=True, "
        "batch_first=True, engine='torch'"
    )
    assert "weights=(17, 24)" in repr(module)
    assert "hidden_sizes=(8,), memory_size=16, word_size=16, read_heads=1" in repr(nn.DNC(5, 8, 4))
    assert "hidden_sizes=(128,)" in repr(nn.LSTM(5, 128, 4))


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.DNC])
def test_help_explains_every_argument(kind: Any) -> None:
    text = inspect.getdoc(kind)
    for name in inspect.signature(kind).parameters:
        assert re.search(rf"^ +(\w+, )*{name}(, \w+)*: \S", text, re.MULTILINE), name
    hints = typing.get_type_hints(nn.DNC.forward)
    assert hints["input"] == torch.Tensor | torch.nn.utils.rnn.PackedSequence
    assert Path(inspect.getfile(numdnc), "../py.typed").resolve().exists()


def test_a_state_is_saved_and_read_as_torch_does() -> None:
    for module in (nn.DNC(**MEMORY), nn.RNN(**SIZES), nn.LSTM(**SIZES)):
        _, state = module(torch.randn(T, B, 5))
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        again = torch.load(file, weights_only=True)
        assert type(again) is type(state)
        assert all(map(torch.equal, leaves(again), leaves(state)))


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_bypass_dropout_acts_in_training_only(engine: str) -> None:
    module = nn.DNC(**MEMORY, bypass_dropout=0.4, dtype=torch.float64, engine=engine)
    x = torch.randn(50, B, 5, dtype=torch.float64)
    _, state = module.eval()(x)
    module.train()
    torch.manual_seed(1)
    first, after = module(x)
    torch.manual_seed(1)
    assert torch.equal(module(x)[0], first)
    assert not torch.equal(module(x)[0], first)
    assert all(map(torch.equal, leaves(state), leaves(after)))  # the memory sees the hidden values whole
    with torch.no_grad():  # outputs that are the sum of hidden values that are all nearly 1
        module.output.weights[:6], module.output.weights[6:] = 1, 0
        module.output.bias.zero_()
        for name in ("weights", "bias"):
            getattr(module.get_submodule("controller.0"), name).zero_()
        module.get_submodule("controller.0").bias.fill_(50)
    shares = module(x)[0].detach().numpy()[20:, :, 0] / module.eval()(x)[0].detach().numpy()[20:, :, 0]
    passed = shares * 6 * 0.6
    assert np.abs(passed - passed.round()).max() < 1e-6  # each passes as 1 / 0.6 of itself, or not at all
    assert shares.mean() == pytest.approx(1, abs=0.2)
    assert shares.std() > 0.1


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_autocast_leaves_it_in_its_own_precision(engine: str) -> None:
    torch.manual_seed(0)
    module, below = nn.DNC(**MEMORY, engine=engine), torch.nn.Linear(2, 5)
    x = torch.randn(T, B, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = below(x)
        output, state = module(half)
        more, _ = module(half, state)
    assert half.dtype == torch.bfloat16
    assert {output.dtype, more.dtype, state.memory.dtype} == {torch.float32}
    wanted, middle = module(half.float())
    assert torch.equal(output, wanted)
    assert torch.equal(more, module(half.float(), middle)[0])
    more.sum().backward()
    assert below.weight.grad is not None
    assert below.weight.grad.abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_goes_the_way_of_torch(dtype: Any) -> None:
    torch.manual_seed(0)
    module = nn.DNC(**MEMORY)
    x = torch.randn(T, B, 5)
    wanted, _ = module(x)
    with mock.patch.object(CPUEngine, "forward", side_effect=AssertionError):
        output, state = module.to(dtype)(x.to(dtype))
        output.sum().backward()
    assert {output.dtype, state.link.dtype, module.output.bias.grad.dtype} == {dtype}
    assert torch.allclose(output.float(), wanted, atol=0.05)
    doubled, _ = module.double()(x.double())
    assert doubled.dtype == torch.float64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_computes_the_same() -> None:
    torch.manual_seed(0)
    module, x = nn.DNC(**MEMORY, learned_state=True), torch.randn(T, B, 5)
    wanted, state = module(x, lengths=[7, 2, 5])
    wanted.sum().backward()
    by = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    module.cuda()
    output, after = module(x.cuda(), lengths=[7, 2, 5])
    output.sum().backward()
    assert torch.allclose(output.cpu(), wanted, atol=1e-4)
    for mine, theirs in zip(leaves(after), leaves(state), strict=True):
        assert torch.allclose(mine.cpu(), theirs, atol=1e-4)
    for p, wanted_gradient in zip(module.parameters(), by, strict=True):
        assert torch.allclose(p.grad.cpu(), wanted_gradient, atol=1e-3)
    with torch.autocast("cuda", dtype=torch.float16):
        assert torch.allclose(module(x.cuda().half())[0].cpu(), module(x.cuda().half().float())[0].cpu())
    with pytest.raises(UserError, match=r"input must be .* on cuda:0, got .* on cpu"):
        module(x)


INPUT = torch.zeros(T, B, 5)
ALONE = INPUT[:, 0]


WRONG: dict[str, Any] = {
    "a list": (lambda m: m([1.0]), "input must be a tensor, (T, B, 5) or (T, 5) of torch.float32|got a list"),
    "another width": (lambda m: m(torch.zeros(T, B, 6)), "got (7, 3, 6) of torch.float32 on cpu"),
    "another dtype": (lambda m: m(INPUT.double()), "of torch.float32, or|got (7, 3, 5) of torch.float64"),
    "half a dtype": (lambda m: m(INPUT.half()), "got (7, 3, 5) of torch.float16"),
    "booleans": (lambda m: m(INPUT.bool()), "got (7, 3, 5) of torch.bool"),
    "one-hot integers": (lambda m: m(INPUT.long()), "(T, B) or (T) of integers|got (7, 3, 5) of torch.int64"),
    "too many axes": (lambda m: m(torch.zeros(1, T, B, 5)), "got (1, 7, 3, 5)"),
    "another device": (lambda m: m(INPUT.to("meta")), "on cpu, got (7, 3, 5) of torch.float32 on meta"),
    "a strange symbol": (lambda m: m(torch.full((T, B), 5)), "integer input must lie in 0..4, got 5..5"),
    "another state": (
        lambda m: m(INPUT, (torch.zeros(1), torch.zeros(1))),
        "state must be a DNCState of controller.0.hidden|got a tuple of 0, 1. Pass",
    ),
    "a tensor as state": (lambda m: m(INPUT, torch.zeros(1)), "state must be a DNCState|got a Tensor. Pass"),
    "a state of another batch": (
        lambda m: m(torch.zeros(T, 2, 5), m(INPUT)[1]),
        "state.controller.0.hidden must be (2, 6)|got (3, 6)",
    ),
    "a state without a batch": (
        lambda m: m(INPUT, m(ALONE)[1]),
        "state.controller.0.hidden must be (3, 6)|got (6,)",
    ),
    "a state of arrays": (
        lambda m: m(ALONE, map_leaves(lambda t: t.detach().numpy(), m(ALONE)[1])),
        "must be a tensor (6,)|got a ndarray",
    ),
    "a state of another dtype": (
        lambda m: m(ALONE, map_leaves(lambda t: t.double(), m(ALONE)[1])),
        "got (6,) of torch.float64",
    ),
    "an engine that is none": (
        lambda m: nn.RNN(**SIZES, engine="warp")(ALONE),
        "engine must be one of|got 'warp'",
    ),
    "an engine of arrays in half precision": (
        lambda m: nn.RNN(**SIZES, engine="cpu").half()(ALONE.half()),
        "parameters must be of float32 or float64 on the CPU for the engine cpu|got torch.float16",
    ),
    "no layers": (
        lambda m: nn.RNN(**SIZES, num_layers=0),
        "num_layers must be a whole number of at least 1, got 0",
    ),
    "two numbers of layers": (
        lambda m: nn.RNN(5, (6, 7), 4, num_layers=3),
        "num_layers must be left out|got 3 for (6, 7)",
    ),
    "no units": (lambda m: nn.LSTM(5, 0, 4), "LSTMSpec.hidden_sizes must be"),
    "variations that do not go together": (lambda m: nn.DNC(**MEMORY, mask_floor=0.1), "DNCSpec.mask_floor"),
    "a store without a memory": (
        lambda m: nn.LSTM(**SIZES, init_scheme="store"),
        "init_scheme must be plain",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_said_in_a_line(case: str) -> None:
    call, expect = WRONG[case]
    with pytest.raises(UserError) as raised:
        call(nn.DNC(**MEMORY))
    line = str(raised.value)
    assert "\n" not in line
    for fragment in expect.split("|"):
        assert fragment in line, line


def fresh(code: str) -> str:
    """What a new interpreter prints, or its last line of errors."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else done.stderr.splitlines()[-1]


def test_without_torch_it_says_what_to_install() -> None:
    line = fresh("import sys; sys.modules['torch'] = None\nimport numdnc\nimport numdnc.nn")
    assert re.fullmatch(
        r"numdnc.errors.UserError: numdnc.nn must find the package torch, got none. Install it by `.* install .*`.",
        line,
    )


def test_torchs_threads_stay_as_they_are() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        model = nn.RNN(2, 3, 2)
        model(torch.zeros(4, 1, 2))[0].sum().backward()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_chosen_rows_of_a_state_begin_anew(engine: str) -> None:
    module, x = nn.DNC(**MEMORY, engine=engine, learned_state=True), torch.randn(T, B, 5)
    _, state = module(x)
    state = module.reset_rows(state, torch.tensor([False, True, False]))
    output, _ = module(x, state)
    assert torch.allclose(output[:, 1], module(x[:, 1])[0], atol=1e-6)
    assert not torch.allclose(output[:, 0], module(x[:, 0])[0], atol=1e-3)
    output[:, 1].sum().backward()
    assert module.initial.memory.grad.any()
    for wrong in ([True] * B, torch.ones(B), torch.ones(B + 1, dtype=torch.bool)):
        with pytest.raises(UserError, match=r"rows must be a tensor \(3,\) of booleans, got"):
            module.reset_rows(state, wrong)
    with pytest.raises(UserError, match="state must be a DNCState of "):
        module.reset_rows(None, torch.ones(B, dtype=torch.bool))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "coda"}, "engine must be one of .*, got 'coda'"),
        ({"engine": None}, "engine must be one of .*, got None"),
        ({"engine": "torch:cuda"}, "engine must be one of .*, got 'torch:cuda'"),
        ({"dtype": torch.int64}, "dtype must be a torch dtype of real numbers, .* got torch.int64"),
        ({"dtype": "float32"}, "dtype must be a torch dtype of real numbers, .* got 'float32'"),
        ({"device": "foo"}, "device must be one that torch has here, got 'foo'"),
        ({"seed": -1}, "seed must be a whole number from 0 to .*, got -1"),
        ({"seed": 0.5}, "seed must be a whole number from 0 to .*, got 0.5"),
    ],
)
def test_arguments_that_no_module_can_be_made_with(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        nn.DNC(**(MEMORY | options))


def test_a_sparse_memory_in_half_precision_has_no_more_slots_than_it_can_number() -> None:
    sizes = {**MEMORY, "sparsity": 2, "dtype": torch.bfloat16}
    x = torch.randn(T, B, 5, dtype=torch.bfloat16)
    _, state = nn.DNC(**(sizes | {"memory_size": 256}))(x)
    assert state.link_slots.dtype == torch.bfloat16
    with pytest.raises(
        UserError, match=r"a sparse DNC in torch.bfloat16 must have at most 256 slots, .* got 257"
    ):
        nn.DNC(**(sizes | {"memory_size": 257}))(x)
    nn.DNC(**(sizes | {"memory_size": 257, "links": False}))(x)
    nn.DNC(**(sizes | {"memory_size": 257, "dtype": torch.float16}))(x.half())
    with pytest.raises(UserError, match="must have no recency"):
        nn.DNC(**(sizes | {"recency": True}))(x)


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_a_sparse_state_is_checked_whatever_computes(engine: str) -> None:
    module, x = nn.DNC(**MEMORY, sparsity=2, engine=engine), torch.randn(T, B, 5)
    _, state = module(x)
    module(x, state)
    with pytest.raises(UserError, match=r"state\.link_slots must be whole numbers in 0"):
        module(x, state._replace(link_slots=state.link_slots + 0.5))
