"""Detect what records or transforms torch's operations (tracing, export, torch.func): it sees an engine of NumPy arrays
as one operator, which only some of it can use.
"""

from typing import Any

import torch
from torch import Tensor
from torch._ops import _len_torch_dispatch_stack_pre_dispatch
from torch.autograd import forward_ad

from numdnc.errors import UserError

_ONNX, _FUNC, _FORWARD = "torch.onnx.export", "a transform of torch.func", "forward-mode differentiation"
OPAQUE = (_ONNX, _FUNC, _FORWARD)
"""What needs torch's own operations."""


def find_recorder(tensors: list[Any]) -> str | None:
    """Return the name of what records, transforms or fakes operations on these tensors, or None.

    `torch.compile` does not count: it takes the operator as it is.
    """
    if torch.onnx.is_in_onnx_export():
        return _ONNX
    if torch.compiler.is_compiling():
        return "torch.export" if torch.compiler.is_exporting() else None
    if torch.jit.is_tracing():
        return "torch.jit.trace"
    if torch._C._are_functorch_transforms_active():
        return _FUNC
    if forward_ad._current_level >= 0:
        return _FORWARD
    if torch._C._len_torch_dispatch_stack() or _len_torch_dispatch_stack_pre_dispatch():
        return "make_fx or another mode of dispatch"
    for tensor in tensors:
        if type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__:
            return f"a {type(tensor).__name__}"
    return None


def refuse_symbolic_trace(tensor: Any) -> None:
    """Raise UserError if a tensor is a proxy of `torch.fx.symbolic_trace`."""
    if isinstance(tensor, torch.fx.Proxy):
        raise UserError(
            "the module must be a leaf for torch.fx.symbolic_trace, which cannot record a loop over steps, got traced "
            "into. Give a torch.fx.Tracer an is_leaf_module that is True for it, or use torch.export."
        )


def refuse_lengths() -> None:
    """Raise UserError under tracers that would record lengths as constants."""
    if torch.jit.is_tracing() or torch.compiler.is_exporting():
        raise UserError(
            "lengths must be None, and input no PackedSequence, while torch.jit.trace or torch.export records: the "
            "lengths given would hold for every input. Record at one length, without lengths."
        )
