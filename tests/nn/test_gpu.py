"""Modules with the engine gpu, emulated: tensors in and out, the gradient, what is refused."""

from typing import Any

import pytest
import torch

from helpers.contract import SPECS, make_problem
from helpers.gpu.emulator import Emulator
from helpers.tolerances import assert_close
from numdnc import UserError, nn
from numdnc.engines import get_engine
from numdnc.nn import gpu
from numdnc.nn.modules import module_for
from numdnc.tree import leaves, map_leaves, named_leaves

SPEC: Any = SPECS["dnc-2-layers"]


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """In the place of any device."""
    found = Emulator()
    monkeypatch.setattr(gpu, "launcher_on", lambda device: found)
    monkeypatch.setattr(gpu, "_missing", lambda device: None)
    return found


def loaded(params: Any, spec: Any = SPEC) -> Any:
    module = module_for(spec, dtype=torch.float64, engine="gpu")
    module.load_state_dict({name: torch.from_numpy(leaf) for name, leaf in named_leaves(params)})
    return module


@pytest.mark.parametrize("symbols", [False, True])
def test_values_and_gradients_are_the_references(emulator: Emulator, symbols: bool) -> None:
    problem = make_problem(SPEC, "float64", symbols=symbols)
    reference = get_engine("reference")
    outputs, after, tape = reference.forward(SPEC, *problem[:3], keep_tape=True)
    d_params, d_inputs, d_state = reference.backward(
        SPEC, problem.params, tape, problem.d_outputs, problem.d_state
    )
    module = loaded(problem.params)
    x, h = map_leaves(torch.from_numpy, (problem.inputs.copy(), problem.state))
    for leaf in [*leaves(h), *([] if symbols else [x])]:
        leaf.requires_grad_()
    y, end = module(x, h)
    d_results = map(torch.from_numpy, (problem.d_outputs, *leaves(problem.d_state)))
    torch.autograd.backward([y, *leaves(end)], list(d_results))
    values = map_leaves(lambda leaf: leaf.detach().numpy(), (y, end))
    assert_close("parity values", "float64", values, (outputs, after))
    got = map_leaves(lambda leaf: leaf.grad.numpy(), (module.params(), h))
    assert_close("parity gradients", "float64", got, (d_params, d_state))
    if not symbols:
        assert_close("parity gradients", "float64", x.grad.numpy(), d_inputs)


def test_without_a_gradient_no_tape_is_kept(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    real = gpu.forward_of_rows
    monkeypatch.setattr(
        gpu, "forward_of_rows", lambda *a, keep_tape: kept.append(keep_tape) or real(*a, keep_tape=keep_tape)
    )
    module = nn.DNC(3, 4, 2, memory_size=5, word_size=3, engine="gpu")
    with torch.no_grad():
        without, _ = module(torch.ones(2, 1, 3))
    output, _ = module(torch.ones(2, 1, 3))
    assert kept == [False, True]
    assert torch.equal(output, without)


def test_a_graph_serves_twice_and_refuses_what_it_cannot(emulator: Emulator) -> None:
    module = nn.DNC(3, 4, 2, memory_size=5, word_size=3, engine="gpu")
    x = torch.ones(2, 1, 3, requires_grad=True)
    output, _ = module(x)
    first, second = (torch.autograd.grad(output.sum(), x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    with pytest.raises(UserError, match=r"must be torch .* got gpu and create_graph"):
        torch.autograd.grad(output.sum(), x, create_graph=True, retain_graph=True)
    with torch.no_grad():
        module.output.weights.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_what_the_engine_cannot_is_refused(emulator: Emulator) -> None:
    x = torch.ones(2, 1, 3)
    sizes: dict[str, Any] = {"memory_size": 5, "word_size": 3, "engine": "gpu"}
    with pytest.raises(UserError, match=r"gpu must be able .* masking=False, got True"):
        nn.DNC(3, 4, 2, masking=True, **sizes)(x)
    with pytest.raises(UserError, match=r"gpu must be able .* float32 or float64, got torch.bfloat16"):
        nn.DNC(3, 4, 2, **sizes, dtype=torch.bfloat16)(x.bfloat16())
    with pytest.raises(UserError, match=r"gpu must be able .* not the model lstm"):
        nn.LSTM(3, 4, 2, engine="gpu")(x)
    module = nn.DNC(3, 4, 2, **sizes)
    with pytest.raises(UserError, match=r"gpu must be able .* must see every operation"):
        torch.func.vmap(module)(x[None])


@pytest.mark.skipif(torch.cuda.is_available(), reason="this is about machines without a GPU")
def test_without_a_gpu_it_says_so() -> None:
    with pytest.raises(UserError, match=r"the engine gpu must .*, got none\."):
        nn.DNC(3, 4, 2, memory_size=5, word_size=3, engine="gpu")(torch.ones(2, 1, 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_on_a_gpu_it_agrees_with_the_engine_cpu(dtype: Any) -> None:
    """Chosen by itself, in two calls with the state carried on, on a stream that is not torch's first."""
    sizes: dict[str, Any] = {"memory_size": 20, "word_size": 7, "read_heads": 2, "seed": 0, "dtype": dtype}
    there, here = nn.DNC(3, (40, 9), 2, device="cuda", **sizes), nn.DNC(3, (40, 9), 2, **sizes)
    assert gpu.refusal(there.spec, torch.device("cuda:0")) is None
    x = torch.randn(12, 5, 3, dtype=dtype)
    found = []
    for module, device in ((there, "cuda"), (here, "cpu")):
        with torch.cuda.stream(torch.cuda.Stream()):
            first, state = module(x[:7].to(device))
            second, _ = module(x[7:].to(device), state)
            outputs = torch.cat([first, second])
            outputs.square().sum().backward()
            torch.cuda.synchronize()
        found.append([outputs.detach().cpu(), *(p.grad.cpu() for p in module.parameters())])
    for mine, right in zip(*found, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-4)
