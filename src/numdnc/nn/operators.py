"""Engines of NumPy arrays as operators of torch, which compilers and recorders see as one call each.

    numdnc::sequence            (params, inputs, state, mask) -> outputs, state after the last step, tape
    numdnc::sequence_backward   the same, tape, gradients of the results -> gradients of params, inputs and state

Trees are lists of their leaves; the spec, as JSON, says how to put them together. The tape is a handle: a tensor of one
byte whose memory belongs to an array that holds what `Engine.forward` returned, so that the two are freed together.
`sequence_backward` computes the forward pass again where it gets a handle without a tape: a copy, or one that was used.
Tensors and arrays share memory: nothing is copied.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from numdnc.engines import Engine, select_engine
from numdnc.errors import UserError
from numdnc.nn.recorders import find_recorder
from numdnc.params import param_shapes, state_shapes
from numdnc.schema import validated_spec
from numdnc.spec import Spec
from numdnc.tree import leaves, map_leaves

DTYPES: dict[Any, Any] = {torch.float32: np.float32, torch.float64: np.float64}
"""The dtypes in which engines of NumPy arrays compute."""


Run = Callable[[list[Tensor], str, str, bool], list[Tensor]]
"""A function with the signature of `numdnc::sequence`."""


def run_engine(
    engine_name: str,
    model: str,
    params: Any,
    inputs: Tensor,
    state: Any,
    bypass_mask: Tensor | None,
    recorded: bool,
) -> tuple[Tensor, Any]:
    """Return outputs and the state after the last step, as `Engine.forward` does, for tensors on the CPU.

    model: `describe(spec)`. torch can differentiate the results once with respect to params, inputs and state. If it
    need not, no tape is kept. recorded: whether something must see the operator; calling it takes some time.
    """
    tensors: list[Any] = leaves((params, inputs, state, () if bypass_mask is None else bypass_mask))
    # torch.jit.trace records twice, once without gradients, and compares.
    differentiated = torch.is_grad_enabled() or torch.jit.is_tracing()
    keep_tape = differentiated and any(tensor.requires_grad for tensor in tensors)
    run = torch.ops.numdnc.sequence if recorded else partial(_with_gradient, _sequence)
    outputs, *after, _ = run(tensors, engine_name, model, keep_tape)
    return outputs, unflatten(state, after)


def describe(spec: Spec) -> str:
    """The spec as JSON."""
    return json.dumps({"kind": spec.kind, **dataclasses.asdict(spec)})


class _Handle(np.ndarray[Any, Any]):
    """One byte, and the tape that lives as long as a tensor of this byte."""

    tape: Any = None


_handles: WeakValueDictionary[int, _Handle] = WeakValueDictionary()
"""By address."""


class _Layout(NamedTuple):
    """How the leaves of a model are put together."""

    spec: Spec
    params: Any
    state: Any
    inputs_at: int
    """Position of the inputs in the list of all leaves: after the parameters."""
    mask_at: int
    """Position of the mask: after the state, which follows the inputs."""

    def trees(self, tensors: list[Tensor]) -> tuple[Any, Any, Any, Any]:
        """Parameters, inputs, state and mask (None without one), as arrays."""
        arrays = [_array(tensor) for tensor in tensors]
        mask = arrays[self.mask_at] if len(arrays) > self.mask_at else None
        params = unflatten(self.params, arrays[: self.inputs_at])
        state = unflatten(self.state, arrays[self.inputs_at + 1 : self.mask_at])
        return params, arrays[self.inputs_at], state, mask


@lru_cache(maxsize=64)
def _layout(model: str) -> _Layout:
    spec = validated_spec(json.loads(model))
    params, state = param_shapes(spec), state_shapes(spec, 0)
    inputs_at = len(leaves(params))
    return _Layout(spec, params, state, inputs_at, inputs_at + 1 + len(leaves(state)))


@lru_cache(maxsize=64)
def _engine(name: str, model: str, dtype: Any) -> Engine:
    return select_engine(name, _layout(model).spec, DTYPES[dtype])


def _forward(tensors: list[Tensor], engine: str, model: str, *, keep_tape: bool) -> tuple[Any, Any, Any]:
    layout = _layout(model)
    params, inputs, state, mask = layout.trees(tensors)
    masked = {} if mask is None else {"bypass_mask": mask}
    run = _engine(engine, model, tensors[0].dtype).forward
    return run(layout.spec, params, inputs, state, keep_tape=keep_tape, **masked)


def _sequence(tensors: list[Tensor], engine: str, model: str, keep_tape: bool) -> list[Tensor]:
    outputs, after, tape = _forward(tensors, engine, model, keep_tape=keep_tape)
    handle = np.zeros(1, np.uint8).view(_Handle)
    if tape is not None:
        handle.tape = tape
        _handles[handle.ctypes.data] = handle
    return [torch.from_numpy(array) for array in (outputs, *leaves(after), handle)]


def _sequence_fake(tensors: list[Tensor], engine: str, model: str, keep_tape: bool) -> list[Tensor]:
    layout, like = _layout(model), tensors[0]
    inputs, state = tensors[layout.inputs_at], tensors[layout.inputs_at + 1 : layout.mask_at]
    outputs = like.new_empty(*inputs.shape[:2], layout.spec.output_size)
    return [outputs, *(_new(leaf) for leaf in state), like.new_empty(1, dtype=torch.uint8)]


def _sequence_backward(
    tensors: list[Tensor], tape: Tensor, gradients: list[Tensor], engine: str, model: str
) -> list[Tensor]:
    layout = _layout(model)
    params, _, state, _ = layout.trees(tensors)
    handle, kept = _handles.get(tape.data_ptr()), None
    if handle is not None:
        # Engines may overwrite a tape in backward, so that it is used once.
        kept, handle.tape = handle.tape, None
    if kept is None:
        _, _, kept = _forward(tensors, engine, model, keep_tape=True)
    d_outputs, *d_after = (_array(gradient) for gradient in gradients)
    run = _engine(engine, model, tensors[0].dtype).backward
    d_params, d_inputs, d_before = run(layout.spec, params, kept, d_outputs, unflatten(state, d_after))
    found = [*leaves(d_params), d_inputs, *leaves(d_before)]
    return [
        torch.from_numpy(d) for d, tensor in zip(found, tensors, strict=False) if tensor.is_floating_point()
    ]


def _sequence_backward_fake(
    tensors: list[Tensor], tape: Tensor, gradients: list[Tensor], engine: str, model: str
) -> list[Tensor]:
    return [_new(tensor) for tensor in tensors[: _layout(model).mask_at] if tensor.is_floating_point()]


class _Sequence(torch.autograd.Function):
    """The operator with its gradient. `torch.library.register_autograd` would flatten the lists at every call."""

    @staticmethod
    def forward(
        ctx: Any, run: Run, engine: str, model: str, keep_tape: bool, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        results = run(list(tensors), engine, model, keep_tape)
        ctx.engine, ctx.model = engine, model
        ctx.save_for_backward(*tensors, results[-1])
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """torch raises an error if a saved tensor, to which the tape may refer, was modified in between."""
        *tensors, tape = ctx.saved_tensors
        engine, model = ctx.engine, ctx.model
        refuse_backward(_engine(engine, model, tensors[0].dtype).name, gradients[:-1])
        recorded = torch.compiler.is_compiling() or find_recorder([*tensors, *gradients]) is not None
        run = torch.ops.numdnc.sequence_backward if recorded else _sequence_backward
        found = iter(run(tensors, tape, list(gradients[:-1]), engine, model))
        end, wanted = _layout(model).mask_at, ctx.needs_input_grad[4:]
        computed = [next(found) if tensor.is_floating_point() else None for tensor in tensors[:end]]
        computed += [None] * (len(tensors) - end)
        return (
            None,
            None,
            None,
            None,
            *(d if wants else None for d, wants in zip(computed, wanted, strict=True)),
        )


def _with_gradient(run: Run, tensors: list[Tensor], engine: str, model: str, keep_tape: bool) -> list[Tensor]:
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return list(_Sequence.apply(run, engine, model, keep_tape, *tensors))
    return run(tensors, engine, model, keep_tape)


def _below_autograd(tensors: list[Tensor], engine: str, model: str, keep_tape: bool) -> list[Tensor]:
    """The operator without its gradient."""
    with torch._C._AutoDispatchBelowAutograd():
        results: list[Tensor] = torch.ops.numdnc.sequence(tensors, engine, model, keep_tape)
    return results


def refuse_backward(engine: str, gradients: Sequence[Tensor]) -> None:
    """Raise UserError for gradients that are batched or to be differentiated again."""
    if torch.is_grad_enabled():
        got = "create_graph=True: its gradient cannot be differentiated again"
    elif any("Batched" in str(torch._C._dispatch_keys(each)) for each in gradients):
        got = "several gradients at once (is_grads_batched, vectorize)"
    else:
        return
    raise UserError(
        f"the engine must be torch for such a gradient, got {engine} and {got}. "
        "Make the module with engine='torch'."
    )


def _new(like: Tensor) -> Tensor:
    """A tensor of this shape, dtype and device, with its own contiguous memory."""
    return like.new_empty(like.shape)


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """View a tensor as an array; lazy negatives, conjugates and zeros are materialised."""
    array: np.ndarray[Any, Any] = tensor.numpy(force=True)
    return array


def unflatten(shape: Any, given: Any) -> Any:
    """Put leaves into the structure of a tree, in order."""
    found = iter(given)
    return map_leaves(lambda _: next(found), shape)


_library = torch.library.Library("numdnc", "DEF")
_arguments = "(Tensor[] tensors, str engine, str model, bool keep_tape) -> Tensor[]"
_library.define(f"sequence{_arguments}", tags=torch.Tag.pt2_compliant_tag)
_library.impl("sequence", _sequence, "CPU")
_library.impl("sequence", partial(_with_gradient, _below_autograd), "Autograd")
torch.library.register_fake("numdnc::sequence", _sequence_fake, lib=_library)
_arguments = "(Tensor[] tensors, Tensor tape, Tensor[] gradients, str engine, str model) -> Tensor[]"
_library.define(f"sequence_backward{_arguments}", tags=torch.Tag.pt2_compliant_tag)
_library.impl("sequence_backward", _sequence_backward, "CPU")
torch.library.register_fake("numdnc::sequence_backward", _sequence_backward_fake, lib=_library)
