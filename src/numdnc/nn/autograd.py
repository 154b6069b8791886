"""An engine of NumPy arrays as one autograd function of torch. Tensors and arrays share memory: nothing is copied."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from numdnc.engines import Engine, select_engine
from numdnc.errors import UserError
from numdnc.nn.recorders import find_recorder
from numdnc.spec import Spec
from numdnc.tree import leaves, map_leaves

DTYPES: dict[Any, Any] = {torch.float32: np.float32, torch.float64: np.float64}
"""The dtypes in which engines of NumPy arrays compute."""


def run_engine(
    engine_name: str, spec: Spec, params: Any, inputs: Tensor, state: Any, bypass_mask: Tensor | None
) -> tuple[Tensor, Any]:
    """Return outputs and the state after the last step, as `Engine.forward` does, for tensors on the CPU.

    torch can differentiate them once with respect to params, inputs and state. If it need not, no tape is kept.
    """
    engine = select_engine(engine_name, spec, DTYPES[params.output.bias.dtype])
    given = (params, inputs, state, () if bypass_mask is None else bypass_mask)
    tensors: list[Any] = leaves(given)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        found = iter(_Sequence.apply(engine, spec, map_leaves(lambda _: None, given), *tensors))
        return next(found), map_leaves(lambda _: next(found), state)
    outputs, after, _ = _forward(engine, spec, map_leaves(_array, given), keep_tape=False)
    return torch.from_numpy(outputs), map_leaves(torch.from_numpy, after)


run_engine_uncompiled = _disable_dynamo(run_engine)
"""The same for code under `torch.compile`, which must not trace into the engine. torch's public decorator does this too
but takes a second to import, needed or not."""


class _Sequence(torch.autograd.Function):
    """From the leaves of (params, inputs, state, mask) to outputs and the leaves of the state after the last step."""

    @staticmethod
    def forward(ctx: Any, engine: Engine, spec: Spec, shape: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        """`shape` is the tree whose leaves the tensors are."""
        given = _unflatten(shape, map(_array, tensors))
        outputs, after, ctx.tape = _forward(engine, spec, given, keep_tape=True)
        ctx.engine, ctx.spec, ctx.shape = engine, spec, shape
        ctx.save_for_backward(*tensors)
        return tuple(map(torch.from_numpy, (outputs, *leaves(after))))

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor, *d_after: Tensor) -> tuple[Tensor | None, ...]:
        """torch raises an error if a saved tensor, to which the tape may refer, was modified in between."""
        _refuse_backward(ctx.engine, (d_outputs, *d_after))
        given = params, _, state, mask = _unflatten(ctx.shape, map(_array, ctx.saved_tensors))
        # torch frees what it saved after a backward pass, and so is the tape freed. A second one computes it again.
        tape, ctx.tape = ctx.tape, None
        if tape is None:
            _, _, tape = _forward(ctx.engine, ctx.spec, given, keep_tape=True)
        d_state = _unflatten(state, map(_array, d_after))
        d_params, d_inputs, d_before = ctx.engine.backward(ctx.spec, params, tape, _array(d_outputs), d_state)
        found = [*leaves(d_params), d_inputs, *leaves(d_before), *leaves(mask)]
        wanted = ctx.needs_input_grad[3:]
        return (
            None,
            None,
            None,
            *(torch.from_numpy(d) if w else None for d, w in zip(found, wanted, strict=True)),
        )


def _forward(engine: Engine, spec: Spec, given: Any, *, keep_tape: bool) -> tuple[Any, Any, Any]:
    params, inputs, state, mask = given
    masked = {} if isinstance(mask, tuple) else {"bypass_mask": mask}
    return engine.forward(spec, params, inputs, state, keep_tape=keep_tape, **masked)


def _unflatten(shape: Any, given: Any) -> Any:
    """Put leaves into the structure of a tree, in order."""
    found = iter(given)
    return map_leaves(lambda _: next(found), shape)


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """View a tensor as an array; lazy negatives, conjugates and zeros are materialised."""
    array: np.ndarray[Any, Any] = tensor.numpy(force=True)
    return array


def _refuse_backward(engine: Engine, gradients: tuple[Tensor, ...]) -> None:
    """Raise UserError for gradients that are batched, traced, or to be differentiated again."""
    if torch.is_grad_enabled():
        got = "create_graph=True: its gradient cannot be differentiated again"
    elif recorder := find_recorder(list(gradients)):
        got = f"{recorder}, which cannot see what it does"
    elif any("Batched" in str(torch._C._dispatch_keys(each)) for each in gradients):
        got = "several gradients at once (is_grads_batched, vectorize)"
    else:
        return
    raise UserError(
        f"the engine must be torch for such a gradient, got {engine.name} and {got}. "
        "Make the module with engine='torch'."
    )
