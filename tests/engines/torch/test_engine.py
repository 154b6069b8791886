"""The engine torch beyond the contract of all engines: on tensors, by name and device, and where it is missing."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers import contract
from helpers.commands import TEXT, call, train
from helpers.examples import FAMILY
from helpers.marks import thorough_but
from numdnc import DNCSpec, UserError, init_params, initial_state, select_engine
from numdnc.engines import get_engine
from numdnc.engines.torch.engine import engine_on
from numdnc.engines.torch.model import forward
from numdnc.training.folder import RunFolder
from numdnc.tree import leaves, map_leaves

SPEC = DNCSpec(
    input_size=3,
    output_size=4,
    hidden_sizes=(5,),
    memory_size=6,
    word_size=2,
    read_heads=2,
    normalisation=True,
)


def tensors(tree: Any, dtype: torch.dtype = torch.float64) -> Any:
    return map_leaves(lambda leaf: torch.from_numpy(np.array(leaf)).to(dtype), tree)


def given(spec: Any, dtype: torch.dtype = torch.float64) -> Any:
    """Parameters, inputs and a state that has been somewhere."""
    params = init_params(spec, 1, np.float64)
    inputs = np.random.default_rng(2).standard_normal((4, 2, spec.input_size))
    _, state, _ = get_engine("reference").forward(
        spec, params, inputs, initial_state(spec, params, 2), keep_tape=False
    )
    return tensors((params, inputs, state), dtype)


@pytest.mark.parametrize(
    "name", thorough_but(["lstm-2-layers", "rnn"], ["dnc-all", "dnc-ADNC", "lstm-2-layers", "rnn"])
)
def test_the_gradient_can_be_differentiated_again(name: str) -> None:
    spec = contract.SPECS[name]
    if isinstance(spec, DNCSpec):  # sharpness is too steep for finite differences of a gradient
        spec = dataclasses.replace(spec, sharpness=False, bypass_dropout=0.0)
    params, inputs, state = given(spec)

    def of_inputs(x: torch.Tensor) -> torch.Tensor:
        return forward(spec, params, x, state)[0]

    assert torch.autograd.gradgradcheck(of_inputs, inputs[:2].requires_grad_())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("flags", FAMILY.values(), ids=FAMILY)
def test_half_precision_comes_near(flags: dict[str, Any], dtype: torch.dtype) -> None:
    """Also of the gradient it is asked only that it is there: a cosine of words near 0 is steep."""
    spec = DNCSpec(
        input_size=3, output_size=4, hidden_sizes=(5,), memory_size=6, word_size=4, read_heads=2, **flags
    )
    exact, _ = forward(spec, *given(spec))
    half = map_leaves(torch.Tensor.requires_grad_, given(spec, dtype))
    outputs, state = forward(spec, *half)
    assert {outputs.dtype, *(leaf.dtype for leaf in leaves(state))} == {dtype}
    assert (outputs.double() - exact).abs().max() < 0.15 * exact.abs().max()
    outputs.sum().backward()
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in leaves(half[0].output))


@pytest.mark.parametrize("flags", [{}, {"deallocation": True, "masking": True}, {"recency": True}], ids=str)
def test_the_graph_of_a_sparse_step_keeps_rows_and_not_the_memory(flags: dict[str, Any]) -> None:
    N, W = 300, 40
    spec = DNCSpec(
        input_size=3, output_size=4, hidden_sizes=(5,), memory_size=N, word_size=W, read_heads=2, sparsity=3
    )
    params, inputs, state = given(dataclasses.replace(spec, **flags))
    state = map_leaves(lambda leaf: leaf.clone().requires_grad_(), state)
    kept: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs, _ = forward(dataclasses.replace(spec, **flags), params, inputs, state)
    outputs.sum().backward()
    assert len(kept) > 100
    assert max(kept) < 2 * N * W  # of the batch of two; weightings of N are the largest


@pytest.mark.parametrize(("flags", "most"), [({}, 9), ({"recency": True}, 3)], ids=["usage", "recency"])
def test_the_graph_of_a_sparse_step_keeps_few_numbers_of_each_slot(flags: dict[str, Any], most: int) -> None:
    """8.2 and 2.1 floats of each slot were measured, with what does not grow with the slots."""

    def bytes_of_a_step(N: int) -> float:
        spec = DNCSpec(
            input_size=3,
            output_size=4,
            hidden_sizes=(5,),
            memory_size=N,
            word_size=6,
            read_heads=4,
            sparsity=3,
            **flags,
        )
        params = init_params(spec, 0)
        state = initial_state(spec, params, 1)
        params, state = map_leaves(lambda leaf: torch.from_numpy(leaf).requires_grad_(), (params, state))
        kept: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        def total(steps: int) -> int:
            kept.clear()
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                outputs, _ = forward(spec, params, torch.ones(steps, 1, 3), state)
            assert outputs.requires_grad
            return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())

        return (total(5) - total(2)) / 3

    assert bytes_of_a_step(5000) - bytes_of_a_step(1000) < 4 * most * 4000


def test_no_tape_means_no_graph() -> None:
    params, inputs, state = map_leaves(torch.Tensor.numpy, given(SPEC))
    engine = get_engine("torch")
    assert engine.forward(SPEC, params, inputs, state, keep_tape=False)[2] is None
    with torch.no_grad():
        _, after, tape = engine.forward(SPEC, params, inputs, state, keep_tape=True)
        d_params, _, _ = engine.backward(SPEC, params, tape, np.ones((4, 2, 4)), after)
    assert np.abs(d_params.output.weights).max() > 0


def test_names_of_devices() -> None:
    assert get_engine("torch").name == get_engine("torch:cpu").name == "torch"
    assert get_engine("torch:cpu") is get_engine("torch")
    for name in ("cpu:0", "reference:cuda", "auto:cpu", "jax"):
        with pytest.raises(UserError, match="engine must be one of"):
            get_engine(name)
    assert select_engine("auto", SPEC).name == "cpu"


@pytest.mark.parametrize("device", ["meta", "abacus", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(UserError, match=f"device must be one that torch can use here, got {device} "):
        get_engine(f"torch:{device}")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "text.txt").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_may_change_engines(place: Path) -> None:
    """Begun on one, gone on with on another: the same as all on the reference, to rounding."""
    precise = ("--precision", "float64", "--input-scale", 1, "--learning-rate", 5e-3)
    train("a", *precise, "--engine", "reference", "--steps", 8, model="dnc")
    train("b", *precise, "--engine", "torch", "--device", "cpu", "--steps", 8, "--minutes", 1e-9, model="dnc")
    stopped = RunFolder(place / "b").load_last()
    assert (stopped.engine_name, stopped.iteration < 8) == ("torch", True)
    for engine, steps in (("cpu", 2), ("torch", 4), ("reference", 6), ("torch", 8)):
        result = call("resume", "b", "--engine", engine, "--steps", steps, "--sample-every", 0)
        assert result.code == 0, result
        assert f"on engine {engine}" in result.out
    one, other = (RunFolder(place / name).load_last() for name in ("a", "b"))
    for straight, changed in zip(leaves(one.params), leaves(other.params), strict=True):
        np.testing.assert_allclose(changed, straight, rtol=0, atol=1e-12)
    for command in ("eval", "sample", "trace"):
        words = ["--length", 5] if command == "sample" else []
        assert call(command, "b", "--engine", "torch", *words).code == 0


def test_refusals_on_the_command_line(place: Path) -> None:
    small = ("-c", "text.txt", "--steps", 1)
    for words, expect in (
        (
            ("train", "text", *small, "--device", "cuda"),
            "--device must be given with --engine torch, got engine auto",
        ),
        (
            ("train", "copy", "--engine", "cpu", "--device", "cpu"),
            "--device must be given with --engine torch",
        ),
        (
            ("train", "text", *small, "--engine", "torch", "--device", "cuda:99"),
            "one that torch can use here",
        ),
        (("info", "--engine", "torch"), "whose tape can be measured"),
    ):
        result = call(*words)
        assert result.code == 2, result
        assert expect in result.err
        assert len(result.err.strip().splitlines()) == 1


MISSING = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("as if it were not installed", name=name)

sys.meta_path.insert(0, Hide())
from numdnc.cli import main
sys.argv[1:] = {words}
main()
"""


def test_where_torch_is_missing(place: Path) -> None:
    def program(*words: str) -> Any:
        code = MISSING.format(words=list(words))
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    wanted = program("train", "text", "-c", "text.txt", "--steps", "1", "--engine", "torch")
    assert wanted.returncode == 2
    assert "the engine torch must find the package torch, got none" in wanted.stderr
    assert len(wanted.stderr.strip().splitlines()) == 1
    other = program(
        "train", "text", "-c", "text.txt", "--steps", "1", "--engine", "reference", "--hidden", "3"
    )
    assert other.returncode == 0, other.stderr


@pytest.mark.parametrize(("rank", "own"), [("", "cuda"), ("2", "cuda:2"), ("5", "cuda:1")])
def test_cuda_is_a_device_of_its_own_to_each_process(
    rank: str, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the device that others in this process use by default stays theirs."""
    zeros = torch.zeros
    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", None)
    monkeypatch.setattr(torch, "zeros", lambda *shape, device: zeros(*shape))
    found = engine_on.__wrapped__("cuda")
    assert (found.name, found._device) == ("torch:cuda", torch.device(own))


@pytest.mark.parametrize("steps", [1, 3])
def test_no_gradient_reaches_links_that_are_not_there(steps: int) -> None:
    """Whatever the gradient by the links at the end is, also where no step has looked at a row."""
    rng = np.random.default_rng(0)
    spec = DNCSpec(input_size=2, output_size=2, hidden_sizes=(3,), memory_size=60, word_size=3, sparsity=2)
    state = contract.random_state(spec, 2, rng)
    for lists in (state.link_slots, state.link_values):
        lists[:, ::2] = 0
    params, inputs = init_params(spec, 0, np.float64), rng.standard_normal((steps, 2, 2))
    d_outputs, d_state = rng.standard_normal((steps, 2, 2)), map_leaves(np.ones_like, state)
    found = []
    for engine in map(get_engine, ("reference", "torch")):
        tape = engine.forward(spec, params, inputs, state, keep_tape=True)[2]
        found.append(engine.backward(spec, params, tape, d_outputs, d_state)[2].link_values)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12, atol=1e-15)
    assert not found[1][:, ::2].any()
    assert found[1][:, 1::2].any()
