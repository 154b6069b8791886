"""The operators of torch: opcheck, and tapes that live as long as the graph that needs them."""

from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from helpers import contract
from helpers.marks import thorough_but
from numdnc import UserError
from numdnc.nn import operators
from numdnc.nn.modules import module_for
from numdnc.tree import leaves

SPECS = ("lstm-2-layers", "dnc-2-layers", "dnc-all", "dnc-sparse", "ntm-2-layers")
T, B = 3, 2
OPS = torch.ops.numdnc


def given(name: str, engine: str = "cpu", *, symbols: bool = False) -> tuple[list[Any], str, str]:
    """The arguments of the operator, all of them with a gradient where they can have one."""
    spec = contract.SPECS[name]
    module = module_for(spec, seed=0, dtype=torch.float64)
    torch.manual_seed(0)
    x = torch.randint(spec.input_size, (T, B)) if symbols else torch.randn(T, B, spec.input_size).double()
    _, state = module(x)
    tensors = [tensor.detach().clone() for tensor in leaves((module.params(), x, state))]
    return (
        [tensor.requires_grad_(tensor.is_floating_point()) for tensor in tensors],
        engine,
        operators.describe(spec),
    )


@pytest.mark.thorough
@pytest.mark.parametrize("symbols", [False, True], ids=["vectors", "symbols"])
@pytest.mark.parametrize("name", SPECS)
def test_opcheck(name: str, symbols: bool) -> None:
    tensors, engine, model = given(name, symbols=symbols)
    for keep_tape in (True, False):
        torch.library.opcheck(OPS.sequence.default, (tensors, engine, model, keep_tape))
    tensors = [tensor.detach() for tensor in tensors]
    *results, tape = OPS.sequence(tensors, engine, model, True)
    torch.library.opcheck(OPS.sequence_backward.default, (tensors, tape, results, engine, model))


@pytest.mark.parametrize("name", thorough_but(["dnc-2-layers"], SPECS))
def test_a_gradient_is_the_same_with_a_tape_and_without(name: str) -> None:
    """Of a copy of the handle, or of a tape that was used, the forward pass is computed again."""
    tensors, engine, model = given(name)
    tensors = [tensor.detach() for tensor in tensors]
    *results, tape = OPS.sequence(tensors, engine, model, True)
    wanted = OPS.sequence_backward(tensors, tape.clone(), results, engine, model)
    assert max(d.abs().max() for d in wanted) > 1e-3
    for _ in range(2):
        for mine, d in zip(OPS.sequence_backward(tensors, tape, results, engine, model), wanted, strict=True):
            assert torch.equal(mine, d)


def test_a_tape_is_dropped_with_its_graph() -> None:
    tensors, engine, model = given("dnc-2-layers")
    before = len(operators._handles)
    outputs, *_, tape = OPS.sequence(tensors, engine, model, True)
    del tape
    assert len(operators._handles) == before + 1
    loss = outputs.sum()
    del outputs
    assert len(operators._handles) == before + 1
    del loss, _
    assert len(operators._handles) == before


def test_under_checkpointing_gradients_are_the_same() -> None:
    module = module_for(contract.SPECS["dnc-2-layers"], seed=0, dtype=torch.float64)
    x = torch.randn(T, B, module.spec.input_size, dtype=torch.float64, requires_grad=True)

    def halves(run: Any) -> list[Any]:
        module.zero_grad()
        first, state = run(module, x)
        second, _ = run(module, x, state)
        (first.sum() + second.square().sum()).backward()
        return [p.grad.clone() for p in module.parameters()]

    wanted = halves(lambda module, *given: module(*given))
    # torch's reentrant variant does not see tensors in tuples, such as a state.
    got = halves(lambda *given: checkpoint(*given, use_reentrant=False))
    for mine, theirs in zip(got, wanted, strict=True):
        assert torch.equal(mine, theirs)


def test_an_engine_that_cannot_is_named() -> None:
    tensors, _, model = given("dnc-2-layers")
    with pytest.raises(UserError, match="engine must be one of"):
        OPS.sequence(tensors, "abacus", model, False)
