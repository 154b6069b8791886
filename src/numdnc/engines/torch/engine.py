"""The torch engine behind the two calls of `Engine`: arrays in, tensors inside, arrays out."""

import os
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from numdnc.engines.check import check_backward, check_forward, check_tape, refuse_dtype
from numdnc.errors import UserError, missing_package
from numdnc.input_files import parse_whole_number
from numdnc.params import Array, Inputs
from numdnc.spec import Spec
from numdnc.tree import leaves, map_leaves

try:
    import torch
except ImportError:
    raise missing_package("the engine torch", "torch") from None

from numdnc.engines.tensors import to_array, to_tensors
from numdnc.engines.torch.model import forward


class Tape(NamedTuple):
    """Values saved for the backward pass: input and output tensors, connected by the graph of torch."""

    spec: Spec
    params: Any
    inputs: torch.Tensor
    state: Any
    outputs: torch.Tensor
    after: Any


class TorchEngine:
    """Plain torch operations on one device; float32 and float64."""

    stores_all_links = True
    expands_links = False

    def __init__(self, device: str, own: str) -> None:
        self.name = "torch" if device == "cpu" else f"torch:{device}"
        self._device = torch.device(own)

    def supports(self, spec: Spec, dtype: DTypeLike) -> str | None:
        """Every model in float32 and float64."""
        return refuse_dtype(dtype)

    def forward(
        self,
        spec: Spec,
        params: Any,
        inputs: Inputs,
        state: Any,
        *,
        keep_tape: bool,
        bypass_mask: Array | None = None,
        lengths: NDArray[np.integer] | None = None,
    ) -> tuple[Array, Any, Any]:
        """See `Engine.forward`."""
        check_forward(spec, params, inputs, state, bypass_mask, lengths)
        given = to_tensors((params, inputs, state), self._device)
        mask, rows = (
            None if part is None else to_tensors(part, self._device) for part in (bypass_mask, lengths)
        )
        with torch.set_grad_enabled(keep_tape):
            if keep_tape:
                given = map_leaves(_require_grad, given)
            outputs, after = forward(spec, *given, mask, rows)
        tape = Tape(spec, *given, outputs, after) if keep_tape else None
        return to_array(outputs), map_leaves(to_array, after), tape

    def backward(
        self, spec: Spec, params: Any, tape: Any, d_outputs: Array, d_state: Any
    ) -> tuple[Any, Array | None, Any]:
        """See `Engine.backward`."""
        check_tape(self.name, Tape, spec, tape)
        steps, batch = tape.inputs.shape[:2]
        check_backward(spec, params, steps, batch, d_outputs, d_state)
        by: Any = (tape.params, tape.inputs, tape.state)
        results = [(tape.outputs, d_outputs), *zip(leaves(tape.after), leaves(d_state), strict=True)]
        results = [(tensor, to_tensors(d, self._device)) for tensor, d in results if tensor.requires_grad]
        tensors: list[Any] = list(leaves(by))
        wanted = [tensor for tensor in tensors if tensor.requires_grad]
        gradients = iter(
            torch.autograd.grad(
                [tensor for tensor, _ in results],
                wanted,
                [d for _, d in results],
                retain_graph=True,
                materialize_grads=True,
            )
        )
        d_params, d_inputs, d_before = map_leaves(
            lambda leaf: to_array(next(gradients)) if leaf.requires_grad else None, by
        )
        return d_params, d_inputs, d_before


def _require_grad(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor


@lru_cache
def engine_on(device: str) -> TorchEngine:
    """Return the engine on a device, by torch's name: cpu, cuda, cuda:1, ..

    In processes started by torchrun, cuda is the device of the local rank.
    """
    own, rank = device, parse_whole_number(os.environ.get("LOCAL_RANK", ""))
    if device == "cuda" and rank is not None and torch.cuda.is_available():
        own = f"cuda:{rank % torch.cuda.device_count()}"  # do not change torch's current device
    try:
        torch.zeros(1, device=own).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"the device must be one that torch can use here, got {device} ({reason}). Use cpu, or leave --device out."
        ) from None
    return TorchEngine(device, own)


ENGINE = engine_on("cpu")
