"""Memory layout: results can be written to, any view is accepted as input, padding is not read."""

from typing import Any

import numpy as np
import pytest
import torch

from helpers.contract import ENGINES
from numdnc import DNCSpec, UserError, init_params, initial_state, nn
from numdnc.engines import get_engine
from numdnc.tree import leaves, map_leaves

T, B, X = 4, 3, 5
SIZES: dict[str, Any] = {"memory_size": 4, "word_size": 3, "read_heads": 2}
engines = pytest.mark.parametrize("engine", ["auto", "torch", "reference"])


def model(**options: Any) -> Any:
    return nn.DNC(X, 6, 4, **SIZES, seed=0, **options)


@engines
@pytest.mark.parametrize("batch", [None, 1, 3])
@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("carried", [False, True], ids=["from-the-start", "carried-on"])
@pytest.mark.parametrize("grad", [False, True], ids=["no_grad", "grad"])
def test_what_is_returned_may_be_written_into(
    engine: str, batch: int | None, steps: int, carried: bool, grad: bool
) -> None:
    module = model(engine=engine, learned_state=True)
    x = torch.randn(steps, *([] if batch is None else [batch]), X)
    state = nn.detach(module(x)[1]) if carried else None
    before = [tensor.clone() for tensor in (*module.parameters(), *leaves(state or ()), x)]
    with torch.set_grad_enabled(grad):
        output, after = module(x, state)
    for tensor in leaves(nn.detach((output, after))):
        tensor.add_(1)
    now = (*module.parameters(), *leaves(state or ()), x)
    assert all(map(torch.equal, now, before))


@engines
def test_states_of_rows_without_steps_are_their_own(engine: str) -> None:
    module = model(engine=engine, learned_state=True)
    before = [p.clone() for p in module.parameters()]
    for lengths in ([0, 0, 0], [2, 0, 4]):
        _, state = module(torch.randn(T, B, X), lengths=lengths)
        for leaf in leaves(nn.detach(state)):
            leaf.add_(1)
    assert all(map(torch.equal, module.parameters(), before))


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_no_steps_have_gradients_of_zero_and_the_starts(engine: str) -> None:
    module = model(engine=engine, learned_state=True)
    output, state = module(torch.zeros(0, 2, X))
    (output.sum() + state.memory.sum()).backward()
    assert torch.equal(module.initial.memory.grad, torch.full((4, 3), 2.0))
    assert not module.output.weights.grad.any()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("batch", [1, 2])
def test_engines_return_arrays_of_their_own(name: str, steps: int, batch: int) -> None:
    spec = DNCSpec(input_size=X, output_size=4, hidden_sizes=(6, 5), **SIZES, learned_state=True)
    engine, params = get_engine(name), init_params(spec, 0)
    state = initial_state(spec, params, batch)
    x = np.ones((steps, batch, X), np.float32)
    outputs, after, tape = engine.forward(spec, params, x, state, keep_tape=True)
    gradients = engine.backward(spec, params, tape, np.ones_like(outputs), after)
    returned = leaves((outputs, after, *gradients))
    for number, array in enumerate(returned):
        others = [*leaves((params, state, x)), *returned[:number]]
        assert not any(np.shares_memory(array, other) for other in others)
    assert not any(np.shares_memory(a, b) for a in leaves(state) for b in leaves(params))


def negated(tensor: Any) -> Any:
    view = torch.complex(tensor, -tensor).conj().imag
    assert view.is_neg()
    return view


class Named(torch.Tensor):
    """A subclass that changes nothing."""


VIEWS: dict[str, Any] = {
    "negated": negated,
    "real part": lambda t: torch.complex(t, t).conj().real,
    "strided": lambda t: t.repeat_interleave(2, -1)[..., ::2],
    "transposed": lambda t: t.mT.contiguous().mT if t.dim() > 1 else t,
    "expanded": lambda t: t[:1].expand_as(t),
    "diagonal": lambda t: torch.diag_embed(t).diagonal(dim1=-2, dim2=-1),
    "subclass": lambda t: t.as_subclass(Named),
}


@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize("what", ["input", "state", "parameters", "gradient"])
@pytest.mark.parametrize("view", VIEWS)
def test_views_of_any_sort_are_taken(view: str, what: str, engine: str) -> None:
    module, make = model(engine=engine), VIEWS[view]
    params = dict(module.named_parameters())
    _, state = module(torch.randn(2, B, X))
    given = {
        "input": torch.randn(T, B, X), "state": nn.detach(state), "parameters": (), "gradient": torch.randn(T, B, 4)
    }  # fmt: skip
    results = []
    for take in (make, lambda t: torch.clone(make(t), memory_format=torch.contiguous_format)):
        here = given | ({what: map_leaves(take, given[what])} if what != "parameters" else {})
        called = {name: take(p.detach()) for name, p in params.items()} if what == "parameters" else params
        called = {name: p.requires_grad_() for name, p in called.items()}
        output, _ = torch.func.functional_call(module, called, (here["input"], here["state"]))
        results.append([output, *torch.autograd.grad(output, list(called.values()), here["gradient"])])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine.as_subclass(torch.Tensor), theirs.as_subclass(torch.Tensor))


def test_tensors_that_are_not_dense_are_refused_in_a_line() -> None:
    module, x = model(), torch.randn(T, B, X)
    rows = [x[:, 0], x[:2, 1]]
    for wrong in (x.to_sparse(), torch.nested.nested_tensor(rows, layout=torch.jagged)):
        with pytest.raises(UserError, match="input must be a dense tensor, got a nested or torch"):
            module(wrong)
    _, state = module(x)
    with pytest.raises(
        UserError, match=r"state.memory must be a dense tensor, got a nested or torch.sparse_coo one"
    ):
        module(x, state._replace(memory=state.memory.to_sparse()))


@engines
@pytest.mark.parametrize("filler", [-100, -1, X, 2**40])
def test_symbols_of_padding_may_be_anything(engine: str, filler: int) -> None:
    module = model(engine=engine)
    symbols = torch.randint(X, (T, B))
    spoilt, lengths = symbols.clone(), [2, 4, 0]
    for row, length in enumerate(lengths):
        spoilt[length:, row] = filler
    for mine, theirs in zip(
        leaves(module(spoilt, lengths=lengths)), leaves(module(symbols, lengths=lengths)), strict=True
    ):
        assert torch.equal(mine, theirs)
    with pytest.raises(UserError, match=rf"must lie in 0\.\.4, got .*{filler}"):
        module(spoilt, lengths=[2, 4, 1])
    with pytest.raises(UserError, match=rf"must lie in 0\.\.4, got .*{filler}"):
        module(spoilt)
