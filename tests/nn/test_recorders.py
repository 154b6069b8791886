"""Tracing, export and transforms of torch: right on new inputs, or refused by name."""

import copy
import io
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from helpers.marks import thorough_but
from numdnc import UserError, nn
from numdnc.engines.cpu import CPUEngine
from numdnc.engines.torch import memory
from numdnc.tree import leaves, map_leaves

T, B, X = 3, 2, 4
MODELS: dict[str, Any] = {
    "lstm": lambda **options: nn.LSTM(X, (3, 2), 3, **options),
    "dnc": lambda **options: nn.DNC(
        X, 5, 3, memory_size=4, word_size=3, read_heads=2, masking=True, learned_state=True, **options
    ),
    "feedforward": lambda **options: nn.DNC(
        X, 5, 3, memory_size=4, word_size=3, controller="feedforward", links=False, **options
    ),
    "sparse": lambda **options: nn.DNC(
        X, 5, 3, memory_size=6, word_size=3, read_heads=2, sparsity=2, **options
    ),
    "sdnc": lambda **options: nn.DNC(
        X, 5, 3, memory_size=6, word_size=3, read_heads=2, sparsity=2, recency=True, **options
    ),
    "writers": lambda **options: nn.DNC(
        X, 5, 3, memory_size=4, word_size=3, read_heads=1, write_heads=2, sharpness=True, **options
    ),
    "ntm": lambda **options: nn.NTM(
        X, 5, 3, memory_size=4, word_size=3, read_heads=2, write_heads=3, learned_state=True, **options
    ),
}
for_each_model = pytest.mark.parametrize("kind", MODELS)


def model(kind: str = "dnc", **options: Any) -> Any:
    return MODELS[kind](seed=0, **options).eval()


def inputs(steps: int = T, batch: int = B, seed: int = 0) -> Any:
    return torch.randn(steps, batch, X, generator=torch.Generator().manual_seed(seed))


def traced(module: Any, *given: Any) -> Any:
    with warnings.catch_warnings():  # that shapes are constants, and that torch.jit.trace is deprecated
        warnings.simplefilter("ignore")
        return torch.jit.trace(module, given)


def exported(module: Any, *given: Any, strict: bool = False) -> Any:
    with warnings.catch_warnings():  # torch's own, by the version
        warnings.simplefilter("ignore")
        return torch.export.export(module, given, strict=strict)


def same(got: Any, wanted: Any) -> None:
    """Outputs and all leaves of the state."""
    for mine, theirs in zip(leaves(got), leaves(wanted), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)


RECORDERS: dict[str, Callable[..., Any]] = {
    "torch.jit.trace": traced,
    "make_fx": lambda module, x: make_fx(module)(x),
    "make_fx before dispatch": lambda module, x: make_fx(module, pre_dispatch=True)(x),
    "torch.export": lambda module, x: exported(module, x).module(),
}


@for_each_model
@pytest.mark.parametrize("name", thorough_but(["torch.export"], RECORDERS))
def test_a_recording_is_right_on_new_inputs(name: str, kind: str) -> None:
    module, new = model(kind), inputs(seed=1)
    recorded = RECORDERS[name](module, inputs())
    same(recorded(new), module(new))
    assert (recorded(new)[0] - recorded(inputs())[0]).abs().max() > 1e-3


@pytest.mark.thorough
@for_each_model
def test_a_strict_export_is_right_on_new_inputs(kind: str) -> None:
    module, new = model(kind), inputs(seed=1)
    same(exported(module, inputs(), strict=True).module()(new), module(new))


@for_each_model
def test_a_trace_takes_another_batch_and_no_other_number_of_steps(kind: str) -> None:
    module = model(kind)
    recorded = traced(module, inputs())
    wide = inputs(batch=5)
    same(recorded(wide), module(wide))
    for steps in (T - 1, T + 1):
        with pytest.raises(RuntimeError):
            recorded(inputs(steps))


@pytest.mark.thorough
def test_an_export_carries_a_state_and_is_saved() -> None:
    module, x = model(), inputs()
    _, state = module(x)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(exported(module, x, state), file)
        file.seek(0)
        again = torch.export.load(file).module()
    _, later = module(inputs(seed=1))
    same(again(inputs(seed=2), later), module(inputs(seed=2), later))


@pytest.mark.thorough
@for_each_model
def test_in_onnx_it_is_the_same(kind: str, tmp_path: Any) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs onnx, onnxscript and onnxruntime")
    module, path, new = model(kind), str(tmp_path / "model.onnx"), inputs(seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (inputs(),), path, dynamo=True, verbose=False)
    session = runtime.InferenceSession(path)
    got = session.run(None, {session.get_inputs()[0].name: new.numpy()})
    same(tuple(map(torch.from_numpy, got)), tuple(leaves(module(new))))


@pytest.mark.parametrize("usages", [[0.3, 0.9, 0.1, 0.5], [0.0, 1.0, 0.25, 0.5]])
def test_allocation_for_onnx_is_the_same(usages: list[float]) -> None:
    usage = torch.tensor([usages, usages[::-1]])
    wanted = memory.allocate(usage)
    with mock.patch("torch.onnx.is_in_onnx_export", return_value=True):
        torch.testing.assert_close(memory.allocate(usage), wanted)


def slope(function: Callable[[Any], Any], x: Any, along: Any) -> Any:
    """The slope of a function along a direction, by central differences."""
    step = 1e-5
    return (function(x + step * along) - function(x - step * along)) / (2 * step)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forward_mode_is_right() -> None:
    """Without gradients the tangent would be lost in silence."""
    module = model(dtype=torch.float64).requires_grad_(False)
    x, along = inputs().double(), inputs(seed=1).double()
    wanted = slope(lambda x: module(x)[0], x, along)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(module(forward_ad.make_dual(x, along))[0]).tangent
    torch.testing.assert_close(tangent, wanted, rtol=0, atol=1e-8)
    torch.testing.assert_close(torch.func.jvp(lambda x: module(x)[0], (x,), (along,))[1], tangent)


def test_transforms_are_right() -> None:
    module = model(dtype=torch.float64)
    x = torch.stack([inputs(), inputs(seed=1)]).double()
    each = [module(row)[0] for row in x]
    torch.testing.assert_close(torch.func.vmap(lambda x: module(x)[0])(x), torch.stack(each))
    with torch.no_grad():
        torch.testing.assert_close(torch.func.vmap(lambda x: module(x)[0])(x), torch.stack(each))
    params = dict(module.named_parameters())

    def loss(params: Any) -> Any:
        return torch.func.functional_call(module, params, (x[0],))[0].square().sum()

    wanted = torch.autograd.grad(loss(params), list(params.values()))
    for mine, theirs in zip(torch.func.grad(loss)(params).values(), wanted, strict=True):
        torch.testing.assert_close(mine, theirs)
    stacked, _ = torch.func.stack_module_state(
        [module, other := MODELS["dnc"](seed=1, dtype=torch.float64).eval()]
    )
    base = copy.deepcopy(module).to("meta")
    both = torch.func.vmap(lambda p: torch.func.functional_call(base, p, (x[0],))[0])(stacked)
    torch.testing.assert_close(both, torch.stack([each[0], other(x[0])[0]]))


def test_modes_of_dispatch_see_the_operations() -> None:
    with FlopCounterMode(display=False) as counter:
        model()(inputs())
    assert counter.get_total_flops() > 0


def test_the_engine_cpu_computes_where_nothing_looks_on() -> None:
    """Modes of torch functions, as a default device is one, record nothing."""
    forward = CPUEngine.forward
    with mock.patch.object(CPUEngine, "forward", autospec=True, side_effect=forward) as seen:
        with torch.device("cpu"):
            model()(inputs())
        torch.func.functional_call(model(), {}, (inputs(),))
        with torch.inference_mode():
            model()(inputs())
    assert seen.call_count == 3


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("name", thorough_but(["make_fx"], RECORDERS))
def test_an_engine_of_arrays_is_recorded_as_one_operator(name: str, engine: str) -> None:
    module, new = model(engine=engine), inputs(seed=1)
    recorded = RECORDERS[name](module, inputs())
    same(recorded(new), module(new))
    if name == "torch.jit.trace":
        assert "numdnc::sequence" in str(recorded.graph)
        same(recorded(inputs(T + 2)), module(inputs(T + 2)))
        return
    targets = [str(node.target) for node in recorded.graph.nodes]
    assert targets.count("numdnc.sequence.default") == 1


@pytest.mark.thorough
def test_an_export_of_the_operator_takes_any_number_of_steps() -> None:
    module = model(engine="cpu")
    sizes = {0: torch.export.Dim("steps"), 1: torch.export.Dim("batch")}
    program = torch.export.export(module, (inputs(),), dynamic_shapes=(sizes,))
    for steps, batch in ((T, B), (T + 4, B + 1)):
        same(program.module()(inputs(steps, batch)), module(inputs(steps, batch)))


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_an_engine_of_arrays_that_was_asked_for_refuses_what_cannot_use_it(engine: str) -> None:
    module = model(engine=engine)

    def in_onnx() -> None:
        with mock.patch("torch.onnx.is_in_onnx_export", return_value=True):
            module(inputs())

    for name, record in (
        ("torch.func", lambda: torch.func.vmap(lambda x: module(x)[0])(inputs(batch=1)[None])),
        ("forward-mode", lambda: torch.func.jvp(lambda x: module(x)[0], (inputs(),), (inputs(),))),
        ("torch.onnx.export", in_onnx),
    ):
        name = "torch.func" if name == "forward-mode" else name  # jvp is one of them
        with pytest.raises(
            UserError, match=f"engine must be torch under .*{name}.*, got {engine}. .*engine='torch'"
        ):
            record()


def test_what_would_be_recorded_as_a_constant_or_not_at_all_is_refused() -> None:
    module = model()
    with pytest.raises(UserError, match="lengths must be None"):
        traced(lambda x, n: module(x, lengths=n)[0], inputs(), torch.tensor([2, 3]))
    with pytest.raises(UserError, match=r"must be a leaf for torch\.fx\.symbolic_trace"):
        torch.fx.symbolic_trace(torch.nn.Sequential(module))
    with pytest.raises(UserError, match=r"torch\.jit\.script cannot read"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Sequential(module))


def test_as_a_leaf_it_is_traced_symbolically() -> None:
    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, m: Any, name: str) -> bool:
            return isinstance(m, nn.DNC) or super().is_leaf_module(m, name)

    whole, new = torch.nn.Sequential(torch.nn.Linear(X, X), model()), inputs(seed=1)
    graph = torch.fx.GraphModule(whole, Tracer().trace(whole))
    same(graph(new), whole(new))


def test_gradients_that_the_engine_cpu_cannot_give() -> None:
    module, x = model(), inputs().requires_grad_()
    output = module(x)[0]
    with pytest.raises(UserError, match=r"several gradients at once .*engine='torch'"):
        torch.autograd.grad(output, x, torch.ones(2, *output.shape), is_grads_batched=True)


def test_a_gradient_that_is_recorded_computes_what_its_tape_held_again() -> None:
    module, x = model(), inputs().requires_grad_()
    output = module(x)[0]
    seen, other = torch.ones_like(output), 2 * torch.ones_like(output)
    recorded = make_fx(lambda d: torch.autograd.grad(output, x, d, retain_graph=True)[0])(seen)
    (wanted,) = torch.autograd.grad(output, x, other, retain_graph=True)
    assert wanted.abs().max() > 1e-3
    for _ in range(2):
        torch.testing.assert_close(recorded(other), wanted)


def test_symbols_are_not_looked_at_while_they_are_recorded() -> None:
    module = model()
    recorded = make_fx(module)(torch.tensor([[0, 1], [2, 3]]))
    new = torch.tensor([[3, 3], [0, 1]])
    same(recorded(new), module(new))


@pytest.mark.thorough
@pytest.mark.parametrize("backend", ["aot_eager", "eager"])
@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize("kind", ["lstm", "dnc"])
def test_torch_compile_takes_the_whole_model_in_one_graph(kind: str, engine: str, backend: str) -> None:
    torch.compiler.reset()
    module, x = model(kind, engine=engine), inputs(seed=1)
    whole = torch.compile(lambda x: module(x * 2)[0].square(), backend=backend, fullgraph=True)
    forward = CPUEngine.forward
    with mock.patch.object(CPUEngine, "forward", autospec=True, side_effect=forward) as seen:
        for steps in (T, T + 1):
            torch.testing.assert_close(whole(inputs(steps)), module(inputs(steps) * 2)[0].square())
        whole(x).sum().backward()
    assert seen.call_count == (5 if engine == "auto" else 0)  # the backward pass finds its tape
    got = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    module.zero_grad()
    module(x * 2)[0].square().sum().backward()
    for mine, p in zip(got, (p for p in module.parameters() if p.grad is not None), strict=True):
        torch.testing.assert_close(mine, p.grad)


@pytest.mark.thorough
def test_a_state_is_copied_by_every_recording() -> None:
    module = model()
    blank = map_leaves(torch.clone, module(inputs()[:0])[1])
    recorded = make_fx(module)(inputs(), blank)
    same(recorded(inputs(seed=1), blank), module(inputs(seed=1), blank))
    assert np.isfinite(recorded(inputs(), blank)[0].detach().numpy()).all()
