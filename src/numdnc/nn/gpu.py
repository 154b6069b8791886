"""The engine `gpu` as a function of torch that can be differentiated once: tensors of a GPU in and out, nothing copied.

Axes: T steps, B batch.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from numdnc.engines.gpu.batch import backward_of_rows, forward_of_rows
from numdnc.engines.gpu.plan import refuse_spec
from numdnc.errors import UserError
from numdnc.nn.operators import refuse_backward, unflatten
from numdnc.spec import Spec
from numdnc.tree import leaves, map_leaves


@cache
def launcher_on(device: Any) -> Any:
    """Return what launches kernels on a device; UserError where the extra `gpu` or a GPU is missing."""
    from numdnc.engines.gpu import cuda

    return cuda.launcher_on(device)


def refusal(spec: Spec, device: Any) -> str | None:
    """Return the reason why the engine `gpu` cannot compute this model on this device, or None."""
    return refuse_spec(spec) or _missing(device)


@cache
def _missing(device: Any) -> str | None:
    try:
        launcher_on(device)
    except UserError as error:
        return str(error)
    return None


def run_gpu(
    spec: Spec, params: Any, inputs: Tensor, state: Any, bypass_mask: Tensor | None
) -> tuple[Tensor, Any]:
    """Return outputs and the state after the last step, as `Engine.forward` does.

    torch can differentiate the results once with respect to params, inputs and state. If it need not, no tape is kept.
    """
    given = (params, inputs, state)
    tensors: list[Any] = leaves(given)
    if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in tensors):
        launcher = launcher_on(inputs.device)
        outputs, after, _ = forward_of_rows(
            launcher, spec, params, inputs, state, bypass_mask, keep_tape=False
        )
        return outputs, after
    outputs, *found = _Sequence.apply(spec, given, bypass_mask, *tensors)
    return outputs, unflatten(state, found)


class _Sequence(torch.autograd.Function):
    """The engine with its gradient; `tree` says how to put the tensors together."""

    @staticmethod
    def forward(
        ctx: Any, spec: Spec, tree: Any, bypass_mask: Tensor | None, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        params, inputs, state = unflatten(tree, tensors)
        launcher = launcher_on(inputs.device)
        outputs, after, ctx.tape = forward_of_rows(
            launcher, spec, params, inputs, state, bypass_mask, keep_tape=True
        )
        ctx.launcher, ctx.state = launcher, map_leaves(lambda leaf: None, state)
        ctx.tree = map_leaves(lambda leaf: None, tree)
        ctx.save_for_backward(*tensors)
        return outputs, *leaves(after)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """torch raises an error if a saved tensor was modified in between."""
        refuse_backward("gpu", gradients)
        params, _, _ = unflatten(ctx.tree, ctx.saved_tensors)
        d_outputs, *d_after = gradients
        found = backward_of_rows(
            ctx.launcher, params, ctx.tape, d_outputs.contiguous(), unflatten(ctx.state, d_after)
        )
        return (None, None, None, *leaves(found))
